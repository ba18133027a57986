"""One cluster for all tests of this folder, with the images in it, and the chart installed on it."""

import json
import os
import re
import subprocess
import urllib.parse
from pathlib import Path

import pytest

import cluster
import dockerfiles
import programs
import settings

ROOT = Path(__file__).parents[3]
CHART = Path(__file__).parents[1] / "helm/kepler"
SHARED = Path(os.environ.get("KEPLER_SHARED", ROOT.parent / "shared"))
BUILT = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
STATIC = BUILT / f"{os.uname().machine}-unknown-linux-musl"
EXPORTER = Path(os.environ.get("KEPLER_EXPORTER", BUILT / "release/kepler-exporter"))
SERVER = Path(os.environ.get("KEPLER_MODEL_SERVER", STATIC / "release/kepler-model-server"))
# Each program, and where below cargo's folder it is built.
PROGRAMS = {"exporter": (EXPORTER, "release"), "model-server": (SERVER, f"{STATIC.name}/release")}
# Each image: its Dockerfile's folder, and the stage that it ends with. The second tag is what an upgrade goes to.
IMAGES = (("exporter", ""), ("exporter", "nonroot"), ("model-server", ""))
TAGS = ("1", "2")
NAMESPACE, SERVING = "kepler-system", "kepler-model-server"
PIPELINES = ("ec2-0.7.11", "specpower-0.7.11")
FILES = f"{settings.ADDRESS}:8099"
# What the API server says of objects, without having them; a warning is an error.
TRIED = ("apply", "--dry-run=server", "--warnings-as-errors", "--force-conflicts", "--server-side")


def picture(name, tag="1"):
    """The chart's values of an image of this repository."""
    return {"repository": f"docker.io/local/{name}", "tag": tag, "pullPolicy": "Never"}


def exporter_values(**more):
    """Of an exporter that samples each second."""
    exporter = {"config": {"monitor": {"interval": "1s"}}, **more}
    return {"image": picture("kepler-exporter"), "exporter": exporter}


def install(name, namespace, values, verb="install"):
    cluster.helm(
        verb, name, CHART, "-n", namespace, "--create-namespace", "--values=-", "--wait", "--timeout=180s",
        input=json.dumps(values).encode(), stdout=subprocess.DEVNULL,
    )  # fmt: skip


def command(name):
    """What `make programs` has cargo do for a program, and its Dockerfile has to as well."""
    found = re.search(rf"cargo (build --release --locked -p kepler-{name}\b.*)", (ROOT / "Makefile").read_text())
    return found[1].replace("$(MUSL)", STATIC.name)


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """The archives of each image, built by its Dockerfile: one for each tag."""
    if os.geteuid() != 0:
        pytest.skip("images and a cluster need root")
    programs.build()
    folder = tmp_path_factory.mktemp("images")
    made = {}
    with dockerfiles.builder(ROOT) as builder:
        for name, (program, below) in PROGRAMS.items():
            builder.cargo_built(command(name), program, f"{below}/kepler-{name}")
        for name, stage in IMAGES:
            tags = [f"docker.io/local/kepler-{name}:{tag}{stage and f'-{stage}'}" for tag in TAGS]
            dockerfile = ROOT / f"examples/{name}/Dockerfile"
            made[name, stage] = builder.build(dockerfile, folder / f"{name}{stage}", tags, stage)
    return made


@pytest.fixture(scope="session")
def kubernetes(archives):
    cluster.down()
    try:
        cluster.up([path for paths in archives.values() for path in paths])
        yield cluster
    finally:
        if "KUBE_KEEP" not in os.environ:
            cluster.down()


@pytest.fixture(scope="session")
def pipelines(kubernetes):
    """The public pipelines, served to the cluster; their addresses for the chart."""
    folder = SHARED / "data/kepler-model-db/v0.7"
    if not folder.exists() and "CI" not in os.environ:
        pytest.skip(f"no reference data in {SHARED}")
    host, _, port = FILES.partition(":")
    serve = ("python3", "-m", "http.server", port, "--bind", host, "--directory", folder)
    child = subprocess.Popen(cluster.inside(*serve), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield [{"name": name, "url": f"http://{FILES}/{name}.zip"} for name in PIPELINES]
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def release(pipelines):
    """The chart as it is installed, with three replicas of the model server; its values."""
    server = {
        "enabled": True,
        "namespace": SERVING,
        "image": picture("kepler-model-server"),
        "models": pipelines,
        "readinessProbe": {"initialDelaySeconds": 1},
        "keepListening": True,
        # Down again after seconds instead of minutes; up where a test says how far.
        "autoscaling": {"maxReplicas": 3, "scaleDown": {"stabilizationSeconds": 15, "periodSeconds": 15}},
    }
    values = {**exporter_values(), "modelServer": server, "modelHealth": {"schedule": "* * * * *"}}
    install("kepler", NAMESPACE, values)
    cluster.deadline(lambda: len(ready_replicas()) == 3, 120, "three replicas")
    try:
        yield values
    finally:
        cluster.helm("uninstall", "kepler", "-n", NAMESPACE, "--ignore-not-found", "--wait", stdout=subprocess.DEVNULL)


def ready_replicas():
    """The pods of the model server that requests go to."""
    return [pod for pod in pods("kepler-model-server", SERVING) if is_ready(pod)]


def pods(app, namespace):
    """The pods that are not on their way out."""
    found = cluster.get("pods", "-n", namespace, "-l", f"app={app}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod):
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def address(service, namespace):
    """Where a Service answers, by its cluster address."""
    spec = cluster.get("service", service, "-n", namespace)["spec"]
    return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"


def ask(url, *flags, **query):
    """What a server in the cluster answers."""
    url = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    command = cluster.inside("curl", "--silent", "--show-error", "--fail", "--max-time", "20", *flags, url)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
