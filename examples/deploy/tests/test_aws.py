"""The AWS templates and scripts: checked by cfn-lint and shellcheck, and the whole life of a stack against moto's server on
loopback, by the real aws client."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
import yaml
from conftest import DEPLOY, run, tool

AWS = DEPLOY / "aws"
SCRIPTS = sorted(AWS.glob("*.sh"))
TEMPLATES = sorted(AWS.glob("kepler-*.yaml"))


class Loader(yaml.SafeLoader):
    """CloudFormation's short forms, as what they stand on."""


Loader.add_multi_constructor("!", lambda loader, tag, node: f"!{tag} {node.value}")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """A server that speaks AWS's protocols."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("w")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    yield url
    server.kill()
    server.wait()


@pytest.fixture
def aws(endpoint, tmp_path, monkeypatch):
    """A folder with the scripts, and an account that knows nothing yet but a key pair and an image."""
    subprocess.run(
        ["curl", "-fsS", "-X", "POST", f"{endpoint}/moto-api/reset"],
        check=True,
        capture_output=True,
    )
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "IMAGE_PARAMETER": "/kepler/image",
        "INSTANCE_TYPE": "m5.large",
        "KEY_NAME": "mine",
        "CIDR": "203.0.113.7/32",
        "INFO_FILE": str(tmp_path / "k3s-instance-info.txt"),
    }.items():
        monkeypatch.setenv(name, value)
    tool("aws")
    ec2, ssm = boto3.client("ec2"), boto3.client("ssm")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ssm.put_parameter(Name="/kepler/image", Type="String", Value=image, DataType="aws:ec2:image")
    ec2.create_key_pair(KeyName="mine")
    return tmp_path


def script(name, *flags, code=0, **environment):
    command = ["bash", str(AWS / name), "--yes", *flags]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def delete_stack(name, **environment):
    """Deletes a stack. moto forgets its route table, and then cannot delete its network; a second run ends what the first began."""
    ec2 = boto3.client("ec2")
    assert "run this again" in script(name, code=1, **environment)
    for table in ec2.describe_route_tables()["RouteTables"]:
        if not any(association["Main"] for association in table["Associations"]):
            ec2.delete_route_table(RouteTableId=table["RouteTableId"])
    script(name, **environment)


def test_scripts_are_clean():
    run(tool("shellcheck"), "-x", "-P", "SCRIPTDIR", *SCRIPTS)


def test_templates_are_clean():
    run(tool("cfn-lint"), *TEMPLATES)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_templates_are_closed_by_default(path):
    template = yaml.load(path.read_text(), Loader)
    resources = template["Resources"]
    for rule in resources["Firewall"]["Properties"]["SecurityGroupIngress"]:
        assert rule["CidrIp"] == "!Ref AllowedCidr"
    cidr = template["Parameters"]["AllowedCidr"]
    assert "Default" not in cidr
    allowed = re.compile(cidr["AllowedPattern"])
    assert allowed.match("203.0.113.7/32")
    assert not allowed.match("0.0.0.0/0")
    instance = resources["Instance"]["Properties"]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert template["Parameters"]["InstanceType"]["Default"] == "c5.metal"


def test_the_life_of_a_stack(aws):
    """Create, create again, stop, start, check, delete, delete again."""
    cloud, ec2, s3 = (
        boto3.client("cloudformation"),
        boto3.client("ec2"),
        boto3.client("s3"),
    )
    tool("helm")
    images = aws / "images"
    images.mkdir()
    (images / "kepler-exporter.tar").write_text("an image")
    said = script("deploy-automated-stack.sh", "--images", str(images))
    assert "creating kepler-k3s-stack" in said
    outputs = cloud.describe_stacks(StackName="kepler-k3s-stack")["Stacks"][0]["Outputs"]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in outputs}
    info = (aws / "k3s-instance-info.txt").read_text()
    assert outputs["InstanceId"] in info
    assert f"https://{outputs['PublicIp']}:30443/metrics" in info
    bucket = "kepler-k3s-stack-123456789012-us-east-1"
    held = {item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert held == {f"kepler-k3s-stack/{name}" for name in ("kepler.tgz", "install-kepler.sh", "images/kepler-exporter.tar")}
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]

    script("create-stack.sh", "--images", str(images))
    stacks = [s for s in cloud.describe_stacks()["Stacks"] if s["StackName"] == "kepler-k3s-stack"]
    assert len(stacks) == 1
    # Ubuntu has a newer image meanwhile, which is no reason to begin anew.
    newer = ec2.describe_images()["Images"][1]["ImageId"]
    boto3.client("ssm").put_parameter(Name="/kepler/image", Type="String", Value=newer, DataType="aws:ec2:image", Overwrite=True)
    said = script("deploy-automated-stack.sh", "--images", str(images), "--cidr", "203.0.113.9/32")
    assert "updating kepler-k3s-stack" in said
    now = cloud.describe_stacks(StackName="kepler-k3s-stack")["Stacks"][0]["Outputs"]
    assert outputs == {o["OutputKey"]: o["OutputValue"] for o in now}

    def state():
        found = ec2.describe_instances(InstanceIds=[outputs["InstanceId"]])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    script("stop-stack.sh")
    assert state() == "stopped"
    assert "while the instance is stopped" in script("check-stack.sh", code=1)
    script("start-stack.sh")
    assert state() == "running"
    metrics = aws / "metrics"
    metrics.write_text("kepler_node_cpu_watts 1\nkepler_node_cpu_watts 2\nother 3\n")
    assert "2 series" in script("check-stack.sh", METRICS_URL=metrics.as_uri())
    assert "does not answer" in script("check-stack.sh", code=1, METRICS_URL="https://127.0.0.1:1/metrics")

    delete_stack("delete-stack.sh")
    assert not cloud.list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])["StackSummaries"]
    assert bucket not in {b["Name"] for b in s3.list_buckets()["Buckets"]}
    assert not (aws / "k3s-instance-info.txt").exists()
    assert "there is no stack" in script("delete-stack.sh")


def test_a_dry_run_changes_nothing(aws):
    tool("helm")
    for name in ("deploy-automated-stack.sh", "deploy-stack.sh"):
        said = script(name, "--dry-run", "--images", "registry.example.com")
        assert "would run: aws cloudformation create-stack" in said
    assert not boto3.client("cloudformation").describe_stacks()["Stacks"]
    assert not boto3.client("s3").list_buckets()["Buckets"]
    assert not (aws / "k3s-instance-info.txt").exists()


def test_infrastructure_first_then_setup_by_ssh(aws):
    """ssh and scp are stand-ins that write down what they are asked: there is no instance behind moto's."""
    tool("helm")
    said = script("deploy-stack.sh")
    assert "setup-kepler-automated.sh" in said
    tools, log = aws / "bin", aws / "log"
    tools.mkdir()
    for name in ("ssh", "scp"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{log}\n')
        (tools / name).chmod(0o755)
    key = aws / "mine.pem"
    key.touch()
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "KEY_FILE": str(key)}
    script(
        "setup-kepler-automated.sh",
        "--images",
        "registry.example.com/team",
        **environment,
    )
    asked = log.read_text().splitlines()
    assert any(line.startswith("scp ") and "kepler.tgz" in line and "install-kepler.sh" in line for line in asked)
    assert "REGISTRY='registry.example.com/team' bash install-kepler.sh" in asked[-1]
    assert "no such file" in script("setup-kepler-automated.sh", code=1, KEY_FILE="/nowhere.pem")


