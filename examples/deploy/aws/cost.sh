#!/usr/bin/env bash
# What the stack costs: list prices of the instance and its volume, and what was spent this month on what has the stack's tag.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws
credentials
# Prices are told in us-east-1 alone.
price=$(aws pricing get-products --region us-east-1 --service-code AmazonEC2 --filters \
    "Type=TERM_MATCH,Field=instanceType,Value=$INSTANCE_TYPE" "Type=TERM_MATCH,Field=regionCode,Value=$AWS_REGION" \
    Type=TERM_MATCH,Field=operatingSystem,Value=Linux Type=TERM_MATCH,Field=tenancy,Value=Shared \
    Type=TERM_MATCH,Field=preInstalledSw,Value=NA Type=TERM_MATCH,Field=capacitystatus,Value=Used \
    --query 'PriceList[0]' --output text 2>/dev/null |
    # Of the whole offer the one price that is on demand
    sed -n 's/.*"OnDemand"[^}]*"USD" *: *"\([0-9.]*\)".*/\1/p') || price=
if [[ -n $price ]]; then
    say "$INSTANCE_TYPE in $AWS_REGION: $price USD an hour while it runs"
else
    say "$INSTANCE_TYPE in $AWS_REGION: see https://aws.amazon.com/ec2/pricing/on-demand/"
fi
say "volume: $VOLUME_SIZE GiB of gp3, paid while the stack exists; the address is paid too while the instance is stopped"
first=$(date -u +%Y-%m-01)
today=$(date -u -d tomorrow +%F)
spent=$(aws ce get-cost-and-usage --region us-east-1 --time-period "Start=$first,End=$today" --granularity MONTHLY --metrics UnblendedCost \
    --filter '{"Tags":{"Key":"project","Values":["kepler"]}}' --query 'ResultsByTime[0].Total.UnblendedCost.Amount' --output text 2>/dev/null) || spent=
[[ -z $spent || $spent == None ]] || say "spent this month on what is tagged project=kepler: $spent USD"
