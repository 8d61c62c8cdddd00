"""Differences, sums and products along a grid, and padding at its edges.

>>> diff(np.array([1.0, 4.0, 9.0]))
array([3., 5.])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegrad.ir.shapes import size_at_least
from tracegrad.numpy_api.arguments import (
    astype,
    axis_of,
    floats,
    rank_of,
    refuse,
    size_of,
    traced_in,
)
from tracegrad.numpy_api.creation import asarray, zeros_like
from tracegrad.numpy_api.indexing import along
from tracegrad.numpy_api.rearranging import concatenate, flip
from tracegrad.numpy_api.reductions import sum_
from tracegrad.numpy_api.shapes import broadcast_to, ravel, with_new_axes
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import structural
from tracegrad.primitives.structural import dims

# --- differences -------------------------------------------------------------------


def diff(
    a: Any, n: int = 1, axis: Any = -1, prepend: Any = None, append: Any = None
) -> Any:
    """Differences of neighbours, taken n times."""
    a = asarray(a)
    place = axis_of(axis, rank_of(a))
    before = [_edge(a, place, x) for x in (prepend,) if _given(x)]
    after = [_edge(a, place, x) for x in (append,) if _given(x)]
    if before or after:
        a = concatenate([*before, a, *after], place)
    for _ in range(n):
        upper = along(a, place, slice(1, None))
        lower = along(a, place, slice(None, -1))
        a = cmp.not_equal(upper, lower) if _is_bool(a) else upper - lower
    return a


def _given(x: Any) -> bool:
    return x is not None and x is not np._NoValue


def _is_bool(a: Any) -> bool:
    return bool(a.dtype == np.bool_)


def _edge(a: Any, axis: int, x: Any) -> Any:
    x = asarray(x)
    if rank_of(x):
        return x
    shape = tuple(1 if k == axis else d for k, d in enumerate(dims(a)))
    like = traced_in([x, a])
    if like is not None and x is not like:
        x = structural.constant(like, x[()], x.dtype)
    return structural.expand(x, shape=shape, axes=())


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours, over all elements in order, between given ends."""
    found = diff(ravel(asarray(ary)))
    before = [] if to_begin is None else [_edge(found, 0, ravel(asarray(to_begin)))]
    after = [] if to_end is None else [_edge(found, 0, ravel(asarray(to_end)))]
    return concatenate([*before, found, *after], 0) if before or after else found


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Differences of second order inside, of first or second at the edges.

    The spacing of each axis is a number, or the coordinates of its points.
    """
    f = floats(asarray(f))
    rank = rank_of(f)
    given = range(rank) if axis is None else np.atleast_1d(axis)
    axes = [axis_of(int(k), rank) for k in given]  # the results are in their order
    if len({*axes}) < len(axes):
        raise ValueError("repeated axis")
    steps = list(varargs) or [1.0]
    steps = steps * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes):
        raise TypeError("invalid number of arguments")
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    found = [_slopes(f, a, h, edge_order) for a, h in zip(axes, steps, strict=True)]
    return found[0] if len(found) == 1 else tuple(found)


def _slopes(f: Any, axis: int, step: Any, order: int) -> Any:
    if not size_at_least(dims(f)[axis], order + 1):
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, at least "
            "(edge_order + 1) elements are required."
        )
    ahead, here, behind = slice(2, None), slice(1, -1), slice(None, -2)
    if rank_of(step):
        gaps = with_new_axes(diff(step), tuple(range(1, rank_of(f) - axis)))
        low = along(gaps, 0, slice(None, -1))
        high = along(gaps, 0, slice(1, None))
        inside = (
            along(f, axis, behind) * (-high / (low * (low + high)))
            + along(f, axis, here) * ((high - low) / (low * high))
            + along(f, axis, ahead) * (low / (high * (low + high)))
        )
        edges = [[along(gaps, 0, k) for k in ks] for ks in ((0, 1), (-1, -2))]
    else:
        inside = (along(f, axis, ahead) - along(f, axis, behind)) / (2.0 * step)
        edges = [[step, step], [step, step]]
    first = _end_slope(f, axis, (0, 1, 2), edges[0], order)
    last = -_end_slope(f, axis, (-1, -2, -3), edges[1], order)
    return concatenate([first, inside, last], axis)


def _end_slope(f: Any, axis: int, places: Any, gaps: Any, order: int) -> Any:
    """The slope at an end, looking inwards, from the nearest points."""
    at = [
        with_new_axes(along(f, axis, place), (axis,)) for place in places[: order + 1]
    ]
    near, far = gaps
    if order == 1:
        return (at[1] - at[0]) / near
    return (
        at[0] * (-(2.0 * near + far) / (near * (near + far)))
        + at[1] * ((near + far) / (near * far))
        - at[2] * (near / (far * (near + far)))
    )


# --- sums and products along a grid ------------------------------------------------


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """The integral by the trapezoidal rule."""
    y = asarray(y)
    place = axis_of(axis, rank_of(y))
    pairs = along(y, place, slice(1, None)) + along(y, place, slice(None, -1))
    if x is None:
        return sum_(pairs * (0.5 * dx), place)
    step = diff(x, axis=0 if rank_of(asarray(x)) == 1 else place)
    if rank_of(step) == 1:
        step = with_new_axes(step, tuple(range(1, rank_of(y) - place)))
    return sum_(0.5 * step * pairs, place)


def polyval(p: Any, x: Any) -> Any:
    """A polynomial's value by Horner's rule, from its coefficients, highest first."""
    x = asarray(x) if isinstance(x, (list, tuple)) else x
    total = zeros_like(x)
    for coefficient in asarray(p):
        total = total * x + coefficient
    return total


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """The discrete convolution of two vectors; one of them has a fixed length."""
    a, v = asarray(a), asarray(v)
    if not isinstance(dims(v)[0], int) and isinstance(dims(a)[0], int):
        a, v = v, a
    count = len(v)
    size = dims(a)[0]
    total = None
    for k in range(count):
        shape = (size + (count - 1),)
        moved = structural.pad(a, starts=(k,), steps=(1,), shape=shape)
        term = moved * along(v, 0, k)
        total = term if total is None else total + term
    if total is None:
        raise ValueError("v cannot be empty")
    shorter = not size_at_least(size, count)
    match mode:
        case "full":
            return total
        case "same" if not shorter:
            start = (count - 1) // 2
            return along(total, 0, slice(start, start + size))
        case "valid" if not shorter:
            return along(total, 0, slice(count - 1, size))
    raise refuse(
        f"convolve with mode={mode!r} is not supported here.",
        "Use 'full', or put the longer vector first.",
    )


# --- padding -----------------------------------------------------------------------


def pad(
    array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0
) -> Any:
    """An array with a margin: constant, edge, reflect, symmetric or wrap."""
    array = asarray(array)
    rank = rank_of(array)
    widths = _pairs(pad_width, rank)
    values = _pairs(constant_values, rank)
    for axis, (before, after) in enumerate(widths):
        low, high = size_of(before), size_of(after)
        if low == 0 and high == 0:
            continue
        if mode == "constant":
            array = _constant_margin(array, axis, low, high, values[axis])
            continue
        if mode not in _MARGINS:
            raise refuse(
                f"pad with mode={mode!r} is not supported.",
                "Known modes: constant, edge, reflect, symmetric, wrap.",
            )
        parts = _MARGINS[mode](array, axis, low, high)
        array = concatenate([parts[0], array, parts[1]], axis)
    return array


def _pairs(widths: Any, rank: int) -> list[tuple[Any, Any]]:
    """NumPy's ways to give a (before, after) pair for each axis."""
    if not isinstance(widths, (tuple, list, np.ndarray)):
        return [(widths, widths)] * rank
    rows = list(widths)
    if all(not isinstance(row, (tuple, list, np.ndarray)) for row in rows):
        pair = (rows[0], rows[-1])
        if len(rows) > 2:
            raise ValueError("pad widths must be a pair, or a pair per axis")
        return [pair] * rank
    pairs = [(row[0], row[-1]) for row in rows]
    if len(pairs) not in (1, rank):
        raise ValueError("pad widths must be a pair, or a pair per axis")
    return pairs * rank if len(pairs) == 1 else pairs


