"""The exporter on a real cluster: every pod, container and restart has its name, and its CPU time is the kernel's own.

Four exporters look at once: two as pods of a DaemonSet, two on the host, asking the kubelet and the API server.
"""

import json
import os
import re
import subprocess
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import pytest

import cluster
import settings
from conftest import EXPORTER, exporter_values, install
from conftest import pods as pods_of

SHELL = "docker.io/local/busybox:1"
MODES = ("kubelet", "apiserver")
MINUTE = 60
# What has ended is known when its record comes, in half a minute at most, and stays in its running series for a minute.
ENDING = 150
SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')

# Busy ones compute, quiet ones start a short program now and then.
BOX = "/bin/busybox"
WORK = {
    "busy": f"i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; {BOX} sleep 0.05",
    "quiet": f"{BOX} true; {BOX} sleep 0.5",
}


def script(fifo, work):
    """Waits for a word, without using any time, works for a minute, and waits again."""
    until = f"end=$(($({BOX} date +%s)+{MINUTE}))"
    wait = f"read x < /words/{fifo}"
    return f"{wait}; {until}; while [ $({BOX} date +%s) -lt $end ]; do {WORK[work]}; done; {wait}"


def container(name, command, **more):
    mount = [{"name": "words", "mountPath": "/words"}]
    return {
        "name": name,
        "image": SHELL,
        "imagePullPolicy": "Never",
        "args": ["-c", command],
        "volumeMounts": mount,
        **more,
    }


