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
import tempfile
import time
from pathlib import Path

import addons
import images

BIN = Path(os.environ.get("KUBE_BIN", Path.home() / ".cache/kube-test/bin"))
DIR = Path(os.environ.get("KUBE_DIR", Path(tempfile.gettempdir()) / "kube-test"))
VERSION = "1.34.2"
NAMESPACE, NODE, ADDRESS = "kube", "node1", "10.87.0.1"
PODS, SERVICES, DNS = "10.244.0.0/24", "10.96.0.0/16", "10.96.0.10"
NETNS = Path("/var/run/netns") / NAMESPACE
ADMIN = DIR / "admin.kubeconfig"
SOCKET = DIR / "containerd/containerd.sock"
STATIC_PODS = DIR / "manifests"
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/bin/busybox": "busybox-static",
}
# Programs that stand for themselves: the chart's tool, the pods' usage, requests at a steady rate.
PROGRAMS = {
    "helm": "helm.sh/helm/v3/cmd/helm@v3.22.0",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server@v0.9.0",
    "vegeta": "github.com/tsenart/vegeta/v12@v12.12.0",
}
PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
# Modules that Kubernetes keeps in its own tree and releases under other numbers.
STAGED = """
api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap
code-generator component-base component-helpers controller-manager cri-api cri-client csi-translation-lib
dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy
kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin
sample-controller
"""
PAUSE = """
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) { signal(SIGTERM, stop); signal(SIGINT, stop); signal(SIGCHLD, reap); for (;;) pause(); }
"""


def run(*command, **options):
    options.setdefault("check", True)
    try:
        return subprocess.run([str(word) for word in command], **options)
    except subprocess.CalledProcessError as error:
        print(error.stderr or "", file=sys.stderr)
        raise


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
    kubectl("apply", "-f", "-", input=text.encode(), stdout=subprocess.DEVNULL)


def helm(*arguments, **options):
    settings = {**os.environ, "KUBECONFIG": str(ADMIN)}
    program = shutil.which("helm") or BIN / "helm"
    return run(*inside(program, *arguments), env=settings, **options)


# --- binaries ---------------------------------------------------------------------------------------------------------


def build():
    missing = [package for name, package in PACKAGES.items() if not (shutil.which(name) or Path(name).exists())]
    if missing:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-q")
        run("apt-get", "install", "-qy", "--no-install-recommends", *missing, env=quiet)
    BIN.mkdir(parents=True, exist_ok=True)
    if not all((BIN / part).exists() for part in PARTS):
        replaced = "\n".join(
            f"replace k8s.io/{m} => k8s.io/{m} v0.{VERSION.removeprefix('1.')}" for m in STAGED.split()
        )
        flags = f"-s -w -X k8s.io/component-base/version.gitVersion=v{VERSION}"
        paths = [f"k8s.io/kubernetes/cmd/{part}" for part in PARTS]
        go_build(f"require k8s.io/kubernetes v{VERSION}\n{replaced}\n", flags, paths)
    if not (BIN / "etcd").exists():
        go_build("require go.etcd.io/etcd/server/v3 v3.6.5\n", "-s -w", ["go.etcd.io/etcd/server/v3"], output="etcd")
    if not (BIN / "coredns").exists():
        go_build("require github.com/coredns/coredns v1.15.0\n", "-s -w", ["."], "coredns", addons.DNS_PROGRAM)
    for name, path in PROGRAMS.items():
        if not (BIN / name).exists() and not (name == "helm" and shutil.which(name)):
            environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(BIN)}
            run("go", "install", "-ldflags=-s -w", path, env=environment)
    if not (BIN / "pause").exists():
        run("cc", "-O2", "-static", "-x", "c", "-o", BIN / "pause", "-", input=PAUSE.encode())


def go_build(requirements, flags, paths, output="", program=None):
    """Programs of modules that cannot be installed by their path, or an own one made of a module's parts."""
    with tempfile.TemporaryDirectory() as work:
        Path(work, "go.mod").write_text(f"module cluster\ngo 1.24.0\n{requirements}")
        imports = "\n".join(f'import _ "{path}"' for path in paths)
        Path(work, "main.go").write_text(program or f"//go:build parts\npackage cluster\n{imports}\n")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
        run("go", "mod", "tidy", cwd=work, env=environment)
        run("go", "build", f"-ldflags={flags}", "-o", BIN / output, *paths, cwd=work, env=environment)


# --- the cluster ------------------------------------------------------------------------------------------------------


