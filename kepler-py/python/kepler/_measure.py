"""Measuring blocks of code, functions and commands with one meter for the whole process."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

from kepler._kepler import EnergyMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kepler._kepler import Measurement

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

# The meter and the process that opened it: a child of fork() opens its own.
_meter: tuple[int, EnergyMeter] | None = None


def default_meter() -> EnergyMeter:
    """Return the meter of this process, opened when it is first needed."""
    global _meter
    process = os.getpid()
    if _meter is None or _meter[0] != process:
        _meter = (process, EnergyMeter())
    return _meter[1]


def measure(
    scope: str = "process", *, pid: int | None = None, cgroup: str | None = None, meter: EnergyMeter | None = None
) -> Measurement:
    """Measure a block of code.

    Parameters
    ----------
    scope
        ``"process"`` charges the block with the CPU time of all threads of this process and of its children that ended
        in the block; ``"thread"`` with that of the calling thread alone.
    pid, cgroup
        Another process, or everything in a cgroup by its path, in place of this process.
    meter
        The meter to read; by default one for the whole process, opened at the first use.

    Returns
    -------
    Measurement
        To be used in ``with`` or ``async with``; holds the figures afterwards, and those so far inside of the block.

    Examples
    --------
    >>> import kepler
    >>> with kepler.measure() as m:
    ...     total = sum(range(100_000))
    >>> m.seconds > 0 and m.cpu_seconds > 0
    True
    """
    return (meter or default_meter()).measure(scope, pid=pid, cgroup=cgroup)


def measure_command(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: str | os.PathLike[str] | None = None,
    meter: EnergyMeter | None = None,
) -> Measurement:
    """Run a command to its end and tell what it and its children used.

    An exception of a signal handler, such as KeyboardInterrupt, stops the command: by an interrupt, or by SIGTERM for
    any other exception, and by SIGKILL where it stays for five seconds.

    Parameters
    ----------
    command
        The program and its arguments, apart: ``["ls", "-l"]``. Input and output are this process's own.
    cwd
        The folder to run it in.
    meter
        The meter to read; by default one for the whole process.

    Examples
    --------
    >>> import kepler
    >>> kepler.measure_command(["true"]).returncode
    0
    """
    return (meter or default_meter()).measure_command(command, cwd=cwd)


class Measured(Protocol[P, R]):
    """A function that was decorated with :func:`measured`."""

    last: Measurement | None
    """What the call that ended last used; None before the first."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, measured."""
        ...

    @overload
    def __get__(self, instance: None, owner: type) -> Measured[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[..., R]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        """Bind a method to its instance."""
        ...


@overload
def measured(function: Callable[P, R]) -> Measured[P, R]: ...


@overload
def measured(
    *, scope: str = "process", meter: EnergyMeter | None = None
) -> Callable[[Callable[P, R]], Measured[P, R]]: ...


def measured(
    function: Callable[..., Any] | None = None, *, scope: str = "process", meter: EnergyMeter | None = None
) -> Any:
    """Measure every call of a function, async function or method, also of a class or static.

    The figures of the call that ended last are in the attribute ``last`` of the function.

    Parameters
    ----------
    function
        The function to measure.
    scope, meter
        As for :func:`measure`.

    Raises
    ------
    TypeError
        For what is no function, and for generators: what they do is done between the steps of whoever asks them.

    Examples
    --------
    >>> import kepler
    >>> @kepler.measured
    ... def step():
    ...     return sum(range(1000))
    >>> step()
    499500
    >>> step.last.cpu_seconds > 0
    True
    """
    if function is None:
        return functools.partial(measured, scope=scope, meter=meter)
    method: Any = function
    if type(method) in (classmethod, staticmethod):
        return type(method)(measured(scope=scope, meter=meter)(method.__func__))
    call: Callable[..., Any] = function
    if not callable(call):
        raise TypeError(f"measured: expected a function, not {type(call).__name__}")
    if _is(call, "isgeneratorfunction") or _is(call, "isasyncgenfunction"):
        raise TypeError("measured: a generator works between the steps of its loop; measure a block around the loop")

    if _is(call, "iscoroutinefunction"):

        @functools.wraps(call)
        async def measured_coroutine(*args: Any, **kwargs: Any) -> Any:
            m = measure(scope, meter=meter)
            try:
                with m:
                    return await call(*args, **kwargs)
            finally:
                wrapper.last = m

        wrapper: Measured[..., Any] = cast("Measured[..., Any]", measured_coroutine)
    else:

        @functools.wraps(call)
        def measured_function(*args: Any, **kwargs: Any) -> Any:
            m = measure(scope, meter=meter)
            try:
                with m:
                    return call(*args, **kwargs)
            finally:
                wrapper.last = m

        wrapper = cast("Measured[..., Any]", measured_function)
    wrapper.last = None
    return wrapper


def _is(function: Callable[..., Any], kind: str) -> bool:
    """Ask ``inspect`` about a function, or about the ``__call__`` of an object that is called like one."""
    import inspect

    ask: Callable[[object], bool] = getattr(inspect, kind)
    return ask(function) or (not inspect.isclass(function) and ask(type(function).__call__))
