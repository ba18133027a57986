"""``python -m kepler measure|doctor|top``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import kepler

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; the exit status is that of the measured command, 1 for an error, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except kepler.KeplerError as error:
        print(f"kepler: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kepler", description="How many joules it used.")
    parser.add_argument("--version", action="version", version=f"kepler {kepler.version()}")
    commands = parser.add_subparsers(required=True, metavar="measure|doctor|top")
    measure = commands.add_parser(
        "measure", help="run a command and tell what it used", usage="python -m kepler measure [--json] -- COMMAND..."
    )
    measure.add_argument("--json", action="store_true", help="print the figures as JSON")
    measure.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")
    measure.set_defaults(run=_measure, usage=measure)
    doctor = commands.add_parser("doctor", help="tell which sources work here, which do not, and what would change it")
    doctor.set_defaults(run=_doctor)
    top = commands.add_parser("top", help="show the processes that use most")
    top.add_argument("--interval", type=_seconds, default=2.0, metavar="SECONDS", help="time between samples (2)")
    top.add_argument("--count", type=_count, default=0, metavar="N", help="stop after N tables (0: never)")
    top.add_argument("--rows", type=_count, default=15, metavar="N", help="processes a table (15)")
    top.set_defaults(run=_top)
    return parser


def _seconds(text: str) -> float:
    with suppress(ValueError):
        seconds = float(text)
        if 0.01 <= seconds <= 86_400:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r}: give 0.01 to 86400 seconds")


def _count(text: str) -> int:
    with suppress(ValueError):
        count = int(text)
        if count >= 0:
            return count
    raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, 0 or more")


def _measure(options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        options.usage.error("which command?")
    # An interrupt is for the command, which has it from the terminal; what it used until then is still told.
    signal.signal(signal.SIGINT, _leave_it)
    # Whoever ends this program means the command.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup has it
            signal.signal(ending, _end)
    try:
        m = kepler.measure_command(command)
    except (kepler.NotFound, kepler.PermissionDenied) as error:
        print(f"kepler: {error}", file=sys.stderr)
        return 127 if isinstance(error, kepler.NotFound) else 126
    print(json.dumps(m.to_dict()) if options.json else f"kepler: {m}", file=sys.stderr)
    returncode = m.returncode or 0
    return returncode if returncode >= 0 else 128 - returncode


def _leave_it(_signal: int, _frame: object) -> None:
    pass


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _doctor(_options: argparse.Namespace) -> int:
    print(kepler.doctor().report.rstrip())
    return 0


def _top(options: argparse.Namespace) -> int:
    monitor = kepler.Monitor()
    monitor.sample()
    clear = "\x1b[H\x1b[J" if sys.stdout.isatty() and options.count != 1 else ""
    shown = 0
    while not options.count or shown < options.count:
        time.sleep(options.interval)
        print(clear + _table(monitor.sample(), options.rows), flush=True)
        shown += 1
    return 0


def _table(snapshot: kepler.Snapshot, rows: int) -> str:
    domains = snapshot.node.domains
    key = "package" if "package" in domains else next(iter(domains), "")
    busy = snapshot.node.busy_ratio
    power = [f"{name} {_watts(domain.watts, 1)} W" for name, domain in domains.items()]
    lines = ["  ".join([*power, f"busy {'?' if busy is None else f'{busy:.0%}'}"])]
    if key:
        source = domains[key].provenance
        lines[0] += f"  {source.origin} by {source.model or source.source}"
    lines.append(f"{'PID':>8} {'COMM':<16}" + "".join(f"{name + ' W':>12}" for name in domains) + "  PART OF")
    top = sorted(snapshot.processes, key=lambda process: process.watts.get(key, 0.0), reverse=True)
    for process in top[:rows]:
        figures = "".join(f"{_watts(process.watts.get(name), 3):>12}" for name in domains)
        part_of = process.vm or (process.container or "")[:12] or process.unit or ""
        lines.append(f"{process.pid:>8} {process.comm:<16}{figures}  {part_of}".rstrip())
    return "\n".join(lines)


def _watts(watts: float | None, digits: int) -> str:
    return "?" if watts is None else f"{watts:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
