"""Tools of the tests: found on the path, or the test says what is missing; with CI set, nothing may be missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[1]
CHART = DEPLOY / "helm/kepler"


def tool(name):
    """The path of a program."""
    found = shutil.which(name)
    if not found:
        assert not os.environ.get("CI"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    return found


def run(*command, **options):
    """A command's standard output; what it says when it fails is the failure."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout
