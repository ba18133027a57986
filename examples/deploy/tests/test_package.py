"""The Debian package: installed into a clean root, started there, and removed."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import DEPLOY, run, tool
from test_rules import free_port, get, program, wait_for

TOP = DEPLOY.parents[1]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    profile = program("kepler-exporter").parent.name.replace("debug", "dev")
    made = tmp_path_factory.mktemp("deb") / "kepler-exporter.deb"
    run(tool("cargo"), "deb", "--no-build", "--fast", "--quiet", f"--profile={profile}", f"--output={made}", "-p", "kepler-exporter", cwd=TOP)
    return made


def test_the_package_says_what_it_is(package):
    fields = run("dpkg-deb", "--field", package)
    assert "Package: kepler-exporter\n" in fields
    version = re.search(r'^version = "(.+)"', (TOP / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert f"Version: {version}-1\n" in fields
    assert re.search(r"^Depends: libc6 \(>= 2\.\d+\), libgcc-s1$", fields, re.MULTILINE), fields
    listed = [line.split() for line in run("dpkg-deb", "--contents", package).splitlines()]
    assert {entry[1] for entry in listed} == {"0/0"}
    modes = {entry[5]: entry[0] for entry in listed if not entry[5].endswith("/")}
    assert modes == {
        "./usr/bin/kepler-exporter": "-rwxr-xr-x",
        "./usr/lib/systemd/system/kepler-exporter.service": "-rw-r--r--",
        "./etc/default/kepler-exporter": "-rw-r--r--",
        "./usr/share/doc/kepler-exporter/copyright": "-rw-r--r--",
    }


def test_it_works_in_a_clean_root_and_goes_without_a_trace(package, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("dpkg and chroot need root")
    root = tmp_path / "root"
    for folder in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "proc", "sys", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    # What a Debian has before: the packages that it depends on are not installed here, their libraries are copied.
    for path in re.findall(r"(/\S+) \(0x", run("ldd", program("kepler-exporter"))):
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(path).read_bytes())
        target.chmod(0o755)
    before = files(root)
    # Its scripts act on the root alone, and see no systemd that runs on this machine.
    hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
    dpkg = (*hidden, "dpkg", f"--root={root}", "--force-script-chrootless", "--force-depends", f"--log={tmp_path}/log")
    run(*dpkg, "--install", package)
    assert (root / "etc/systemd/system/multi-user.target.wants/kepler-exporter.service").is_symlink()
    unit = root / "usr/lib/systemd/system/kepler-exporter.service"
    command = re.search(r"^ExecStart=(\S+)", unit.read_text(), re.MULTILINE)[1]
    port = free_port()
    # The mounts end with the namespace.
    start = f"mount --rbind /proc {root}/proc && mount --rbind /sys {root}/sys && exec chroot {root} {command} --fake"
    child = subprocess.Popen(["unshare", "--mount", "sh", "-c", f"{start} --web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        assert b"kepler_node_cpu_joules_total" in get(f"http://127.0.0.1:{port}/metrics")
    finally:
        child.terminate()
        assert child.wait(20) == 0
    run(*dpkg, "--purge", "kepler-exporter")
    assert files(root) == before


def files(root):
    """All files but dpkg's own."""
    return {path.relative_to(root) for path in root.rglob("*") if path.is_file() and "dpkg" not in path.parts}
