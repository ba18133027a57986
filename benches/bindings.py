"""The figures of the Python and Node packages in the README, each printed as one line of JSON.

    python3 benches/bindings.py

Builds and installs nothing: `kepler` must be importable, and kepler-node/kepler.node built, both in release mode.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

NODE = Path(__file__).resolve().parent.parent / "kepler-node" / "index.js"
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
    tell("python", "import", statistics.median(imports), "ms")

    def blocks(count=2000):
        start = time.perf_counter()
        for _ in range(count):
            with kepler.measure():
                pass
        return (time.perf_counter() - start) / count * 1e6

    blocks()
    tell("python", "empty measure()", statistics.median(blocks() for _ in range(5)), "us")

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
        tell("python", f"Monitor.sample, {processes} processes, {source}", statistics.median(times), "ms")
        node = json.loads(subprocess.check_output(["node", "-e", BLOCKS, str(NODE)]))
        tell("node", "empty measureSync()", statistics.median(node["blocks"]), "us")
        tell("node", f"Monitor.sampleSync, {processes} processes", statistics.median(node["samples"]), "ms")
    finally:
        for child in idle:
            child.kill()
            child.wait()


def tell(package, what, figure, unit):
    print(json.dumps({"package": package, "what": what, "figure": round(figure, 3), "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
