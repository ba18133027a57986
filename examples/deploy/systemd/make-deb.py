#!/usr/bin/env python3
"""make-deb.py PROGRAM FOLDER: a Debian package of the exporter with its unit; prints where it is. Needs dpkg-deb."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parents[2]
NAME = "kepler-exporter"
UNIT = f"{NAME}.service"
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: {authors}
Depends: libc6 (>= 2.36), libgcc-s1
Section: admin
Priority: optional
Homepage: {repository}
Description: energy of processes, containers and virtual machines
 A Prometheus exporter. It measures where the hardware tells, and estimates
 with a stated error where it does not.
"""
# Scripts act on a running systemd alone: not on a root that is being made (DPKG_ROOT), not in a container.
SCRIPT = '#!/bin/sh\nset -e\nif [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then\n{lines}fi\n'
SCRIPTS = {
    "postinst": f"    systemctl daemon-reload\n    systemctl enable {UNIT}\n    systemctl restart {UNIT}\n",
    "prerm": f'    if [ "$1" = remove ]; then systemctl disable --now {UNIT}; fi\n',
    "postrm": "    systemctl daemon-reload\n",
}


def said(key):
    """What the workspace's manifest says of all its packages."""
    return re.search(rf'^{key} = \[?"(.+?)"', (TOP / "Cargo.toml").read_text(), re.MULTILINE)[1]


def make(program, folder):
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    version = said("version")
    files = {
        f"usr/bin/{NAME}": (program, 0o755),
        f"usr/lib/systemd/system/{UNIT}": (HERE / UNIT, 0o644),
        f"etc/default/{NAME}": (HERE / f"{NAME}.default", 0o644),
        f"usr/share/doc/{NAME}/copyright": (TOP / "LICENSE", 0o644),
    }
    with tempfile.TemporaryDirectory() as root:
        for path, (source, mode) in files.items():
            target = Path(root, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
            target.chmod(mode)
        Path(root).chmod(0o755)
        control = Path(root, "DEBIAN")
        control.mkdir()
        facts = {"name": NAME, "version": version, "architecture": architecture}
        facts |= {"authors": f"{said('authors')} <kepler@localhost>", "repository": said("repository")}
        (control / "control").write_text(CONTROL.format(**facts))
        (control / "conffiles").write_text(f"/etc/default/{NAME}\n")
        for name, lines in SCRIPTS.items():
            (control / name).write_text(SCRIPT.format(lines=lines))
            (control / name).chmod(0o755)
        made = Path(folder, f"{NAME}_{version}_{architecture}.deb")
        made.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, made], check=True, stdout=subprocess.DEVNULL)
    return made


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(make(*sys.argv[1:]))
