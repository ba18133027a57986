"""The whole-process figures of the README, in the order of its table, each beside its limit.

    python3 benches/figures.py sampling    CPU of a sample by process and thread, buffers, text, pod lists
    python3 benches/figures.py exporter    CPU, memory and scrape time under 2,000 and 300 processes
    python3 benches/figures.py kubelet     CPU of a poll of a kubelet's 2,000 pods by HTTPS, all in (openssl)
    python3 benches/figures.py short       short-lived processes against getrusage
    python3 benches/figures.py prometheus  the same through a real Prometheus
    python3 benches/figures.py server      the model server with both public pipelines: start, memory, latency (wrk)
    python3 benches/figures.py hooks       our hook on each context switch, beside an empty one (clang 19)
    python3 benches/figures.py cost        what measuring costs the measured: many short alternations of off and on
    python3 benches/figures.py soak [SECONDS]  memory and series under 100 forks a second (default 3600)

Several names run one after another. Ends with code 1 when a limit does not hold. Needs `cargo build --release -p
kepler-exporter -p kepler-model-server -p kepler-benches` (or their folder in $KEPLER_BIN), Linux, and for `prometheus` that
program, for `server` wrk and the reference data. As root.
"""

import contextlib
import gzip
import json
import os
import random
import re
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BIN = Path(os.environ.get("KEPLER_BIN") or Path(__file__).resolve().parent.parent / "target" / "release")
PORT = int(os.environ.get("KEPLER_PORT", "28399"))
URL = f"http://127.0.0.1:{PORT}"
failed = []


def at_most(limit):
    return "at most", limit


def at_least(limit):
    return "at least", limit


def tell(what, figures, **limits):
    """Prints figures under a heading, each with its limit where it has one."""
    print(what, flush=True)
    for name, value in figures.items():
        line = f"    {name:<22} {value if isinstance(value, str) else f'{value:,}':>12}"
        if name in limits:
            word, limit = limits[name]
            holds = value <= limit if word == "at most" else value >= limit
            line += f"    {word} {limit:,}: {'holds' if holds else 'DOES NOT HOLD'}"
            if not holds:
                failed.append(f"{what}: {name}")
        print(line, flush=True)


