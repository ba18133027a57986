#!/usr/bin/env bash
# Runs on the instance, as root, in a folder with kepler.tgz and perhaps images/*.tar: K3s, then the chart. May be run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
REGISTRY=${REGISTRY:-}
K3S_VERSION=${K3S_VERSION:-v1.34.2+k3s1}
HELM_VERSION=${HELM_VERSION:-v3.22.0}
export KUBECONFIG=/etc/rancher/k3s/k3s.yaml

step() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*"; }

if ! command -v k3s >/dev/null; then
    step "installing K3s $K3S_VERSION"
    curl -fsSL --retry 5 https://get.k3s.io | INSTALL_K3S_VERSION=$K3S_VERSION sh -s - --disable traefik --write-kubeconfig-mode 600
fi
step "waiting for the node"
until k3s kubectl get nodes 2>/dev/null | grep -q ' Ready'; do sleep 2; done

shopt -s nullglob
for image in images/*.tar; do
    step "importing $image"
    k3s ctr images import "$image"
done
if ! command -v helm >/dev/null; then
    step "installing Helm"
    curl -fsSL --retry 5 https://raw.githubusercontent.com/helm/helm/main/scripts/get-helm-3 | DESIRED_VERSION=$HELM_VERSION bash
fi

step "installing the chart"
values=(--set exporter.https.enabled=true --set modelServer.enabled=true --set modelServer.namespace=kepler-model-server
    --set modelServer.replicas=1 --set modelServer.autoscaling.enabled=false --set modelServer.podDisruptionBudget.enabled=false)
if [[ -n $REGISTRY ]]; then
    values+=(--set "image.repository=$REGISTRY/kepler-exporter" --set "modelServer.image.repository=$REGISTRY/kepler-model-server")
fi
helm upgrade --install kepler kepler.tgz --namespace kepler-system --create-namespace "${values[@]}" --wait --timeout 10m
step "ready: https://<this address>:30443/metrics"
