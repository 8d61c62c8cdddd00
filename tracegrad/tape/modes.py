"""Whether operations are recorded: a state of each thread, switched by ``no_grad``.

>>> with no_grad():
...     is_grad_enabled()
False
>>> is_grad_enabled()
True
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from tracegrad.errors import TracingError
from tracegrad.ir.source import users_line

_Function = TypeVar("_Function", bound=Callable[..., Any])

_recording: ContextVar[Any] = ContextVar("recording", default=True)
_inference: ContextVar[bool] = ContextVar("inference", default=False)
_anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)

# True, False, or the Recorder of a run that is being frozen.
recording = _recording.get
is_inference_mode_enabled = _inference.get
is_anomaly_enabled = _anomaly.get


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are recorded."""
    state = recording()
    return state if type(state) is bool else state.enabled


class Recorder:
    """Records everything, whatever is switched: see ``freezing``.

    Attributes:
        enabled: whether gradients are wanted, as the function switched it.
    """

    enabled = True

    def switched(self, enabled: bool) -> Recorder:
        """The same one, with gradients wanted or not."""
        raise NotImplementedError


def recorder() -> Any:
    """What records a run that is being frozen; None otherwise."""
    state = recording()
    return None if type(state) is bool else state


@contextmanager
def enter_recorder(state: Recorder) -> Iterator[None]:
    """Record all operations inside."""
    token = _recording.set(state)
    try:
        yield
    finally:
        _recording.reset(token)


def refuse_frozen(what: str, todo: str) -> None:
    """Refuse what the record of a frozen run could not hold.

    Raises:
        TracingError: inside ``freeze``.
    """
    state = recorder()
    if state is not None:
        raise TracingError(f"{what} can't be frozen.", users_line(), todo)


def _switched(before: Any, value: bool) -> Any:
    return before.switched(value) if isinstance(before, Recorder) else value


class _Switch:
    """A context manager, and a decorator, that sets a state and puts it back.

    A decorated generator function has the state only while its own code runs.
    """

    _variable: ContextVar[Any] = _recording

    def __init__(self, value: bool) -> None:
        self._value = value
        self._before: list[Any] = []

    def __enter__(self) -> None:
        before = self._variable.get()
        self._before.append(before)
        self._variable.set(_switched(before, self._value))

    def __exit__(self, *error: object) -> None:
        self._variable.set(self._before.pop())

    def _again(self) -> _Switch:
        return type(self)()  # type: ignore[call-arg]

    def __call__(self, function: _Function) -> _Function:
        if inspect.isgeneratorfunction(function):
            wrapped = self._generator(function)
        else:

            def wrapped(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return function(*args, **kwargs)

        return functools.wraps(function)(wrapped)  # type: ignore[return-value]

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            inner = function(*args, **kwargs)
            step: Callable[[], Any] = inner.__next__
            while True:
                try:
                    with self._again():
                        made = step()
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield made
                except GeneratorExit:
                    with self._again():
                        inner.close()
                    raise
                except BaseException as error:
                    step = functools.partial(inner.throw, error)
                else:
                    step = functools.partial(inner.send, sent)

        return wrapped


class no_grad(_Switch):
    """Nothing is recorded inside: a context manager and a decorator."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Switch):
    """Operations are recorded inside, also within ``no_grad``."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_Switch):
    """Sets at once whether operations are recorded; as a context, until its end.

    Args:
        mode: whether they are.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self.mode = self._value
        self._before.append(_recording.get())
        self.__enter__()

    def __enter__(self) -> None:
        _recording.set(_switched(_recording.get(), self._value))

    def __call__(self, function: _Function) -> _Function:
        """Decorate a function; until it is called, nothing changes."""
        _recording.set(self._before.pop())
        return super().__call__(function)

    def _again(self) -> _Switch:
        return enable_grad() if self._value else no_grad()


class inference_mode(_Switch):
    """As ``no_grad``; tensors made inside can't take part in a gradient later.

    Args:
        mode: False leaves things as they are.
    """

    def __new__(cls, mode: Any = True) -> Any:
        """A context, or a decorated function."""
        self = super().__new__(cls)
        if callable(mode):  # used as a bare decorator
            self.__init__(True)  # type: ignore[misc]
            return self(mode)
        return self

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)
        self.mode = mode

    def __enter__(self) -> None:
        if self.mode:
            self._before += [_recording.get(), _inference.get()]
            _recording.set(_switched(_recording.get(), False))
            _inference.set(recorder() is None)

    def __exit__(self, *error: object) -> None:
        if self.mode:
            _inference.set(self._before.pop())
            _recording.set(self._before.pop())

    def _again(self) -> _Switch:
        made: _Switch = type(self)(self.mode)
        return made


class set_detect_anomaly(_Switch):
    """Whether the backward pass looks for NaN, and names the function that made it.

    Args:
        mode: whether it does.
    """

    _variable = _anomaly

    def __init__(self, mode: bool = True) -> None:
        super().__init__(mode)
        self._before.append(_anomaly.get())
        _anomaly.set(mode)

    def __enter__(self) -> None:
        _anomaly.set(self._value)


class detect_anomaly(_Switch):
    """The backward pass inside looks for NaN, and names the function that made it."""

    _variable = _anomaly

    def __init__(self) -> None:
        super().__init__(True)


__all__ = [
    "detect_anomaly",
    "enable_grad",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
