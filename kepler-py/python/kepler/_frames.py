"""Snapshots as columns, for frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kepler._kepler import Snapshot

PLAIN = (
    *("pid", "start_seconds", "comm", "exe", "command", "cgroup", "container", "pod", "vm", "unit"),
    *("state", "cpu_seconds"),
)


def columns(snapshot: Snapshot) -> dict[str, list[Any]]:
    """Return the processes of a snapshot by column, but for their counters."""
    processes = snapshot.processes
    found: dict[str, list[Any]] = {name: [getattr(process, name) for process in processes] for name in PLAIN}
    for figure in ("joules", "idle_joules", "watts"):
        for domain in snapshot.node.domains:
            found[f"{figure}_{domain}"] = [getattr(process, figure).get(domain) for process in processes]
    return found
