"""The Debian package: installed into a clean root, started there, and removed."""

import os
import re
import subprocess
import time
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


@pytest.fixture
def booted(tmp_path):
    """Runs a command on a Debian of its own, whose first process is a real systemd."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    tool("systemd-analyze")
    spaces = [f"--{kind}" for kind in ("mount", "pid", "uts", "ipc", "net", "cgroup", "fork", "kill-child")]
    command = ["unshare", *spaces, "sh", Path(__file__).with_name("booted.sh"), tmp_path]
    with (tmp_path.with_suffix(".log")).open("w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")

    def inside(*words, **options):
        (first,) = children.read_text().split()
        there = ["nsenter", f"--target={first}", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd", *words]
        return subprocess.run(there, capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, **options)

    try:
        until(children.read_text, "the first process")
        until(lambda: inside("systemctl", "is-active", "basic.target").stdout.strip() == "active", "systemd")
        yield inside
    finally:
        child.kill()
        child.wait()


def until(holds, what, seconds=120):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def test_a_real_systemd_starts_it_as_an_ordinary_user_with_four_capabilities_and_stops_it_when_it_is_purged(package, booted):
    with package.open("rb") as held:
        booted("sh", "-c", "cat >/tmp/kepler.deb", stdin=held)
    installed = booted("dpkg", "--force-depends", "--install", "/tmp/kepler.deb")
    assert installed.returncode == 0, installed.stderr
    page = lambda path: booted("curl", "--silent", "--fail", f"http://127.0.0.1:28282{path}").stdout  # noqa: E731
    until(lambda: "ok" in page("/readyz"), "the exporter")
    until(lambda: "kepler_process_cpu_seconds_total" in page("/metrics"), "processes")
    pid = booted("systemctl", "show", "--property=MainPID", "--value", "kepler-exporter").stdout.strip()
    status = dict(line.split(":", 1) for line in booted("cat", f"/proc/{pid}/status").stdout.splitlines())
    assert "0" not in status["Uid"].split()
    # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == sum(1 << number for number in (2, 19, 38, 39))
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert booted("systemctl", "reload", "kepler-exporter").returncode == 0
    assert booted("systemctl", "is-active", "kepler-exporter").stdout.strip() == "active"
    assert booted("systemctl", "is-enabled", "kepler-exporter").stdout.strip() == "enabled"
    assert "usage by" in booted("journalctl", "--unit=kepler-exporter", "--output=cat").stdout
    purged = booted("dpkg", "--purge", "kepler-exporter")
    assert purged.returncode == 0, purged.stderr
    assert booted("systemctl", "is-active", "kepler-exporter").stdout.strip() == "inactive"
    assert not page("/readyz")


def files(root):
    """All files but dpkg's own."""
    return {path.relative_to(root) for path in root.rglob("*") if path.is_file() and "dpkg" not in path.parts}
