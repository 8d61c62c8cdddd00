"""Compare derivatives with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.derivatives import Function
from tracegrad.errors import ArgumentError
from tracegrad.products import jvp, vjp

_STEP = {"float64": 2e-4, "float32": 2e-2}
_TOLERANCE = {"float64": 1e-6, "float32": 2e-2}


def check_grads(
    function: Function,
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    tolerance: float | None = None,
    seed: int = 0,
) -> None:
    """Compare a function's derivatives with finite differences along random directions.

    Args:
        function: of floats and arrays of floats, nested as you like; other arguments
            are held fixed. Its derivatives up to ``order`` must exist at ``args``.
        args: the point.
        order: 1 checks the derivative, 2 that of the derivative as well.
        modes: which of "forward" and "reverse" to check, and to nest; JAX's "fwd" and
            "rev" mean the same.
        tolerance: relative to the largest of the numbers compared; 1e-6 for float64.
        seed: of the random directions and weights.

    Raises:
        ArgumentError: for another mode.
        AssertionError: with a table of the numbers that disagree.

    >>> check_grads(lambda x: np.sum(np.sin(x) * x), (np.array([0.3, -1.2]),))
    """
    unknown = [mode for mode in modes if mode not in _MODES]
    if unknown:
        raise ArgumentError(f'mode {unknown[0]!r}: it is "forward" or "reverse".')
    rng = np.random.default_rng(seed)
    args = tuple(args)
    rows: list[tuple[str, float, float]] = []
    _check(function, args, order, tuple(modes), rng, "", rows)
    dtypes = {str(x.dtype) for x in pytree.leaves(args) if hasattr(x, "dtype")}
    dtype = "float32" if "float32" in dtypes else "float64"
    limit = _TOLERANCE[dtype] if tolerance is None else tolerance
    if any(_error(a, b) > limit for _, a, b in rows):
        raise AssertionError(_table(rows, limit))


def _check(
    function: Function,
    args: tuple[Any, ...],
    order: int,
    modes: tuple[str, ...],
    rng: np.random.Generator,
    title: str,
    rows: list[tuple[str, float, float]],
) -> None:
    """Add the numbers to compare, at this order and above."""
    out = function(*args)
    direction = pytree.map_leaves(lambda x: _random(x, rng), args)
    weights = pytree.map_leaves(lambda x: _random(x, rng), out)
    expected = _difference(function, args, direction, weights)
    for mode in modes:
        found, derivative = _MODES[mode](function, args, direction, weights)
        rows.append((f"{title}{mode}", found, expected))
        if order > 1:
            _check(derivative, args, order - 1, modes, rng, f"{title}{mode}, ", rows)


def _forward(
    function: Function, args: tuple[Any, ...], direction: Any, weights: Any
) -> tuple[float, Function]:
    def derivative(*point: Any) -> Any:
        return jvp(function, point, direction)[1]

    return _inner(weights, derivative(*args)), derivative


def _reverse(
    function: Function, args: tuple[Any, ...], direction: Any, weights: Any
) -> tuple[float, Function]:
    def derivative(*point: Any) -> Any:
        return vjp(function, *point)[1](weights)

    return _inner(direction, derivative(*args)), derivative


_MODES: dict[str, Callable[..., tuple[float, Function]]] = {
    "forward": _forward,
    "reverse": _reverse,
    "fwd": _forward,
    "rev": _reverse,
}


def _difference(
    function: Function, args: tuple[Any, ...], direction: Any, weights: Any
) -> float:
    """The derivative along a direction by a central difference of fourth order."""
    step = min(
        _STEP.get(str(getattr(x, "dtype", "float64")), _STEP["float64"])
        for x in pytree.leaves(args)
    )
    terms = []
    for factor, weight in ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0)):
        point = _moved(args, direction, factor * step)
        terms.append(weight * _inner(weights, function(*point)))
    return sum(terms) / (12.0 * step)


def _is_float(x: Any) -> bool:
    return np.asarray(x).dtype.kind == "f"


def _random(x: Any, rng: np.random.Generator) -> Any:
    """A direction for a leaf: of its shape and dtype."""
    if not _is_float(x):
        return None
    values = rng.uniform(0.5, 1.0, np.shape(x)) * rng.choice([-1.0, 1.0], np.shape(x))
    if isinstance(x, np.ndarray):
        return values.astype(x.dtype)
    return type(x)(values)


def _moved(args: Any, direction: Any, step: float) -> Any:
    own, tree = pytree.flatten(args)
    by = iter(pytree.leaves(direction))
    moved = [
        type(x)(x + step * next(by))
        if not isinstance(x, np.ndarray)
        else x + (step * next(by)).astype(x.dtype)
        if _is_float(x)
        else x
        for x in own
    ]
    return pytree.unflatten(tree, moved)


def _inner(a: Any, b: Any) -> float:
    """The inner product of two nests, over their floats."""
    left = [x for x in pytree.leaves(a) if _is_float(x)]
    right = [x for x in pytree.leaves(b) if _is_float(x)]
    pairs = zip(left, right, strict=True)
    return float(sum(np.sum(np.multiply(x, y, dtype=float)) for x, y in pairs))


def _error(found: float, expected: float) -> float:
    if np.isnan(found) or np.isnan(expected):
        return 0.0 if np.isnan(found) and np.isnan(expected) else np.inf
    return abs(found - expected) / max(1.0, abs(found), abs(expected))


def _table(rows: Sequence[tuple[str, float, float]], limit: float) -> str:
    lines = [f"derivatives disagree with finite differences (tolerance {limit:g}):"]
    lines.append(f"  {'derivative':24} {'found':>22} {'expected':>22} {'error':>9}")
    for title, found, expected in rows:
        error = _error(found, expected)
        mark = "" if error <= limit else "  <--"
        lines.append(
            f"  {title:24} {found:22.15g} {expected:22.15g} {error:9.1e}{mark}"
        )
    return "\n".join(lines)
