"""What listens when a gradient passes: hooks, and tensors that retain theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from tracegrad.tape.value import Value, made


class Handle:
    """Takes a hook away again."""

    def __init__(self, taps: list[Any], entry: Any) -> None:
        self._taps = taps
        self._entry = entry

    def remove(self) -> None:
        """Remove the hook; a second time does nothing."""
        if self._entry in self._taps:
            self._taps.remove(self._entry)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hook:
    """Is given the gradient of a tensor, and may return another one."""

    def __init__(self, function: Callable[..., Any], result: type[Value]) -> None:
        self.function = function
        self._result = result

    def before(self, bar: Any) -> Any:
        """The gradient that goes on."""
        given = bar if isinstance(bar, Value) else made(self._result, bar, None)
        back = self.function(given)
        if back is None:
            return bar
        if not isinstance(back, Value):
            raise TypeError(
                f"a hook must return a tensor or None, not a {type(back).__name__}"
            )
        if back._array.shape != given._array.shape:
            raise RuntimeError(
                "a hook has changed the shape of the gradient: from "
                f"{list(given._array.shape)} to {list(back._array.shape)}"
            )
        return back if isinstance(bar, Value) else back._array


class Prehook(Hook):
    """Is given the gradients of a node's results, as a tuple."""

    def before(self, bar: Any) -> Any:
        """The gradient that goes on."""
        inner = Hook(lambda given: _single(self.function((given,))), self._result)
        return inner.before(bar)


def _single(returned: Any) -> Any:
    return returned[0] if isinstance(returned, tuple) else returned


class Posthook:
    """Is given the gradients of a node's operands and results, after the fact."""

    def __init__(self, function: Callable[..., Any], result: type[Value]) -> None:
        self.function = function
        self._result = result

    def _tensor(self, bar: Any) -> Any:
        if bar is None or isinstance(bar, Value):
            return bar
        return made(self._result, bar, None)

    def after(self, pulled: Sequence[Any], bar: Any) -> Sequence[Any]:
        """The operands' gradients that go on."""
        outs = bar if isinstance(bar, list) else [bar]
        ins = tuple(map(self._tensor, pulled))
        back = self.function(ins, tuple(map(self._tensor, outs)))
        if back is None:
            return pulled
        return [
            b if b is None or isinstance(p, Value) else b._array
            for b, p in zip(back, pulled, strict=True)
        ]


class Retain:
    """Adds the gradient to ``.grad`` of a tensor that isn't a leaf."""

    def __init__(self, tensor: Value) -> None:
        self.tensor = ref(tensor)

    def before(self, bar: Any) -> Any:
        """The gradient as it came."""
        tensor = self.tensor()
        if tensor is not None:
            own = isinstance(bar, Value)
            new = bar if own else made(tensor._result, bar.copy(), None)
            tensor._grad = new if tensor._grad is None else tensor._grad + new
        return bar


def pass_through(taps: Sequence[Any], bar: Any) -> Any:
    """A gradient after every hook has seen it; those that retain it see the last."""
    for tap in tuple(taps):
        if isinstance(tap, Hook):
            bar = tap.before(bar)
    for tap in tuple(taps):
        if isinstance(tap, Retain):
            tap.before(bar)
    return bar


def observed(taps: Sequence[Any], pulled: Sequence[Any], bar: Any) -> Sequence[Any]:
    """A node's results after its post hooks have seen them."""
    for tap in tuple(taps):
        if isinstance(tap, Posthook):
            pulled = tap.after(pulled, bar)
    return pulled
