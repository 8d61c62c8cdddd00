"""``math``: functions of numbers, and not of arrays."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

from tracegrad.numpy_api import elementwise, reductions
from tracegrad.numpy_api.arguments import astype, floats, is_float, is_traced, rank_of
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.special import gamma
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import special


def log(x: Any, base: Any = None) -> Any:
    """The logarithm, natural or to a base."""
    return ew.log(x) if base is None else ew.log(x) / ew.log(base)


def hypot(*coordinates: Any) -> Any:
    """The length of a vector."""
    if len(coordinates) == 2:
        return ew.hypot(*coordinates)
    return ew.length(reductions.sum_(asarray([c * c for c in coordinates])))


def dist(p: Any, q: Any, /) -> Any:
    """The distance of two points."""
    p, q = (astype(asarray(point), "float64") for point in (p, q))
    return hypot(*(a - b for a, b in zip(p, q, strict=True)))


def prod(iterable: Any, /, *, start: Any = 1) -> Any:
    """The product of what is iterated, which may be anything that has one."""
    if is_traced(iterable):
        return start * reductions.prod(iterable, axis=0)
    return functools.reduce(operator.mul, iterable, start)


def isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    """Whether two numbers differ by little."""
    size = ew.maximum(ew.absolute(a), ew.absolute(b))
    near = ew.absolute(a - b) <= ew.maximum(rel_tol * size, abs_tol)
    return cmp.logical_or(cmp.equal(a, b), near)


def _whole(primitive: Any) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        return astype(primitive(x), "int64") if is_float(x) else x

    return function


def _of_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes floats of integers."""

    @functools.wraps(function)
    def converted(*operands: Any) -> Any:
        return function(*(floats(x) if is_traced(x) else x for x in operands))

    return converted


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that refuses arrays as Python does."""

    @functools.wraps(function)
    def checked(*operands: Any, **options: Any) -> Any:
        if any(is_traced(x) and rank_of(x) for x in operands):
            raise TypeError(
                "only 0-dimensional arrays can be converted to Python scalars"
            )
        return function(*operands, **options)

    return checked


_SAME_NAME = (
    *("sqrt", "exp", "expm1", "log2", "log10", "log1p", "sin", "cos", "tan"),
    *("sinh", "cosh", "tanh", "copysign", "fmod", "isnan", "isinf", "isfinite"),
)
_OTHER_NAME = {
    "asin": ew.arcsin,
    "acos": ew.arccos,
    "atan": ew.arctan,
    "atan2": ew.arctan2,
    "asinh": ew.arcsinh,
    "acosh": ew.arccosh,
    "atanh": ew.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "lgamma": special.gammaln,
    "cbrt": ew.cbrt,
    "exp2": ew.exp2,
}

_COMPOSED: dict[Any, Callable[..., Any]] = {
    math.log: log,
    math.fabs: elementwise.fabs,
    math.hypot: hypot,
    math.floor: _whole(ew.floor),
    math.ceil: _whole(ew.ceil),
    math.trunc: _whole(ew.trunc),
    math.degrees: elementwise.degrees,
    math.radians: elementwise.radians,
    math.isclose: isclose,
    math.pow: _of_floats(ew.power),
    math.gamma: _of_floats(gamma),
}
_PRIMITIVES = {n: getattr(ew, n, None) or getattr(cmp, n) for n in _SAME_NAME}

NUMBERS: dict[Any, Callable[..., Any]] = {
    math.dist: dist,
    **{
        getattr(math, name): _of_numbers(elementwise.applied(primitive))
        for name, primitive in (_PRIMITIVES | _OTHER_NAME).items()
        if hasattr(math, name)
    },
    **{
        function: _of_numbers(implementation)
        for function, implementation in _COMPOSED.items()
    },
}
"""Functions that give one of Python's numbers."""

MATH = NUMBERS | {math.prod: prod}
