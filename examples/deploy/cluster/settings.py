"""What the parts of the cluster are told: their commands, and the files that these name."""

import json
import os
import tempfile
from pathlib import Path

from programs import BIN

DIR = Path(os.environ.get("KUBE_DIR", Path(tempfile.gettempdir()) / "kube-test"))
PKI = DIR / "pki"
ADMIN = DIR / "admin.kubeconfig"
SOCKET = DIR / "containerd/containerd.sock"
STATIC_PODS = DIR / "manifests"
NODE, ADDRESS = "node1", "10.87.0.1"
PODS, SERVICES, DNS = "10.244.0.0/24", "10.96.0.0/16", "10.96.0.10"
PAUSE = "docker.io/local/pause:1"
ETCD = "http://127.0.0.1:2379"
CONTAINERD = f"""version = 2
root = "{DIR}/containerd/root"
state = "{DIR}/containerd/state"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Where the machine may not lower the score of its own children.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{DIR}/cni"
"""
POD_NETWORK = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": f"{DIR}/addresses",
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
KUBELET = {
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
        "x509": {"clientCAFile": f"{PKI}/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "tlsCertFile": f"{PKI}/kubelet.crt",
    "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
    "clusterDomain": "cluster.local",
    "clusterDNS": [DNS],
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,
    "resolvConf": "",
}
# Each part's command.
PARTS = {
    "etcd": [
        BIN / "etcd",
        f"--data-dir={DIR}/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--unsafe-no-fsync",
    ],
    "apiserver": [
        BIN / "kube-apiserver",
        f"--etcd-servers={ETCD}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--advertise-address={ADDRESS}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        f"--client-ca-file={PKI}/ca.crt",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={PKI}/account.pub",
        f"--service-account-signing-key-file={PKI}/account.key",
        f"--kubelet-client-certificate={PKI}/admin.crt",
        f"--kubelet-client-key={PKI}/admin.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--requestheader-client-ca-file={PKI}/ca.crt",
        "--requestheader-allowed-names=front",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={PKI}/front.crt",
        f"--proxy-client-key-file={PKI}/front.key",
        "--enable-aggregator-routing=true",
        "--allow-privileged=true",
    ],
    "controller-manager": [
        BIN / "kube-controller-manager",
        f"--kubeconfig={ADMIN}",
        f"--service-account-private-key-file={PKI}/account.key",
        f"--root-ca-file={PKI}/ca.crt",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=20s",
    ],
    "scheduler": [BIN / "kube-scheduler", f"--kubeconfig={ADMIN}", "--leader-elect=false"],
    "containerd": ["containerd", "-c", DIR / "containerd.toml"],
    "kubelet": [
        BIN / "kubelet",
        f"--config={DIR}/kubelet.yaml",
        f"--kubeconfig={DIR}/kubelet.kubeconfig",
        f"--hostname-override={NODE}",
        f"--node-ip={ADDRESS}",
        f"--root-dir={DIR}/kubelet",
    ],
    "proxy": [
        BIN / "kube-proxy",
        f"--kubeconfig={ADMIN}",
        f"--hostname-override={NODE}",
        f"--cluster-cidr={PODS}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ],
}


def kubeconfig(user):
    """How a user reaches the API server."""
    keys = {"client-certificate": f"{PKI}/{user}.crt", "client-key": f"{PKI}/{user}.key"}
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority": f"{PKI}/ca.crt"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user, "user": keys}],
    }


def write():
    """The folders and files that the commands name."""
    for folder in ("pki", "etcd", "log", "cni", "containerd", "kubelet", "manifests"):
        (DIR / folder).mkdir(parents=True, exist_ok=True)
    Path(DIR, "containerd.toml").write_text(CONTAINERD)
    Path(DIR, "cni/10-pods.conflist").write_text(json.dumps(POD_NETWORK))
    Path(DIR, "kubelet.yaml").write_text(json.dumps(KUBELET))
    for user in ("admin", "kubelet"):
        Path(DIR, f"{user}.kubeconfig").write_text(json.dumps(kubeconfig(user)))
