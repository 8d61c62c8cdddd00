"""A gradient compared in many digits, and its compiled kernel with that.

The function's graph is evaluated at 90 digits on both sides of a point, so near that
the difference quotient gives the derivative along a direction to 50 digits, without any
rule of ours. The reverse-mode program, evaluated with as many, must give the same; and
the compiled kernel must be near it, within its own rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad.proof.inputs import Input, hidden_of
from tracegrad.proof.program import Program, Subject
from tracegrad.traces.digits import Digits

_WORKING = 90
_STEP = 30
MOST_DIGITS = 50
FEWEST_DIGITS = 12
"""Fewer mean that the gradient is wrong, or that the function has none."""

_KINK = 1e-6


@dataclass(frozen=True)
class Precise:
    """A gradient at one point.

    Attributes:
        bars: the reverse program's, to many digits.
        digits: how many of them agree with difference quotients; the fewest of the
            directions. NaN where the function isn't defined.
        kink: whether the function takes other ways on both sides of the point, or
            other slopes.
        exact: the last derivative along a direction, and the program's.
    """

    bars: list[Any]
    digits: float
    kink: bool
    exact: tuple[float, float]


def precise(
    subject: Subject,
    point: Sequence[Any],
    inputs: Sequence[Input],
    weights: Sequence[Any],
    rng: np.random.Generator,
    deadline: float,
) -> Precise:
    """Compare the reverse program with difference quotients along a random direction.

    Args:
        subject: what is verified.
        point: the leaves of the arguments.
        inputs: what they are.
        weights: for the outputs.
        rng: for the direction.
        deadline: when to give up, by ``OutOfTime``.
    """
    algebra = Digits(_WORKING, deadline)
    mp = algebra.context
    given = [_numbers(algebra, x) for x in point]
    seeds = [_numbers(algebra, w) for w in weights]
    reverse = subject.reverse
    found = reverse.evaluate(
        subject.arguments(given, seeds), _hidden(algebra, reverse), algebra
    )
    bars = [np.asarray(b, object) for b in subject.bars(found)]
    direction = {
        k: np.asarray(_numbers(algebra, _direction(point[k], rng)), object)
        for k in subject.chosen
    }
    slope = sum(
        (np.sum(direction[k] * b) for k, b in zip(subject.chosen, bars, strict=True)),
        mp.zero,
    )
    step = mp.mpf(10) ** -_STEP

    def value(sign: int) -> tuple[Any, int]:
        """The function beside the point, and the way that it took."""
        moved = [
            x + sign * step * _like(direction[k], x) if k in direction else x
            for k, x in enumerate(given)
        ]
        algebra.path = 0
        outputs = subject.primal.evaluate(
            moved, _hidden(algebra, subject.primal), algebra
        )
        return _weighted(subject, outputs, seeds, mp), algebra.path

    (above, path), (below, other) = value(1), value(-1)
    exact = (above - below) / (2 * step)
    digits = _agreeing(mp, exact, slope)
    kink = path != other
    if digits < FEWEST_DIGITS and not kink:
        here, _ = value(0)
        sides = (above - here) / step, (here - below) / step
        kink = abs(sides[0] - sides[1]) > _KINK * max(map(abs, sides))
    return Precise(bars, digits, kink, (exact, slope))


def _like(direction: Any, x: Any) -> Any:
    return direction if isinstance(x, np.ndarray) else direction[()]


def _direction(x: Any, rng: np.random.Generator) -> Any:
    shape = np.shape(x)
    scale = np.where(np.asarray(x) == 0.0, 1.0, np.abs(np.asarray(x, float)))
    return scale * rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape)


def _weighted(subject: Subject, outputs: Sequence[Any], weights: Any, mp: Any) -> Any:
    if subject.scalar:
        return outputs[subject.results[0]]
    pairs = zip(subject.results, weights, strict=True)
    return sum((np.sum(np.asarray(outputs[k] * w)) for k, w in pairs), mp.zero)


def _agreeing(mp: Any, exact: Any, found: Any) -> float:
    if mp.isnan(exact) or mp.isnan(found) or mp.isinf(exact):
        return float("nan")
    error = abs(exact - found)
    scale = max(abs(exact), abs(found))
    if not error or not scale:
        return float(MOST_DIGITS) if not error else 0.0
    return float(min(MOST_DIGITS, -mp.log10(error / scale)))


def _numbers(algebra: Digits, x: Any) -> Any:
    """Floats as exact numbers of many digits; the rest as it is."""
    array = np.asarray(x)
    if array.dtype.kind == "f":
        made = np.frompyfunc(algebra.number, 1, 1)(array)
        return made
    if array.dtype.kind in "biu":
        return array.astype(object) if array.ndim else array.item()
    return x


def _hidden(algebra: Digits, program: Program) -> list[Any]:
    return [_numbers(algebra, value) for value in hidden_of(program, None)]


# --- the kernel ----------------------------------------------------------------------


@dataclass(frozen=True)
class Rounding:
    """How far a kernel's gradient is from the exact one.

    Attributes:
        ulps: the largest error of an entry, in units of its last place.
        relative: the largest error, relative to the largest entry.
        nans: whether one is NaN where the other isn't.
    """

    ulps: float
    relative: float
    nans: bool


def rounding(found: Sequence[Any], exact: Sequence[Any]) -> Rounding:
    """Compare a kernel's cotangents with exact ones."""
    ulps, largest, scale, nans = 0.0, 0.0, 0.0, False
    for own, many in zip(found, exact, strict=True):
        dtype = np.asarray(own).dtype
        for x, y in zip(np.ravel(own), np.ravel(np.asarray(many, object)), strict=True):
            near = float(y)
            if np.isnan(near) or np.isnan(x):
                nans = nans or bool(np.isnan(near) != np.isnan(x))
                continue
            if np.isinf(near) or np.isinf(x):
                nans = nans or near != float(x)
                continue
            error = float(abs(type(y)(float(x)) - y)) if y != 0 else abs(float(x))
            unit = float(np.spacing(np.abs(dtype.type(near))))
            ulps = max(ulps, error / unit if near else 0.0)
            largest, scale = max(largest, error), max(scale, abs(near))
    return Rounding(ulps, largest / scale if scale else largest, nans)
