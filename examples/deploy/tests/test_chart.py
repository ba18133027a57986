"""The chart, with every file of values: what it renders is what Kubernetes takes, and its parts fit together."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading

import kubernetes_validate
import pytest
import yaml
from conftest import CHART, DEPLOY, run, tool

KUBERNETES = "1.34"
SERVER = {"modelServer.enabled": "true"}
APART = SERVER | {"modelServer.namespace": "kepler-model-server"}
HTTPS = {"exporter.https.enabled": "true"}
# Name: files of values, values
VARIANTS = {
    "defaults": ([], {}),
    "minikube": (["values-minikube.yaml"], {}),
    "production": (["values-production.yaml"], {}),
    "apart": ([], APART | HTTPS),
    "serving alone": ([], SERVER | {"exporter.enabled": "false"}),
    "not root": ([], {"exporter.nonRoot": "true"}),
    "api server": ([], {"exporter.pods": "apiserver", "podMonitor.enabled": "true"}),
    "odd": ([DEPLOY / "tests/values-odd.yaml"], {}),
    "own certificate": ([], HTTPS | {"exporter.https.certificateSecret": "kepler-tls"}),
    "everything": (
        ["values-production.yaml"],
        APART
        | HTTPS
        | {
            "modelServer.adminTokenSecret": "admin",
            "modelServer.rateLimit": "50",
            "modelServer.settings.ERROR_KEY": "mae",
        },
    ),
}


class Loader(yaml.SafeLoader):
    """As the API server reads: no key twice."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"twice at {node.start_mark}: {keys}"
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor("tag:yaml.org,2002:map", mapping)


def template(files=(), values=None, kubernetes=KUBERNETES):
    flags = [word for file in files for word in ("--values", CHART / file)]
    flags += [word for key, value in (values or {}).items() for word in ("--set", f"{key}={value}")]
    name = ["kepler", CHART, "--namespace", "kepler-system"]
    text = run(tool("helm"), "template", *name, "--kube-version", kubernetes, *flags)
    return [made for made in yaml.load_all(text, Loader) if made]


@pytest.fixture(scope="module", params=VARIANTS)
def objects(request):
    return template(*VARIANTS[request.param])


def of(objects, kind):
    return [made for made in objects if made["kind"] == kind]


