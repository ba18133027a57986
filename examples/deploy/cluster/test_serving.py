"""The model server under load on a real cluster: its replicas are replaced, killed, drained and scaled."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cluster
import programs
import settings
from conftest import NAMESPACE, SERVING, TAGS, address, install, picture, ready_replicas

VEGETA = programs.BIN / "vegeta"
RATE, AT_ONCE = 1000, 100
# How far the times of two programs may lie apart on a busy machine.
MOMENT = timedelta(milliseconds=100)
# What is longer than the server ever takes by itself.
LONG = timedelta(milliseconds=250)
# A request that no client repeats by itself, and one that it may.
QUESTION = {
    "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
    "output_type": "AbsPower",
    "source": "acpi",
    "weight": True,
}


@dataclass
class Hit:
    began: datetime
    ended: datetime
    failure: str


class Load:
    """Requests to the Service at a steady rate, whatever the answers do; `hits` are there when it has ended."""

    hits: list[Hit]
    summary: str

    def failed(self):
        return [hit for hit in self.hits if hit.failure]


@contextmanager
def load(folder, what, rate=RATE):
    server = address("kepler-model-server", SERVING)
    (folder / "question.json").write_text(json.dumps(QUESTION))
    json_type = "Content-Type: application/json"
    wanted = f"GET http://{server}/best-models\n\nPOST http://{server}/model\n{json_type}\n@{folder}/question.json\n"
    (folder / "targets").write_text(wanted)
    results = folder / "results"
    # Where a machine cannot keep up, requests come late instead of without end.
    attack = (
        "attack",
        f"-rate={rate}",
        f"-max-workers={AT_ONCE}",
        "-duration=0",
        f"-targets={folder}/targets",
        f"-output={results}",
    )
    child = subprocess.Popen(cluster.inside(VEGETA, *attack), stderr=subprocess.DEVNULL)
    load = Load()
    try:
        cluster.deadline(lambda: results.exists() and results.stat().st_size > 100_000, 30, "the load")
        yield load
        time.sleep(2)
    finally:
        # Those under way are waited for.
        child.send_signal(signal.SIGINT)
        child.wait(60)
    load.hits = [hit(json.loads(line)) for line in tell("encode", results).splitlines()]
    report = json.loads(tell("report", "-type=json", results))
    late = {name: report["latencies"][key] / 1e6 for name, key in (("p50", "50th"), ("p99", "99th"))}
    times = ", ".join(f"{name} {value:.2f} ms" for name, value in late.items())
    kinds = Counter(re.sub(r"[\d.]+:\d+", "..", hit.failure) for hit in load.failed())
    print(f"\n{what}: {len(load.hits)} requests at {report['rate']:.0f}/s, {times}, failed: {dict(kinds) or 'none'}")


def tell(*arguments):
    return subprocess.run([VEGETA, *arguments], check=True, capture_output=True, text=True).stdout


def hit(result):
    # Nanoseconds are more than a time has here.
    began = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", result["timestamp"]).replace("Z", "+00:00"))
    failure = "" if result["code"] == 200 else result["error"] or str(result["code"])
    return Hit(began, began + timedelta(microseconds=result["latency"] / 1000), failure)


def names():
    return {pod["metadata"]["name"] for pod in ready_replicas()}


def everything():
    """All pods of the model server, those on their way out as well."""
    return {p["metadata"]["name"] for p in cluster.get("pods", "-n", SERVING, "-l", "app=kepler-model-server")["items"]}


def test_no_request_fails_while_all_replicas_are_replaced(release, tmp_path):
    before = names()
    values = {**release, "modelServer": {**release["modelServer"], "image": picture("kepler-model-server", TAGS[1])}}
    with load(tmp_path, "all replicas replaced") as requests:
        install("kepler", NAMESPACE, values, verb="upgrade")
        cluster.deadline(lambda: not before & everything(), 120, "the old replicas to be gone")
    assert len(names()) >= 3
    assert not requests.failed()


def test_a_replica_that_is_killed_hard_fails_only_what_it_had_under_way(release, tmp_path):
    with load(tmp_path, "one replica killed") as requests:
        victim = ready_replicas()[0]
        killed = datetime.now(timezone.utc)
        os.kill(process_of(victim), signal.SIGKILL)
        cluster.deadline(lambda: restarts(victim) == 1, 60, "the restart")
        cluster.deadline(lambda: victim["metadata"]["name"] in names(), 60, "the replica to be back")
    under_way = [hit for hit in requests.failed() if hit.began - MOMENT < killed < hit.ended + MOMENT]
    others = [hit for hit in requests.failed() if hit not in under_way]
    # Who comes while it is started anew waits at the socket that is kept.
    took = [hit.ended - hit.began for hit in requests.hits if killed < hit.began]
    waited = [time for time in took if time > LONG]
    print(f"    {len(under_way)} were under way, {len(waited)} waited, {max(waited, default=timedelta())} at most")
    assert not others


def process_of(pod):
    """The pid of a pod's program on this machine."""
    uid = pod["metadata"]["uid"].replace("-", "")
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            groups = path.read_text().replace("-", "").replace("_", "")
            words = (path.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if uid in groups and words[:2] == [b"/kepler-model-server", b"serve"]:
            return int(path.parent.name)
    raise LookupError(pod["metadata"]["name"])


def status(pod):
    """How a replica is now."""
    return cluster.get("pod", pod["metadata"]["name"], "-n", SERVING)["status"]


def restarts(pod):
    statuses = status(pod)["containerStatuses"]
    return next(s["restartCount"] for s in statuses if s["name"] == "kepler-model-server")


def replicas():
    return cluster.get("deployment", "kepler-model-server", "-n", SERVING)["spec"]["replicas"]


def test_it_scales_up_under_load_and_down_again(release, tmp_path):
    scaling = {**release["modelServer"]["autoscaling"], "maxReplicas": 5}
    values = {**release, "modelServer": {**release["modelServer"], "autoscaling": scaling}}
    install("kepler", NAMESPACE, values, verb="upgrade")
    cluster.deadline(lambda: replicas() == 3, 180, "three replicas, without load")
    with load(tmp_path, "more than three can do", rate=3 * RATE):
        cluster.deadline(lambda: replicas() > 3 and len(names()) > 3, 120, "more replicas")
    cluster.deadline(lambda: replicas() == 3, 180, "three replicas again")


def test_a_drain_leaves_as_many_as_the_budget_asks_for(release):
    cluster.deadline(lambda: len(names()) == 3, 60, "three replicas")
    drain = ("drain", settings.NODE, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=20s")
    serving = ("--pod-selector=app=kepler-model-server",)
    try:
        drained = cluster.kubectl(*drain, *serving, check=False, capture_output=True, text=True)
        # On a single node no evicted replica finds another place, so the third one has to be left.
        assert drained.returncode != 0
        assert "violate the pod's disruption budget" in drained.stderr, drained.stderr
        assert len(names()) == 2
    finally:
        cluster.kubectl("uncordon", settings.NODE, stdout=subprocess.DEVNULL)
    cluster.deadline(lambda: len(names()) == 3, 60, "the third replica to be back")
