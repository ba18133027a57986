"""How many joules a process, container or block of code used.

Measured where the hardware tells, estimated with a stated error where it does not.

Examples
--------
>>> import kepler
>>> with kepler.measure() as m:
...     total = sum(range(100_000))
>>> m.seconds >= 0 and m.cpu_seconds >= 0
True
"""

from typing import Any

from kepler._kepler import (
    Diagnosis,
    EnergyMeter,
    MachineSpec,
    Measurement,
    ModelEntry,
    Monitor,
    Provenance,
    Snapshot,
    Sources,
    doctor,
    version,
)
from kepler._measure import Measured, measure, measure_command, measured
from kepler._model import Interval, PowerModel, Predictions
from kepler._registry import ModelRegistry, Selection
from kepler._train import train
from kepler.errors import (
    Cancelled,
    Forked,
    InvalidInput,
    Io,
    KeplerError,
    Malformed,
    NotFound,
    PermissionDenied,
    TooLarge,
    Unsupported,
)

__all__ = [
    "Cancelled",
    "Diagnosis",
    "EnergyMeter",
    "Forked",
    "Interval",
    "InvalidInput",
    "Io",
    "KeplerError",
    "MachineSpec",
    "Malformed",
    "Measured",
    "Measurement",
    "ModelEntry",
    "ModelRegistry",
    "Monitor",
    "NotFound",
    "PermissionDenied",
    "PowerModel",
    "Predictions",
    "Provenance",
    "Selection",
    "Snapshot",
    "Sources",
    "TooLarge",
    "Unsupported",
    "doctor",
    "measure",
    "measure_command",
    "measured",
    "train",
    "version",
]
__version__ = version()


def load_ipython_extension(ipython: Any) -> None:
    """Add the magics ``%measure`` and ``%%measure``; called by ``%load_ext kepler``."""
    from kepler._ipython import load

    load(ipython)