def one(objects, kind, name):
    found = [made for made in of(objects, kind) if made["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def pods(objects):
    """Every pod template, with its namespace."""
    for made in objects:
        spec = made.get("spec", {})
        if made["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield made["metadata"]["namespace"], spec["template"]
        elif made["kind"] == "Pod":
            yield made["metadata"]["namespace"], made


def test_lint():
    run(tool("helm"), "lint", "--strict", CHART, "--kube-version", KUBERNETES)


def test_kubernetes_takes_every_object(objects):
    for made in objects:
        if made["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        kubernetes_validate.validate(made, KUBERNETES, strict=True)


def test_no_object_is_there_twice(objects):
    names = [(made["kind"], made["metadata"].get("namespace"), made["metadata"]["name"]) for made in objects]
    assert len(names) == len(set(names))


def test_every_service_selects_a_pod_that_listens_on_its_port(objects):
    templates = list(pods(objects))
    for service in of(objects, "Service"):
        spec, namespace = service["spec"], service["metadata"]["namespace"]
        chosen = [pod for at, pod in templates if at == namespace and spec["selector"].items() <= pod["metadata"]["labels"].items()]
        assert len(chosen) == 1, service["metadata"]["name"]
        listened = {port["containerPort"] for c in chosen[0]["spec"]["containers"] for port in c.get("ports", [])}
        for port in spec["ports"]:
            assert isinstance(port["targetPort"], int)
            assert port["targetPort"] in listened, service["metadata"]["name"]


def test_selectors_are_plain_and_in_their_templates(objects):
    for made in of(objects, "DaemonSet") + of(objects, "Deployment"):
        labels = made["spec"]["selector"]["matchLabels"]
        assert labels in ({"app": "kepler-exporter"}, {"app": "kepler-model-server"})
        assert labels.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    for made in of(objects, "PodDisruptionBudget"):
        assert made["spec"]["selector"]["matchLabels"] == {"app": "kepler-model-server"}


def test_probes_ask_a_port_that_is_listened_on_for_a_path_that_is_served(objects):
    for _, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            listened = {port["containerPort"] for port in container.get("ports", [])}
            for name in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe := container.get(name):
                    assert probe["httpGet"]["port"] in listened
                    assert probe["httpGet"]["path"] in {
                        "/healthz",
                        "/readyz",
                        "/health",
                        "/ready",
                    }


def test_no_container_has_more_rights_than_it_needs(objects):
    for _, pod in pods(objects):
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["spec"]["containers"]:
            rights = container["securityContext"]
            assert not rights.get("privileged")
            assert rights["readOnlyRootFilesystem"]
            assert rights["capabilities"]["drop"] == ["ALL"]
            added = set(rights["capabilities"].get("add", []))
            assert added == ({"BPF", "PERFMON"} if container["name"] == "kepler-exporter" else set())
        volumes = [v for v in pod["spec"].get("volumes", []) if "hostPath" in v]
        assert {v["hostPath"]["path"] for v in volumes} <= {"/proc", "/sys"}
        mounts = [m for c in pod["spec"]["containers"] for m in c.get("volumeMounts", [])]
        names = {v["name"] for v in volumes}
        assert all(m.get("readOnly") for m in mounts if m["name"] in names)
        assert {m["name"] for m in mounts} == {v["name"] for v in pod["spec"].get("volumes", [])}


def test_names_are_those_that_are_documented():
    objects = template(values=APART)
    service = one(objects, "Service", "kepler")
    assert service["metadata"]["namespace"] == "kepler-system"
    assert service["spec"]["ports"][0]["port"] == 28282
    server = one(objects, "Service", "kepler-model-server")
    assert server["metadata"]["namespace"] == "kepler-model-server"
    assert server["spec"]["ports"][0]["port"] == 8100
    assert all(made["metadata"]["labels"]["app.kubernetes.io/name"] == "kepler" for made in objects)


def test_defaults_of_the_model_server():
    objects = template(values=SERVER)
    deployment = one(objects, "Deployment", "kepler-model-server")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {
        "maxSurge": 1,
        "maxUnavailable": 0,
    }
    assert "replicas" not in deployment, "the autoscaler's"
    pod = deployment["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 1000
    container = pod["containers"][0]
    live, ready = container["livenessProbe"], container["readinessProbe"]
    assert (
        live["initialDelaySeconds"],
        live["periodSeconds"],
        live["timeoutSeconds"],
    ) == (30, 10, 5)
    assert (
        ready["initialDelaySeconds"],
        ready["periodSeconds"],
        ready["timeoutSeconds"],
    ) == (20, 5, 3)
    scaler = one(objects, "HorizontalPodAutoscaler", "kepler-model-server")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 10)
    goals = {m["resource"]["name"]: m["resource"]["target"]["averageUtilization"] for m in scaler["metrics"]}
    assert goals == {"cpu": 70, "memory": 80}
    up, down = scaler["behavior"]["scaleUp"], scaler["behavior"]["scaleDown"]
    assert sorted((p["type"], p["value"], p["periodSeconds"]) for p in up["policies"]) == [
        ("Percent", 100, 30),
        ("Pods", 2, 30),
    ]
    assert (
        up["selectPolicy"],
        down["stabilizationWindowSeconds"],
        down["policies"][0]["value"],
    ) == ("Max", 300, 50)
    assert one(objects, "PodDisruptionBudget", "kepler-model-server")["spec"]["minAvailable"] == 2
    job = one(objects, "CronJob", "model-health-check")["spec"]
    assert job["schedule"] == "*/5 * * * *"
    resources = job["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources == {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"cpu": "100m", "memory": "128Mi"},
    }
    manifest = yaml.safe_load(one(objects, "ConfigMap", "kepler-model-server")["data"]["manifest.yaml"])
    assert [model["name"] for model in manifest["models"]] == [
        "ec2-0.7.11",
        "specpower-0.7.11",
    ]
    role = one(objects, "Role", "kepler-model-server-usage")["rules"]
    assert [(rule["resources"], rule["resourceNames"]) for rule in role] == [(["configmaps"], ["model-usage-stats"])]


def test_production_and_minikube():
    objects = template(["values-production.yaml"])
    scaler = one(objects, "HorizontalPodAutoscaler", "kepler-model-server")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (5, 20)
    container = one(objects, "Deployment", "kepler-model-server")["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
    assert "--listen=held:/run/kepler/listen.sock" in container["args"]
    ingress = one(objects, "Ingress", "kepler-model-server")["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/"
    assert (ingress[prefix + "limit-rps"], ingress[prefix + "proxy-body-size"]) == (
        "100",
        "10m",
    )
    objects = template(["values-minikube.yaml"])
    assert one(objects, "Service", "kepler-model-server")["spec"]["ports"][0]["nodePort"] == 30501
    assert one(objects, "Deployment", "kepler-model-server")["spec"]["replicas"] == 1


def test_the_exporter_alone_and_the_server_alone():
    assert not of(template(), "Deployment")
    assert not of(template(values=SERVER | {"exporter.enabled": "false"}), "DaemonSet")


def test_values_of_the_older_chart_still_mean_what_they_meant(tmp_path):
    older = tmp_path / "values.yaml"
    older.write_text(
        "service: {type: ClusterIP, port: 9103, annotations: {a: b}}\n"
        "serviceMonitor: {enabled: true, namespace: '', interval: 1m, scrapeTimeout: 10s, labels: {e: f}, attachMetadata: {node: true}}\n"
        "podAnnotations: {c: d}\nimage: {repository: registry.example.com/kepler, pullPolicy: Always, tag: '1'}\n"
        "securityContext: {privileged: true}\npodSecurityContext: {fsGroup: 1}\ncanMount: {usrSrc: false}\n"
        "redfish: {enabled: false, name: redfish, fileContent: x}\nextraEnvVars: {KEPLER_LOG_LEVEL: '1', ENABLE_GPU: 'true'}\n"
    )
    objects = template([older])
    pod = one(objects, "DaemonSet", "kepler")["spec"]["template"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "9103"
    assert pod["metadata"]["annotations"]["c"] == "d"
    container = pod["spec"]["containers"][0]
    assert container["ports"][0]["containerPort"] == 9103
    assert container["image"] == "registry.example.com/kepler:1"
    assert container["securityContext"]["privileged"] and "allowPrivilegeEscalation" not in container["securityContext"]
    assert {"name": "ENABLE_GPU", "value": "true"} in container["env"]
    service = one(objects, "Service", "kepler")
    assert (
        service["spec"]["ports"][0]["port"],
        service["spec"]["ports"][0]["targetPort"],
    ) == (9103, 9103)
    assert service["metadata"]["annotations"] == {"a": "b"}
    config = yaml.safe_load(one(objects, "ConfigMap", "kepler")["data"]["config.yaml"])
    assert config["web"]["listenAddresses"] == [":9103"]
    monitor = one(objects, "ServiceMonitor", "kepler")
    assert monitor["spec"]["endpoints"][0]["interval"] == "1m"
    assert (monitor["spec"]["attachMetadata"], monitor["metadata"]["labels"]["e"]) == ({"node": True}, "f")
    older.write_text("redfish: {enabled: true, fileContent: x}\n")
    assert "exporter.config.experimental.platform.redfish" in refused("--values", older)


def test_what_a_user_says_is_taken_word_for_word_and_breaks_nothing():
    objects = template(*VARIANTS["odd"])
    template_of = lambda kind, name: one(objects, kind, name)["spec"]["template"]  # noqa: E731
    exporter, server = template_of("DaemonSet", "kepler"), template_of("Deployment", "kepler-model-server")
    assert (exporter["metadata"]["labels"]["app"], server["metadata"]["labels"]["app"]) == ("kepler-exporter", "kepler-model-server")
    assert exporter["metadata"]["labels"]["team"] == "42"
    notes = exporter["metadata"]["annotations"]
    assert (notes["prometheus.io/port"], notes["note"]) == ("1", 'a "quoted": #one')
    container = exporter["spec"]["containers"][0]
    assert container["image"] == "registry.example.com:5000/kepler@sha256:" + "0" * 63 + "1"
    said = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
    assert (said["MILLIONS"], said["yes"], said["HALF"]) == ("12000000", "true", "0.5")
    assert said["SECRET"] == {"secretKeyRef": {"name": "s", "key": "k"}}
    assert "--metrics.labels=comm # not a comment" in container["args"]
    assert "priorityClassName" not in exporter["spec"] and exporter["spec"]["runtimeClassName"] == "nvidia"
    arguments = server["spec"]["containers"][0]["args"]
    assert "--usage-store=postgres://user:a%20b@db/x?a: b #c" in arguments and "--rate-limit=2000000/s" in arguments
    assert one(objects, "ConfigMap", "kepler-model-server-settings")["data"] == {"LIMIT": "3000000", "on": "off"}
    job = one(objects, "CronJob", "model-health-check")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert job["tolerations"] == server["spec"]["tolerations"] == [{"operator": "Exists"}]
    ingress = one(objects, "Ingress", "kepler-model-server")
    assert ingress["spec"]["rules"][0]["host"] == "*.example.com"
    notes = ingress["metadata"]["annotations"]
    assert (notes["nginx.ingress.kubernetes.io/limit-rps"], notes["nginx.ingress.kubernetes.io/proxy-body-size"], notes["own"]) == ("7", "10m", "yes")
    assert one(objects, "ServiceMonitor", "kepler")["spec"]["endpoints"][0]["basicAuth"]["username"]["key"] == "user"
    assert one(objects, "ConfigMap", "kepler-dashboard-kepler")["metadata"]["namespace"] == "grafana"


def test_passwords_are_in_secrets():
    objects = template(*VARIANTS["odd"])
    web = yaml.safe_load(one(objects, "Secret", "kepler-web")["stringData"]["web.yaml"])
    assert set(web["basic_auth_users"]) == {"alice"}
    assert web["tls_server_config"]["cert_file"] == "/etc/kepler-certificate/tls.crt"
    assert not [made for made in of(objects, "ConfigMap") if "basic_auth" in json.dumps(made)]


def test_exporters_ask_the_model_server_that_is_theirs():
    def asked(values):
        container = one(template(values=values), "DaemonSet", "kepler")["spec"]["template"]["spec"]["containers"][0]
        return [flag for flag in container.get("args", []) if flag.startswith("--model-server.url")]

    assert asked({}) == []
    assert asked(APART) == ["--model-server.url=http://kepler-model-server.kepler-model-server.svc:8100"]
    assert asked(APART | {"exporter.modelServer": "none"}) == []
    assert asked({"exporter.modelServer": "http://models:8100"}) == ["--model-server.url=http://models:8100"]


def test_settings_roll_the_pods():
    def checksums(values):
        objects = template(values=SERVER | values)
        made = (one(objects, "DaemonSet", "kepler"), one(objects, "Deployment", "kepler-model-server"))
        return [each["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for each in made]

    (exporter, server), again = checksums({}), checksums({})
    assert again == [exporter, server]
    one_changed, other_changed = checksums({"exporter.config.monitor.interval": "10s"}), checksums({"modelServer.settings.ERROR_KEY": "mae"})
    assert one_changed[0] != exporter and one_changed[1] == server
    assert other_changed[0] == exporter and other_changed[1] != server


@pytest.mark.parametrize(
    "value",
    [
        "service.prot=1",
        "service.port=0",
        "exporter.pods=maybe",
        "exporter.modelServer=maybe",
        "modelServer.usageStore=redis",
        "modelServer.replica=2",
        "image.digest=sha256:12",
    ],
)
def test_a_wrong_value_is_refused_by_its_name(value):
    key = value.partition("=")[0].rpartition(".")[2]
    assert key in refused("--set", value)


def test_the_values_that_its_page_names_are_there():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = re.findall(r"^\| (`.+?`) \|", (CHART / "README.md").read_text(), re.MULTILINE)
    assert rows
    for names in (re.findall("`(.+?)`", row) for row in rows):
        for name in names:
            # A part of the one before, where it begins with a point
            path = names[0].split(".")[:-1] + name[1:].split(".") if name.startswith(".") else name.split(".")
            assert functools.reduce(lambda part, key: part[key], path, values) is not None, name


def refused(*flags):
    """What Helm says of values that it does not take."""
    command = [tool("helm"), "template", "kepler", str(CHART), "--kube-version", KUBERNETES, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr


def test_the_chart_is_packed_and_had_from_an_index(tmp_path):
    helm = tool("helm")
    packed = tmp_path / "packed"
    run(helm, "package", CHART, "--destination", packed)
    run(helm, "repo", "index", packed)
    own = {f"HELM_{kind}_HOME": str(tmp_path / kind) for kind in ("CONFIG", "CACHE", "DATA")} | os.environ
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=packed)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run(helm, "repo", "add", "kepler", f"http://127.0.0.1:{server.server_port}", env=own)
        text = run(helm, "template", "kepler", "kepler/kepler", "--kube-version", KUBERNETES, env=own)
        server.shutdown()
    assert one([made for made in yaml.safe_load_all(text) if made], "DaemonSet", "kepler")


def test_made_files_are_what_their_scripts_make(tmp_path):
    tool("helm")
    copy = shutil.copytree(DEPLOY, tmp_path / "deploy", symlinks=True)
    made = {
        "helm/make-schema.py": ["helm/kepler/values.schema.json"],
        "grafana/make.py": ["helm/kepler/files/dashboards/kepler.json", "helm/kepler/files/dashboards/serving.json"],
        "aws/make-templates.py": ["aws/kepler-k3s-stack.yaml", "aws/kepler-k3s-automated-stack.yaml"],
        "k8s/make.py": [f"k8s/{name}/{file}" for name in ("exporter", "server", "with-server") for file in ("kepler.yaml", "kustomization.yaml")],
    }
    for script, files in made.items():
        for file in files:
            (copy / file).unlink()
        run("python3", copy / script)
        changed = [file for file in files if (copy / file).read_text() != (DEPLOY / file).read_text()]
        assert not changed, f"{script} makes other files than those that are here"


def test_a_policy_lets_in_who_it_is_for():
    def policy(objects):
        return one(objects, "NetworkPolicy", "kepler")["spec"]["ingress"]

    on = {"networkPolicy.enabled": "true"}
    plain = policy(template(values=on))
    assert [rule["ports"][0]["port"] for rule in plain] == [28282]
    assert plain[0]["from"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    both = policy(template(values=on | HTTPS))
    assert [rule["ports"][0]["port"] for rule in both] == [28282, 30443]
    (server,) = one(template(values=on | APART), "NetworkPolicy", "kepler-model-server")["spec"]["ingress"]
    assert [port["port"] for port in server["ports"]] == [8100]
    labels = [(peer.get(f"{kind}Selector") or {}).get("matchLabels") for peer in server["from"] for kind in ("namespace", "pod")]
    name = "kubernetes.io/metadata.name"
    assert labels == [
        *({name: "ingress-nginx"}, None),
        *({name: "kepler-system"}, {"app": "kepler-exporter"}),
        *(None, {"app.kubernetes.io/name": "prometheus"}),
        *(None, {"app": "kepler-model-health"}),
    ]


def test_kubelets_are_asked_with_the_least_right_that_they_know():
    def rights(kubernetes):
        objects = template(values={"exporter.pods": "kubelet"}, kubernetes=kubernetes)
        return {resource for rule in one(objects, "ClusterRole", "kepler")["rules"] for resource in rule["resources"]}

    assert rights("1.34") == {"nodes", "nodes/pods"}
    assert rights("1.32") == {"nodes", "nodes/proxy"}


def test_rules_and_dashboards_are_in_the_objects():
    objects = template(["values-production.yaml"])
    groups = one(objects, "PrometheusRule", "kepler")["spec"]["groups"]
    assert {
        "kepler.energy",
        "kepler.power",
        "kepler.alerts",
        "kepler-model-server.alerts",
    } == {group["name"] for group in groups}
    boards = [made for made in of(objects, "ConfigMap") if "grafana_dashboard" in made["metadata"]["labels"]]
    titles = {json.loads(text)["title"] for made in boards for text in made["data"].values()}
    assert titles == {"Kepler: energy", "Kepler: model server"}
