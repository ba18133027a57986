# What the scripts of this folder share. Sourced, never run.
# shellcheck shell=bash

STACK_NAME=${STACK_NAME:-kepler-k3s-stack}
AWS_REGION=${AWS_REGION:-us-east-1}
INSTANCE_TYPE=${INSTANCE_TYPE:-c5.metal}
KEY_NAME=${KEY_NAME:-}
CIDR=${CIDR:-}
VOLUME_SIZE=${VOLUME_SIZE:-50}
IMAGE_PARAMETER=${IMAGE_PARAMETER:-/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id}
# Where the container images come from: a registry's prefix, or tarballs beside each other in a folder
IMAGES=${IMAGES:-}
CHECKIP_URL=${CHECKIP_URL:-https://checkip.amazonaws.com}
INFO_FILE=${INFO_FILE:-k3s-instance-info.txt}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DRY_RUN=false
YES=false
export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION AWS_PAGER=

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

usage() {
    cat <<TEXT
usage: $(basename "$0") [flags]

  --stack-name NAME      $STACK_NAME
  --region REGION        $AWS_REGION
  --instance-type TYPE   $INSTANCE_TYPE; bare metal has RAPL, others are estimated
  --key-name NAME        the EC2 key pair for SSH
  --cidr CIDR            who may reach SSH and the endpoint; this machine's own address by default
  --volume-size GIB      $VOLUME_SIZE
  --images WHERE         a registry's prefix, or a folder with image tarballs (*.tar)
  --dry-run              say what would be done, and change nothing
  --yes                  ask nothing
  --help
Each of them may be set by an environment variable too (STACK_NAME, AWS_REGION, INSTANCE_TYPE, KEY_NAME, CIDR, VOLUME_SIZE, IMAGES).
TEXT
}

# Reads the flags that every script takes.
read_flags() {
    while (($#)); do
        case $1 in
        --help | -h) usage && exit 0 ;;
        --dry-run) DRY_RUN=true ;;
        --yes | -y) YES=true ;;
        --stack-name | --region | --instance-type | --key-name | --cidr | --volume-size | --images)
            (($# > 1)) || fail "$1 needs a value (try --help)"
            case $1 in
            --stack-name) STACK_NAME=$2 ;;
            --region) AWS_REGION=$2 AWS_DEFAULT_REGION=$2 ;;
            --instance-type) INSTANCE_TYPE=$2 ;;
            --key-name) KEY_NAME=$2 ;;
            --cidr) CIDR=$2 ;;
            --volume-size) VOLUME_SIZE=$2 ;;
            --images) IMAGES=$2 ;;
            esac
            shift
            ;;
        *) fail "unknown flag $1 (try --help)" ;;
        esac
        shift
    done
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || fail "$program is not installed"
    done
}

# Runs a command that changes something, or says it.
change() {
    if $DRY_RUN; then
        # Whatever becomes of the output of the command itself
        say "would run: $*" >&2
    else
        "$@"
    fi
}

ask() {
    $YES && return
    $DRY_RUN && return
    local answer
    read -r -p "$1 [y/N] " answer || answer=
    [[ $answer == [yY]* ]] || fail "stopped; nothing was changed"
}

credentials() {
    aws sts get-caller-identity --query Account --output text >/dev/null 2>&1 ||
        fail "AWS does not know you: run 'aws configure' or set AWS_PROFILE"
}

# Empty where there is no such stack.
stack_status() {
    aws cloudformation describe-stacks --stack-name "$STACK_NAME" --query 'Stacks[0].StackStatus' --output text 2>/dev/null || true
}

output() {
    aws cloudformation describe-stacks --stack-name "$STACK_NAME" \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue | [0]" --output text
}

need_stack() {
    [[ -n $(stack_status) ]] || fail "there is no stack $STACK_NAME in $AWS_REGION"
}

# The bucket of what the instance installs.
bucket_name() {
    local account
    account=$(aws sts get-caller-identity --query Account --output text) || return
    say "${ASSETS_BUCKET:-$STACK_NAME-$account-$AWS_REGION}"
}

# Sets `work`, a folder for as long as the script runs, with the chart in it.
pack_chart() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    helm package "$HERE/../helm/kepler" --destination "$work" >/dev/null
    mv "$work"/kepler-*.tgz "$work/kepler.tgz"
}

# Whether a bucket was made by deploy-automated-stack.sh, which tags it with the stack's name.
is_ours() {
    [[ $(aws s3api get-bucket-tagging --bucket "$1" --query "TagSet[?Key=='kepler-stack'].Value | [0]" --output text 2>/dev/null) == "$STACK_NAME" ]]
}

# The image of the stack's instance: a stack that is there keeps its own, since a newer one would replace the instance.
image() {
    local instance
    if [[ -n $(stack_status) ]]; then
        instance=$(output InstanceId)
        aws ec2 describe-instances --instance-ids "$instance" --query 'Reservations[0].Instances[0].ImageId' --output text 2>/dev/null && return
    fi
    aws ssm get-parameter --name "$IMAGE_PARAMETER" --query Parameter.Value --output text ||
        fail "there is no image at the public parameter $IMAGE_PARAMETER in $AWS_REGION: set IMAGE_PARAMETER"
}

