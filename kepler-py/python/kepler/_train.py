"""Training power models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from operator import index
from typing import TYPE_CHECKING, Any, cast

from kepler._kepler import RawColumns, RawOptions, train_arrays, train_csv
from kepler._model import PowerModel, column_names, column_of, lengths, names_of
from kepler.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def train(
    data: Any,
    *,
    target: str | Mapping[str, str] | None = None,
    features: Sequence[str] | None = None,
    trainer: str = "EnsembleTrainer",
    time: str | None = None,
    machine: str | None = None,
    name: str = "",
    output_type: str = "AbsPower",
    energy_source: str | None = None,
    source: str = "",
    splits: Sequence[str] | None = None,
    folds: int = 10,
    seed: int = 0,
    progress: Callable[[float, str], object] | None = None,
) -> PowerModel:
    """Train a power model on measured rows; its errors and intervals come from cross-validation.

    Parameters
    ----------
    data
        The path of a CSV file, a pandas or polars frame, or a mapping of column names to arrays. Counted things are per
        second.
    target
        The column of measured watts, or several as ``{"package": "package_power", ...}``. By default every column that
        is named ``<component>_power``.
    features
        The columns to learn from; by default every other column of numbers, but for those that tell power or energy
        by a word of their names, such as ``dram_power``, ``watts`` or ``joules_package``.
    trainer
        ``EnsembleTrainer``, or one of the public model database such as ``GradientBoostingRegressorTrainer``.
    time, machine
        The columns that tell when (in seconds, or as datetimes) and on which machine a row was measured; rows are then
        held out in blocks of time, or by whole machines. By default ``timestamp``, and ``node_type`` or ``machine``,
        where there are such columns.
    name, output_type, energy_source, source
        What the model is called, ``AbsPower`` or ``DynPower``, the meter, and where the rows come from.
    splits
        How rows are held out to measure the error: ``shuffled-part``, ``shuffled-folds``, ``blocked-folds``,
        ``machine-out``; by default what the rows allow. An empty list measures none.
    folds, seed
        How many folds, and the seed of whatever is random. The same seed gives the same model.
    progress
        Called as ``progress(done, stage)`` with ``done`` from 0 to 1. What it raises stops the training.

    Returns
    -------
    PowerModel
        The model, trained on all rows.

    Raises
    ------
    NotFound, InvalidInput, Malformed
        For columns that are not there, and rows or options that make no sense.
    TypeError
        For data that is no table, and columns whose names are no text.

    Examples
    --------
    >>> import kepler
    >>> rows = {"bpf_cpu_time_ms": [0.0, 100.0, 200.0, 300.0], "package_power": [50.0, 52.0, 54.0, 56.0]}
    >>> model = kepler.train(rows, trainer="LinearRegressionTrainer", folds=2)
    >>> round(float(model.predict({"bpf_cpu_time_ms": 150.0})["package"][0]), 6)
    53.0
    """
    options = RawOptions(
        trainer,
        name,
        output_type,
        energy_source,
        source,
        index(seed),
        None if splits is None else names_of("splits", splits),
        index(folds),
    )
    chosen = RawColumns(
        target if isinstance(target, str) else None,
        None if target is None or isinstance(target, str) else dict(target),
        None if features is None else names_of("features", features),
        time,
        machine,
    )
    if isinstance(data, (str, os.PathLike)):
        path = os.fspath(cast("str | os.PathLike[str]", data))
        return PowerModel(train_csv(path, chosen, options, progress))
    table = _Table(data)
    targets, inputs, time, machine = chosen.roles(table.names)
    if features is None:
        inputs = [name for name in inputs if table.is_numbers(name)]
        if not inputs:
            raise InvalidInput("features: no column of numbers is left to learn from")
    watts = {component: table.numbers(column).tolist() for component, column in targets.items()}
    machines = None if machine is None else table.numbered(machine)
    times = None if time is None else table.seconds(time)
    return PowerModel(train_arrays(inputs, table.rows(inputs), watts, machines, times, options, progress))


class _Table:
    """Columns of a frame or mapping, as arrays."""

    def __init__(self, data: Any) -> None:
        if not isinstance(data, Mapping) and not hasattr(data, "columns"):
            kind = type(data).__name__
            raise TypeError(f"data: expected the path of a CSV file, a frame or a mapping of columns, not {kind}")
        columns: Any = cast("Mapping[Any, Any]", data) if isinstance(data, Mapping) else data.columns
        self.names = column_names(columns)
        self._data: Any = data

    def is_numbers(self, name: str) -> bool:
        """Tell numbers from text and times; what may be meant as numbers and is not is an error."""
        import numpy as np

        array: Any = np.asarray(self._data[name])
        if array.dtype.kind in "iuf":
            return True
        texts: Any = array.ravel()
        if array.dtype.kind in "USTMm" or all(value is None or isinstance(value, (str, bytes)) for value in texts):
            return False
        raise InvalidInput(f"{name}: neither numbers nor text ({array.dtype}); convert it, or name the features")

    def numbers(self, name: str) -> Any:
        return column_of(self._data[name], name)

    def rows(self, names: list[str]) -> Any:
        import numpy as np

        columns = {name: self.numbers(name) for name in names}
        if len({len(column) for column in columns.values()}) > 1:
            raise InvalidInput(f"data: columns of unlike lengths: {lengths(columns)}")
        return np.column_stack(list(columns.values()))

    def seconds(self, name: str) -> list[float]:
        import numpy as np

        array: Any = np.asarray(self._data[name])
        if array.dtype.kind == "O" and all(isinstance(when, datetime) for when in array.ravel()):
            # What says no zone is of UTC, as NumPy's own times are.
            utc = [when if when.tzinfo else when.replace(tzinfo=timezone.utc) for when in array.ravel()]
            try:
                return [when.timestamp() for when in utc]
            except ValueError:
                raise InvalidInput(f"{name}: a time is missing") from None
        if array.dtype.kind == "M":
            if np.isnat(array).any():
                raise InvalidInput(f"{name}: a time is missing")
            return (array.astype("datetime64[ns]").astype(np.int64) / 1e9).tolist()
        return self.numbers(name).tolist()

    def numbered(self, name: str) -> list[int]:
        import numpy as np

        return np.unique(np.asarray(self._data[name]), return_inverse=True)[1].tolist()
