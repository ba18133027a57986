"""The errors of the library: one class for each kind, all of them :class:`KeplerError`."""


class KeplerError(Exception):
    """Base of every error that this package raises."""

    is_temporary: bool = False
    """Whether trying the same call again later can help, as with a process that just ended."""


class NotFound(KeplerError, LookupError):
    """A file, process, zone, feature or model does not exist."""


class PermissionDenied(KeplerError, PermissionError):
    """The system forbids it to this user."""


class Malformed(KeplerError, ValueError):
    """Data is not what it should be."""


class InvalidInput(KeplerError, ValueError):
    """An argument or setting makes no sense."""


class TooLarge(KeplerError, ValueError):
    """An input is over a limit."""


class Unsupported(KeplerError, RuntimeError):
    """The machine, kernel or build cannot do it."""


class Io(KeplerError, OSError):
    """Reading or a kernel call failed in another way."""


class Forked(KeplerError, RuntimeError):
    """The object was opened before ``fork()``: open a new one in the child process."""


class Cancelled(KeplerError):
    """The caller asked to stop."""
