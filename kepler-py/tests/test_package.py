"""The wheel installs and works in a clean environment, with the network off and no compiler."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("maturin")
PACKAGE = Path(__file__).parents[1]


def offline():
    """Return a prefix that runs a command without a network, where the kernel lets us make one."""
    unshare = ["unshare", "--net", "--map-root-user"]
    works = shutil.which("unshare") and subprocess.run([*unshare, "true"], capture_output=True, check=False)
    return unshare if works and works.returncode == 0 else []


def test_the_wheel_works_in_a_clean_environment(tmp_path):
    maturin = Path(sys.executable).with_name("maturin")
    subprocess.run(
        [maturin, "build", "--quiet", "--out", tmp_path, "-m", PACKAGE / "Cargo.toml"], check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("kepler-*-abi3-*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-index", wheel]
    subprocess.run(
        [*offline(), *install], check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    program = "import kepler\nwith kepler.measure() as m: sum(range(10**6))\nprint(m.joules > 0, kepler.__file__)"
    done = subprocess.run([*offline(), python, "-c", program], check=True, capture_output=True, text=True, cwd=tmp_path)
    answer, place = done.stdout.split()
    assert answer == "True"
    assert place.startswith(str(tmp_path))
    # the types travel along
    assert (Path(place).parent / "py.typed").exists()
    assert (Path(place).parent / "_kepler.pyi").exists()
