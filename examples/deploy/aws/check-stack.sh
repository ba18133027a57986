#!/usr/bin/env bash
# How the stack and its instance are. Exit code 0 when metrics are served.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws curl
credentials
need_stack
instance=$(output InstanceId)
address=$(output PublicIp)
state=$(aws ec2 describe-instances --instance-ids "$instance" --query 'Reservations[0].Instances[0].State.Name' --output text)
say "stack:    $STACK_NAME $(stack_status)"
say "instance: $instance $state, $address"
if [[ $state != running ]]; then
    say "metrics:  none while the instance is $state (start-stack.sh)"
    exit 1
fi
url=${METRICS_URL:-https://$address:30443/metrics}
if samples=$(curl -fsSk --max-time 10 "$url" | grep -c '^kepler_'); then
    say "metrics:  $url, $samples series"
else
    say "metrics:  $url does not answer; the log is /var/log/user-data.log on the instance"
    exit 1
fi
