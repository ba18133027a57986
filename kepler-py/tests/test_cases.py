"""``kepler-core/tests/cases.json``: what the library does on machines of files, the same list as in Rust and Node."""

import json
import shutil
import time
from pathlib import Path

import pytest
from pytest import approx  # noqa: PT013

import kepler

TESTS = Path(__file__).parents[2] / "kepler-core/tests"
CASES = json.loads((TESTS / "cases.json").read_text())


class Machine:
    """A copy of a fixture host, whose files change as the steps say."""

    def __init__(self, case, root):
        self.root = root
        shutil.copytree(TESTS / "hosts" / case["host"], root, dirs_exist_ok=True)
        self.write(CASES["files"])

    def write(self, files):
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text + "\n")

    def remove(self, paths):
        for path in map(self.root.joinpath, paths):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def name(case):
    return case.get("name") or case.get("host") or case.get("error")


def same(value):
    return approx(value, abs=1e-9)


@pytest.mark.parametrize("case", CASES["hosts"], ids=name)
def test_machines_of_files_give_the_joules_that_were_worked_out(case, tmp_path):
    machine = Machine(case, tmp_path)
    monitor = kepler.Monitor(root=tmp_path, usage="procfs")
    meter = kepler.EnergyMeter(root=tmp_path)
    for step in case["steps"]:
        machine.write(step.get("write", {}))
        machine.remove(step.get("remove", []))
        if "sample" in step:
            check_sample(monitor.sample(), step["sample"])
        if "measure" in step:
            check_measure(meter, machine, step["measure"])


def check_sample(found, wanted):
    assert found.sequence == wanted["sequence"]
    assert len(found.complaints) == wanted["complaints"], found.complaints
    zones = {zone.name: zone.joules for zone in found.node.zones}
    assert zones == same(wanted["zones"])
    assert {name: domain.joules for name, domain in found.node.domains.items()} == same(wanted["domains"])
    for name, domain in found.node.domains.items():
        charged = sum(row.joules[name] for row in (*found.processes, *found.ended))
        assert charged + sum(domain.residual.values()) == same(domain.active_joules)
        if "watts" in wanted:
            assert (domain.watts is not None) == wanted["watts"]
        check_provenance(domain.provenance, wanted)
    processes = {str(process.pid): process for process in found.processes}
    for pid, seconds in wanted.get("cpu_seconds", {}).items():
        assert processes[pid].cpu_seconds == same(seconds)
    containers = {container.id: container.cpu_seconds for container in found.containers}
    for id, seconds in wanted.get("containers", {}).items():  # noqa: A001
        assert containers[id] == same(seconds)
    if share := wanted.get("share"):
        joules = [processes[share[which]].joules["package"] for which in ("of", "to")]
        assert joules[0] / joules[1] == same(share["ratio"])


def check_measure(meter, machine, wanted):
    scope = {key: wanted[key] for key in ("pid", "cgroup") if key in wanted}
    if "error" in wanted:
        with pytest.raises(getattr(kepler, wanted["error"])), meter.measure(**scope):
            pass
        return
    clocks = [time.monotonic()]
    with meter.measure(**scope) as m:
        clocks.append(time.monotonic())
        machine.write(wanted["during"])
        time.sleep(0.002)
        clocks.append(time.monotonic())
    clocks.append(time.monotonic())
    zones = {name: zone.node_joules for name, zone in m.zones.items()}
    if "zones" in wanted:
        assert zones == same(wanted["zones"])
        assert m.node_joules == same(wanted["node_joules"])
    if "cpu_seconds" in wanted:
        assert m.cpu_seconds == same(wanted["cpu_seconds"])
    # energy x the block's part of the time of two CPUs; that time lies between the two that were taken here
    low, high = (m.node_joules * min(m.cpu_seconds / (2 * (clocks[b] - clocks[a])), 1) for a, b in ((0, 3), (1, 2)))
    assert low <= m.joules <= high
    check_provenance(m.provenance, wanted)


def check_provenance(found, wanted):
    for field in ("origin", "source"):
        assert getattr(found, field) == wanted.get(field, getattr(found, field))


@pytest.mark.parametrize("case", CASES["doctor"], ids=name)
def test_doctor_tells_what_machines_of_files_have(case, tmp_path):
    Machine(case, tmp_path)
    found = kepler.doctor(root=tmp_path)
    assert found.measured == case["measured"]
    assert {field: getattr(found.machine, field) for field in case["machine"]} == case["machine"]


@pytest.mark.parametrize("case", CASES["options"], ids=str)
def test_options_that_make_no_sense_are_refused(case):
    with pytest.raises(getattr(kepler, case["error"])):
        kepler.Monitor(**case["options"])


@pytest.mark.parametrize("case", CASES["models"], ids=name)
def test_models_predict_or_refuse_as_the_list_says(case):
    def predict():
        return kepler.PowerModel.from_json(json.dumps(case["file"])).predict(case["rows"])

    if "error" in case:
        with pytest.raises(getattr(kepler, case["error"])):
            predict()
        return
    found = predict()
    assert {component: watts.tolist() for component, watts in found.items()} == {
        component: approx(watts, abs=1e-9) for component, watts in case["watts"].items()
    }
    assert found.in_range.tolist() == [bool(one) for one in case["in_range"]]
