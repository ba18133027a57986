"""The whole-process figures of the README, each printed as one line of JSON.

    python3 benches/figures.py cost        what measuring costs the measured: A/B in one run
    python3 benches/figures.py hooks       our hook on each context switch, beside an empty one (clang 19)
    python3 benches/figures.py sampling    CPU of a sample by process and thread
    python3 benches/figures.py exporter    CPU, memory and scrape time under 2,000 and 300 processes
    python3 benches/figures.py short       short-lived processes against getrusage
    python3 benches/figures.py prometheus  the same through a real Prometheus
    python3 benches/figures.py soak [SECONDS]  memory and series under 100 forks a second (default 3600)

Needs `cargo build --release -p kepler-exporter -p kepler-benches`, Linux, and for `prometheus` that program. As root.
"""

import contextlib
import gzip
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

BIN = Path(__file__).resolve().parent.parent / "target" / "release"
PORT = 28399
URL = f"http://127.0.0.1:{PORT}"


def tell(**figure):
    print(json.dumps(figure), flush=True)


def load(*words):
    """Runs one load to its end and returns what it printed."""
    out = subprocess.run([BIN / "load", *map(str, words)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


@contextlib.contextmanager
def background(*words):
    child = subprocess.Popen([BIN / "load", *map(str, words)], stdout=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def exporter(*flags, interval="5s"):
    """A running exporter that answers; ended by SIGTERM."""
    command = [BIN / "kepler-exporter", f"--web.listen-address=127.0.0.1:{PORT}", f"--monitor.interval={interval}"]
    child = subprocess.Popen([*command, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{URL}/readyz", timeout=5).read()
                break
            time.sleep(0.1)
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        if child.wait(timeout=20) != 0:
            raise SystemExit(f"the exporter ended with {child.returncode}")


def cpu_seconds(pid):
    """User and system time, from the scheduler's own clock of each thread (10 ms ticks are too coarse here)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_mib(pid, field="VmRSS"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {field}")


def scrape(gzipped=False):
    request = urllib.request.Request(f"{URL}/metrics", headers={"Accept-Encoding": "gzip"} if gzipped else {})
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
    seconds = time.perf_counter() - start
    text = (gzip.decompress(body) if gzipped else body).decode()
    series = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
    return seconds * 1e3, series, len(body), text


def cost():
    everything = "--metrics.families=cpu,joules,counters"
    for name, flags in {"default": [], "all hooks": [everything]}.items():
        for operation in ["reads", "tcp", "switches", "forks"]:
            ratios = []
            for _ in range(int(os.environ.get("ROUNDS", "15"))):
                without = load(operation, 1)["ns_each"]
                with exporter(*flags):
                    with_it = load(operation, 1)["ns_each"]
                again = load(operation, 1)["ns_each"]
                ratios.append(with_it / ((without + again) / 2))
            tell(figure="cost", hooks=name, operation=operation, rounds=len(ratios),
                 slower_percent=round((statistics.median(ratios) - 1) * 100, 2),
                 low=round((min(ratios) - 1) * 100, 2), high=round((max(ratios) - 1) * 100, 2), ns=round(without, 1))


def hooks():
    """Our hook on each context switch, which only hardware counters attach, beside an empty one."""
    source = Path(__file__).resolve().parent / "bpf" / "hooks.bpf.c"
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder, "hooks.o")
        machine = f"-I/usr/include/{os.uname().machine}-linux-gnu"
        subprocess.run(["clang-19", "-O2", "-g", "-target", "bpf", "-mcpu=v3", machine, "-c", source, "-o", built], check=True)
        for _ in range(3):
            out = subprocess.run([BIN / "sample", "hooks", built], check=True, capture_output=True, text=True)
            tell(figure="hooks", **json.loads(out.stdout))


def sampling():
    for limit in ["pid_max", "threads-max"]:
        path = Path("/proc/sys/kernel", limit)
        path.write_text(str(max(200_000, int(path.read_text()))))
    for words in [("wake", 3000, 1, 120), ("threads", 2000, 30, 120)]:
        with background(*words):
            time.sleep(15)
            for source in ["ebpf", "procfs"]:
                out = subprocess.run([BIN / "sample", "cost", "20", source], check=True, capture_output=True, text=True)
                tell(figure="sampling", load=" ".join(map(str, words[:3])), **json.loads(out.stdout))
    out = subprocess.run([BIN / "sample", "text", "100000"], check=True, capture_output=True, text=True)
    tell(figure="text", **json.loads(out.stdout))


def exporter_figures():
    both = "--metrics.families=cpu,joules,process-joules,own"
    cases = [
        (2000, "newer", ["--metrics.families=cpu"], False),
        (2000, "both", [both], False),
        (2000, "newer, gzip", ["--metrics.families=cpu"], True),
        (2000, "both, gzip", [both], True),
        (300, "newer", ["--metrics.families=cpu"], False),
    ]
    for processes, families, flags, gzipped in cases:
        with background("wake", processes, 10, 600), exporter(*flags, "--fake") as child:
            time.sleep(8)
            for _ in range(3):
                scrape(gzipped)
                time.sleep(5)
            rounds = int(os.environ.get("ROUNDS", "12"))
            before, start, times = cpu_seconds(child.pid), time.perf_counter(), []
            for _ in range(rounds):
                time.sleep(5)
                ms, series, size, _ = scrape(gzipped)
                times.append(ms)
            used = (cpu_seconds(child.pid) - before) / (time.perf_counter() - start)
            tell(figure="exporter", processes=processes, families=families, series=series, bytes=size,
                 cpu_percent=round(used * 100, 3), rss_mib=round(rss_mib(child.pid), 1),
                 peak_mib=round(rss_mib(child.pid, "VmHWM"), 1), scrape_ms=round(statistics.median(times), 2))


def short():
    for words in [(845, 20), (4000, 2), (200, 20, 64), (5, 100, 2048)]:
        out = subprocess.run([BIN / "sample", "short", *map(str, words)], check=True, capture_output=True, text=True)
        tell(figure="short", **json.loads(out.stdout))


def query(port, expression):
    parameters = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{parameters}", timeout=30) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def prometheus():
    port = PORT + 1
    with tempfile.TemporaryDirectory() as folder, exporter("--fake"):
        Path(folder, "prometheus.yml").write_text(
            f"scrape_configs:\n- job_name: kepler\n  scrape_interval: 5s\n  static_configs:\n  - targets: ['127.0.0.1:{PORT}']\n"
        )
        server = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"])
        try:
            time.sleep(25)
            start = time.monotonic()
            truth = load("short", 845, 20)["cpu_seconds"]
            time.sleep(15)
            window = int(time.monotonic() - start) + 5
            expression = f'sum(increase(kepler_process_cpu_seconds_total{{comm="load"}}[{max(60, window)}s]))'
            seen = query(port, expression)
            series = query(port, 'count({job="kepler"})')
            tell(figure="prometheus", rusage_seconds=round(truth, 3), increase_seconds=round(seen, 3),
                 share=round(seen / truth, 4), series=int(series))
        finally:
            server.terminate()
            server.wait()


def soak():
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3600
    with background("churn", 100, seconds + 60), exporter("--monitor.retention=60s", interval="1s") as child:
        time.sleep(min(120, seconds / 4))
        scrape()
        first, most, series_most = rss_mib(child.pid), 0.0, 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(5)
            _, series, _, text = scrape()
            most, series_most = max(most, rss_mib(child.pid)), max(series_most, series)
        tell(figure="soak", seconds=seconds, rss_first_mib=round(first, 2), rss_most_mib=round(most, 2),
             rss_last_mib=round(rss_mib(child.pid), 2), series_most=series_most)


FIGURES = {"cost": cost, "hooks": hooks, "sampling": sampling, "exporter": exporter_figures, "short": short,
           "prometheus": prometheus, "soak": soak}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in FIGURES:
        raise SystemExit(__doc__)
    FIGURES[sys.argv[1]]()