def _constant_margin(x: Any, axis: int, low: Any, high: Any, values: Any) -> Any:
    if all(isinstance(v, (int, float)) and v == 0 for v in values):
        rank = rank_of(x)
        shape = tuple(d + low + high if k == axis else d for k, d in enumerate(dims(x)))
        starts = tuple(low if k == axis else 0 for k in range(rank))
        return structural.pad(x, starts=starts, steps=(1,) * rank, shape=shape)
    margins = (_margin(x, axis, n, v) for n, v in zip((low, high), values, strict=True))
    parts = [astype(margin, x.dtype) for margin in margins]
    return concatenate([parts[0], x, parts[1]], axis)


def _margin(x: Any, axis: int, size: Any, value: Any) -> Any:
    shape = tuple(size if k == axis else d for k, d in enumerate(dims(x)))
    like = traced_in([value, x])
    if like is not None and value is not like:
        value = structural.constant(like, value, x.dtype)
    return structural.expand(value, shape=shape, axes=())


def _edge_margin(x: Any, axis: int, low: Any, high: Any) -> Sequence[Any]:
    found = []
    for part, size in ((slice(0, 1), low), (slice(-1, None), high)):
        end = along(x, axis, part)
        shape = tuple(size if k == axis else d for k, d in enumerate(dims(x)))
        found.append(broadcast_to(end, shape))
    return found


def _mirror_margin(skip: int) -> Callable[..., Sequence[Any]]:
    def margin(x: Any, axis: int, low: Any, high: Any) -> Sequence[Any]:
        size = dims(x)[axis]
        _long_enough(size - skip, low, high)
        head = along(x, axis, slice(skip, low + skip))
        tail = along(x, axis, slice(size - skip - high, size - skip))
        return flip(head, axis), flip(tail, axis)

    return margin


def _wrap_margin(x: Any, axis: int, low: Any, high: Any) -> Sequence[Any]:
    size = dims(x)[axis]
    _long_enough(size, low, high)
    head = along(x, axis, slice(size - low, size))
    return head, along(x, axis, slice(0, high))


def _long_enough(size: Any, low: Any, high: Any) -> None:
    if not (size_at_least(size, low) and size_at_least(size, high)):
        raise refuse(
            "pad with a margin longer than the array is not supported.",
            "Pad in several steps.",
        )


_MARGINS: dict[str, Callable[..., Sequence[Any]]] = {
    "edge": _edge_margin,
    "reflect": _mirror_margin(1),
    "symmetric": _mirror_margin(0),
    "wrap": _wrap_margin,
}

NUMPY: dict[Any, Callable[..., Any]] = {
    np.diff: diff,
    np.ediff1d: ediff1d,
    np.gradient: gradient,
    np.polyval: polyval,
    np.convolve: convolve,
    np.pad: pad,
    # Called trapz before NumPy 2.
    getattr(np, "trapezoid" if hasattr(np, "trapezoid") else "trapz"): trapezoid,
}
METHODS: dict[str, Callable[..., Any]] = {}
