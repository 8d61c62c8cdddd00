"""``debug_nans``: which line makes a NaN or an infinity, forward or backward.

Compiled kernels run at full speed until one returns something that isn't finite. Then
its graph is evaluated again with NumPy, equation by equation. Many make such numbers
that nothing depends on: the branch that ``where`` doesn't take. So each is put to the
test: with every other one replaced by 1, does the result still contain it?
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad import derivatives, pytree
from tracegrad.compiled import Compiled
from tracegrad.errors import TracegradError, TracingError
from tracegrad.ir.graph import Equation, Graph
from tracegrad.ir.primitive import Scalar
from tracegrad.traces.evaluate import evaluate
from tracegrad.traces.inputs import describe
from tracegrad.traces.scope import current
from tracegrad.traces.source import trace
from tracegrad.transforms.custom_call import expand_custom_calls

# What hands on what is there, or makes room for what will be.
_MOVING = {
    "alloc",
    "reserve",
    "copy",
    "load",
    "store",
    "grow",
    "for_",
    "while_",
    "cond",
}
_PATIENCE = 10
_watching: ContextVar[bool] = ContextVar("debug_nans", default=False)
_lock = threading.Lock()
_open = 0


class NotFinite(TracegradError, FloatingPointError):
    """A NaN or an infinity was computed, at the user's line."""


@contextmanager
def debug_nans() -> Iterator[None]:
    """Raise where a compiled function returns a NaN or an infinity: at its origin.

    It concerns calls in this context only, not other threads or asynchronous tasks, and
    calls from Python, not from nopython code. Calls that return finite numbers are not
    looked into; nor are NaNs that don't reach the result.

    Raises:
        NotFinite: a FloatingPointError that names the operation, its operands, the
            user's line, and whether it is in the function or in its derivative.

    >>> from tracegrad import grad
    >>> with debug_nans():
    ...     grad(lambda x: np.sqrt(x))(4.0)
    0.25
    """
    global _open
    with _lock:
        _open += 1
        # A call is a partial's, implemented in C, while nobody watches.
        Compiled.__call__ = _checked  # type: ignore[assignment]
    token = _watching.set(True)
    try:
        yield
    finally:
        _watching.reset(token)
        with _lock:
            _open -= 1
            if not _open:
                del Compiled.__call__


def _checked(self: Compiled, *args: Any, **kwargs: Any) -> Any:
    """A call, and where it is watched a second look at a result that isn't finite."""
    result = functools.partial.__call__(self, *args, **kwargs)
    watched = _watching.get() and current() is None
    if watched and not _finite(pytree.leaves(result)):
        kwargs.pop("out", None)
        _explain(self, args, kwargs)
    return result


def _finite(values: Sequence[Any]) -> bool:
    return all(
        bool(np.all(np.isfinite(x)))
        for x in values
        if isinstance(x, (float, np.floating, np.ndarray))
        and np.asarray(x).dtype.kind == "f"
    )


def _explain(function: Compiled, args: Any, kwargs: Any) -> None:
    """Raise at the line that is to blame, if it can be found.

    Raises:
        NotFinite: there.
    """
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    try:
        spec = function.specialised(bound.args, bound.kwargs)
    except TracingError:
        name = getattr(function, "__name__", "this function")
        raise NotFinite(
            f"the result of {name} is not finite; it was computed on the tape.",
            todo="Use np.errstate(all='raise'), whose traceback shows the line.",
        ) from None
    leaves, tree = pytree.flatten((bound.args, bound.kwargs))
    inputs = spec.inputs(leaves)
    healed = _Run(spec.graph, inputs)
    if not healed.finite:
        for leaf, value in zip(spec.traced.leaves, leaves, strict=True):
            if not _finite([value]):
                raise NotFinite(f"argument {leaf.name} is not finite.")
        return  # a constant of the program is infinite
    found = _first(spec.graph, inputs, healed)
    if found is not None:
        part = _part(function, leaves, tree)
        raise NotFinite(f"{found}, {part}.", found.equation.location)


