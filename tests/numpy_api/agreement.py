"""Check a function against NumPy: recorded, eager, at other sizes, and its gradient.

A function takes the module to use as ``np`` first, so that one text runs on NumPy, and
on this package's implementations, with arrays and with tracers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from tests.numeric import floats, inner, like, slope
from tests.primitives.kernels import assert_agrees, run
from tests.tracing import Recorded, pullback, pushforward, record
from tracegrad.errors import TracingError
from tracegrad.numpy_api.table import find

Function = Callable[..., Any]
SIZES = {"n": 4, "m": 3, "k": 2}
OTHER_SIZES = {"n": 7, "m": 5, "k": 6}


class Ours:
    """A NumPy module with the functions that tracegrad implements in its place."""

    def __init__(self, module: Any = numpy) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if name in ("linalg", "special"):
            return Ours(found)
        return (find(found) or found) if callable(found) else found


def arrays(shapes: str, sizes: dict[str, int], seed: int = 0) -> list[Any]:
    """Random arrays from a text like ``"n,m  m  -"``; ``-`` is a scalar."""
    rng = numpy.random.default_rng(seed)
    found = []
    for shape in shapes.split():
        parts = [] if shape == "-" else shape.split(",")
        dims = [sizes[p] if p in sizes else int(p) for p in parts]
        found.append(rng.uniform(0.2, 2.0, size=dims) * rng.choice([-1.0, 1.0], dims))
    return found


def check(function: Function, shapes: str, *, gradient: bool = True) -> Recorded:
    """Compare everything; returns the record for further questions."""
    arguments = arrays(shapes, SIZES)
    expected = listed(function(numpy, *arguments))
    for module in (numpy, Ours()) if _dispatches(function, arguments) else (Ours(),):
        recorded = record(lambda *xs, m=module: tuple_of(function(m, *xs)), *arguments)
        same(listed(recorded(*arguments)), expected)
    same(listed(function(Ours(), *arguments)), expected)
    other = arrays(shapes, OTHER_SIZES, seed=1)
    if recorded.holds(*other):
        same(listed(recorded(*other)), listed(function(numpy, *other)))
    if gradient:
        check_gradient(function, recorded, arguments)
    return recorded


def _dispatches(function: Function, arguments: list[Any]) -> bool:
    """Whether NumPy's own functions reach us: not those that only take shapes."""
    try:
        record(lambda *xs: tuple_of(function(numpy, *xs)), *arguments)
    except TracingError:
        return False
    return True


def check_gradient(
    function: Function, recorded: Recorded, arguments: list[Any]
) -> None:
    """Reverse, forward, difference quotients and the printed kernel agree."""
    rng = numpy.random.default_rng(2)
    results = floats(listed(function(numpy, *arguments)))
    v, w = like(rng, arguments), like(rng, results)
    given = iter(w)
    weights = [next(given) if t.differentiable else 0.0 for t in recorded.types]
    gradient = pullback(recorded, weights, values=True)
    pulled = floats(gradient(*arguments))[len(results) :]
    pushed = floats(pushforward(recorded, v)(*arguments))
    reverse = inner(pulled, v)
    numpy.testing.assert_allclose(inner(pushed, w), reverse, rtol=1e-10, atol=1e-10)
    numeric = slope(lambda *xs: listed(function(numpy, *xs)), arguments, v, w)
    numpy.testing.assert_allclose(reverse, numeric, rtol=1e-7, atol=1e-8)
    assert_agrees(gradient, arguments, run(gradient, arguments))


def listed(results: Any) -> list[Any]:
    """Results one by one."""
    return list(results) if isinstance(results, (tuple, list)) else [results]


def tuple_of(results: Any) -> tuple[Any, ...]:
    """Results as a tuple, so that a list is not taken for an array."""
    return tuple(listed(results))


def same(got: list[Any], expected: list[Any]) -> None:
    """Equal values, shapes and dtypes."""
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert numpy.shape(a) == numpy.shape(b)
        assert numpy.asarray(a).dtype == numpy.asarray(b).dtype
        numpy.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
