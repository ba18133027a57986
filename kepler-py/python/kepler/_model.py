"""Power models: from what a machine does to the watts it draws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kepler._kepler import RawModel
from kepler.errors import InvalidInput

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray


class Predictions(dict[str, "NDArray[np.float64]"]):
    """Watts by component, one value a row."""

    in_range: NDArray[np.bool_]
    """For each row, whether all its features lie in the range of the training data."""


@dataclass(frozen=True)
class Interval:
    """Predicted watts of one component, and the range that holds the true ones with a stated chance; a value a row."""

    watts: NDArray[np.float64]
    """The prediction."""
    low: NDArray[np.float64] | None
    """The lower end; None where nothing is known of the model's error."""
    high: NDArray[np.float64] | None
    """The upper end."""
    level: float | None
    """The chance, such as 0.9."""


class PowerModel:
    """A power model, ready to predict.

    Examples
    --------
    >>> import kepler
    >>> model = kepler.PowerModel.from_json('''{
    ...     "format": "kepler-model/1", "name": "mine", "output_type": "AbsPower",
    ...     "features": [{"name": "bpf_cpu_time_ms", "unit": "ms/s", "scale": 1.0}],
    ...     "components": {"package": {"estimator": {"kind": "linear", "intercept": 50.0, "weights": [0.02]}}}
    ... }''')
    >>> model.predict({"bpf_cpu_time_ms": [1000.0, 2000.0]})["package"].tolist()
    [70.0, 90.0]
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: RawModel) -> None:
        """Wrap a model of the core; use :meth:`load` or :meth:`from_json`."""
        self._raw = raw

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PowerModel:
        """Read a model: a file of the own format, or a file, folder or zip of the public model database.

        Raises
        ------
        NotFound, Malformed, Unsupported
            When there is none, when it is not what it should be, and for a format that is not known.
        """
        return cls(RawModel.load(Path(path)))

    @classmethod
    def from_json(cls, text: str | bytes) -> PowerModel:
        """Read a model of the own format (``kepler-model/1``) from memory."""
        return cls(RawModel.from_json(text.encode() if isinstance(text, str) else text))

    def to_json(self) -> str:
        """Return the model in the own format; reading it gives the same model, to the last bit."""
        return self._raw.to_json()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file in the own format."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @property
    def name(self) -> str:
        """The model's name."""
        return self._raw.name

    @property
    def features(self) -> list[str]:
        """The features' names, in column order."""
        return self._raw.features

    @property
    def components(self) -> list[str]:
        """The parts of the machine whose power is predicted: package, core, uncore, dram, platform."""
        return self._raw.components

    @property
    def output_type(self) -> str:
        """``AbsPower`` for the power of a whole node, ``DynPower`` for power above idle."""
        return self._raw.output_type

    @property
    def energy_source(self) -> str | None:
        """The meter whose power the model was trained on."""
        return self._raw.energy_source

    def predict(self, data: Any) -> Predictions:
        """Predict watts.

        Parameters
        ----------
        data
            A mapping of feature names to values or arrays, a pandas or polars frame (columns that the model does not
            know are left alone), or an array of shape (rows, features) with columns in the order of :attr:`features`.
            A float64 array is read in place.

        Returns
        -------
        Predictions
            Watts by component, never negative; ``in_range`` tells which rows lie in the range of the training data.

        Raises
        ------
        NotFound
            For a feature that is missing, or that the model does not know.
        InvalidInput
            For another number of columns, and for values that are NaN or infinite.
        """
        rows, names, strict = _rows(data, self.features)
        watts, in_range = self._raw.predict(rows, names, strict)
        predictions = Predictions(watts)
        predictions.in_range = in_range
        return predictions

    def predict_with_interval(self, data: Any) -> dict[str, Interval]:
        """Predict watts with the range that holds the true ones with a stated chance.

        Parameters
        ----------
        data
            As for :meth:`predict`.
        """
        intervals: dict[str, Interval] = {}
        for component, watts in self.predict(data).items():
            low, high, level = self._raw.interval(component, watts) or (None, None, None)
            intervals[component] = Interval(watts, low, high, level)
        return intervals

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain dictionaries, lists, strings and numbers."""
        return json.loads(self.to_json())

    def __str__(self) -> str:
        """Return the model card."""
        return str(self._raw)

    def __repr__(self) -> str:
        """Name the model, what it needs and what it predicts."""
        return f"PowerModel({self.name!r}, {', '.join(self.features)} -> {', '.join(self.components)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the text of the own format."""
        return PowerModel.from_json, (self.to_json(),)


def _rows(data: Any, features: list[str]) -> tuple[Any, list[str] | None, bool]:
    """Return a 2-D array, its columns' names where it has some, and whether unknown names are an error."""
    import numpy as np

    if isinstance(data, Mapping):
        named = {name: column_of(column, name) for name, column in cast("Mapping[Any, Any]", data).items()}
        try:
            columns = np.broadcast_arrays(*named.values())
        except ValueError:
            raise InvalidInput(f"data: columns of unlike lengths: {lengths(named)}") from None
        return np.column_stack(columns) if columns else np.empty((0, 0)), column_names(named), True
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):
        names = [name for name in features if name in data.columns]
        return numbers(data[names].to_numpy(), "data"), names, False
    rows = np.atleast_2d(numbers(data, "data"))
    if rows.ndim > 2:
        raise InvalidInput(f"data: expected shape (rows, features), found {rows.shape}")
    return rows, None, True


def column_of(values: Any, name: object) -> NDArray[np.float64]:
    """Return one number a row; a number alone is one row."""
    import numpy as np

    column = np.atleast_1d(numbers(values, name))
    if column.ndim > 1:
        raise InvalidInput(f"{name}: expected one number a row, found shape {column.shape}")
    return column


def numbers(values: Any, name: object) -> NDArray[np.float64]:
    """Return real numbers as an array; what would lose a part of what it says is refused."""
    import numpy as np

    if np.ma.is_masked(values):
        raise InvalidInput(f"{name}: values are masked; fill them, or leave their rows out")
    try:
        array = np.asarray(values)
        if array.dtype.kind != "c":
            return array.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}: expected numbers: {error}") from None
    raise InvalidInput(f"{name}: expected real numbers, found complex ones")


def names_of(what: str, names: Iterable[str]) -> list[str]:
    """Return a list of names; one name alone would be taken for a list of letters."""
    if isinstance(names, str):
        raise TypeError(f"{what}: give a list of names, as in [{names!r}]")
    return list(names)


def column_names(names: Iterable[object]) -> list[str]:
    """Return names of columns, which are text."""
    found = list(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"data: columns are named by str, not by {type(name).__name__} ({name!r})")
    return cast("list[str]", found)


def lengths(columns: Mapping[Any, Any]) -> str:
    """Tell how long columns are."""
    return ", ".join(f"{name} {len(column)}" for name, column in columns.items())
