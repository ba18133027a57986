"""Training power models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from kepler._kepler import RawOptions, train_arrays, train_csv
from kepler._model import PowerModel
from kepler.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMPONENTS = ("package", "core", "uncore", "dram", "platform")


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
        The columns to learn from; by default every other column of numbers.
    trainer
        ``EnsembleTrainer``, or one of the public model database such as ``GradientBoostingRegressorTrainer``.
    time, machine
        The columns that tell when and on which machine a row was measured; rows are then held out in blocks of time, or
        by whole machines.
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

    Examples
    --------
    >>> import kepler
    >>> rows = {"bpf_cpu_time_ms": [0.0, 100.0, 200.0, 300.0], "package_power": [50.0, 52.0, 54.0, 56.0]}
    >>> model = kepler.train(rows, trainer="LinearRegressionTrainer", folds=2)
    >>> round(float(model.predict({"bpf_cpu_time_ms": 150.0})["package"][0]), 6)
    53.0
    """
    options = RawOptions(
        trainer, name, output_type, energy_source, source, seed, None if splits is None else list(splits), folds
    )
    if isinstance(data, (str, os.PathLike)):
        path = os.fspath(cast("str | os.PathLike[str]", data))
        raw = train_csv(path, None if features is None else list(features), options, progress)
        return PowerModel(raw)

    import numpy as np

    columns = _columns(data)
    targets = _targets(columns, target)
    taken = {*targets.values(), time, machine}
    if features is None:
        features = [
            column for column in columns if column not in taken and np.asarray(data[column]).dtype.kind in "iuf"
        ]
    order = None if time is None else np.argsort(np.asarray(_column(data, columns, time)), kind="stable")

    def column(wanted: str) -> Any:
        values = np.asarray(_column(data, columns, wanted))
        return values if order is None else values[order]

    if not features:
        raise InvalidInput("features: no column of numbers is left to learn from")
    rows = np.column_stack([column(feature).astype(float) for feature in features])
    watts = {component: column(watts).astype(float).tolist() for component, watts in targets.items()}
    machines = None if machine is None else np.unique(column(machine), return_inverse=True)[1].tolist()
    times = None if time is None else column(time).astype(float).tolist()
    return PowerModel(train_arrays(list(features), rows, watts, machines, times, options, progress))


def _columns(data: Any) -> list[str]:
    names: Any = list(cast("Mapping[str, Any]", data)) if isinstance(data, Mapping) else data.columns
    return [str(name) for name in names]


def _column(data: Any, columns: list[str], name: str) -> Any:
    if name not in columns:
        raise NotFound(f"column not found: {name}; there are {', '.join(columns)}")
    return data[name]


def _targets(columns: list[str], target: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return the column of watts by component."""
    if isinstance(target, str):
        component = target.removesuffix("_power")
        return {component if component in COMPONENTS else "platform": target}
    if target is not None:
        return dict(target)
    found = {component: f"{component}_power" for component in COMPONENTS if f"{component}_power" in columns}
    if not found:
        raise InvalidInput("target: no column is named after a component, such as package_power")
    return found