def up(archives=()):
    for folder in ("pki", "etcd", "log", "cni", "containerd", "kubelet", "manifests"):
        (DIR / folder).mkdir(parents=True, exist_ok=True)
    network()
    certificates()
    start_control_plane()
    start_node(archives)
    deadline(lambda: "True" in ready(), 120, "the node to be ready")
    apply(addons.addons(DNS))


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
    pki = DIR / "pki"
    openssl = lambda *arguments, **options: run("openssl", *arguments, cwd=pki, capture_output=True, **options)  # noqa: E731
    new = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=test-ca")
    names = {
        "apiserver": ("/CN=kube-apiserver", f"IP:127.0.0.1,IP:{ADDRESS},IP:10.96.0.1,DNS:kubernetes.default.svc"),
        "kubelet": (f"/O=system:nodes/CN=system:node:{NODE}", f"IP:{ADDRESS},DNS:{NODE}"),
        "admin": ("/O=system:masters/CN=admin", "DNS:admin"),
        # By which the API server speaks for who asks a server behind it.
        "front": ("/CN=front", "DNS:front"),
    }
    for name, (subject, alternatives) in names.items():
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        (pki / "extensions").write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n")
        issuer = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            *issuer,
            "-days",
            "30",
            "-out",
            f"{name}.crt",
            "-extfile",
            "extensions",
        )
    openssl("genrsa", "-out", "account.key", "2048")
    openssl("rsa", "-in", "account.key", "-pubout", "-out", "account.pub")
    for name in ("admin", "kubelet"):
        user = {"client-certificate": f"{pki}/{name}.crt", "client-key": f"{pki}/{name}.key"}
        cluster = {"server": "https://127.0.0.1:6443", "certificate-authority": f"{pki}/ca.crt"}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
        }
        (DIR / f"{name}.kubeconfig").write_text(json.dumps(kubeconfig))


def start(name, *command):
    """Starts a part, with its output in `log`."""
    with Path(DIR, "log", f"{name}.log").open("wb") as log:
        child = subprocess.Popen(inside(*command), stdout=log, stderr=log, start_new_session=True)
    (DIR / f"{name}.pid").write_text(str(child.pid))


def start_control_plane():
    pki, etcd = DIR / "pki", "http://127.0.0.1:2379"
    start(
        "etcd",
        BIN / "etcd",
        f"--data-dir={DIR}/etcd",
        f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}",
        "--unsafe-no-fsync",
    )
    start(
        "apiserver",
        BIN / "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--advertise-address={ADDRESS}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/account.pub",
        f"--service-account-signing-key-file={pki}/account.key",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front.crt",
        f"--proxy-client-key-file={pki}/front.key",
        "--enable-aggregator-routing=true",
        "--allow-privileged=true",
    )
    answers = lambda: kubectl("get", "--raw", "/readyz", check=False, capture_output=True).returncode == 0  # noqa: E731
    deadline(answers, 120, "the API server")
    start(
        "controller-manager",
        BIN / "kube-controller-manager",
        f"--kubeconfig={ADMIN}",
        f"--service-account-private-key-file={pki}/account.key",
        f"--root-ca-file={pki}/ca.crt",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=20s",
    )
    start("scheduler", BIN / "kube-scheduler", f"--kubeconfig={ADMIN}", "--leader-elect=false")


def start_node(archives):
    Path(DIR, "containerd.toml").write_text(
        f"""version = 2
root = "{DIR}/containerd/root"
state = "{DIR}/containerd/state"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/local/pause:1"
  # Where the machine may not lower the score of its own children.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{DIR}/cni"
"""
    )
    address_pool = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{DIR}/addresses",
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": address_pool,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    Path(DIR, "cni/10-pods.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]})
    )
    start("containerd", "containerd", "-c", DIR / "containerd.toml")
    client = ("ctr", "-a", SOCKET)
    deadline(lambda: run(*client, "version", check=False, capture_output=True).returncode == 0, 60, "containerd")
    own = {
        "docker.io/local/pause:1": (["/pause"], {"/pause": BIN / "pause"}),
        "docker.io/local/busybox:1": (["/bin/busybox", "sh"], {"/bin/busybox": "/bin/busybox"}),
        addons.DNS_IMAGE: (["/coredns"], {"/coredns": BIN / "coredns"}),
        addons.METRICS_IMAGE: (["/metrics-server"], {"/metrics-server": BIN / "metrics-server"}),
    }
    made = [images.image(name, DIR / f"{i}.tar", *parts) for i, (name, parts) in enumerate(own.items())]
    for archive in (*made, *archives):
        run(*client, "-n", "k8s.io", "images", "import", archive, stdout=subprocess.DEVNULL)
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "staticPodPath": str(STATIC_PODS),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{DIR}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{DIR}/pki/kubelet.crt",
        "tlsPrivateKeyFile": f"{DIR}/pki/kubelet.key",
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "resolvConf": "",
    }
    Path(DIR, "kubelet.yaml").write_text(json.dumps(configuration))
    named = (f"--kubeconfig={DIR}/kubelet.kubeconfig", f"--hostname-override={NODE}")
    start(
        "kubelet",
        BIN / "kubelet",
        f"--config={DIR}/kubelet.yaml",
        *named,
        f"--node-ip={ADDRESS}",
        f"--root-dir={DIR}/kubelet",
    )
    proxy = (
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    )
    start(
        "proxy",
        BIN / "kube-proxy",
        f"--kubeconfig={ADMIN}",
        f"--hostname-override={NODE}",
        f"--cluster-cidr={PODS}",
        *proxy,
    )


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
