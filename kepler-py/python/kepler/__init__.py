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

from typing import TYPE_CHECKING, Any

from kepler._kepler import (
    Container,
    Diagnosis,
    DomainEnergy,
    Ended,
    EnergyMeter,
    MachineSpec,
    MeasuredZone,
    Measurement,
    ModelEntry,
    Monitor,
    Node,
    Note,
    Pod,
    Process,
    Provenance,
    Snapshot,
    Sources,
    VirtualMachine,
    Zone,
    doctor,
    version,
)
from kepler._measure import Measured, measure, measure_command, measured
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

if TYPE_CHECKING:
    from kepler._model import Interval, PowerModel, Predictions
    from kepler._registry import ModelRegistry, Selection
    from kepler._train import train

__all__ = [
    "Cancelled",
    "Container",
    "Diagnosis",
    "DomainEnergy",
    "Ended",
    "EnergyMeter",
    "Forked",
    "Interval",
    "InvalidInput",
    "Io",
    "KeplerError",
    "MachineSpec",
    "Malformed",
    "Measured",
    "MeasuredZone",
    "Measurement",
    "ModelEntry",
    "ModelRegistry",
    "Monitor",
    "Node",
    "NotFound",
    "Note",
    "PermissionDenied",
    "Pod",
    "PowerModel",
    "Predictions",
    "Process",
    "Provenance",
    "Selection",
    "Snapshot",
    "Sources",
    "TooLarge",
    "Unsupported",
    "VirtualMachine",
    "Zone",
    "doctor",
    "measure",
    "measure_command",
    "measured",
    "train",
    "version",
]
__version__ = version()

# What has to do with models is imported when it is first asked for, so that measuring costs no more than it must.
_LATER = {
    "Interval": "kepler._model",
    "ModelRegistry": "kepler._registry",
    "PowerModel": "kepler._model",
    "Predictions": "kepler._model",
    "Selection": "kepler._registry",
    "train": "kepler._train",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def load_ipython_extension(ipython: Any) -> None:
    """Add the magics ``%measure`` and ``%%measure``; called by ``%load_ext kepler``."""
    from kepler._ipython import load

    load(ipython)
