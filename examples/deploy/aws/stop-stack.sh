#!/usr/bin/env bash
# Stops the instance: it costs nothing but its volume and address then.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws
credentials
need_stack
instance=$(output InstanceId)
change aws ec2 stop-instances --instance-ids "$instance" >/dev/null
$DRY_RUN || aws ec2 wait instance-stopped --instance-ids "$instance" || fail "$instance did not stop within 10 minutes"
say "$instance is stopped; start-stack.sh starts it again, at the same address"
