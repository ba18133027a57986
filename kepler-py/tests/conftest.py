"""A machine made of files, whose meter stands where the test puts it."""

import time
from pathlib import Path

import pytest


class FakeHost:
    """A folder that looks like a machine of two CPUs with one package and its memory under RAPL."""

    def __init__(self, root: Path):
        self.root = root
        self.write(
            "proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\n"
        )
        self.write(
            "proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n"
        )
        self.write("proc/meminfo", "MemTotal:        8000000 kB\n")
        for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram")):
            self.write(f"sys/class/powercap/{zone}/name", f"{name}\n")
            self.write(f"sys/class/powercap/{zone}/max_energy_range_uj", "262143328850\n")
        self.meter(package=1_000_000, dram=1_000_000)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def meter(self, *, package: int, dram: int) -> None:
        """Set the counters, in microjoules."""
        self.write("sys/class/powercap/intel-rapl:0/energy_uj", f"{package}\n")
        self.write("sys/class/powercap/intel-rapl:0:0/energy_uj", f"{dram}\n")


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path)


def burn(seconds: float) -> None:
    """Use that much CPU time on the calling thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