def sample(*words):
    """What the helper `sample` tells."""
    out = subprocess.run([BIN / "sample", *map(str, words)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


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
    """One scrape by a bare client, from connecting to the last byte: milliseconds, series, bytes on the wire, text."""
    encoding = "gzip" if gzipped else "identity"
    request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
    pieces, start = [], time.perf_counter()
    with socket.create_connection(("127.0.0.1", PORT), timeout=30) as connection:
        connection.sendall(request)
        while piece := connection.recv(1 << 20):
            pieces.append(piece)
    seconds = time.perf_counter() - start
    head, chunked = b"".join(pieces).split(b"\r\n\r\n", 1)
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise SystemExit(head.decode())
    body, rest = [], chunked
    while (size := int(rest[: rest.index(b"\r\n")], 16)) > 0:
        begin = rest.index(b"\r\n") + 2
        body.append(rest[begin : begin + size])
        rest = rest[begin + size + 2 :]
    text = (gzip.decompress(b"".join(body)) if gzipped else b"".join(body)).decode()
    series = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
    return seconds * 1e3, series, sum(map(len, body)), text


def sampling():
    for limit in ["pid_max", "threads-max"]:
        path = Path("/proc/sys/kernel", limit)
        path.write_text(str(max(200_000, int(path.read_text()))))
    for words, limits in [
        (("wake", 3000, 1, 120), {"us_a_process": at_most(2)}),
        (("threads", 2000, 30, 120), {"us_a_task": at_most(3), "grown_mib": at_most(8)}),
    ]:
        with background(*words):
            time.sleep(15)
            for source in ["ebpf", "procfs"]:
                told = sample("cost", 20, source)
                # From the opened source on: buffers, accounts, and two snapshots.
                figures = {name: told[name] for name in ["processes", "tasks", "us_a_process", "us_a_task"]}
                figures["grown_mib"] = round(told["grown_kib"] / 1024, 2)
                tell(f"sample by {source}, load {' '.join(map(str, words[:3]))}", figures,
                     **(limits if source == "ebpf" else {}))
    # 60,000 threads are being cleared away.
    time.sleep(15)
    told = sample("text", 100_000)
    tell("text of a page", {name: told[name] for name in ["series", "ms", "first_ms"]}, ms=at_most(50))
    rounds = [sample("pods", 2000) for _ in range(5)]
    figures = {name: statistics.median(told[name] for told in rounds) for name in ["pods", "kib", "list_ms", "watch_ms"]}
    tell("pod lists, CPU time", figures, list_ms=at_most(5))


def exporter_figures():
    newer, both = "--metrics.families=cpu", "--metrics.families=cpu,joules,process-joules,own"
    cases = [
        (2000, "newer", newer, False, {"cpu_percent": at_most(0.36), "rss_mib": at_most(24), "scrape_ms": at_most(15)}),
        (2000, "newer", newer, True, {}),
        (2000, "both", both, False, {"cpu_percent": at_most(0.7)}),
        (2000, "both", both, True, {}),
        (300, "newer", newer, False, {"cpu_percent": at_most(0.1), "rss_mib": at_most(15), "scrape_ms": at_most(3)}),
    ]
    plain = {}
    for processes, families, flag, gzipped, limits in cases:
        # Those of the case before would be the ended ones of this one.
        time.sleep(5)
        with background("wake", processes, 10, 600), exporter(flag, "--fake") as child:
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
            figures = {"series": series, "bytes": size, "cpu_percent": round(used * 100, 3),
                       "rss_mib": round(rss_mib(child.pid), 1), "peak_mib": round(rss_mib(child.pid, "VmHWM"), 1),
                       "scrape_ms": round(statistics.median(times), 2)}
            if gzipped:
                figures["times_plain"] = round(used / plain[families], 2)
                limits = {"times_plain": at_most(2)}
            plain[families] = used
            tell(f"exporter, {processes} processes, {families} families{', gzip' if gzipped else ''}", figures, **limits)


def pod(number, restarts):
    """A pod as a kubelet tells of it, with what a small deployment puts into one."""
    env = [{"name": f"SETTING_{n}", "value": f"https://service-{n}.shop.svc.cluster.local:8443/v1"} for n in range(12)]
    conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
    image = "registry.example/shop/web:1.2"
    return json.dumps({
        "metadata": {"name": f"web-{number}", "namespace": "shop", "uid": f"{number:08x}-1f0c-4f9e-8a11-0b2d8e7c5a33",
                     "resourceVersion": str(number), "labels": {"app": "web"}},
        "spec": {"nodeName": "node", "containers": [
            {"name": "app", "image": image, "env": env, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
             "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}}]},
        "status": {"phase": "Running", "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for kind in conditions],
            "containerStatuses": [{"name": "app", "containerID": f"containerd://{number:064x}", "restartCount": restarts,
                                   "ready": True, "image": image}]},
    }, separators=(",", ":"))


@contextlib.contextmanager
def stand_in_kubelet(folder, pods):
    """A kubelet that tells its pods in another order each time, as kubelets do, one in a hundred of them changed. Yields its
    address and the size of each answer."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kubelet", "-keyout",
         folder / "key", "-out", folder / "crt", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE"], check=True, capture_output=True)
    texts, answered, chance = [pod(number, 0) for number in range(1, pods + 1)], [], random.Random(1)

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            for place in range(0, pods, 100):
                texts[place] = pod(1_000_000 + chance.randrange(1_000_000), len(answered))
            chance.shuffle(texts)
            body = ('{"kind":"PodList","metadata":{},"items":[' + ",".join(texts) + "]}").encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            answered.append(len(body))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt", folder / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}", answered
    finally:
        server.shutdown()


def kubelet():
    pods = 2000
    with tempfile.TemporaryDirectory() as folder, stand_in_kubelet(Path(folder), pods) as (url, answered):
        config = Path(folder, "kubeconfig")
        config.write_text(json.dumps({
            "current-context": "t", "contexts": [{"name": "t", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": "crt"}}],
            "users": [{"name": "u", "user": {"token": "t"}}]}))
        flags = ["--fake", "--kube.enable", f"--kube.config={config}", f"--kube.kubelet-url={url}", "--node-name=node",
                 "--kube.pod-informer.poll-interval=1s"]
        with exporter(*flags) as child:
            tasks = Path(f"/proc/{child.pid}/task").iterdir()
            asking = next(task for task in tasks if (task / "comm").read_text() == "pods\n")
            each = []
            while len(each) < 21:
                before, seen = int((asking / "schedstat").read_text().split()[0]), len(answered)
                while len(answered) == seen:
                    time.sleep(0.01)
                # What it does with the answer it does within the second.
                time.sleep(0.5)
                each.append((int((asking / "schedstat").read_text().split()[0]) - before) / 1e6)
            tell("a kubelet's poll by HTTPS, CPU time", {"pods": pods, "kib": answered[-1] // 1024, "ms": round(statistics.median(each), 2),
                 "least_ms": round(min(each), 2)}, ms=at_most(5))


def short():
    for words in [(845, 20), (4000, 2), (200, 20, 64), (5, 100, 2048)]:
        told = sample("short", *words)
        figures = {name: told[name] for name in ["rusage_seconds", "records_seconds", "records", "dropped", "share"]}
        what = f"{words[0]} processes of {words[1]} ms" + (f" touching {words[2]} MiB" if len(words) > 2 else "")
        tell(what, figures, share=at_least(0.99))


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
            tell("845 processes of 20 ms through Prometheus",
                 {"rusage_seconds": round(truth, 3), "increase_seconds": round(seen, 3), "share": round(seen / truth, 4),
                  "series": int(series)}, share=at_least(0.95), series=at_most(20_000))
        finally:
            server.terminate()
            server.wait()


def hooks():
    """Our hook on each context switch, which only hardware counters attach, beside an empty one."""
    source = Path(__file__).resolve().parent / "bpf" / "hooks.bpf.c"
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder, "hooks.o")
        machine = f"-I/usr/include/{os.uname().machine}-linux-gnu"
        subprocess.run(["clang-19", "-O2", "-g", "-target", "bpf", "-mcpu=v3", machine, "-c", source, "-o", built], check=True)
        rounds = [sample("hooks", built) for _ in range(3)]
    names = ["empty_ns", "storage_ns", "ours_ns", "storage_ratio", "ours_ratio"]
    tell("hook on each context switch", {name: statistics.median(told[name] for told in rounds) for name in names},
         storage_ratio=at_most(2), ours_ratio=at_most(10))


def cost():
    """Half of the pairs for the hooks that are only attached on demand, whose figure has no limit."""
    pairs, slice_ms = int(os.environ.get("PAIRS", "400")), os.environ.get("SLICE_MS", "100")
    for name, count, flags in [("default", pairs, []), ("all", pairs // 2, ["all"])]:
        for operation in ["reads", "tcp", "switches", "forks"]:
            words = [operation, str(count), slice_ms, *flags]
            told = json.loads(subprocess.run([BIN / "alternate", *words], check=True, capture_output=True, text=True).stdout)
            figures = {key: told[key] for key in ["ns", "slower_percent", "low", "high", "bpf_ns", "bpf_percent"]}
            figures |= {program: f"{each['runs_each']} x {each['ns']} ns" for program, each in told["programs"].items()}
            # Shown is what lies within the interval as a whole; what the kernel counts for our programs is the floor.
            tell(f"{operation} under the {name} hooks, {count} pairs", figures,
                 **({} if flags else {"high": at_most(1)}))


def soak():
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2].isdigit() else 3600
    retention, late, known = 60, 0, {}
    with exporter(f"--monitor.retention={retention}s", interval="1s") as child:
        first, most, series_most = None, 0.0, 0
        with background("churn", 100, seconds + 600):
            begun = time.monotonic()
            while (now := time.monotonic() - begun) < seconds:
                time.sleep(5)
                _, series, _, text = scrape()
                # When a process is gone, its series is due to go a retention later.
                seen = set(re.findall(r'^kepler_process_cpu_seconds_total{pid="(\d+)".*comm="load"', text, re.M))
                known = {pid: known.get(pid, now) for pid in seen if not Path("/proc", pid).exists()}
                late += sum(1 for since in known.values() if now - since > retention + 10)
                if now >= min(180, seconds / 4):
                    first = first or rss_mib(child.pid)
                    most, series_most = max(most, rss_mib(child.pid)), max(series_most, series)
        last = rss_mib(child.pid)
        for _ in range(retention // 5 + 3):
            time.sleep(5)
            _, _, _, text = scrape()
        left = sum(1 for line in text.splitlines() if 'comm="load"' in line)
        tell(f"soak, {seconds} s at 1 Hz, 100 forks a second",
             {"rss_first_mib": round(first, 2), "rss_most_mib": round(most, 2), "rss_last_mib": round(last, 2),
              "grown_mib": round(most - first, 2), "series_most": series_most, "series_late": late, "series_left": left},
             grown_mib=at_most(2), series_most=at_most(20_000), series_late=at_most(0), series_left=at_most(0))


WRK_POST = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
"""


def milliseconds(text):
    for unit, factor in [("us", 1e-3), ("ms", 1.0), ("s", 1e3)]:
        if text.endswith(unit):
            return round(float(text.removesuffix(unit)) * factor, 4)
    raise SystemExit(f"no time: {text}")


def wrk(path, body, clients, seconds):
    """Median and 99th percentile in ms, and requests a second, of keep-alive clients on one thread."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if body:
            script.write(WRK_POST % json.dumps(body))
            script.flush()
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency"] + (["-s", script.name] if body else [])
        out = subprocess.run([*command, f"{URL}{path}"], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        raise SystemExit(f"{path}: not every answer was good\n{out}")
    words = {line.split()[0]: line.split()[1] for line in out.splitlines() if len(line.split()) >= 2}
    return milliseconds(words["50%"]), milliseconds(words["99%"]), round(float(words["Requests/sec:"]))


def server():
    """The model server held to one core, asked from another."""
    shared = Path(os.environ.get("KEPLER_SHARED") or Path(__file__).resolve().parent.parent.parent / "shared")
    folder = shared / "data" / "kepler-model-db" / "v0.7"
    models = [f"--models={folder / name}" for name in ["ec2-0.7.11.zip", "specpower-0.7.11.zip"]]
    command = ["taskset", "-c", "0", BIN / "kepler-model-server", f"--listen=127.0.0.1:{PORT}", *models]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while child.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{URL}/readyz", timeout=5).read()
                break
            time.sleep(0.005)
        ready = time.perf_counter() - start
        tell("model server, both public pipelines: start",
             {"seconds": round(ready, 2), "cpu_seconds": round(cpu_seconds(child.pid), 2), "rss_mib": round(rss_mib(child.pid), 1)},
             seconds=at_most(1.5), rss_mib=at_most(80))
        every = ["bpf_block_irq", "bpf_cpu_time_ms", "bpf_net_rx_irq", "bpf_net_tx_irq", "bpf_page_cache_hit", "cache_miss",
                 "cpu_cycles", "cpu_instructions"]
        spec = {"processor": "intel_xeon_platinum_8276m", "cores": 56, "chips": 2, "memory": 192, "frequency": 2200}

        def model(**fields):
            return {"metrics": every, "output_type": "AbsPower", **fields}

        rows = {"features": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "rows": [[100.0 * row, 0.0] for row in range(100)]}
        seconds = int(os.environ.get("SECONDS_EACH", "5"))
        for name, path, body, limit in [
            ("best-models rapl", "/best-models", None, 0.2),
            ("best-models acpi", "/best-models?energy-source=acpi", None, 0.2),
            ("model weights rapl", "/model", model(weight=True), 0.3),
            ("model weights acpi", "/model", model(source="acpi", weight=True), 0.3),
            ("model weights acpi, a machine", "/model", model(source="acpi", weight=True, machine_spec=spec), 0.3),
            ("model zip rapl", "/model", model(), 1),
            ("model zip acpi", "/model", model(source="acpi"), 1),
            ("estimate of 100 rows acpi, a machine", "/estimate", {"source": "acpi", "machine_spec": spec, **rows}, None),
        ]:
            for clients in [1, 8]:
                before = cpu_seconds(child.pid)
                median, late, rate = wrk(path, body, clients, seconds)
                used = (cpu_seconds(child.pid) - before) / (rate * seconds)
                limits = {"p50_ms": at_most(limit)} if limit and clients == 1 else {}
                if limit and clients == 8 and limit < 1:
                    limits = {"per_second": at_least(5000)}
                tell(f"model server, {name}, {clients} client{'s' if clients > 1 else ''}",
                     {"p50_ms": median, "p99_ms": late, "per_second": rate, "cpu_us": round(used * 1e6, 1)}, **limits)
        tell("model server, after that", {"rss_mib": round(rss_mib(child.pid), 1), "peak_mib": round(rss_mib(child.pid, "VmHWM"), 1)},
             rss_mib=at_most(80))
    finally:
        child.terminate()
        child.wait(timeout=30)


FIGURES = {"sampling": sampling, "exporter": exporter_figures, "kubelet": kubelet, "short": short, "prometheus": prometheus, "hooks": hooks,
           "cost": cost, "server": server, "soak": soak}

if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if not word.isdigit()]
    if not names or not set(names) <= set(FIGURES):
        raise SystemExit(__doc__)
    for name in names:
        FIGURES[name]()
    if failed:
        raise SystemExit("does not hold: " + "; ".join(failed))
