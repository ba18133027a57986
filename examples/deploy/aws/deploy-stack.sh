#!/usr/bin/env bash
# The infrastructure alone: an instance, its address, its rights. setup-kepler-automated.sh then installs by SSH.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws curl
credentials
check_key
own_cidr
check_cidr
check_quota
say "stack $STACK_NAME: $INSTANCE_TYPE in $AWS_REGION, open to $CIDR"
ask "Deploy? An instance costs money while it runs (see cost.sh)."
deploy kepler-k3s-stack.yaml
write_info
say "next: ./setup-kepler-automated.sh --key-name $KEY_NAME"
