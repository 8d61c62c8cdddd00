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
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

_recording: ContextVar[bool] = ContextVar("recording", default=True)
_inference: ContextVar[bool] = ContextVar("inference", default=False)
_anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)

is_grad_enabled = _recording.get
is_inference_mode_enabled = _inference.get
is_anomaly_enabled = _anomaly.get


class _Switch:
    """A context manager, and a decorator, that sets a state and puts it back.

    A decorated generator function has the state only while its own code runs.
    """

    _variable: ContextVar[bool] = _recording

    def __init__(self, value: bool) -> None:
        self._value = value
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(self._variable.get())
        self._variable.set(self._value)

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
        _recording.set(self._value)

    def __enter__(self) -> None:
        _recording.set(self._value)

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
            _recording.set(False)
            _inference.set(True)

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