def pod(name, words, containers, init=(), namespace="shop"):
    words.mkdir(exist_ok=True)
    spec = {
        "containers": containers,
        "initContainers": list(init),
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "words", "hostPath": {"path": str(words)}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def fifo(words, name):
    words.mkdir(exist_ok=True)
    os.mkfifo(words / name)
    return name


def say(words, name):
    """Lets a container go on. It waits at the other end, so this does not block for long."""
    subprocess.run(["timeout", "30", "sh", "-c", f"echo go > {words / name}"], check=True)


# --- exporters --------------------------------------------------------------------------------------------------------


def deploy(mode):
    """The chart's exporter, in a namespace of its own."""
    polled = {"podInformer": {"pollInterval": "5s"}}
    values = exporter_values(pods=mode, extraArgs=["--fake"], config={"monitor": {"interval": "1s"}, "kube": polled})
    install(f"kepler-{mode}", f"kepler-{mode}", values)


def running(pods, namespace):
    found = {p["metadata"]["name"]: p for p in cluster.get("pods", "-n", namespace)["items"]}

    def ready(p):
        return all(
            s["ready"] or "terminated" in s["state"]
            for s in p["status"].get("containerStatuses", [{"ready": False, "state": {}}])
        )

    return all(name in found and found[name]["status"]["phase"] == "Running" and ready(found[name]) for name in pods)


@contextmanager
def on_the_host(mode, port):
    arguments = [
        "--web.listen-address", f"127.0.0.1:{port}", "--kube.enable", f"--kube.config={settings.ADMIN}",
        f"--kube.pod-informer.mode={mode}", "--kube.pod-informer.poll-interval=5s", f"--node-name={settings.NODE}",
        "--monitor.interval=1s", "--fake",
    ]  # fmt: skip
    with Path(settings.DIR, "log", f"exporter-{mode}.log").open("wb") as log:
        child = subprocess.Popen(cluster.inside(EXPORTER, *arguments), stderr=log)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(10)


def scrape(address):
    program = f"import urllib.request as r; print(r.urlopen('http://{address}/metrics', timeout=20).read().decode())"
    text = subprocess.run(cluster.inside("python3", "-c", program), check=True, capture_output=True, text=True).stdout
    found = defaultdict(list)
    for line in text.splitlines():
        if match := SAMPLE.match(line):
            found[match[1]].append((dict(LABEL.findall(match[2])), float(match[3])))
    return found


def addresses_of_daemonsets():
    pods = [pod for mode in MODES for pod in pods_of("kepler-exporter", f"kepler-{mode}")]
    return [f"{pod['status']['podIP']}:28282" for pod in pods]


# --- the truth --------------------------------------------------------------------------------------------------------


def truth():
    """Container id to pod, namespace and name, as the API server knows them, with containers that were restarted."""
    names = {}
    for item in cluster.get("pods", "-A")["items"]:
        kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        for status in (status for kind in kinds for status in item["status"].get(kind, [])):
            states = (status, status.get("lastState", {}).get("terminated", {}), status["state"].get("terminated", {}))
            for state in states:
                if full := state.get("containerID"):
                    where = item["metadata"]["name"], item["metadata"]["namespace"], status["name"]
                    names[full.split("://")[1]] = where
    return names


def cpu_seconds():
    """Container id to CPU seconds, by the kernel's own account of its control group."""
    v1 = {
        path.parent.name: int(path.read_text()) / 1e9
        for path in Path("/sys/fs/cgroup").glob("cpu*/kubepods/**/cpuacct.usage")
    }
    v2 = {
        path.parent.name: int(re.search(r"usage_usec (\d+)", path.read_text())[1]) / 1e6
        for path in Path("/sys/fs/cgroup").glob("kubepods/**/cpu.stat")
    }
    return {name: seconds for name, seconds in {**v2, **v1}.items() if len(name) == 64}


def shown(metrics, level, key):
    return {labels[key]: value for labels, value in metrics[f"kepler_{level}_cpu_seconds_total"]}


@pytest.fixture(scope="module")
def crowd(kubernetes, tmp_path_factory):
    """Four exporters and pods of every kind."""
    words = tmp_path_factory.mktemp("words")
    cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
    for mode in MODES:
        deploy(mode)
    account = ("get", "serviceaccount", "default", "-n", "shop")
    has_account = lambda: cluster.kubectl(*account, check=False, capture_output=True).returncode == 0  # noqa: E731
    cluster.deadline(has_account, 60, "a service account")
    workers = {}
    for i in range(3):
        for kind in WORK:
            name = f"{kind}-{i}"
            workers[name] = fifo(words, name)
    pods = [pod(name, words, [container("worker", script(name, name.split("-")[0]))]) for name in workers]
    init = [container("setup", "exit 0"), container("proxy", f"{BOX} sleep 100000", restartPolicy="Always")]
    restarted = container("app", f"read x < /words/{fifo(words, 'crash')}; exit 1")
    pods.append(pod("many", words, [restarted, container("second", f"{BOX} sleep 100000")], init))
    static = pod("by-file", words, [container("alone", f"{BOX} sleep 100000")])
    (settings.STATIC_PODS / "by-file.json").write_text(json.dumps(static))
    cluster.apply(pods)
    names = [*workers, "many", f"by-file-{settings.NODE}"]
    cluster.deadline(lambda: running(names, "shop"), 120, "pods")
    debug = (
        "debug",
        "-n",
        "shop",
        "many",
        f"--image={SHELL}",
        "--image-pull-policy=Never",
        "--container=looker",
        "--profile=general",
    )
    cluster.kubectl(*debug, "--", BOX, "sleep", "100000", stdout=subprocess.DEVNULL)
    with on_the_host("kubelet", 29281) as one, on_the_host("apiserver", 29282) as two:
        time.sleep(12)
        yield words, workers, [*addresses_of_daemonsets(), one, two]
    cluster.kubectl("delete", "namespace", "shop", "--wait=false", stdout=subprocess.DEVNULL)
    (settings.STATIC_PODS / "by-file.json").unlink()
    for mode in MODES:
        cluster.helm("uninstall", f"kepler-{mode}", "-n", f"kepler-{mode}", stdout=subprocess.DEVNULL)


def check_names(address, names):
    metrics = scrape(address)
    containers = {labels["container_id"]: labels for labels, _ in metrics["kepler_container_joules_total"]}
    living = [id for id, labels in containers.items() if id in names]
    for id in living:
        labels = containers[id]
        found = labels["pod_name"], labels["container_namespace"], labels["container_name"]
        assert found == names[id], f"{address}: {id}"
    pods = {(labels["pod_name"], labels["pod_namespace"]) for labels, _ in metrics["kepler_pod_cpu_seconds_total"]}
    assert {where[:2] for where in names.values()} <= pods, address
    return living


def test_every_container_and_pod_has_its_name_in_both_modes_inside_and_on_the_host(crowd):
    _, _, addresses = crowd
    names = truth()
    for address in addresses:
        living = check_names(address, names)
        shown_kinds = {names[id][2] for id in living}
        assert {"worker", "app", "second", "proxy", "looker", "alone", "kepler-exporter"} <= shown_kinds, address


def allowed(used):
    """Half a percent; of quiet containers the time of four of 120 short programs.

    On machines that hide their first process from BPF, one in 200 leaves no record.
    """
    return max(0.005 * used, 0.010)


def test_cpu_time_of_busy_and_quiet_containers_over_a_minute_is_the_kernels(crowd):
    words, workers, addresses = crowd
    names = truth()
    chosen = {id for id, (name, *_) in names.items() if name in workers}
    assert len(chosen) == len(workers)
    before_kernel = cpu_seconds()
    before = [shown(scrape(address), "container", "container_id") for address in addresses]
    for name in workers:
        say(words, name)
    time.sleep(MINUTE + 5)
    # Nothing runs any more. The record of a process comes some time after its end, later where the machine is busy.
    end = time.monotonic() + 45
    while True:
        after_kernel = cpu_seconds()
        after = [shown(scrape(address), "container", "container_id") for address in addresses]
        errors = {}
        for address, was, now in zip(addresses, before, after, strict=True):
            for id in chosen:
                used = after_kernel[id] - before_kernel[id]
                errors[address, names[id][0]] = ((now[id] - was[id]) / used - 1, used)
        over = {key: abs(error) * used - allowed(used) for key, (error, used) in errors.items()}
        worst = max(over, key=over.get)
        error, used = errors[worst]
        if over[worst] <= 0 or time.monotonic() > end:
            break
        time.sleep(2)
    print(f"\nCPU time over a minute: worst of {len(errors)} is {worst}: {error:+.4%} of {used:.3f} s")
    assert over[worst] <= 0, worst


def test_a_restart_has_a_new_id_and_its_name_and_the_pod_goes_on_counting(crowd):
    words, _, addresses = crowd
    pod_of = lambda: next(p for p in cluster.get("pods", "-n", "shop")["items"] if p["metadata"]["name"] == "many")  # noqa: E731
    uid = pod_of()["metadata"]["uid"]
    restarts = lambda: next(s for s in pod_of()["status"]["containerStatuses"] if s["name"] == "app")["restartCount"]  # noqa: E731
    before = [shown(scrape(address), "pod", "pod_id")[uid] for address in addresses]
    say(words, "crash")
    cluster.deadline(lambda: restarts() == 1, 60, "the restart")
    deadline_of_states(addresses, "container", "app", {"running", "terminated"})
    names = truth()
    assert sum(where[2] == "app" for where in names.values()) == 2
    for address, was in zip(addresses, before, strict=True):
        assert shown(scrape(address), "pod", "pod_id")[uid] >= was
        check_names(address, names)


def test_a_pod_that_is_gone_keeps_its_name_for_the_retention(crowd):
    _, _, addresses = crowd
    cluster.kubectl("delete", "pod", "-n", "shop", "quiet-0", "--now", stdout=subprocess.DEVNULL)
    deadline_of_states(addresses, "pod", "quiet-0", {"terminated"})
    assert all(states(address, "pod", "quiet-1") == {"running"} for address in addresses)


def states(address, level, name):
    """The states in which an exporter shows what has this name."""
    rows = scrape(address)[f"kepler_{level}_cpu_seconds_total"]
    return {labels["state"] for labels, _ in rows if labels.get(f"{level}_name") == name}


def deadline_of_states(addresses, level, name, wanted):
    """Each is scraped each time, since it is from its pages on that the end of something is told."""
    cluster.deadline(lambda: all([states(a, level, name) == wanted for a in addresses]), ENDING, "states")
