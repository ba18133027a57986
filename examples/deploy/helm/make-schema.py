#!/usr/bin/env python3
"""Writes kepler/values.schema.json: a mistyped value is refused with its name. Types come from values.yaml; what a value may be
beyond its type, and which parts take any key, stand here."""

import json
from pathlib import Path

import yaml

CHART = Path(__file__).parent / "kepler"

# Parts whose keys are the user's own, or Kubernetes'
FREE = {
    "annotations", "podAnnotations", "podLabels", "labels", "extraEnvVars", "nodeSelector", "affinity", "resources",
    "updateStrategy", "config", "settings", "basicAuthUsers", "namespaceSelector", "podSelector",
    "startupProbe", "livenessProbe", "readinessProbe", "securityContext", "podSecurityContext", "attachMetadata", "endpoint",
    "redfish",
}  # fmt: skip
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
NODE_PORT = {"type": "integer", "minimum": 30000, "maximum": 32767}
PULL = {"enum": ["Always", "IfNotPresent", "Never"]}
DIGEST = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
COUNT = {"type": ["integer", "string"], "pattern": "^[0-9]+%?$", "minimum": 0}
MODEL = {
    "type": "object",
    "required": ["name", "url"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"},
        "url": {"type": "string", "minLength": 1},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
}
ONLY = {
    "exporter.pods": {"enum": ["kubelet", "apiserver", "none"]},
    "exporter.modelServer": {"type": "string", "pattern": "^(own|none|https?://.+|unix:/.+)$"},
    "exporter.https.port": PORT,
    "exporter.https.nodePort": NODE_PORT,
    "image.pullPolicy": PULL,
    "image.digest": DIGEST,
    "modelServer.image.digest": DIGEST,
    "service.port": PORT,
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "modelServer.image.pullPolicy": PULL,
    "modelServer.models": {"type": "array", "items": MODEL},
    "modelServer.replicas": {"type": "integer", "minimum": 0},
    "modelServer.service.port": PORT,
    "modelServer.service.nodePort": NODE_PORT,
    "modelServer.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "modelServer.strategy.maxSurge": COUNT,
    "modelServer.strategy.maxUnavailable": COUNT,
    "modelServer.podDisruptionBudget.minAvailable": COUNT,
    "modelServer.antiAffinity": {"enum": ["preferred", "required"]},
    "modelServer.usageStore": {
        "type": "string",
        "pattern": "^(configmap|file|memory|postgres(ql)?://.+)$",
    },
    "modelServer.autoscaling.targetCPU": {"type": "integer", "minimum": 1},
    "modelServer.autoscaling.targetMemory": {"type": "integer", "minimum": 1},
    "modelServer.ingress.pathType": {"enum": ["Prefix", "Exact", "ImplementationSpecific"]},
}
TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    type(None): "null",
}


def schema(value, path=""):
    name = path.rpartition(".")[2]
    if path in ONLY:
        return ONLY[path]
    if not isinstance(value, dict):
        return {"type": TYPES[type(value)]}
    made = {"type": "object"}
    if name not in FREE:
        made["additionalProperties"] = False
        made["properties"] = {key: schema(part, f"{path}.{key}".lstrip(".")) for key, part in value.items()}
    return made


if __name__ == "__main__":
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart kepler",
    }
    made |= schema(yaml.safe_load((CHART / "values.yaml").read_text()))
    # Helm puts this beside the values when the chart is a part of another.
    made["properties"]["global"] = {"type": "object"}
    (CHART / "values.schema.json").write_text(json.dumps(made, indent=2) + "\n")
