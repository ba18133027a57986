"""fork(): what was opened before it raises in the child or is opened anew, and the parent's totals are unharmed."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
import urllib.request
import warnings

import pytest
from conftest import burn

import kepler


def in_child(check):
    """Run `check` after fork() and return what it returned, or the name of what it raised."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            answer = str(check())
        except BaseException as error:  # noqa: BLE001
            answer = type(error).__name__
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


def test_the_default_meter_is_opened_anew_in_a_child():
    with kepler.measure() as parent:
        burn(0.01)

        def child():
            with kepler.measure("thread") as m:
                burn(0.02)
            return 0.02 <= m.cpu_seconds < 0.04

        assert in_child(child) == "True"
    assert parent.cpu_seconds >= 0.01


def test_a_block_that_crosses_a_fork_is_forked():
    with kepler.measure() as m:
        assert in_child(lambda: m.joules) == "Forked"
        assert in_child(lambda: m.__exit__(None, None, None)) == "Forked"
    assert m.seconds > 0


def test_a_child_that_leaves_a_block_by_exit_leaves_it_quietly():
    program = """
import os, sys, kepler
with kepler.measure():
    if os.fork() == 0:
        sys.exit(0)
    status = os.wait()[1]
sys.exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_monitor_that_crosses_a_fork_is_forked_and_the_parents_goes_on():
    monitor = kepler.Monitor(fake=True, usage="procfs")
    monitor.sample()
    time.sleep(0.02)
    before = monitor.sample().node.domains["package"].joules
    assert in_child(monitor.sample) == "Forked"
    time.sleep(0.02)
    after = monitor.sample().node.domains["package"].joules
    assert before < after
    # 20 W of the scripted meter over a few tenths of a second at most
    assert after < 20.0


def work(seconds):
    with kepler.measure("thread") as m:
        burn(seconds)
    return m.cpu_seconds


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_workers_measure_for_themselves(method):
    work(0.001)  # the parent's meter is open before the workers start
    with multiprocessing.get_context(method).Pool(2) as pool:
        figures = pool.map(work, [0.01, 0.02, 0.03])
    assert all(asked <= got < asked + 0.02 for asked, got in zip([0.01, 0.02, 0.03], figures, strict=True))


def test_a_pre_fork_server_measures_in_its_workers(tmp_path):
    pytest.importorskip("gunicorn")
    (tmp_path / "app.py").write_text(
        textwrap.dedent("""
            import kepler
            with kepler.measure():
                pass  # opened before the workers are forked (preload)
            def app(environ, start_response):
                with kepler.measure("thread") as m:
                    sum(range(100_000))
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [b"%.6f" % m.cpu_seconds]
        """)
    )
    address = tmp_path / "address"
    (tmp_path / "conf.py").write_text(
        "def when_ready(server):\n"
        f"    open({str(address)!r}, 'w').write(str(server.LISTENERS[0].sock.getsockname()[1]))\n"
    )
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "--preload", "-b", "127.0.0.1:0", "-c", "conf.py"]
    with subprocess.Popen([*command, "--log-level", "critical", "app:app"], cwd=tmp_path) as server:
        try:
            for _ in range(200):
                if address.exists() and address.read_text():
                    break
                time.sleep(0.05)
            for _ in range(6):
                url = f"http://127.0.0.1:{address.read_text()}/"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    assert 0 < float(answer.read()) < 1
        finally:
            server.terminate()
