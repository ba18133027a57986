#!/usr/bin/env bash
# One instance with K3s and the chart on it, all by itself: the instance installs what this script puts into a bucket.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws curl helm
credentials
check_key
own_cidr
check_cidr
check_quota
[[ -n $IMAGES ]] || fail "--images is needed: a folder with the images as tarballs, or a registry's prefix (see README.md)"
bucket=$(bucket_name)
say "stack $STACK_NAME: $INSTANCE_TYPE in $AWS_REGION, open to $CIDR, files in s3://$bucket/$STACK_NAME"
ask "Deploy? An instance costs money while it runs (see cost.sh)."

if ! aws s3api head-bucket --bucket "$bucket" 2>/dev/null; then
    change aws s3 mb "s3://$bucket" >/dev/null
    change aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    change aws s3api put-bucket-tagging --bucket "$bucket" --tagging "TagSet=[{Key=kepler-stack,Value=$STACK_NAME}]"
fi
files=s3://$bucket/$STACK_NAME
pack_chart
change aws s3 cp --only-show-errors "$work/kepler.tgz" "$files/kepler.tgz"
change aws s3 cp --only-show-errors "$HERE/install-kepler.sh" "$files/install-kepler.sh"
registry=
if [[ -d $IMAGES ]]; then
    for image in "$IMAGES"/*.tar; do
        [[ -e $image ]] || fail "$IMAGES holds no image tarballs (*.tar)"
        change aws s3 cp --only-show-errors "$image" "$files/images/$(basename "$image")"
    done
else
    registry=$IMAGES
fi
deploy kepler-k3s-automated-stack.yaml "ParameterKey=AssetsBucket,ParameterValue=$bucket" "ParameterKey=Registry,ParameterValue=$registry"
write_info