# What failed, newest last, where a stack did not come to be.
why() {
    aws cloudformation describe-stack-events --stack-name "$STACK_NAME" \
        --query "reverse(StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason])" --output text >&2 || true
}

own_cidr() {
    [[ -n $CIDR ]] && return
    local address
    address=$(curl -fsS --max-time 10 "$CHECKIP_URL") || fail "cannot tell this machine's address: give --cidr"
    CIDR=${address//[[:space:]]/}/32
}

check_cidr() {
    [[ $CIDR =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$ ]] || fail "--cidr $CIDR: expected an address and a length such as 203.0.113.7/32"
    [[ $CIDR != */0 ]] || fail "--cidr $CIDR would let the whole internet in"
}

check_key() {
    [[ -n $KEY_NAME ]] || fail "--key-name is needed; 'aws ec2 create-key-pair' makes one"
    aws ec2 describe-key-pairs --key-names "$KEY_NAME" >/dev/null 2>&1 ||
        fail "there is no key pair $KEY_NAME in $AWS_REGION: aws ec2 create-key-pair --key-name $KEY_NAME"
}

# Virtual CPUs of running on-demand instances are limited by an account's quota.
check_quota() {
    local code=L-1216C47A needed limit
    needed=$(aws ec2 describe-instance-types --instance-types "$INSTANCE_TYPE" \
        --query 'InstanceTypes[0].VCpuInfo.DefaultVCpus' --output text 2>/dev/null) ||
        fail "there is no instance type $INSTANCE_TYPE in $AWS_REGION"
    limit=$(aws service-quotas get-service-quota --service-code ec2 --quota-code $code --query Quota.Value --output text 2>/dev/null) ||
        limit=$(aws service-quotas get-aws-default-service-quota --service-code ec2 --quota-code $code --query Quota.Value --output text 2>/dev/null) || {
        say "quota $code cannot be read; going on ($INSTANCE_TYPE takes $needed vCPUs)"
        return
    }
    limit=${limit%.*}
    if ((limit >= needed)); then
        say "quota: $INSTANCE_TYPE takes $needed of $limit vCPUs"
        return
    fi
    say "quota $code allows $limit vCPUs, $INSTANCE_TYPE takes $needed"
    ask "Ask AWS for $needed vCPUs?"
    change aws service-quotas request-service-quota-increase --service-code ec2 --quota-code $code --desired-value "$needed" >/dev/null
    fail "deploy again when AWS has granted it (hours to days), or take a smaller --instance-type"
}

# Creates the stack, or brings one that exists to this template; waits, and says what failed.
deploy() {
    local template=$1
    shift
    local chosen status
    chosen=$(image)
    local parameters=(
        "ParameterKey=KeyName,ParameterValue=$KEY_NAME"
        "ParameterKey=AllowedCidr,ParameterValue=$CIDR"
        "ParameterKey=InstanceType,ParameterValue=$INSTANCE_TYPE"
        "ParameterKey=VolumeSize,ParameterValue=$VOLUME_SIZE"
        "ParameterKey=ImageId,ParameterValue=$chosen"
        "$@"
    )
    local arguments=(--stack-name "$STACK_NAME" --template-body "file://$HERE/$template" --capabilities CAPABILITY_IAM
        --parameters "${parameters[@]}")
    status=$(stack_status)
    case $status in
    '')
        change aws cloudformation create-stack "${arguments[@]}" --on-failure ROLLBACK --tags Key=project,Value=kepler >/dev/null
        $DRY_RUN && return
        say "creating $STACK_NAME (10 to 20 minutes for bare metal)"
        aws cloudformation wait stack-create-complete --stack-name "$STACK_NAME" || { why && fail "$STACK_NAME was not created; delete-stack.sh removes what is left"; }
        ;;
    *_COMPLETE)
        [[ $status != ROLLBACK_COMPLETE ]] || fail "$STACK_NAME failed before: run delete-stack.sh, then deploy again"
        local told
        if $DRY_RUN; then
            change aws cloudformation update-stack "${arguments[@]}"
            return
        fi
        if told=$(aws cloudformation update-stack "${arguments[@]}" 2>&1); then
            say "updating $STACK_NAME"
            aws cloudformation wait stack-update-complete --stack-name "$STACK_NAME" || { why && fail "$STACK_NAME was not updated"; }
        elif [[ $told == *"No updates are to be performed"* ]]; then
            say "$STACK_NAME is up to date"
        else
            fail "$told"
        fi
        ;;
    *) fail "$STACK_NAME is $status: wait for it, or look at check-stack.sh" ;;
    esac
}

write_info() {
    $DRY_RUN && return
    local address
    address=$(output PublicIp)
    cat >"$INFO_FILE" <<TEXT
stack:    $STACK_NAME ($AWS_REGION)
instance: $(output InstanceId)
address:  $address
ssh:      ssh -i $KEY_NAME.pem ubuntu@$address
metrics:  https://$address:30443/metrics (a certificate of its own: curl -k)
log:      /var/log/user-data.log
TEXT
    cat "$INFO_FILE"
}
