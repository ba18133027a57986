"""Samples of a machine."""

import json
import os
import subprocess
import sys
import time

import pytest

import kepler


def two_samples(monitor, seconds=0.2):
    monitor.sample()
    time.sleep(seconds)
    return monitor.sample()


def test_a_scripted_meter_shows_its_power_and_adds_up():
    snapshot = two_samples(kepler.Monitor(fake=True, usage="procfs"))
    package = snapshot.node.domains["package"]
    assert package.watts == pytest.approx(20.0, rel=0.01)
    # the meter is read behind the processes, so that its interval is not the very same
    assert package.joules == pytest.approx(20.0 * snapshot.interval, rel=0.5)
    assert package.joules == pytest.approx(package.active_joules + package.idle_joules, rel=1e-9)
    processes = sum(process.joules["package"] for process in snapshot.processes)
    processes += sum(ended.joules["package"] for ended in snapshot.ended)
    residual = sum(package.residual.values())
    assert processes + residual == pytest.approx(package.active_joules, rel=1e-9)


def test_the_first_sample_is_the_baseline():
    first = kepler.Monitor(fake=True, usage="procfs").sample()
    assert first.sequence == 1
    assert first.interval is None
    assert first.node.domains["package"].joules == 0


def test_a_busy_process_is_seen_with_its_cpu_time():
    program = "while True: pass"
    monitor = kepler.Monitor(fake=True)
    with subprocess.Popen([sys.executable, "-c", program]) as child:

        def clock():
            return time.clock_gettime((~child.pid << 3) | 2)  # the process's own, as clock_getcpuclockid gives it

        monitor.sample()
        begun = clock()
        while clock() < begun + 0.1:
            time.sleep(0.01)
        ended = clock()
        snapshot = monitor.sample()
        last = clock()
        child.kill()
    (process,) = [p for p in snapshot.processes if p.pid == child.pid]
    # /proc tells CPU time by ticks of 10 ms
    assert ended - begun - 0.03 <= process.cpu_seconds <= last + 0.03
    assert process.joules["package"] > 0
    assert process.state == "running"
    assert program in process.command


def test_a_machine_of_files_has_its_own_zones(host):
    host.write("proc/1/stat", f"1 (init) S 0 {' 0' * 48}\n")
    monitor = kepler.Monitor(root=host.root, usage="procfs")
    assert monitor.sources.energy == ["rapl-powercap"]
    monitor.sample()
    host.meter(package=4_000_000, dram=1_500_000)
    node = monitor.sample().node
    zones = {zone.name: zone for zone in node.zones}
    assert zones["package-0"].joules == pytest.approx(3.0, abs=1e-9)
    assert zones["dram"].joules == pytest.approx(0.5, abs=1e-9)
    assert zones["package-0"].index == 0
    assert node.cpus == 2


def test_a_pod_list_names_pods_and_their_containers(host):
    uid, container = "6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33", "4e" * 32
    host.write("proc/7/stat", f"7 (web) S 0 {' 0' * 48}\n")
    host.write("proc/7/cgroup", f"0::/kubepods/burstable/pod{uid}/{container}\n")
    host.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
    monitor = kepler.Monitor(root=host.root, usage="procfs")
    (pod,) = monitor.sample().pods
    assert (pod.uid, pod.name) == (uid, None)
    status = {"name": "nginx", "containerID": f"containerd://{container}", "restartCount": 0}
    named = {
        "metadata": {"uid": uid, "name": "web-1", "namespace": "shop"},
        "status": {"containerStatuses": [status]},
    }
    assert monitor.name_pods(json.dumps({"items": [named]}).encode()) == 1
    snapshot = monitor.sample()
    (pod,) = snapshot.pods
    assert (pod.name, pod.namespace, pod.state) == ("web-1", "shop", "running")
    assert [c.name for c in snapshot.containers] == ["nginx"]
    assert [p.pod for p in snapshot.processes] == [uid]
    with pytest.raises(kepler.Malformed):
        monitor.name_pods(b"<html>")


def test_dictionary_holds_the_same_figures():
    snapshot = two_samples(kepler.Monitor(fake=True, usage="procfs"), 0.05)
    figures = snapshot.to_dict()
    assert figures["node"]["domains"]["package"]["joules"] == snapshot.node.domains["package"].joules
    own = next(p for p in figures["processes"] if p["pid"] == os.getpid())
    assert set(own["joules"]) == {"package", "core", "dram"}


def test_frames_hold_a_row_a_process():
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    snapshot = two_samples(kepler.Monitor(fake=True, usage="procfs"), 0.05)
    frame = snapshot.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(snapshot.processes)
    # figures by domain have a column for each domain; the counters are left out
    by_domain = {"joules", "idle_joules", "watts", "counters"}
    own = next(p for p in snapshot.processes if p.pid == os.getpid()).to_dict()
    assert set(own) - set(frame.columns) == by_domain
    row = frame[frame["pid"] == os.getpid()].iloc[0]
    assert (row["command"], row["watts_core"]) == (own["command"], own["watts"]["core"])
    assert frame["joules_package"].sum() == pytest.approx(sum(p.joules["package"] for p in snapshot.processes))
    table = snapshot.to_arrow()
    assert isinstance(table, pyarrow.Table)
    assert table.column_names == list(frame.columns)


def test_several_monitors_have_their_own_totals():
    first, second = (kepler.Monitor(fake=True, usage="procfs") for _ in range(2))
    first.sample()
    time.sleep(0.05)
    second.sample()
    time.sleep(0.01)
    assert first.sample().node.domains["package"].joules > second.sample().node.domains["package"].joules


def test_unknown_options_are_refused():
    with pytest.raises(kepler.InvalidInput, match="usage"):
        kepler.Monitor(usage="guess")
    with pytest.raises(kepler.NotFound, match="page_cache_hits"):
        kepler.Monitor(counters=["no_such_counter"])
    with pytest.raises(kepler.InvalidInput, match="retention"):
        kepler.Monitor(retention=-1.0)
    with pytest.raises(kepler.InvalidInput, match="rapl-powercap"):
        kepler.Monitor(rapl=["guess"])


def test_doctor_tells_of_every_part_whether_it_works():
    found = kepler.doctor()
    assert found.machine.cores == os.cpu_count()
    assert {"procfs", "rapl-powercap"} <= {note.part for note in found.notes}
    for note in found.notes:
        assert note.active or note.why
        assert note.part in found.report


def test_doctor_looks_at_the_machine_that_it_is_given(host):
    found = kepler.doctor(root=host.root)
    assert found.measured
    assert found.machine.vendor == "intel"
    assert found.machine.cores == 2


def test_a_monitor_leaves_no_thread_and_no_file_behind():
    before = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))  # noqa: PTH208
    for _ in range(3):
        monitor = kepler.Monitor(fake=True)
        monitor.sample()
        del monitor
    assert (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))) == before  # noqa: PTH208