@pytest.mark.parametrize(
    ("flags", "environment", "told"),
    [
        (["--cidr", "0.0.0.0/0"], {}, "whole internet"),
        (["--cidr", "here"], {}, "expected an address"),
        ([], {"IMAGE_PARAMETER": "/nowhere"}, "there is no image at the public parameter /nowhere"),
        (["--key-name", "other"], {}, "there is no key pair other"),
        (["--instance-type", "c5.meta"], {}, "there is no instance type c5.meta"),
        (["--zone", "x"], {}, "unknown flag --zone"),
        (["--region"], {}, "needs a value"),
        ([], {"CIDR": "", "CHECKIP_URL": "http://127.0.0.1:1/"}, "give --cidr"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(aws, flags, environment, told):
    said = script("deploy-stack.sh", *flags, code=1, **environment)
    assert told in said
    assert not boto3.client("cloudformation").describe_stacks()["Stacks"]


def answering(folder, answers):
    """A search path with an aws that answers some requests itself, and has the real one answer all others."""
    cases = "".join(f'"{asked}") {does} ;;\n' for asked, does in answers.items())
    (folder / "bin").mkdir()
    program = folder / "bin/aws"
    program.write_text(f'#!/bin/sh\ncase "$1 $2" in\n{cases}*) exec {tool("aws")} "$@" ;;\nesac\n')
    program.chmod(0o755)
    return f"{folder / 'bin'}:{os.environ['PATH']}"


# As the price list tells it, shortened.
OFFER = {
    "product": {"attributes": {"memory": "8 GiB"}},
    "terms": {
        "OnDemand": {"A.B": {"priceDimensions": {"A.B.C": {"unit": "Hrs", "appliesTo": [], "pricePerUnit": {"USD": "0.0960000000"}}}}},
        "Reserved": {"A.D": {"priceDimensions": {"A.D.C": {"unit": "Hrs", "appliesTo": [], "pricePerUnit": {"USD": "0.0700000000"}}}}},
    },
}


def test_the_price_on_demand_is_told_or_where_it_stands(aws):
    (aws / "offer").write_text(json.dumps(OFFER))
    path = answering(aws, {"pricing get-products": f"cat {aws / 'offer'}", "ce get-cost-and-usage": "echo 12.5"})
    said = script("cost.sh", PATH=path)
    assert "m5.large in us-east-1: 0.0960000000 USD an hour" in said and "12.5 USD" in said
    (aws / "offer").write_text("None")
    assert "aws.amazon.com/ec2/pricing" in script("cost.sh", PATH=path)


@pytest.mark.parametrize(("limit", "code"), [("1.0", 1), ("2.0", 0)])
def test_too_small_a_quota_is_told_and_more_is_asked_for(aws, limit, code):
    """moto knows no quota of instances, so these two requests alone are answered here."""
    log = aws / "log"
    log.touch()
    path = answering(
        aws,
        {"service-quotas get-service-quota": f"echo {limit}", "service-quotas request-service-quota-increase": f'echo "$*" >>{log}'},
    )
    said = script("deploy-stack.sh", "--dry-run", code=code, PATH=path)
    if code:
        assert "quota L-1216C47A allows 1 vCPUs, m5.large takes 2" in said
        assert "would run: aws service-quotas request-service-quota-increase" in said and not log.read_text()
        script("deploy-stack.sh", code=1, PATH=path)
        assert "--quota-code L-1216C47A --desired-value 2" in log.read_text()
        assert not boto3.client("cloudformation").describe_stacks()["Stacks"]
    else:
        assert "quota: m5.large takes 2 of 2 vCPUs" in said


def test_the_callers_own_address_is_let_in_by_default(aws):
    address = aws / "address"
    address.write_text("198.51.100.20\n")
    said = script("deploy-stack.sh", "--dry-run", CIDR="", CHECKIP_URL=address.as_uri())
    assert "open to 198.51.100.20/32" in said


def test_a_bucket_of_the_users_own_keeps_what_was_in_it(aws):
    s3 = boto3.client("s3")
    tool("helm")
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="thesis.pdf", Body=b"years of work")
    script("deploy-automated-stack.sh", "--images", "registry.example.com", ASSETS_BUCKET="mine")
    assert s3.list_objects_v2(Bucket="mine")["KeyCount"] == 3
    delete_stack("delete-stack.sh", ASSETS_BUCKET="mine")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="mine")["Contents"]] == ["thesis.pdf"]


