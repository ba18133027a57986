"""A real Kubernetes of one node on this machine, for tests: etcd, the control plane, kubelet, containerd and pods.

    cluster.py build                             builds or finds the binaries (minutes once; Go and Debian's packages)
    cluster.py image NAME OUT ENTRYPOINT FILES   an image of just these files (`FILE=/path/in/image`)
    cluster.py up [IMAGE.tar ...]                starts it, in the network namespace `kube`
    cluster.py kubectl ...                       runs kubectl on it
    cluster.py down                              stops it and leaves nothing behind

Needs root. `KUBE_BIN` is where the binaries are kept, `KUBE_DIR` where the cluster lives while it runs.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import addons
import images
import settings
from programs import BIN, build, run
from settings import ADDRESS, ADMIN, DIR, DNS, NODE, PKI, SOCKET

NAMESPACE = "kube"
NETNS = Path("/var/run/netns") / NAMESPACE
# Names of a certificate, and whom it speaks for.
CERTIFICATES = {
    "apiserver": ("/CN=kube-apiserver", f"IP:127.0.0.1,IP:{ADDRESS},IP:10.96.0.1,DNS:kubernetes.default.svc"),
    "kubelet": (f"/O=system:nodes/CN=system:node:{NODE}", f"IP:{ADDRESS},DNS:{NODE}"),
    "admin": ("/O=system:masters/CN=admin", "DNS:admin"),
    # By which the API server speaks for who asks a server behind it.
    "front": ("/CN=front", "DNS:front"),
}


def inside(*command):
    """The same command in the cluster's network."""
    return ["nsenter", f"--net={NETNS}", *(str(word) for word in command)]


def kubectl(*arguments, **options):
    return run(*inside(BIN / "kubectl", f"--kubeconfig={ADMIN}", *arguments), **options)


def get(*arguments):
    """What kubectl gets, as an object."""
    return json.loads(kubectl("get", *arguments, "-o", "json", capture_output=True).stdout)


def apply(objects):
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    kubectl("apply", "--server-side", "-f", "-", input=text.encode(), stdout=subprocess.DEVNULL)


def helm(*arguments, **options):
    settings = {**os.environ, "KUBECONFIG": str(ADMIN)}
    program = shutil.which("helm") or BIN / "helm"
    return run(*inside(program, *arguments), env=settings, **options)


def up(archives=()):
    settings.write()
    network()
    certificates()
    for part in ("etcd", "apiserver"):
        start(part)
    answers = lambda: kubectl("get", "--raw", "/readyz", check=False, capture_output=True).returncode == 0  # noqa: E731
    deadline(answers, 120, "the API server")
    for part in ("controller-manager", "scheduler", "containerd"):
        start(part)
    give(archives)
    for part in ("kubelet", "proxy"):
        start(part)
    deadline(lambda: "True" in ready(), 120, "the node to be ready")
    apply(addons.addons(DNS))
    # Which shows that pods run on this machine.
    available = ("wait", "-n", "kube-system", "--for=condition=available", "deployment/dns", "--timeout=120s")
    kubectl(*available, stdout=subprocess.DEVNULL)


def pod_networks():
    return {path.name for path in NETNS.parent.glob("cni-*")}


def network():
    # Those of other runtimes on this machine are not ours to delete.
    (DIR / "networks").write_text("\n".join(pod_networks()))
    run("ip", "netns", "add", NAMESPACE)
    for command in (
        "ip link set lo up",
        "ip link add node0 type bridge",
        f"ip addr add {ADDRESS}/24 dev node0",
        "ip link set node0 up",
        "ip route add default dev node0",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        run(*inside(*command.split()))


def certificates():
    openssl = lambda *arguments: run("openssl", *arguments, cwd=PKI, capture_output=True)  # noqa: E731
    new = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=test-ca")
    issuer = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "extensions")
    for name, (subject, alternatives) in CERTIFICATES.items():
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        (PKI / "extensions").write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *issuer)
    openssl("genrsa", "-out", "account.key", "2048")
    openssl("rsa", "-in", "account.key", "-pubout", "-out", "account.pub")


def start(part):
    """Starts a part, with its output in `log`."""
    with Path(DIR, "log", f"{part}.log").open("wb") as log:
        command = inside(*settings.PARTS[part])
        child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    (DIR / f"{part}.pid").write_text(str(child.pid))


def give(archives):
    """Gives containerd the images, since there is no registry: those of the cluster, and these."""
    client = ("ctr", "-a", SOCKET)
    deadline(lambda: run(*client, "version", check=False, capture_output=True).returncode == 0, 60, "containerd")
    own = {
        settings.PAUSE: (["/pause"], {"/pause": BIN / "pause"}),
        "docker.io/local/busybox:1": (["/bin/busybox", "sh"], {"/bin/busybox": "/bin/busybox"}),
        addons.DNS_IMAGE: (["/coredns"], {"/coredns": BIN / "coredns"}),
        addons.METRICS_IMAGE: (["/metrics-server"], {"/metrics-server": BIN / "metrics-server"}),
    }
    made = [images.image(name, DIR / f"{i}.tar", *parts) for i, (name, parts) in enumerate(own.items())]
    for archive in (*made, *archives):
        run(*client, "-n", "k8s.io", "images", "import", archive, stdout=subprocess.DEVNULL)


def ready():
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return kubectl("get", "node", NODE, "-o", path, check=False, capture_output=True, text=True).stdout


def deadline(condition, seconds, what):
    """Waits for a condition; raises when it is late."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}; see {DIR}/log")
        time.sleep(0.5)


def down():
    for part in ("proxy", "kubelet"):
        stop(part)
    client = ("ctr", "-a", SOCKET, "-n", "k8s.io", "tasks")
    if SOCKET.exists():
        listed = run(*client, "ls", "-q", check=False, capture_output=True, text=True).stdout
        for task in listed.split():
            for command in (("kill", "-s", "9"), ("delete", "-f")):
                run(*client, *command, task, check=False, capture_output=True)
    for part in ("containerd", "scheduler", "controller-manager", "apiserver", "etcd"):
        stop(part)
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((p for p in mounted if p.startswith(f"{DIR}/")), reverse=True):
        run("umount", "-l", path, check=False)
    others = DIR / "networks"
    networks = pod_networks() - set(others.read_text().split()) if others.exists() else set()
    for network in (*networks, NAMESPACE):
        run("ip", "netns", "del", network, check=False, capture_output=True)
    for root in ("/sys/fs/cgroup", *Path("/sys/fs/cgroup").glob("*/")):
        for group in sorted(Path(root, "kubepods").glob("**/"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
    shutil.rmtree(DIR, ignore_errors=True)


def stop(part):
    file = DIR / f"{part}.pid"
    if not file.exists():
        return
    pid = int(file.read_text())
    alive = Path("/proc", str(pid))
    for kind, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, kind)
        end = time.monotonic() + patience
        while alive.exists() and time.monotonic() < end:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.1)
    file.unlink()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build"]:
            build()
        case ["image", name, out, entrypoint, *files]:
            images.image(
                name, out, entrypoint.split(), {path: source for source, path in (file.split("=", 1) for file in files)}
            )
        case ["up", *archives]:
            up(archives)
        case ["kubectl", *arguments]:
            sys.exit(kubectl(*arguments, check=False).returncode)
        case ["down"]:
            down()
        case _:
            sys.exit(__doc__)
