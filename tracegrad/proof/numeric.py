"""Derivatives along directions from values alone, at any size.

The complex step (Squire and Trapp 1998) has no cancellation, and is exact to rounding
where the program is analytic; else central differences, extrapolated to step zero, with
an estimate of their error (Richardson 1911; the tableau is Ridders' of 1982).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad.ir.graph import Graph

_COMPLEX_STEP = 1e-30
_SHRINK = 1.6
_ROWS = 12
_FIRST_STEP = 0.05

# What is analytic as NumPy evaluates it on complex numbers, or only moves them.
ANALYTIC = {
    *("add", "subtract", "multiply", "divide", "negative", "integer_power", "sqrt"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan"),
    *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh"),
    *("arctanh", "power", "erf", "erfc", "expand", "reduce_sum", "squeeze"),
    *("transpose", "reshape", "slice", "pad", "concatenate", "iota", "gather"),
    *("reduce_prod", "cumsum", "cumprod", "dot", "solve", "inv", "det", "for_"),
    *("alloc", "copy", "load", "store", "accumulate", "size", "check"),
}


def analytic(graph: Graph) -> bool:
    """Whether every step of a graph is analytic in what carries derivatives."""
    for equation in graph.walk():
        moving = any(getattr(x.type, "differentiable", False) for x in equation.inputs)
        if equation.primitive.name not in ANALYTIC and moving:
            return False
    return True


@dataclass(frozen=True)
class Slope:
    """A derivative along a direction.

    Attributes:
        value: the derivative.
        error: an estimate of its error.
        left: the slope coming from below.
        right: from above: where they differ, there is a kink.
        method: how it was found.
    """

    value: float
    error: float
    left: float
    right: float
    method: str

    @property
    def kink(self) -> bool:
        """Whether the slopes of both sides differ by more than their error."""
        gap = abs(self.right - self.left)
        return gap > 1e-3 * max(abs(self.left), abs(self.right), 1e-12)


def complex_slope(along: Callable[[complex], Any]) -> Slope | None:
    """The derivative at 0 by a complex step; None if the function takes no complex."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            with np.errstate(all="ignore"):
                value = along(_COMPLEX_STEP * 1j)
    except (TypeError, ValueError, np.exceptions.ComplexWarning):
        return None
    if not isinstance(value, complex):
        return None
    slope = value.imag / _COMPLEX_STEP
    return Slope(slope, 1e-15 * abs(slope), slope, slope, "complex step")


def difference_slope(along: Callable[[float], float]) -> Slope:
    """The derivative at 0 by extrapolated central differences."""
    step = _FIRST_STEP
    best, error = 0.0, np.inf
    previous: list[float] = []
    middle = along(0.0)
    for row in range(_ROWS):
        up, down = along(step), along(-step)
        current = [(up - down) / (2.0 * step)]
        factor = 1.0
        for column in range(row):
            factor *= _SHRINK**2
            better = (factor * current[column] - previous[column]) / (factor - 1.0)
            current.append(better)
            change = max(abs(better - current[column]), abs(better - previous[column]))
            if change <= error:
                best, error = better, change
        if row and abs(current[-1] - previous[-1]) > 4.0 * error:
            break  # rounding has taken over
        previous = current
        step /= _SHRINK
    return Slope(best, float(error), *_one_sided(along, middle), "differences")


def _one_sided(along: Callable[[float], float], middle: float) -> tuple[float, float]:
    step = 1e-5
    return (middle - along(-step)) / step, (along(step) - middle) / step


def inner(xs: Sequence[Any], ys: Sequence[Any]) -> Any:
    """The sum of all products."""
    return sum(np.sum(np.multiply(x, y)) for x, y in zip(xs, ys, strict=True))
