"""What is neither chart, rules nor AWS: manifests, compose, systemd, images."""

import json
import os
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml
from conftest import DEPLOY, run, tool
from test_rules import program

TOP = DEPLOY.parents[1]
MANIFESTS = sorted([*(DEPLOY / "k8s").rglob("kepler.yaml"), DEPLOY / "ollama/ollama.yaml"])


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: str(p.relative_to(DEPLOY)))
def test_kubernetes_takes_every_manifest(path):
    objects = [made for made in yaml.safe_load_all(path.read_text()) if made]
    assert objects
    for made in objects:
        kubernetes_validate.validate(made, "1.34", strict=True)
    templates = [
        made["spec"]["template"] if "template" in made["spec"] else made["spec"]["jobTemplate"]["spec"]["template"]
        for made in objects
        if made["kind"] in {"Deployment", "DaemonSet", "CronJob"}
    ]
    for service in (made for made in objects if made["kind"] == "Service"):
        chosen = [t for t in templates if service["spec"]["selector"].items() <= t["metadata"]["labels"].items()]
        assert len(chosen) == 1, service["metadata"]["name"]


def test_every_resource_that_a_kustomization_names_is_there():
    for path in (DEPLOY / "k8s").rglob("kustomization.yaml"):
        for name in yaml.safe_load(path.read_text())["resources"]:
            assert (path.parent / name).exists(), f"{path}: {name}"


def test_compose_names_files_that_are_there():
    compose = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), f"{name}: {source}"
        if build := service.get("build"):
            assert (DEPLOY / "compose" / build["context"] / build["dockerfile"]).exists()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_compose_reads_its_file_as_it_is_meant():
    """By the library that docker compose reads it with; what it does not know, it refuses."""
    read = json.loads(run(tool("compose-go"), "-format=json", "compose.yaml", cwd=DEPLOY / "compose"))
    assert set(read["services"]) == {"exporter", "model-server", "prometheus", "grafana"}
    assert set(read["volumes"]) == {"prometheus", "grafana"}
    for name in ("exporter", "model-server"):
        service = read["services"][name]
        assert service["build"]["context"] == str(TOP)
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "privileged" not in service
    exporter = read["services"]["exporter"]
    assert (exporter["pid"], exporter["cap_add"]) == ("host", ["BPF", "PERFMON"])
    known = run(program("kepler-exporter"), "--config.check", env=os.environ | exporter["environment"])
    told = dict(line.split(": ", 1) for line in known.splitlines())
    assert {key: told[key] for key in ("host.procfs", "host.sysfs", "modelServer.url")} == {
        "host.procfs": "/host/proc # KEPLER_HOST_PROCFS",
        "host.sysfs": "/host/sys # KEPLER_HOST_SYSFS",
        "modelServer.url": "'http://model-server:8100' # KEPLER_MODEL_SERVER_URL",
    }


def test_the_unit_is_understood(tmp_path):
    analyze = tool("systemd-analyze")
    unit = (DEPLOY / "systemd/kepler-exporter.service").read_text().replace("/usr/bin/kepler-exporter", shutil.which("true"))
    path = tmp_path / "kepler-exporter.service"
    path.write_text(unit)
    done = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    about = [line for line in done.stderr.splitlines() if "kepler-exporter" in line]
    assert not about, about


@pytest.mark.parametrize("name", ["exporter", "model-server"])
def test_dockerfiles_are_as_their_linter_wants_them(name):
    run(tool("hadolint"), TOP / f"examples/{name}/Dockerfile")


@pytest.mark.parametrize("name", ["exporter", "model-server"])
def test_dockerfiles_copy_what_their_context_holds(name):
    """Whatever Cargo needs is let through by .dockerignore: every member's manifest and sources."""
    allowed = [line[1:] for line in (TOP / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    members = re.search(r"members = \[(.*?)\]", (TOP / "Cargo.toml").read_text(), re.DOTALL).group(1)
    for member in re.findall(r'"(.*?)"', members):
        for part in ("Cargo.toml", "src"):
            path = f"{member}/{part}"
            if (TOP / path).exists():
                assert any(path == a or path.startswith(a + "/") for a in allowed), path
    text = (TOP / f"examples/{name}/Dockerfile").read_text()
    assert f"-p kepler-{name}" in text
    assert text.rstrip().endswith(f'ENTRYPOINT ["/kepler-{name}"]')


def test_every_make_target_that_is_named_has_a_rule():
    """Make itself says nothing of a phony target without one."""
    rules = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        named = {target for targets in re.findall(r"`make ([a-z -]+)`", (TOP / name).read_text()) for target in targets.split()}
        assert named and named <= rules, f"{name}: {named - rules}"
