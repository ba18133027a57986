"""What a cluster is made of: programs and definitions, found here, or had from Go modules and Debian's packages."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(os.environ.get("KUBE_BIN", Path.home() / ".cache/kube-test/bin"))
VERSION = "1.34.2"
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/bin/busybox": "busybox-static",
    # What the model server's image is built with.
    "musl-gcc": "musl-tools",
}
# Built as one module, so that what they share is compiled once: the parts of Kubernetes, its store, the pods' names and
# their usage, requests at a steady rate.
MODULES = {
    "k8s.io/kubernetes": f"v{VERSION}",
    "go.etcd.io/etcd/server/v3": "v3.6.5",
    "github.com/coredns/coredns": "v1.13.2",
    "sigs.k8s.io/metrics-server": "v0.8.0",
    "github.com/tsenart/vegeta/v12": "v12.12.0",
}
PROGRAMS = {
    **{
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
    },
    "etcd": "./etcd",
    "coredns": "./coredns",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
    "vegeta": "github.com/tsenart/vegeta/v12",
}
# CoreDNS with just the parts that answer for a cluster.
SOURCES = {
    "etcd": """
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
""",
    "coredns": """
package main

import (
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
""",
}
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
# Modules that Kubernetes keeps in its own tree and releases under other numbers.
STAGED = """
api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap
code-generator component-base component-helpers controller-manager cri-api cri-client csi-translation-lib
dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy
kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin
sample-controller
"""
# Kinds of others that the chart and the overlays have objects of, and where their modules keep the definitions.
KINDS = {
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    "github.com/openshift/api@v0.0.0-20240524162738-d899f8877d22": (
        "payload-manifests/crds/0000_03_config-operator_01_securitycontextconstraints.crd.yaml",
    ),
}
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


def build():
    missing = [package for name, package in PACKAGES.items() if not (shutil.which(name) or Path(name).exists())]
    if missing:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-q")
        run("apt-get", "install", "-qy", "--no-install-recommends", *missing, env=quiet)
    BIN.mkdir(parents=True, exist_ok=True)
    missing = [name for name in PROGRAMS if not (BIN / name).exists()]
    if missing:
        go_build(missing)
    if not (shutil.which("helm") or (BIN / "helm").exists()):
        run("go", "install", "-ldflags=-s -w", HELM, env={**os.environ, "CGO_ENABLED": "0", "GOBIN": str(BIN)})
    if not (BIN / "pause").exists():
        run("cc", "-O2", "-static", "-x", "c", "-o", BIN / "pause", "-", input=PAUSE.encode())
    for module, files in KINDS.items():
        if not all((BIN / Path(file).name).exists() for file in files):
            # Beside any module: of this one only files are wanted.
            told = run("go", "mod", "download", "-json", module, cwd="/", capture_output=True, text=True).stdout
            for file in files:
                shutil.copy(Path(json.loads(told)["Dir"], file), BIN)


def go_build(names):
    """All that is missing, in one go."""
    required = [f"require {module} {version}" for module, version in MODULES.items()]
    staged = [f"replace k8s.io/{name} => k8s.io/{name} v0.{VERSION.removeprefix('1.')}" for name in STAGED.split()]
    flags = f"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v{VERSION}"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    with tempfile.TemporaryDirectory() as work:
        Path(work, "go.mod").write_text("\n".join(["module cluster", "go 1.25.0", *required, *staged]))
        for name, source in SOURCES.items():
            Path(work, name).mkdir()
            Path(work, name, "main.go").write_text(source)
        run("go", "build", flags, "-o", f"{BIN}/", *(PROGRAMS[name] for name in names), cwd=work, env=environment)


def kinds():
    """The definitions' files."""
    return [BIN / Path(file).name for files in KINDS.values() for file in files]
