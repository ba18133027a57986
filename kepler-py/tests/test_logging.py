"""What the logger ``kepler`` is told, and that nobody else hears it."""

import logging
import subprocess
import sys

import kepler

FAILS = """
import logging, sys, kepler
monitor = kepler.Monitor(root=sys.argv[1], usage="procfs")
monitor.sample()
with open(sys.argv[1] + "/sys/class/powercap/intel-rapl:0/energy_uj", "w") as counter:
    counter.write("broken")
print(len(monitor.sample().complaints))
"""


def lines(caplog, level):
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_sources_in_use_are_information_and_the_others_are_for_debugging(host, caplog):
    caplog.set_level(logging.DEBUG, "kepler")
    host.write("proc/1/stat", f"1 (init) S 0 {' 0' * 48}\n")
    kepler.Monitor(root=host.root, usage="procfs")
    assert "rapl-powercap: on (package-0, dram)" in lines(caplog, logging.INFO)
    assert any(line.startswith("hwmon: off (") for line in lines(caplog, logging.DEBUG))
    assert {record.name for record in caplog.records} == {"kepler"}
    # the line that asked for it
    assert {record.filename for record in caplog.records} == {"test_logging.py"}


def test_a_meter_tells_the_same(host, caplog):
    caplog.set_level(logging.INFO, "kepler")
    meter = kepler.EnergyMeter(root=host.root)
    assert lines(caplog, logging.INFO) == ["rapl-powercap: on (package-0, dram)"]
    assert [note.part for note in meter.notes if note.active] == ["rapl-powercap"]


def test_a_meter_that_cannot_be_read_is_a_warning(host, caplog):
    host.write("proc/1/stat", f"1 (init) S 0 {' 0' * 48}\n")
    monitor = kepler.Monitor(root=host.root, usage="procfs")
    monitor.sample()
    assert lines(caplog, logging.WARNING) == []
    host.write("sys/class/powercap/intel-rapl:0/energy_uj", "broken")
    monitor.sample()
    (line,) = lines(caplog, logging.WARNING)
    assert "package-0" in line
    assert "intel-rapl:0" in line


def test_a_program_without_handlers_hears_nothing(host):
    host.write("proc/1/stat", f"1 (init) S 0 {' 0' * 48}\n")
    done = subprocess.run([sys.executable, "-c", FAILS, host.root], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
