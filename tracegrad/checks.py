"""Compare derivatives with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder
from tracegrad.derivatives import Function
from tracegrad.errors import ArgumentError
from tracegrad.products import jvp, vjp

_STEP = {"float64": 2e-4, "float32": 2e-2}
_TOLERANCE = {"float64": 1e-6, "float32": 2e-2}
_MOST_ENTRIES = 200
_SHOWN = 8


def check_grads(
    function: Function,
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Compare a function's derivatives with finite differences along random directions.

    Made for tests: under pytest a failure shows the numbers, and the entries of the
    derivative that are wrong. ``verify`` says more, and proves what it can.

    Args:
        function: of floats and arrays of floats, nested as you like; other arguments
            are held fixed. Its derivatives up to ``order`` must exist at ``args``.
        args: the point.
        order: 1 checks the derivative, 2 that of the derivative as well.
        modes: which of "forward" and "reverse" to check, and to nest; JAX's "fwd" and
            "rev" mean the same.
        atol: absolute tolerance; 1e-6 for float64, 2e-2 for float32.
        rtol: tolerance relative to the expected number; the same.
        eps: the step of the differences; 2e-4 for float64, 2e-2 for float32. They are
            of fourth order, so larger steps than usual are best.
        seed: of the random directions and weights.

    Raises:
        ArgumentError: for another mode, or an order below 1.
        AssertionError: with a table of the numbers that disagree.

    >>> check_grads(lambda x: np.sum(np.sin(x) * x), (np.array([0.3, -1.2]),))
    """
    __tracebackhide__ = True
    unknown = [mode for mode in modes if mode not in _MODES]
    if unknown:
        raise ArgumentError(f'mode {unknown[0]!r}: it is "forward" or "reverse".')
    if order < 1:
        raise ArgumentError(f"order={order}: the first derivative is of order 1.")
    args = tuple(args)
    dtypes = {str(x.dtype) for x in pytree.leaves(args) if hasattr(x, "dtype")}
    dtype = "float32" if "float32" in dtypes else "float64"
    limits = _Limits(
        _TOLERANCE[dtype] if atol is None else atol,
        _TOLERANCE[dtype] if rtol is None else rtol,
    )
    step = _STEP[dtype] if eps is None else eps
    rng = np.random.default_rng(seed)
    rows = list(_rows(function, args, order, tuple(modes), rng, step, ""))
    if not all(limits.hold(row.found, row.expected) for row in rows):
        raise AssertionError(_table(function, args, rows, limits))


@dataclass(frozen=True)
class _Limits:
    """How far a number may be from what is expected."""

    atol: float
    rtol: float

    def hold(self, found: float, expected: float) -> bool:
        if np.isnan(found) or np.isnan(expected):
            return bool(np.isnan(found) and np.isnan(expected))
        if found == expected:
            return True
        return abs(found - expected) <= self.atol + self.rtol * abs(expected)


@dataclass(frozen=True)
class _Row:
    """Two numbers to compare.

    along: gives both along another direction.
    """

    title: str
    found: float
    expected: float
    along: Callable[[Any], tuple[float, float]]


def _rows(
    function: Function,
    args: tuple[Any, ...],
    order: int,
    modes: tuple[str, ...],
    rng: np.random.Generator,
    step: float,
    title: str,
) -> Iterator[_Row]:
    """The numbers to compare, at this order and above."""
    out = function(*args)
    direction = pytree.map_leaves(lambda x: _random(x, rng), args)
    weights = pytree.map_leaves(lambda x: _random(x, rng), out)
    expected = _difference(function, args, direction, weights, step)
    for mode in modes:
        found, derivative = _MODES[mode](function, args, direction, weights)

        def along(other: Any, mode: str = mode) -> tuple[float, float]:
            return (
                _MODES[mode](function, args, other, weights)[0],
                _difference(function, args, other, weights, step),
            )

        yield _Row(f"{title}{mode}", found, expected, along)
        if order > 1:
            inner = f"{title}{mode}, "
            yield from _rows(derivative, args, order - 1, modes, rng, step, inner)


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
    function: Function, args: tuple[Any, ...], direction: Any, weights: Any, step: float
) -> float:
    """The derivative along a direction by a central difference of fourth order."""
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
    moved = [_step_from(x, step, next(by)) if _is_float(x) else x for x in own]
    return pytree.unflatten(tree, moved)


def _step_from(x: Any, step: float, by: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x + np.asarray(step * by, x.dtype)
    return type(x)(x + step * by)


def _inner(a: Any, b: Any) -> float:
    """The inner product of two nests, over their floats."""
    left = [x for x in pytree.leaves(a) if _is_float(x)]
    right = [x for x in pytree.leaves(b) if _is_float(x)]
    pairs = zip(left, right, strict=True)
    return float(sum(np.sum(np.multiply(x, y, dtype=float)) for x, y in pairs))


def _table(
    function: Function, args: tuple[Any, ...], rows: Sequence[_Row], limits: _Limits
) -> str:
    """All numbers compared, and for the first wrong one the entries that are wrong."""
    lines = [
        "derivatives disagree with finite differences "
        f"(atol={limits.atol:g}, rtol={limits.rtol:g}):",
        _line("along random directions", "found", "expected", "error"),
    ]
    for row in rows:
        mark = "" if limits.hold(row.found, row.expected) else "  <--"
        lines.append(_compared(row.title, row.found, row.expected) + mark)
    wrong = next(r for r in rows if not limits.hold(r.found, r.expected))
    entries = [
        (name, *wrong.along(direction))
        for name, direction in _directions(function, args)
    ]
    bad = [e for e in entries if not limits.hold(e[1], e[2])]
    if bad:
        title = f"{wrong.title}: {len(bad)} of {len(entries)} entries"
        lines.append(_line(title, "found", "expected", "error"))
        lines += [_compared(*entry) for entry in bad[:_SHOWN]]
        if len(bad) > _SHOWN:
            lines.append(f"  … and {len(bad) - _SHOWN} more")
    return "\n".join(lines)


def _compared(title: str, found: float, expected: float) -> str:
    numbers = (f"{found:.15g}", f"{expected:.15g}", f"{abs(found - expected):.1e}")
    return _line(title, *numbers)


def _line(title: str, found: str, expected: str, error: str) -> str:
    return f"  {title:32} {found:>22} {expected:>22} {error:>9}"


def _directions(function: Function, args: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """The name of each entry of the arguments, and its direction; none of too many."""
    leaves, tree = pytree.flatten(args)
    names = Binder(function).names(pytree.structure((args, {})))
    if sum(np.size(x) for x in leaves if _is_float(x)) > _MOST_ENTRIES:
        return
    for k, (name, x) in enumerate(zip(names, leaves, strict=True)):
        for index in np.ndindex(np.shape(x)) if _is_float(x) else ():
            units: list[Any] = [
                np.zeros_like(y) if _is_float(y) else None for y in leaves
            ]
            units[k][index] = 1.0
            cell = f"[{', '.join(map(str, index))}]" if index else ""
            yield name + cell, pytree.unflatten(tree, units)
