"""The Ollama overlay on a real cluster, with a host in Ollama's place that lists and pulls."""

import json
import subprocess
import sys

import pytest
import yaml

import cluster
import settings
from conftest import CHART, TRIED, address, ask, is_ready, picture, pods

NAMESPACE = "model-hosting"
PORT = 11434
TOKEN = "a-token-of-the-tests"
HOST = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
models = []
class Ollama(BaseHTTPRequestHandler):
    def say(self, body):
        self.send_response(200), self.end_headers(), self.wfile.write(json.dumps(body).encode() + b"\\n")
    def do_GET(self):
        self.say({"models": [{"name": name} for name in models]})
    def do_POST(self):
        models.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["model"])
        self.say({"status": "success"})
HTTPServer((sys.argv[1], int(sys.argv[2])), Ollama).serve_forever()
"""


@pytest.fixture(scope="module")
def overlay(kubernetes):
    """All of it but Ollama itself, whose image and volume cannot be had here."""
    host = subprocess.Popen(
        cluster.inside(sys.executable, "-c", HOST, settings.ADDRESS, PORT), stderr=subprocess.DEVNULL
    )
    text = (CHART.parents[1] / "ollama/ollama.yaml").read_text()
    image = picture("kepler-model-server")
    text = text.replace("image: kepler-model-server:0.1.0", f"image: {image['repository']}:{image['tag']}")
    objects = [made for made in yaml.safe_load_all(text) if made]
    name = lambda made: (made["kind"], made["metadata"]["name"])  # noqa: E731
    kept = [
        made
        for made in objects
        if name(made) not in {("PersistentVolumeClaim", "ollama-models"), ("Deployment", "ollama")}
    ]
    next(made for made in kept if name(made) == ("Service", "ollama"))["spec"].pop("selector")
    kept.append(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "ollama-1",
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": "ollama"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT}],
            "endpoints": [{"addresses": [settings.ADDRESS]}],
        }
    )
    secret = {"name": "model-manager-admin", "namespace": NAMESPACE}
    kept.append({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"token": TOKEN}})
    try:
        cluster.apply(kept)
        yield text
    finally:
        host.kill()
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false", stdout=subprocess.DEVNULL)


def test_the_check_has_the_host_pull_what_the_manager_expects_and_reports_to_it(overlay):
    manager = lambda: [pod for pod in pods("model-manager", NAMESPACE) if is_ready(pod)]  # noqa: E731
    cluster.deadline(manager, 90, "the manager")
    cluster.deadline(host_answers, 60, "the Service in front of the host")
    job = ("create", "job", "-n", NAMESPACE, "--from=cronjob/model-health-check", "now")
    cluster.kubectl(*job, stdout=subprocess.DEVNULL)
    cluster.kubectl(
        "wait", "-n", NAMESPACE, "--for=condition=complete", "job/now", "--timeout=90s", stdout=subprocess.DEVNULL
    )
    logs = ("logs", "-n", NAMESPACE, "-l", "job-name=now", "--tail=-1")
    said = cluster.kubectl(*logs, capture_output=True, text=True).stdout
    assert "pulled: llama3.2:1b" in said
    usage = json.loads(ask(f"http://{manager()[0]['status']['podIP']}:8100/usage"))
    assert usage["health"]["ollama"]["healthy"] is True
    assert usage["store"] == f"configmap://{NAMESPACE}/model-usage-stats"
    assert usage["failing"] is None


def test_statistics_are_kept_reset_and_taken_back(overlay, tmp_path):
    manager = address("model-manager", NAMESPACE)
    kept = tmp_path / "usage.json"
    shown = lambda: json.loads(ask(f"http://{manager}/usage"))["models"]  # noqa: E731
    cluster.deadline(lambda: "llama3.2:1b" in shown(), 60, "the model's statistics")
    kept.write_text(ask(f"http://{manager}/usage"))
    admin = ("-X", "POST", "-H", f"Authorization: Bearer {TOKEN}")
    ask(f"http://{manager}/usage/reset", *admin)
    cluster.deadline(lambda: "llama3.2:1b" not in shown(), 60, "the reset")
    ask(f"http://{manager}/usage/import", *admin, "-H", "Content-Type: application/json", "--data-binary", f"@{kept}")
    cluster.deadline(lambda: "llama3.2:1b" in shown(), 60, "the import")


def host_answers():
    try:
        return ask(f"http://{address('ollama', NAMESPACE)}/api/tags")
    except subprocess.CalledProcessError:
        return None


def test_the_api_server_takes_all_of_it_without_a_warning(overlay):
    cluster.kubectl(*TRIED, "-f", "-", input=overlay.encode(), stdout=subprocess.DEVNULL)
