#!/usr/bin/env bash
# Removes the stack, its instance and volume, and what deploy-automated-stack.sh put into a bucket; the bucket too where it was
# made for that.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read_flags "$@"
need aws
credentials
bucket=$(bucket_name)
if [[ -z $(stack_status) ]] && ! aws s3api head-bucket --bucket "$bucket" 2>/dev/null; then
    say "there is no stack $STACK_NAME in $AWS_REGION"
    exit 0
fi
ask "Delete $STACK_NAME, its instance, its volume and s3://$bucket/$STACK_NAME for good?"
if [[ -n $(stack_status) ]]; then
    change aws cloudformation delete-stack --stack-name "$STACK_NAME" || fail "$STACK_NAME was not deleted; run this again"
    $DRY_RUN || aws cloudformation wait stack-delete-complete --stack-name "$STACK_NAME" || { why && fail "$STACK_NAME was not deleted"; }
fi
if aws s3api head-bucket --bucket "$bucket" 2>/dev/null; then
    change aws s3 rm --only-show-errors --recursive "s3://$bucket/$STACK_NAME/"
    if is_ours "$bucket"; then
        change aws s3 rb "s3://$bucket" >/dev/null
    fi
fi
$DRY_RUN || rm -f "$INFO_FILE"
say "$STACK_NAME is gone"
