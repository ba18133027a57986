"""``python -m kepler`` and the IPython magics."""

import json
import subprocess
import sys

import pytest


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "kepler", *arguments], capture_output=True, text=True, check=False)


def test_measure_runs_the_command_and_tells_its_figures():
    done = run("measure", "--json", "--", sys.executable, "-c", "print('hello')")
    assert done.returncode == 0
    assert done.stdout == "hello\n"
    figures = json.loads(done.stderr)
    assert figures["cpu_seconds"] > 0
    assert figures["returncode"] == 0


def test_measure_ends_as_the_command_ended():
    assert run("measure", "--", "sh", "-c", "exit 3").returncode == 3
    assert run("measure", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_a_missing_program_is_one_clear_line():
    done = run("measure", "--", "no-such-program")
    assert done.returncode == 1
    assert "no-such-program" in done.stderr
    assert done.stderr.count("\n") == 1


def test_doctor_names_the_sources():
    done = run("doctor")
    assert done.returncode == 0
    assert "procfs" in done.stdout or "ebpf" in done.stdout


def test_top_prints_a_table():
    done = run("top", "--count", "1", "--interval", "0.2", "--rows", "3")
    assert done.returncode == 0
    assert "COMM" in done.stdout
    assert len(done.stdout.strip().splitlines()) <= 5


def test_the_cell_magic_prints_what_the_cell_used():
    testing = pytest.importorskip("IPython.testing.globalipapp")
    from IPython.utils.capture import capture_output

    shell = testing.start_ipython()
    shell.run_line_magic("load_ext", "kepler")
    with capture_output() as captured:
        shell.run_cell_magic("measure", "", "x = sum(range(1000))")
    assert shell.user_ns["x"] == 499500
    assert "Measurement(" in captured.stdout
