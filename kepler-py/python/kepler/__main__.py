"""``python -m kepler measure|doctor|top``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

import kepler

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; the exit status is that of the measured command, or 1 for an error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except kepler.KeplerError as error:
        print(f"kepler: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kepler", description="How many joules it used.")
    commands = parser.add_subparsers(required=True, metavar="measure|doctor|top")
    measure = commands.add_parser("measure", help="run a command and tell what it used")
    measure.add_argument("--json", action="store_true", help="print the figures as JSON")
    measure.add_argument("command", nargs="+", metavar="-- COMMAND", help="the program and its arguments")
    measure.set_defaults(run=_measure)
    doctor = commands.add_parser("doctor", help="tell which sources work here, which do not, and what would change it")
    doctor.set_defaults(run=_doctor)
    top = commands.add_parser("top", help="show the processes that use most")
    top.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="time between samples (2)")
    top.add_argument("--count", type=int, default=0, metavar="N", help="stop after N tables (0: never)")
    top.add_argument("--rows", type=int, default=15, metavar="N", help="processes a table (15)")
    top.set_defaults(run=_top)
    return parser


def _measure(options: argparse.Namespace) -> int:
    m = kepler.measure_command(options.command)
    print(json.dumps(m.to_dict()) if options.json else f"kepler: {m}", file=sys.stderr)
    returncode = m.returncode or 0
    return returncode if returncode >= 0 else 128 - returncode


def _doctor(_options: argparse.Namespace) -> int:
    print(kepler.doctor().report)
    return 0


def _top(options: argparse.Namespace) -> int:
    monitor = kepler.Monitor()
    monitor.sample()
    shown = 0
    while not options.count or shown < options.count:
        time.sleep(options.interval)
        print(_table(monitor.sample(), options.rows), flush=True)
        shown += 1
    return 0


def _table(snapshot: kepler.Snapshot, rows: int) -> str:
    domains = list(snapshot.node.domains)
    watts = {name: domain.watts for name, domain in snapshot.node.domains.items()}
    power = "  ".join(f"{name} {'?' if value is None else f'{value:.1f}'} W" for name, value in watts.items())
    busy = snapshot.node.busy_ratio
    lines = ["", f"{power}  busy {'?' if busy is None else f'{busy:.0%}'}"]
    lines.append(f"{'PID':>8} {'COMM':<16}" + "".join(f"{name + ' W':>14}" for name in domains))
    key = "package" if "package" in domains else next(iter(domains), "")
    top = sorted(snapshot.processes, key=lambda process: process.watts.get(key, 0.0), reverse=True)
    for process in top[:rows]:
        figures = "".join(f"{process.watts.get(name, 0.0):>14.3f}" for name in domains)
        lines.append(f"{process.pid:>8} {process.comm:<16}{figures}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
