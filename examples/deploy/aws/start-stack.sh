#!/usr/bin/env bash
# Starts the instance that stop-stack.sh stopped.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws
credentials
need_stack
[[ -n $KEY_NAME ]] || KEY_NAME=$(output KeyName)
instance=$(output InstanceId)
change aws ec2 start-instances --instance-ids "$instance" >/dev/null
$DRY_RUN || aws ec2 wait instance-running --instance-ids "$instance" || fail "$instance did not start within 10 minutes"
write_info
