"""Requests that the OpenAPI document allows, and many that it does not: no answer may be an error of the server, and each is as
the document says. Usage: fuzz.py SERVER [SECONDS]; schemathesis is on the path or beside this Python."""

import pathlib
import re
import subprocess
import sys
import threading

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,allow_header_conformance"
)


def main() -> int:
    server, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "50"
    command = [server, "--listen", "127.0.0.1:0", "-c", "/nonexistent", *sys.argv[3:]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            url = next(
                found[0]
                for line in running.stderr
                if (found := re.search(r"http://\S+", line))
            )
            # What it says later is read, so that it never waits for a full pipe.
            threading.Thread(target=lambda: list(running.stderr), daemon=True).start()
            beside = pathlib.Path(sys.executable).with_name("schemathesis")
            fuzzer = str(beside) if beside.exists() else "schemathesis"
            fuzz = [
                fuzzer,
                "run",
                f"{url}/openapi.json",
                "--checks",
                CHECKS,
                "--max-time",
                seconds,
            ]
            # Hypothesis itself may break while it looks for a worse case ("Index 51 out of range" in its shrinker); that
            # says nothing of the server, so another seed is tried. What the server does wrong ends the run at once.
            for seed in "123":
                done = subprocess.run(
                    [*fuzz, "--seed", seed, "--request-timeout", "30"],
                    check=False,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                print(done.stdout)
                code = done.returncode
                broken = "hypothesis/internal/conjecture" in done.stdout
                if not broken or " FAILURES " in done.stdout:
                    break
            if running.poll() is not None:
                print("the server ended")
                return 1
        finally:
            running.terminate()
        # In-flight work may take the stop's whole patience on a busy machine.
        return code or running.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
