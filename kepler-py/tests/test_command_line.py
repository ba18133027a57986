"""``python -m kepler`` and the IPython magics."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import kepler


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


@pytest.mark.parametrize(("program", "status"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_program_that_does_not_start_is_one_clear_line(program, status):
    done = run("measure", "--", program)
    assert done.returncode == status
    assert program in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["measure"], ["measure", "--"], ["measure", "--json"], ["guess"], ["doctor", "more"]]
    + [["top", "--interval", "0"], ["top", "--interval", "soon"], ["top", "--rows", "-1"]],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_how(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: python -m kepler")


def test_options_of_the_command_are_its_own():
    assert run("measure", "sh", "-c", "exit 4").returncode == 4
    done = run("measure", "--", "echo", "--", "--json")
    assert done.stdout == "-- --json\n"


def test_an_interrupt_is_the_commands_and_its_figures_are_told():
    program = [sys.executable, "-m", "kepler", "measure", "--json", "--", "sh", "-c", "echo on; exec sleep 60"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as measuring:
        assert measuring.stdout.readline() == "on\n"
        os.killpg(measuring.pid, signal.SIGINT)
        _, told = measuring.communicate(timeout=60)
    assert measuring.returncode == 130
    assert json.loads(told)["returncode"] == -signal.SIGINT


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_it_ends_the_command(ending, tmp_path):
    script = "echo $$ > pid.part; mv pid.part pid; exec sleep 600"
    program = [sys.executable, "-m", "kepler", "measure", "--", "sh", "-c", script]
    with subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as measuring:
        while not (tmp_path / "pid").exists():
            assert measuring.poll() is None
            time.sleep(0.01)
        measuring.send_signal(ending)
        assert measuring.communicate(timeout=60)[1] == ""
    assert measuring.returncode == 128 + ending
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_runs_on_when_its_terminal_is_gone_runs_on(tmp_path):
    script = "echo $$ > pid.part; mv pid.part pid; until test -e go; do sleep 0.01; done"
    program = ["nohup", sys.executable, "-m", "kepler", "measure", "--", "sh", "-c", script]
    with subprocess.Popen(
        program, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as measuring:
        while not (tmp_path / "pid").exists():
            assert measuring.poll() is None
            time.sleep(0.01)
        measuring.send_signal(signal.SIGHUP)
        (tmp_path / "go").touch()
        assert "of CPU time" in measuring.communicate(timeout=60)[1]
    assert measuring.returncode == 0


def test_help_and_version_are_told():
    for verb in ([], ["measure"], ["doctor"], ["top"]):
        assert run(*verb, "--help").stdout.startswith("usage: python -m kepler")
    assert run("--version").stdout == f"kepler {kepler.version()}\n"


def test_doctor_names_the_sources():
    done = run("doctor")
    assert done.returncode == 0
    assert "procfs" in done.stdout or "ebpf" in done.stdout


def test_top_prints_a_table():
    done = run("top", "--count", "1", "--interval", "0.2", "--rows", "3")
    assert done.returncode == 0
    power, titles, *rows = done.stdout.splitlines()
    assert " W  busy " in power
    assert titles.split()[:2] == ["PID", "COMM"]
    assert 1 <= len(rows) <= 3


def test_whoever_reads_a_table_may_leave():
    top = f"{sys.executable} -m kepler top --interval 0.05 --rows 2"
    done = subprocess.run(["sh", "-c", f"{top} | head -1"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.fixture
def shell():
    testing = pytest.importorskip("IPython.testing.globalipapp")
    shell = testing.start_ipython() or testing.get_ipython()
    shell.run_line_magic("reload_ext" if "kepler" in shell.extension_manager.loaded else "load_ext", "kepler")
    return shell


def run_cell(shell, cell):
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        result = shell.run_cell(cell)
    return result, captured.stdout + captured.stderr


def test_the_cell_magic_prints_what_the_cell_used(shell):
    result, shown = run_cell(shell, "%%measure\nx = sum(range(1000))")
    assert result.success
    assert shell.user_ns["x"] == 499500
    assert "Measurement(" in shown


def test_a_failing_cell_is_told_with_its_figures_and_fails_once(shell):
    for cell in ("%%measure\n1 / 0", "%measure 1 / 0", "%%measure thread\n1 / 0"):
        result, shown = run_cell(shell, cell)
        assert isinstance(result.error_in_exec, ZeroDivisionError)
        assert shown.count("ZeroDivisionError: ") == 1
        assert "Measurement(" in shown


def test_a_cell_magic_knows_its_words(shell):
    assert run_cell(shell, "%%measure thread\n1")[0].success
    result, shown = run_cell(shell, "%%measure galaxy\nnever = 1")
    assert not result.success
    assert "galaxy" in shown
    assert "never" not in shell.user_ns
