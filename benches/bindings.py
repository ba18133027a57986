"""The figures of the Python and Node packages in the README, each printed as one line of JSON.

    python3 benches/bindings.py

Builds and installs nothing: `kepler` must be importable, and kepler-node/kepler.node built, both in release mode. Ends with
status 1 when a figure is over its limit.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
NODE = BENCHES.parent / "kepler-node" / "index.js"
over = []
IMPORT = "import time; t = time.perf_counter(); import kepler; print((time.perf_counter() - t) * 1e3)"
BLOCKS = """
const { measureSync, Monitor } = require(process.argv[1])
const per = (count, work) => {
  const start = performance.now()
  for (let i = 0; i < count; i++) work()
  return (performance.now() - start) / count
}
per(2000, () => measureSync(() => 0))
const blocks = Array.from({ length: 5 }, () => per(2000, () => measureSync(() => 0)) * 1000)
const monitor = new Monitor()
monitor.sampleSync()
const samples = Array.from({ length: 20 }, () => per(1, () => monitor.sampleSync()))
console.log(JSON.stringify({ blocks, samples }))
"""


def main():
    import kepler

    imports = [float(subprocess.check_output([sys.executable, "-c", IMPORT])) for _ in range(7)]
    tell("python", "import", statistics.median(imports), "ms", 50)

    def blocks(count=2000):
        start = time.perf_counter()
        for _ in range(count):
            with kepler.measure():
                pass
        return (time.perf_counter() - start) / count * 1e6

    blocks()
    tell("python", "empty measure()", statistics.median(blocks() for _ in range(5)), "us", 30)

    idle = [subprocess.Popen(["sleep", "600"]) for _ in range(300)]
    try:
        monitor = kepler.Monitor()
        monitor.sample()
        times = []
        for _ in range(20):
            start = time.perf_counter()
            snapshot = monitor.sample()
            times.append((time.perf_counter() - start) * 1e3)
        source = monitor.sources.usage
        processes = len(snapshot.processes)
        tell("python", f"Monitor.sample, {processes} processes, {source}", statistics.median(times), "ms", 3)
        node = json.loads(subprocess.check_output(["node", "-e", BLOCKS, str(NODE)]))
        tell("node", "empty measureSync()", statistics.median(node["blocks"]), "us", 30)
        tell("node", f"Monitor.sampleSync, {processes} processes", statistics.median(node["samples"]), "ms", 3)
    finally:
        for child in idle:
            child.kill()
            child.wait()
    with tempfile.TemporaryDirectory() as root:
        machine(Path(root), processes=2000)
        loop = subprocess.check_output(["node", BENCHES / "loop.cjs", NODE, root], text=True)
    for line in map(json.loads, loop.splitlines()):
        what = f"2,000 processes, the event loop held up by {line['what']}"
        tell("node", what, line["ms"], "ms", 1)
        tell("node", f"{what}, CPU time", line["cpuMs"], "ms", 1)
    return 1 if over else 0


def machine(root, processes):
    """Make a machine of files that runs so many processes."""

    def write(path, text):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    write("proc/stat", "cpu  1 0 1 8 0 0 0 0 0 0\ncpu0 1 0 1 8 0 0 0 0 0 0\n")
    write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n")
    write("proc/meminfo", "MemTotal:        8000000 kB\n")
    for pid in range(1, processes + 1):
        write(f"proc/{pid}/stat", f"{pid} (worker-{pid}) S 1 {pid} {pid} 0 -1 0 0 0 0 0 {pid} 0 0 0 20 0 1 0 100\n")
        write(f"proc/{pid}/cmdline", f"/usr/bin/worker\0--number\0{pid}\0")
        write(f"proc/{pid}/cgroup", f"0::/system.slice/worker-{pid % 50}.service\n")


def tell(package, what, figure, unit, limit):
    line = {"package": package, "what": what, "figure": round(figure, 3), "unit": unit, "limit": limit}
    if figure > limit:
        over.append(what)
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
