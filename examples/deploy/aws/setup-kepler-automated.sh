#!/usr/bin/env bash
# Installs K3s and the chart on the instance of deploy-stack.sh, by SSH. May be run again.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws helm ssh scp
credentials
need_stack
[[ -n $KEY_NAME ]] || fail "--key-name is needed"
key=${KEY_FILE:-$KEY_NAME.pem}
[[ -f $key ]] || fail "$key: no such file; KEY_FILE says where the private key is"
address=$(output PublicIp)
options=(-i "$key" -o StrictHostKeyChecking=accept-new -o ConnectTimeout=10)
port=${SSH_PORT:-22}
user=${SSH_USER:-ubuntu}

if ! $DRY_RUN; then
    for try in $(seq 1 60); do
        ssh -p "$port" "${options[@]}" "$user@$address" true 2>/dev/null && break
        ((try < 60)) || fail "$address does not answer on port $port: is --cidr of this machine?"
        sleep "${RETRY_SECONDS:-10}"
    done
fi
pack_chart
change ssh -p "$port" "${options[@]}" "$user@$address" "mkdir -p kepler/images"
change scp -P "$port" "${options[@]}" "$work/kepler.tgz" "$HERE/install-kepler.sh" "$user@$address:kepler/"
registry=
if [[ -d $IMAGES ]]; then
    change scp -P "$port" "${options[@]}" "$IMAGES"/*.tar "$user@$address:kepler/images/"
else
    registry=$IMAGES
fi
change ssh -p "$port" "${options[@]}" "$user@$address" "cd kepler && sudo REGISTRY='$registry' bash install-kepler.sh"
write_info
