"""How many joules a process, container or block of code used.

Measured where the hardware tells, estimated with a stated error where it does not.
"""

from kepler._kepler import version
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
    "Forked",
    "InvalidInput",
    "Io",
    "KeplerError",
    "Malformed",
    "NotFound",
    "PermissionDenied",
    "TooLarge",
    "Unsupported",
    "version",
]
__version__ = version()
