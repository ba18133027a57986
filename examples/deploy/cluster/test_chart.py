"""The chart on a real cluster: what it installs works, may do what it needs and no more, and goes without a trace."""

import base64
import json
import re
import shutil
import subprocess
from contextlib import contextmanager, suppress

import pytest
import yaml

import cluster
import programs
import settings
from conftest import (
    CHART,
    NAMESPACE,
    PIPELINES,
    SERVING,
    TAGS,
    TRIED,
    address,
    ask,
    exporter_values,
    install,
    is_ready,
    picture,
    pods,
    ready_replicas,
)

PORT = 9099
# Panels of what a machine without graphics does not have, and of what one with a meter does not.
NOT_HERE = {"Graphics processors", "Expected error of estimated zones"}
SCRAPING = CHART.parents[1] / "prometheus/prometheus-kubernetes.yaml"
# What every account may do, and the chart's objects that are not there yet when others are tried.
EVERYBODY = {("selfsubjectreviews.authentication.k8s.io", "create")} | {
    (f"selfsubject{kind}reviews.authorization.k8s.io", "create") for kind in ("access", "rules")
}


def discovered():
    """All pods, as Prometheus' own discovery describes them: Debian's is built without it."""
    for pod in cluster.get("pods", "-A")["items"]:
        about = {"ip": pod["status"].get("podIP", ""), "node_name": pod["spec"].get("nodeName", "")}
        for kind in ("annotation", "label"):
            texts = pod["metadata"].get(f"{kind}s", {})
            about |= {f"{kind}_{re.sub('[^a-zA-Z0-9_]', '_', key)}": text for key, text in texts.items()}
        labels = {f"__meta_kubernetes_pod_{key}": text for key, text in about.items()}
        yield {"targets": [about["ip"] or pod["metadata"]["name"]], "labels": labels}


