"""``debug_nans``: which line makes a NaN or an infinity, forward or backward.

Compiled kernels run at full speed until one returns something that isn't finite. Then
its graph is evaluated again with NumPy, equation by equation, up to the first one that
makes such a number of finite ones.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tracegrad import derivatives, pytree
from tracegrad.compiled import Compiled
from tracegrad.errors import TracegradError
from tracegrad.ir.graph import Equation, Graph
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
_lock = threading.Lock()
_depth = 0


class NotFinite(TracegradError, FloatingPointError):
    """A NaN or an infinity was computed, at the user's line."""


class _Found(Exception):
    """The equation that made it, with what it was given and what it made."""

    def __init__(
        self, equation: Equation, inputs: Sequence[Any], results: Sequence[Any]
    ) -> None:
        super().__init__()
        self.equation = equation
        self.inputs = inputs
        self.results = results


@contextmanager
def debug_nans() -> Iterator[None]:
    """Raise where a compiled function makes a NaN or an infinity.

    Raises:
        NotFinite: a FloatingPointError that names the operation, its operands, the
            user's line, and whether it is in the function or in its derivative. Calls
            that return finite numbers are not looked into.

    >>> from tracegrad import grad
    >>> with debug_nans():
    ...     grad(lambda x: np.sqrt(x))(4.0)
    0.25
    """
    global _depth
    with _lock:
        _depth += 1
        Compiled.__call__ = _checked  # type: ignore[assignment]
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth:
                del (
                    Compiled.__call__
                )  # a partial's own again, which is implemented in C


def _checked(self: Compiled, *args: Any, **kwargs: Any) -> Any:
    """A call, and a second look at a result that isn't finite."""
    result = functools.partial.__call__(self, *args, **kwargs)
    if current() is None and not _finite(pytree.leaves(result)):
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
    spec = function.specialised(bound.args, bound.kwargs)
    leaves, tree = pytree.flatten((bound.args, bound.kwargs))
    names = [leaf.name for leaf in spec.traced.leaves]
    for name, leaf in zip(names, leaves, strict=True):
        if not _finite([leaf]):
            raise NotFinite(f"argument {name} is not finite.")
    inputs = spec.inputs(leaves)
    found = _first(spec.graph, inputs)
    if found is None:
        return
    part = _part(function, leaves, tree)
    made = next(x for x in found.results if not _finite([x]))
    kind = "NaN" if np.any(np.isnan(made)) else "an infinity"
    shown = ", ".join(map(_shown, found.inputs))
    raise NotFinite(
        f"{found.equation.primitive.name}({shown}) made {kind}, {part}.",
        found.equation.location,
    )


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
    forward = _first(graph, inputs) is not None
    return "in the function itself" if forward else "in the derivative"


def _first(graph: Graph, inputs: Sequence[Any]) -> _Found | None:
    """The first equation that makes something not finite of what is."""

    def watch(equation: Equation, given: list[Any], results: list[Any]) -> None:
        if equation.primitive.name in _MOVING:
            return
        if not _finite(results) and _finite(given):
            raise _Found(equation, given, results)

    try:
        evaluate(graph, inputs, watch)
    except _Found as found:
        return found
    return None


def _shown(x: Any) -> str:
    if np.ndim(x):
        return f"array of shape {np.shape(x)}"
    return f"{float(x):.6g}"
