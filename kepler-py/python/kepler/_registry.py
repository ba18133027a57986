"""A pipeline of models, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kepler._kepler import RawRegistry
from kepler._model import PowerModel, names_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from kepler._kepler import MachineSpec, ModelEntry


@dataclass(frozen=True)
class Selection:
    """A chosen model."""

    model: PowerModel
    """The model."""
    path: str
    """Where it lies in the registry."""
    mae_watts: float
    """Its mean absolute error in watts, as the choice weighed it."""
    looseness: float
    """How far its machine is from the one that was asked for: 0 is the same."""


class ModelRegistry:
    """A folder or zip of the public model database, indexed once; models are read when they are first used."""

    __slots__ = ("_raw",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Index a pipeline, or a folder of several.

        Raises
        ------
        NotFound, Malformed, TooLarge
            For what cannot be read, is no pipeline, or is over the limits.
        """
        self._raw = RawRegistry(Path(path))

    def __len__(self) -> int:
        """Return how many models there are."""
        return len(self._raw)

    @property
    def entries(self) -> list[ModelEntry]:
        """All models, by pipeline and path."""
        return self._raw.entries()

    def model(self, entry: ModelEntry | str) -> PowerModel:
        """Read the model of an entry, or of an entry's path."""
        return PowerModel(self._raw.model(entry if isinstance(entry, str) else entry.path))

    def select(
        self,
        *,
        source: str,
        output_type: str,
        features: Iterable[str],
        machine: MachineSpec | None = None,
        node_type: int | None = None,
        trainer: str = "",
        filter: str = "",  # noqa: A002
        loose: bool = True,
        policy: str = "best",
    ) -> Selection | None:
        """Choose the best model for what is at hand.

        Parameters
        ----------
        source
            The meter whose power is to be predicted, such as ``"rapl-sysfs"`` or ``"acpi"``.
        output_type
            ``"AbsPower"`` for a whole node, ``"DynPower"`` for power above idle.
        features
            What can be measured.
        machine, node_type
            The machine that the model is for, by its attributes (``kepler.doctor().machine``) or by its number in the
            pipeline's index.
        trainer
            Part of the algorithm's name.
        filter
            What else the model must fulfil, such as ``"mae:5;features:cpu_cycles"``.
        loose
            Whether another machine type will do.
        policy
            ``"best"``, or ``"compatible"`` for what the older model server would choose.

        Returns
        -------
        Selection or None
            None when no model fits.
        """
        wanted = machine and (machine.processor, machine.cores, machine.chips, machine.memory, machine.frequency)
        at_hand = names_of("features", features)
        found = self._raw.select(source, output_type, at_hand, wanted, node_type, trainer, filter, loose, policy)
        if found is None:
            return None
        model, path, mae, looseness = found
        return Selection(PowerModel(model), path, mae, looseness)

    def __repr__(self) -> str:
        """Tell how many models there are."""
        return f"ModelRegistry({len(self)} models)"