@contextmanager
def prometheus(folder):
    """A Prometheus that chooses pods by the rules of this repository's file."""
    (folder / "pods.json").write_text(json.dumps(list(discovered())))
    told = yaml.safe_load(SCRAPING.read_text())
    told["global"]["scrape_interval"] = "1s"
    told["rule_files"] = [str(SCRAPING.with_name(name)) for name in told["rule_files"]]
    for job in told["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
        job["file_sd_configs"] = [{"files": [str(folder / "pods.json")]}]
    scraping = folder / "prometheus.yaml"
    scraping.write_text(json.dumps(told))
    listen = f"127.0.0.1:{PORT}"
    flags = (f"--config.file={scraping}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={listen}")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(cluster.inside(shutil.which("prometheus"), *flags), stdout=log, stderr=log)
    try:
        yield lambda query: json.loads(ask(f"http://{listen}/api/v1/query", query=query))["data"]["result"]
    finally:
        child.terminate()
        child.wait()


def test_prometheus_finds_the_pods_by_their_annotations_and_shows_true_names(release, tmp_path):
    exporters, servers = pods("kepler-exporter", NAMESPACE), ready_replicas()
    assert (len(exporters), len(servers)) == (1, 3)
    ours = {(pod["metadata"]["name"], pod["metadata"]["namespace"]): pod for pod in (*exporters, *servers)}
    addresses = {f"{pod['status']['podIP']}:8100" for pod in servers}
    targets = {("kepler-exporter", settings.NODE)} | {("kepler-model-server", where) for where in addresses}
    with prometheus(tmp_path) as query:

        def told(expression, *labels):
            try:
                return {tuple(s["metric"][label] for label in labels) for s in query(expression)}
            except subprocess.CalledProcessError:
                return set()

        def named():
            return told("kepler_pod_cpu_watts{state='running'}", "pod_name", "pod_namespace")

        # Each target has a moment of its own in the interval.
        cluster.deadline(lambda: told("up == 1", "job", "instance") >= targets, 60, "all that is to be scraped")
        cluster.deadline(lambda: named() >= set(ours), 60, "watts of all pods, by their names")
        assert told("up", "job", "instance") == targets
        joules = query("kepler_container_joules_total")
        models = query("kepler_model_server_models")
    assert {s["metric"]["instance"] for s in models} == addresses
    for (name, _), pod in ours.items():
        # The pod's own sandbox has no name.
        found = {s["metric"].get("container_name") for s in joules if s["metric"].get("pod_name") == name}
        assert found - {None} == {c["name"] for c in pod["spec"]["containers"]}


def panels():
    """Titles and queries of all panels of both dashboards, their variables filled in."""
    for path in (CHART / "files/dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"].replace("$carbon", "400")
                yield panel["title"], re.sub(r"\$(instance|zone|namespace|pod)\b", ".*", query)


@contextmanager
def virtual_machine(folder):
    """What an exporter takes for one: a process of that program, with a guest's name."""
    program = folder / "qemu-system-x86_64"
    shutil.copy("/bin/sh", program)
    child = subprocess.Popen([program, "-c", "while :; do sleep 0.01; done", "-name", "guest=web"])
    try:
        yield
    finally:
        child.kill()
        child.wait()


def test_every_panel_of_the_dashboards_shows_something(release, tmp_path):
    server = address("kepler-model-server", SERVING)
    features = ["bpf_cpu_time_ms", "bpf_page_cache_hit"]
    rows = {"source": "rapl-sysfs", "features": features, "rows": [[100.0, 0.0], [900.0, 1.0]]}
    estimate = ("-H", "Content-Type: application/json", "--data", json.dumps(rows))
    empty = {}
    with virtual_machine(tmp_path), prometheus(tmp_path) as query:

        def shown():
            ask(f"http://{server}/estimate", *estimate)
            # What is no question counts as an error.
            with suppress(subprocess.CalledProcessError):
                ask(f"http://{server}/model", "--data", "{")
            empty.clear()
            for title, expression in panels():
                try:
                    found = query(expression)
                except subprocess.CalledProcessError:
                    found = []
                if not found:
                    empty[title] = expression
            return set(empty) <= NOT_HERE

        with suppress(TimeoutError):
            cluster.deadline(shown, 120, "every panel")
    assert set(empty) <= NOT_HERE, empty


def test_a_node_without_a_meter_takes_its_models_from_the_server(release):
    exporter = pods("kepler-exporter", NAMESPACE)[0]["status"]["podIP"]

    def shown(family, **labels):
        page = ask(f"http://{exporter}:28282/metrics")
        lines = [line for line in page.splitlines() if line.startswith(f"{family}{{")]
        return [line for line in lines if all(f'{key}="{value}"' in line for key, value in labels.items())]

    if shown("kepler_node_power_source_info", origin="measured"):
        pytest.skip("this machine has a meter")
    taken = lambda: [line for line in shown("kepler_exporter_part_attached", part="models") if line.endswith(" 1")]  # noqa: E731
    cluster.deadline(taken, 120, "a model of the server's")
    models = {re.search(r'model="([^"]*)"', line)[1] for line in shown("kepler_node_power_source_info")}
    print(f"\npower models in use: {models}")
    served = ask(f"http://{address('kepler-model-server', SERVING)}/models", limit=10_000)
    assert any(model.rpartition("/")[2] in served for model in models), models


def test_an_ordinary_user_measures_by_the_capabilities_of_the_file(kubernetes):
    """It listens and counts by eBPF; pods of other accounts are asked for as before."""
    space = "kepler-user"
    install("kepler-user", space, exporter_values(nonRoot=True, extraArgs=["--fake"]))
    try:
        # Of a DaemonSet on one node Helm waits for none: a tenth of its pods may be missing.
        cluster.deadline(lambda: any(is_ready(pod) for pod in pods("kepler-exporter", space)), 90, "the exporter")
        said = cluster.kubectl("logs", "-n", space, "daemonset/kepler-user", capture_output=True, text=True).stdout
        assert "iter/task: on" in said, said
        exporter = pods("kepler-exporter", space)[0]
        page = ask(f"http://{exporter['status']['podIP']}:28282/metrics")
        assert f'pod_name="{exporter["metadata"]["name"]}"' in page
    finally:
        cluster.helm("uninstall", "kepler-user", "-n", space, stdout=subprocess.DEVNULL)


# Files of values, and values, that together render every object which the chart has.
VARIANTS = [
    ([], ["exporter.https.enabled=true", "modelServer.ingress.enabled=true", "networkPolicy.enabled=true"]),
    ([], ["dashboards.enabled=true", "prometheusRule.enabled=true", "podMonitor.enabled=true"]),
    ([], ["serviceMonitor.enabled=true", "exporter.pods=apiserver", "exporter.nonRoot=true"]),
    (["values-production.yaml"], []),
    (["values-minikube.yaml"], []),
]
# As an upgrade meets the older chart: by other selectors, at another port.
OLDER = {
    "Chart.yaml": "apiVersion: v2\nname: kepler\nversion: 0.6.1\n",
    "templates/exporter.yaml": """
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ .Release.Name }}-kepler
spec:
  selector:
    matchLabels: {app.kubernetes.io/name: kepler, app.kubernetes.io/component: exporter}
  template:
    metadata:
      labels: {app.kubernetes.io/name: kepler, app.kubernetes.io/component: exporter}
    spec:
      containers:
        - name: kepler-exporter
          image: docker.io/local/busybox:1
          imagePullPolicy: Never
          args: [-c, /bin/busybox sleep 100000]
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-kepler
spec:
  clusterIP: None
  selector: {app.kubernetes.io/name: kepler, app.kubernetes.io/component: exporter}
  ports: [{name: http, port: 9103, targetPort: http}]
""",
}
OLDER_VALUES = {
    "image": picture("kepler-exporter"),
    "service": {"type": "ClusterIP", "port": 9103, "annotations": {"kept": "yes"}},
    "serviceMonitor": {"enabled": True, "interval": "1m", "attachMetadata": {"node": True}},
    "podAnnotations": {"kept": "too"},
    "securityContext": {"privileged": True},
    "canMount": {"usrSrc": False},
    "redfish": {"enabled": False, "name": "redfish"},
}
OVERLAYS = ("exporter", "with-server", "server", "estimator-only", "openshift")


def test_the_api_server_takes_every_object_without_a_warning(release):
    """The chart's and the overlays', with the kinds of Prometheus' operator and of OpenShift."""
    operator_kinds()
    shown = set()
    for files, values in VARIANTS:
        flags = [word for file in files for word in ("--values", CHART / file)]
        server = ("modelServer.enabled=true", f"modelServer.namespace={SERVING}")
        flags += [word for value in (*server, *values) for word in ("--set", value)]
        version = f"--kube-version={programs.VERSION}"
        made = cluster.helm("template", "kepler", CHART, version, "-n", NAMESPACE, *flags, capture_output=True).stdout
        shown |= set(re.findall(r"^kind: (\w+)", made.decode(), re.MULTILINE))
        cluster.kubectl(*TRIED, "-f", "-", input=made, stdout=subprocess.DEVNULL)
    templates = "".join(path.read_text() for path in CHART.rglob("templates/**/*.yaml"))
    assert shown == set(re.findall(r"^kind: (\w+)", templates, re.MULTILINE))
    for overlay in OVERLAYS:
        cluster.kubectl(*TRIED, "-k", CHART.parents[1] / "k8s" / overlay, stdout=subprocess.DEVNULL)


def test_a_release_of_the_older_chart_is_upgraded_with_its_own_values(kubernetes, tmp_path):
    """Selectors are for ever, so its DaemonSet goes first, as the documentation says."""
    operator_kinds()
    for name, text in OLDER.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    where = ("-n", "older")
    quiet = {"stdout": subprocess.DEVNULL}
    cluster.helm("install", "older", tmp_path, *where, "--create-namespace", "--wait", "--timeout=120s", **quiet)
    given = {"input": json.dumps(OLDER_VALUES).encode(), "check": False, "capture_output": True}
    refused = cluster.helm("upgrade", "older", CHART, *where, "--values=-", **given)
    assert b"field is immutable" in refused.stderr, refused.stderr
    cluster.kubectl("delete", "daemonset", "older-kepler", *where, **quiet)
    install("older", "older", OLDER_VALUES, verb="upgrade")
    try:
        cluster.deadline(lambda: any(is_ready(pod) for pod in pods("kepler-exporter", "older")), 90, "the exporter")
        exporter = pods("kepler-exporter", "older")[0]
        assert exporter["metadata"]["annotations"]["kept"] == "too"
        page = f"http://{exporter['status']['podIP']}:9103/metrics"
        cluster.deadline(lambda: "kepler_node_cpu_watts" in ask(page), 60, "its first figures")
        service = cluster.get("service", "older-kepler", *where)
        assert (service["spec"]["ports"][0]["targetPort"], service["metadata"]["annotations"]["kept"]) == (9103, "yes")
    finally:
        cluster.helm("uninstall", "older", *where, **quiet)


def operator_kinds():
    """Has the cluster know the kinds of Prometheus' operator and of OpenShift."""
    for path in programs.kinds():
        cluster.kubectl("apply", "--server-side", "-f", path, stdout=subprocess.DEVNULL)
        cluster.kubectl("wait", "--for=condition=established", "-f", path, stdout=subprocess.DEVNULL)


def rights(account, namespace):
    """What an account may do, beside asking who it is and for the API's own pages."""
    listed = cluster.kubectl(
        "auth", "can-i", "--list", "--no-headers", f"--as=system:serviceaccount:{namespace}:{account}",
        "-n", namespace, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for line in listed.splitlines():
        resource, _, rest = line.partition(" ")
        if resource:
            names = rest.split("[")[2].split("]")[0]
            verbs = rest.split("[")[3].split("]")[0].split()
            yield from ((resource, names, verb) for verb in verbs if (resource, verb) not in EVERYBODY)


def test_accounts_may_do_what_they_need_and_nothing_else(release):
    assert set(rights("kepler", NAMESPACE)) == {("nodes", "", "get"), ("nodes/pods", "", "get")}
    usage = {("configmaps", "model-usage-stats", verb) for verb in ("get", "update")}
    assert set(rights("kepler-model-server", SERVING)) == usage
    assert not set(rights("model-health-check", SERVING))


def test_helm_test_passes(release):
    cluster.helm("test", "kepler", "-n", NAMESPACE, "--timeout=60s", stdout=subprocess.DEVNULL)


def stored(pod):
    """Where a replica keeps the pipelines that it fetched."""
    volumes = settings.DIR / "kubelet/pods" / pod["metadata"]["uid"] / "volumes"
    return volumes / "kubernetes.io~empty-dir/models/models"


def test_the_health_job_has_a_model_that_is_gone_fetched_again_and_reports(release):
    gone = PIPELINES[0]
    have = lambda name: all((stored(pod) / f"{name}.zip").exists() for pod in ready_replicas())  # noqa: E731
    cluster.deadline(lambda: all(have(name) for name in PIPELINES), 120, "pipelines")
    for pod in ready_replicas():
        (stored(pod) / f"{gone}.zip").unlink()

    def told():
        """What the scheduled check says that met the gap."""
        for pod in pods("kepler-model-health", SERVING):
            name = pod["metadata"]["name"]
            text = cluster.kubectl("logs", "-n", SERVING, name, check=False, capture_output=True, text=True).stdout
            if f"missing: {gone}; pulled: {gone}" in text and "is healthy" in text:
                return text
        return None

    cluster.deadline(told, 150, "the health check")
    assert len(re.findall(rf"1 of 2 models present; missing: {gone}; pulled: {gone}", told())) >= 3
    assert have(gone)
    # Whoever the Service chose has the report.
    reports = [json.loads(ask(f"http://{pod['status']['podIP']}:8100/usage"))["health"] for pod in ready_replicas()]
    assert any(len(report["replicas"]) >= 3 for kinds in reports for report in kinds.values())


def pulls():
    """How often the replicas fetched a pipeline, by the statistics that they share."""
    kept = cluster.get("configmap", "model-usage-stats", "-n", SERVING).get("data", {}).get("usage_data", "{}")
    return json.loads(kept).get("models", {}).get(PIPELINES[0], {}).get("pulls", 0)


def test_usage_is_added_up_in_the_config_map_kept_reset_and_restored(release, tmp_path):
    server = address("kepler-model-server", SERVING)
    kept = tmp_path / "usage.json"

    def exported():
        kept.write_text(ask(f"http://{server}/usage"))
        return json.loads(kept.read_text())["models"].get(PIPELINES[0], {}).get("pulls", 0)

    # A replica shows what the others wrote until a second ago.
    cluster.deadline(lambda: exported() == pulls() >= 3, 60, "the replicas' figures")
    token = base64.b64decode(
        cluster.get("secret", "kepler-model-server-admin", "-n", SERVING)["data"]["token"]
    ).decode()
    before = pulls()
    admin = ("-X", "POST", "-H", f"Authorization: Bearer {token}")
    ask(f"http://{server}/usage/reset", *admin)
    cluster.deadline(lambda: pulls() == 0, 60, "the reset")
    ask(f"http://{server}/usage/import", *admin, "-H", "Content-Type: application/json", "--data-binary", f"@{kept}")
    cluster.deadline(lambda: pulls() == before, 60, "the import")


def test_upgrade_rollback_and_uninstall(release):
    first, fetched = images(), pulls()
    assert fetched
    other = {**release, "image": picture("kepler-exporter", TAGS[1])}
    other["exporter"] = {**release["exporter"], "config": {"monitor": {"interval": "3s"}}}
    other["modelServer"] = {
        **release["modelServer"],
        "image": picture("kepler-model-server", TAGS[1]),
        "rateLimit": 5000,
    }
    install("kepler", NAMESPACE, other, verb="upgrade")
    assert all(image.endswith(f":{TAGS[1]}") for image in images()), images()
    assert "3s" in cluster.get("configmap", "kepler", "-n", NAMESPACE)["data"]["config.yaml"]
    rollout = cluster.get("deployment", "kepler-model-server", "-n", SERVING)
    assert "--rate-limit=5000/s" in rollout["spec"]["template"]["spec"]["containers"][0]["args"]
    cluster.helm("rollback", "kepler", "-n", NAMESPACE, "--wait", "--timeout=180s", stdout=subprocess.DEVNULL)
    assert images() == first
    assert pulls() >= fetched, "an upgrade leaves what was counted"
    cluster.helm("uninstall", "kepler", "-n", NAMESPACE, "--wait", stdout=subprocess.DEVNULL)
    kinds = cluster.kubectl(
        "api-resources", "--verbs=list", "-o", "name", capture_output=True, text=True
    ).stdout.split()
    ours = "app.kubernetes.io/instance=kepler"
    listing = ("get", ",".join(kinds), "-A", "-l", ours, "-o", "name")
    cluster.deadline(lambda: not cluster.kubectl(*listing, capture_output=True).stdout, 90, "the objects to be gone")


def images():
    chosen = [*pods("kepler-exporter", NAMESPACE), *pods("kepler-model-server", SERVING)]
    return {container["image"] for pod in chosen for container in pod["spec"]["containers"]}
