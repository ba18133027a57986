"""The IPython magics ``%measure`` and ``%%measure``."""

from __future__ import annotations

from typing import Any

from kepler._measure import measure


def load(ipython: Any) -> None:
    """Register the magics with a running IPython."""

    def measure_magic(line: str, cell: str | None = None) -> None:
        with measure() as m:
            result = ipython.run_cell(cell if cell is not None else line)
        result.raise_error()
        print(m)  # noqa: T201

    ipython.register_magic_function(measure_magic, magic_kind="line_cell", magic_name="measure")
