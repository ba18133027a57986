"""The IPython magics ``%measure`` and ``%%measure``."""

from __future__ import annotations

from typing import Any

from kepler._measure import measure


def load(ipython: Any) -> None:
    """Register the magics with a running IPython."""
    from IPython.core.error import UsageError  # pyright: ignore

    def measure_magic(line: str, cell: str | None = None) -> None:
        """Tell what code used: ``%measure CODE``, or ``%%measure [process|thread]`` over a cell."""
        scope = (line.strip() if cell is not None else "") or "process"
        if scope not in ("process", "thread"):
            raise UsageError(f"%%measure takes process or thread, not {scope!r}")
        shown = ipython._showtraceback
        with measure(scope) as m:
            # What the code raises goes on to whoever ran the magic, and is shown there.
            ipython._showtraceback = _show_nothing
            try:
                result = ipython.run_cell(line if cell is None else cell)
            finally:
                ipython._showtraceback = shown
        print(m)  # noqa: T201
        result.raise_error()

    ipython.register_magic_function(measure_magic, magic_kind="line_cell", magic_name="measure")


def _show_nothing(*_traceback: object) -> None:
    pass