def _part(function: Compiled, leaves: Sequence[Any], tree: pytree.Tree) -> str:
    """Whether the function itself makes one, or only its derivative."""
    own: Callable[..., Any] = function.__wrapped__  # type: ignore[attr-defined]
    try:
        described = [describe(x, f"x{k}") for k, x in enumerate(leaves)]
        primal = trace(derivatives.itself(own), described, tree)
    except (TracegradError, TypeError):  # it takes other arguments: a product's, say
        return "in this derivative"
    graph = expand_custom_calls(primal.graph, primal.assumptions)
    pairs = zip(primal.leaves, leaves, strict=True)
    inputs = [x for leaf, x in pairs if leaf.traced]
    inputs += [capture.read() for capture in primal.captures]
    finite = _finite(evaluate(graph, inputs))
    return "in the derivative" if finite else "in the function itself"


# --- whose it is ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Made:
    """An element that isn't finite, with the equation that made it of what is."""

    equation: Equation
    inputs: tuple[Any, ...]
    result: Any
    index: tuple[int, ...]

    def __str__(self) -> str:
        operands = self.inputs
        if isinstance(self.equation.primitive.lower, Scalar):
            shape = np.shape(self.result)
            operands = tuple(np.broadcast_to(x, shape)[self.index] for x in self.inputs)
        shown = ", ".join(map(_shown, operands))
        kind = "NaN" if np.isnan(self.result[self.index]) else "an infinity"
        at = f" at [{', '.join(map(str, self.index))}]" if self.index else ""
        return f"{self.equation.primitive.name}({shown}) made {kind}{at}"


class _TooLong(Exception):
    """With other numbers, a loop doesn't end."""


class _Run:
    """One evaluation in which what isn't finite is replaced by 1 where it is made.

    Attributes:
        made: how many such elements each equation made, in order.
        last: the last of them that was kept.
        finite: whether the results are.
        steps: how many equations ran.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sequence[Any],
        healed: _Run | None = None,
        keep: Equation | None = None,
        count: int = 0,
    ) -> None:
        """Run.

        Args:
            graph: what to evaluate.
            inputs: its arguments.
            healed: the run that keeps none.
            keep: the equation that may make such elements.
            count: how many of them, from the first.
        """
        self.made: dict[Equation, int] = {}
        self.last: _Made | None = None
        self.steps = 0
        self._healed, self._keep, self._left = healed, keep, count
        self._most = np.inf if healed is None else _PATIENCE * (healed.steps + 100)
        self.finite = _finite(evaluate(graph, inputs, self._watch))

    def _watch(
        self, equation: Equation, given: list[Any], results: list[Any]
    ) -> list[Any]:
        self.steps += 1
        if self.steps > self._most:
            raise _TooLong
        if equation.primitive.name in _MOVING or _finite(results):
            return results
        return [self._replaced(equation, given, x) for x in results]

    def _replaced(self, equation: Equation, given: list[Any], result: Any) -> Any:
        array = np.asarray(result)
        if array.dtype.kind != "f":
            return result
        if _finite(given):
            bad = ~np.isfinite(array)
        elif self._of_infinities(equation, given):
            bad = np.isnan(array)
        else:
            return result
        if not bad.any():
            return result
        self.made[equation] = self.made.get(equation, 0) + int(bad.sum())
        places = np.flatnonzero(bad)
        if equation is self._keep:
            kept, places = places[: self._left], places[self._left :]
            self._left -= len(kept)
            if len(kept):
                index = tuple(map(int, np.unravel_index(kept[-1], array.shape)))
                self.last = _Made(equation, tuple(given), array, index)
        better = array.copy()
        np.put(better, places, 1.0)
        return better[()]

    def _of_infinities(self, equation: Equation, given: list[Any]) -> bool:
        """Whether a NaN here would be made of infinite arguments and constants."""
        if any(np.any(np.isnan(x)) for x in given):
            return False
        return self._healed is None or equation in self._healed.made


def _first(graph: Graph, inputs: Sequence[Any], healed: _Run) -> _Made | None:
    """The first element that is not finite by itself, and reaches the results.

    healed: the run with none of them.
    """

    def reaches(equation: Equation, count: int) -> _Made | None:
        try:
            run = _Run(graph, inputs, healed, equation, count)
        except _TooLong:
            return None
        return None if run.finite else run.last

    for equation, count in healed.made.items():
        found = reaches(equation, count)
        if found is None:
            continue
        low, high = 0, count  # the first ``high`` of its elements reach the results
        while high - low > 1:
            middle = (low + high) // 2
            fewer = reaches(equation, middle)
            low, high = (middle, high) if fewer is None else (low, middle)
            found = fewer or found
        return found
    return None


def _shown(x: Any) -> str:
    if np.ndim(x):
        return f"array of shape {np.shape(x)}"
    return f"{float(x):.6g}"