def test_without_images_nothing_is_deployed(aws):
    assert "--images is needed" in script("deploy-automated-stack.sh", code=1)


def test_scripts_that_need_a_stack_say_that_there_is_none(aws):
    for name in ("check-stack.sh", "stop-stack.sh", "start-stack.sh"):
        assert "there is no stack kepler-k3s-stack in us-east-1" in script(name, code=1)


def test_the_instance_installs_by_itself(tmp_path):
    """install-kepler.sh with stand-ins for what it downloads."""
    tools, log = tmp_path / "bin", tmp_path / "log"
    tools.mkdir()
    for name, does in {
        "k3s": 'case "$*" in "kubectl get nodes") echo "n1 Ready";; esac',
        "helm": ":",
        "curl": "exit 1",
    }.items():
        (tools / name).write_text(f'#!/bin/bash\necho {name} "$@" >>{log}\n{does}\n')
        (tools / name).chmod(0o755)
    shutil.copy(AWS / "install-kepler.sh", tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/server.tar").touch()
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "REGISTRY": "registry.example.com",
    }
    subprocess.run(
        ["bash", tmp_path / "install-kepler.sh"],
        check=True,
        env=environment,
        capture_output=True,
    )
    asked = Path(log).read_text()
    assert "k3s ctr images import images/server.tar" in asked
    assert "helm upgrade --install kepler kepler.tgz --namespace kepler-system" in asked
    assert "image.repository=registry.example.com/kepler-exporter" in asked
