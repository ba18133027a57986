"""What goes into the images, built by the Dockerfiles' own commands (`make programs`)."""

import re
import subprocess

import images
from conftest import EXPORTER, ROOT, SERVER

MEGABYTES = 40
# Of gcr.io/distroless/cc-debian12, which holds nothing else that a program links to.
BASE_LIBRARIES = {
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
}
BASE_BYTES = 24 << 20
BASE_GLIBC = (2, 36)


def said(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def test_the_commands_are_those_of_the_dockerfiles():
    makefile = (ROOT / "Makefile").read_text()
    for name, target in (("exporter", ""), ("model-server", " --target $(MUSL)")):
        command = f"cargo build --release --locked -p kepler-{name}"
        assert command + target in makefile
        musl = " --target x86_64-unknown-linux-musl" if target else ""
        assert command + musl in (ROOT / f"examples/{name}/Dockerfile").read_text()


def test_the_model_server_is_static_and_small(tmp_path):
    assert "NEEDED" not in said("objdump", "-p", SERVER)
    assert said(SERVER, "--version").startswith("kepler-model-server ")
    made = images.image("server:1", tmp_path / "image.tar", ["/kepler-model-server"], {"/kepler-model-server": SERVER})
    assert made.stat().st_size < MEGABYTES << 20


def test_the_exporter_links_to_what_its_base_image_has(tmp_path):
    headers = said("objdump", "-p", EXPORTER)
    needed = set(re.findall(r"NEEDED +(\S+)", headers)) - {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
    assert needed and needed <= BASE_LIBRARIES, needed
    versions = {tuple(int(n) for n in v.split(".")) for v in re.findall(r"GLIBC_([\d.]+)", headers)}
    assert max(versions) <= BASE_GLIBC, max(versions)
    made = images.image("exporter:1", tmp_path / "image.tar", ["/kepler-exporter"], {"/kepler-exporter": EXPORTER})
    assert made.stat().st_size + BASE_BYTES < MEGABYTES << 20
