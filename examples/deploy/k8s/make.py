#!/usr/bin/env python3
"""Writes the plain manifests of this folder from the chart, for who does without Helm."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: kepler-system
  labels:
    # The exporter needs hostPID, two capabilities, and /proc and /sys of the host
    pod-security.kubernetes.io/enforce: privileged
---
"""
# The token is the user's to make: kubectl create secret generic kepler-model-server-admin --from-literal=token=...
SERVER = {
    "modelServer.enabled": "true",
    "modelServer.namespace": "kepler-model-server",
    "modelServer.adminTokenSecret": "kepler-model-server-admin",
}
WANTED = {
    "exporter": {},
    "with-server": SERVER,
    "server": SERVER | {"exporter.enabled": "false"},
}


def render(values):
    flags = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    command = [
        shutil.which("helm"),
        "template",
        "kepler",
        HERE.parent / "helm/kepler",
        "--namespace",
        "kepler-system",
    ]
    done = subprocess.run(
        [*command, "--kube-version", "1.34", "--skip-tests", *flags],
        check=True,
        capture_output=True,
        text=True,
    )
    # Nobody's release
    lines = [line for line in done.stdout.splitlines() if "helm.sh/chart" not in line and "managed-by" not in line]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name, values in WANTED.items():
        namespace = NAMESPACE if values.get("exporter.enabled") != "false" else ""
        (HERE / name).mkdir(exist_ok=True)
        (HERE / name / "kepler.yaml").write_text(f"# Made from the chart by make.py.\n{namespace}{render(values)}")
        (HERE / name / "kustomization.yaml").write_text("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [kepler.yaml]\n")
