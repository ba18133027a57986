"""One cluster for all tests of this folder, with the exporter's image in it."""

import os
from pathlib import Path

import pytest

import cluster

ROOT = Path(__file__).parents[3]
EXPORTER = Path(os.environ.get("KEPLER_EXPORTER", ROOT / "target/release/kepler-exporter"))
IMAGE = "docker.io/local/kepler-exporter:1"


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root")
    cluster.build()
    archive = tmp_path_factory.mktemp("image") / "exporter.tar"
    files = {"/kepler-exporter": EXPORTER, **cluster.libraries(EXPORTER)}
    cluster.image(IMAGE, archive, ["/kepler-exporter"], files)
    cluster.down()
    try:
        cluster.up([archive])
        yield cluster
    finally:
        if "KUBE_KEEP" not in os.environ:
            cluster.down()
