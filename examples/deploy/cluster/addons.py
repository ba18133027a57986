"""What a cluster has beside its control plane: names of services and usage of pods (for autoscaling)."""

DNS_IMAGE = "docker.io/local/dns:1"
METRICS_IMAGE = "docker.io/local/metrics-server:1"
COREFILE = ".:53 {\n errors\n ready\n kubernetes cluster.local in-addr.arpa\n cache 5\n}\n"
DNS_READS = [
    {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]
METRICS_READS = [
    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
]
# What a server behind the API server needs to know who asks.
DELEGATED = [
    ("RoleBinding", "Role", "extension-apiserver-authentication-reader"),
    ("ClusterRoleBinding", "ClusterRole", "system:auth-delegator"),
]
RBAC = "rbac.authorization.k8s.io"


def addons(dns_address):
    """All objects of both."""
    corefile = {"name": "corefile", "configMap": {"name": "dns"}}
    dns = {
        "image": DNS_IMAGE,
        "args": ["-conf", "/etc/dns/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
        "volumeMounts": [{"name": "corefile", "mountPath": "/etc/dns"}],
    }
    ports = [{"name": p.lower(), "port": 53, "protocol": p} for p in ("UDP", "TCP")]
    yield thing("v1", "ConfigMap", "dns", data={"Corefile": COREFILE})
    yield from service("dns", dns, [corefile], ports, DNS_READS, clusterIP=dns_address)
    metrics = {
        "image": METRICS_IMAGE,
        "args": [
            "--cert-dir=/tmp",
            "--secure-port=10250",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-insecure-tls",
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    scratch = {"name": "tmp", "emptyDir": {}}
    yield from service("metrics-server", metrics, [scratch], [{"port": 443, "targetPort": 10250}], METRICS_READS)
    for kind, role, name in DELEGATED:
        yield binding(kind, f"metrics-server-{role.lower()}", role, name, "metrics-server")
    group = {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100}
    behind = {"name": "metrics-server", "namespace": "kube-system"}
    api = {"spec": {**group, "insecureSkipTLSVerify": True, "service": behind}}
    yield thing("apiregistration.k8s.io/v1", "APIService", "v1beta1.metrics.k8s.io", **api)


def service(name, container, volumes, ports, rules, **more):
    """A program with its account, its rights and its Service."""
    container = {"name": name, "imagePullPolicy": "Never", **container}
    pod = {"serviceAccountName": name, "dnsPolicy": "Default", "volumes": volumes, "containers": [container]}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    selector = {"app": name}
    yield thing("v1", "ServiceAccount", name)
    yield thing(f"{RBAC}/v1", "ClusterRole", name, rules=rules)
    yield binding("ClusterRoleBinding", name, "ClusterRole", name, name)
    yield thing("apps/v1", "Deployment", name, spec={"selector": {"matchLabels": selector}, "template": template})
    yield thing("v1", "Service", name, spec={"selector": selector, "ports": ports, **more})


def binding(kind, name, role_kind, role, account):
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}
    to = {"apiGroup": RBAC, "kind": role_kind, "name": role}
    return thing(f"{RBAC}/v1", kind, name, roleRef=to, subjects=[subject])


def thing(version, kind, name, **parts):
    metadata = {"name": name}
    if not kind.startswith("Cluster") and kind != "APIService":
        metadata["namespace"] = "kube-system"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}
