"""Prometheus's files by promtool, and every query of the dashboards by a real Prometheus that scrapes a real exporter."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from conftest import CHART, DEPLOY, run, tool

PROMETHEUS = DEPLOY / "prometheus"
TOP = DEPLOY.parents[1]


def test_rules_do_what_they_say():
    promtool = tool("promtool")
    rules = [PROMETHEUS / name for name in ("recording.yaml", "recording-high-resolution.yaml", "alerts.yaml")]
    run(promtool, "check", "rules", *rules)
    run(promtool, "test", "rules", PROMETHEUS / "rules_test.yaml")
    run(promtool, "check", "config", PROMETHEUS / "prometheus.yaml")


def test_what_the_kubernetes_settings_name_is_what_the_chart_writes():
    # Debian's promtool knows no Kubernetes, so the file is read here.
    settings = yaml.safe_load((PROMETHEUS / "prometheus-kubernetes.yaml").read_text())
    names = {name for job in settings["scrape_configs"] for rule in job["relabel_configs"] for name in rule["source_labels"]}
    annotations = {name.removeprefix("__meta_kubernetes_pod_annotation_") for name in names if "annotation" in name}
    assert annotations == {
        "prometheus_io_scrape",
        "prometheus_io_port",
        "prometheus_io_path",
    }
    written = (DEPLOY / "k8s/exporter/kepler.yaml").read_text()
    assert all(name.replace("_io_", ".io/") in written for name in annotations)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, **query):
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}" if query else url, timeout=10) as answer:
        return answer.read()


def wait_for(url, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            return get(url)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


def program(name):
    """A binary of this repository, the one that was built last."""
    built = [TOP / os.environ.get("CARGO_TARGET_DIR", "target") / kind / name for kind in ("release", "debug")]
    built = [path for path in built if path.exists()]
    if built:
        return max(built, key=lambda path: path.stat().st_mtime)
    assert not os.environ.get("CI"), f"{name} is not built"
    pytest.skip(f"{name} is not built")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A Prometheus that has scraped an exporter and a model server for a while."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    exporter, server, port = free_port(), free_port(), free_port()
    settings = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    settings["global"]["scrape_interval"] = "1s"
    settings["global"]["evaluation_interval"] = "1s"
    ports = {"kepler-exporter": exporter, "kepler-model-server": server}
    for job in settings["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    for name in settings["rule_files"]:
        shutil.copy(PROMETHEUS / name, folder)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    commands = [
        [
            program("kepler-exporter"),
            "--fake",
            "--monitor.interval=1s",
            f"--web.listen-address=127.0.0.1:{exporter}",
        ],
        [program("kepler-model-server"), "--listen", f"127.0.0.1:{server}"],
        [
            tool("prometheus"),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
    ]
    started = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in commands]
    try:
        for at in (exporter, server):
            wait_for(f"http://127.0.0.1:{at}/health")
        wait_for(f"http://127.0.0.1:{port}/-/ready")
        question = {"metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "output_type": "AbsPower", "source": "acpi", "weight": True}
        model = urllib.request.Request(f"http://127.0.0.1:{server}/model", json.dumps(question).encode(), {"Content-Type": "application/json"})
        for _ in range(25):
            get(f"http://127.0.0.1:{server}/best-models")
            urllib.request.urlopen(model, timeout=10).close()
            time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        for each in started:
            each.send_signal(signal.SIGTERM)
        for each in started:
            each.wait()


def queries(path):
    """Titles and queries of a dashboard's panels, its variables filled in."""
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$carbon", "400")
            yield (
                panel["title"],
                re.sub(r"\$(instance|zone|namespace|pod)\b", ".*", query),
            )


# What a machine without containers, pods, virtual machines and graphics has no series of.
NOT_EVERYWHERE = {
    "Expected error of estimated zones",
    "Power by namespace",
    "Power by pod",
    "Energy by namespace, last day",
    "Carbon of the last day",
    "Containers",
    "Virtual machines",
    "Graphics processors",
    "Errors",
    "Time spent predicting, by model",
}


@pytest.mark.parametrize("name", ["kepler", "serving"])
def test_every_panel_shows_something(prometheus, name):
    empty = set()
    for title, query in queries(DEPLOY / f"grafana/{name}.json"):
        answer = json.loads(get(f"{prometheus}/api/v1/query", query=query))
        assert answer["status"] == "success", f"{title}: {answer}"
        if not answer["data"]["result"]:
            empty.add(title)
    assert empty <= NOT_EVERYWHERE, empty - NOT_EVERYWHERE


def test_every_family_that_is_named_is_one_that_is_exported(prometheus):
    """Names in rules, alerts and dashboards, against the families' table in the core."""
    table = (TOP / "kepler-core/src/metrics").rglob("*.rs")
    server = (TOP / "examples/model-server/src").rglob("*.rs")
    known = set(
        re.findall(
            r'"(kepler_[a-z_]+|process_[a-z_]+)"',
            "".join(p.read_text() for p in [*table, *server]),
        )
    )
    files = [*PROMETHEUS.glob("*.yaml"), *(CHART / "files/dashboards").glob("*.json")]
    named = {word for file in files for word in re.findall(r"\bkepler_[a-z_]+", file.read_text())}
    named -= {word for word in named if word.startswith("kepler_model_server_")}
    assert named <= known, named - known
    own = {word for file in files for word in re.findall(r"\bkepler_model_server_[a-z_]+", file.read_text())}
    shown = json.loads(get(f"{prometheus}/api/v1/label/__name__/values"))["data"]
    # Nothing failed and nothing was predicted here.
    assert own - set(shown) <= {
        "kepler_model_server_errors_total",
        "kepler_model_server_inference_seconds_total",
    }
