"""The images of the Dockerfiles: small, and no more in them than they need. That they start, the other tests show."""

import json
import subprocess
import tarfile

import pytest

from conftest import EXPORTER, IMAGES, SERVER, TAGS

MEGABYTES = 40
# The newest glibc of gcr.io/distroless/cc-debian12
BASE_GLIBC = (2, 36)
PORTS = {"exporter": "28282/tcp", "model-server": "8100/tcp"}
USERS = {("exporter", ""): "0:0", ("exporter", "nonroot"): "1000:1000", ("model-server", ""): "1000:1000"}
CAPABILITIES = "SCHILY.xattr.security.capability"


def said(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def opened(archive):
    """The settings of an image, and the files of its layers."""
    with tarfile.open(archive) as tar:
        (about,) = json.load(tar.extractfile("manifest.json"))
        settings = json.load(tar.extractfile(about["Config"]))["config"]
        files = []
        for layer in about["Layers"]:
            with tarfile.open(fileobj=tar.extractfile(layer)) as held:
                files += held.getmembers()
        return about["RepoTags"][0], settings, files


@pytest.mark.parametrize(("name", "stage"), IMAGES)
def test_an_image_is_small_and_starts_its_program_as_the_user_that_it_is_for(archives, name, stage):
    for tag, archive in zip(TAGS, archives[name, stage], strict=True):
        title, settings, files = opened(archive)
        assert title == f"docker.io/local/kepler-{name}:{tag}{stage and f'-{stage}'}"
        assert settings["Entrypoint"] == [f"/kepler-{name}"]
        assert settings["User"] == USERS[name, stage]
        assert list(settings["ExposedPorts"]) == [PORTS[name]]
        assert settings["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
        size = sum(entry.size for entry in files)
        print(f"\n{title}: {size / 1e6:.1f} MB")
        assert size < MEGABYTES * 1_000_000
        (program,) = [entry for entry in files if entry.name.endswith(f"kepler-{name}")]
        assert program.mode & 0o111 == 0o111 and program.uid == 0
        assert (CAPABILITIES in program.pax_headers) == (stage == "nonroot")


def test_the_model_server_image_holds_nothing_but_it_and_certificates(archives):
    _, _, files = opened(archives["model-server", ""][0])
    assert {entry.name.strip("/") for entry in files if entry.isfile()} == {
        "etc/ssl/certs/ca-certificates.crt",
        "kepler-model-server",
    }
    assert "NEEDED" not in said("objdump", "-p", SERVER)


def test_the_exporter_finds_its_libraries_in_its_base_image(archives):
    _, _, files = opened(archives["exporter", ""][0])
    headers = said("objdump", "-p", EXPORTER)
    needed = {line.split()[1] for line in headers.splitlines() if "NEEDED" in line}
    assert needed and needed <= {entry.name.rpartition("/")[2] for entry in files}, needed
    versions = {tuple(map(int, word[6:].split("."))) for word in headers.split() if word.startswith("GLIBC_")}
    assert max(versions) <= BASE_GLIBC, max(versions)
