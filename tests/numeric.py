"""Numeric derivatives and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def is_float(value: Any) -> bool:
    """Whether a value is a floating-point array or number."""
    return np.asarray(value).dtype.kind == "f"


def floats(values: Any) -> list[np.ndarray]:
    """The floating-point arrays among results or arguments."""
    several = values if isinstance(values, (tuple, list)) else (values,)
    return [np.asarray(v) for v in several if np.asarray(v).dtype.kind == "f"]


def weighted(results: Any, weights: Sequence[Any]) -> float:
    """The sum of results with weights."""
    pairs = zip(floats(results), weights, strict=True)
    return float(sum(np.sum(np.asarray(r) * w) for r, w in pairs))


def slope(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    directions: Sequence[Any],
    weights: Sequence[Any],
    step: float = 2e-4,
) -> float:
    """The derivative of the weighted results along a direction.

    Central differences of fourth order; arguments are never changed in place.
    """

    def at(t: float) -> float:
        given = iter(directions)
        moved = [
            np.asarray(x) + t * next(given) if np.asarray(x).dtype.kind == "f" else x
            for x in arguments
        ]
        return weighted(function(*moved), weights)

    near, far = at(step) - at(-step), at(2 * step) - at(-2 * step)
    return (8 * near - far) / (12 * step)


def like(rng: np.random.Generator, arrays: Sequence[Any]) -> list[np.ndarray]:
    """Random normal arrays of the same shapes."""
    return [rng.normal(size=np.shape(a)) for a in arrays]


def inner(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    """The sum of all products."""
    return float(sum(np.sum(x * y) for x, y in zip(xs, ys, strict=True)))
