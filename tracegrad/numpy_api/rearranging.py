"""Joining, splitting, reversing, repeating, padding, and the diagonals of matrices.

>>> roll(np.arange(5.0), 2)
array([3., 4., 0., 1., 2.])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tracegrad.ir.shapes import Dim, concrete_size, same_size, size_at_least
from tracegrad.numpy_api.arguments import (
    astype,
    axes_of,
    axis_of,
    count_of,
    dtype_name,
    is_traced,
    rank_of,
    refuse,
    size_of,
    sizes_of,
    traced_in,
)
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.indexing import Window, along, windowed
from tracegrad.numpy_api.shapes import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    ravel,
    transpose,
    with_new_axes,
)
from tracegrad.primitives import structural
from tracegrad.primitives.indexing import gather
from tracegrad.primitives.linalg import diagonal_part, triangle
from tracegrad.primitives.structural import Size, counting, dims

# --- joining -----------------------------------------------------------------------


def concatenate(arrays: Any, axis: Any = 0, *, dtype: Any = None) -> Any:
    """Arrays joined along an axis they have."""
    parts = [asarray(a) for a in arrays]
    if not parts:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        parts, axis = [ravel(p) for p in parts], 0
    if not rank_of(parts[0]):
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    place = axis_of(axis, rank_of(parts[0]))
    joined = structural.concatenate(*parts, axis=place)
    return joined if dtype is None else astype(joined, dtype)


def stack(arrays: Any, axis: int = 0, *, dtype: Any = None) -> Any:
    """Arrays joined along a new axis."""
    parts = [asarray(a) for a in arrays]
    if not parts:
        raise ValueError("need at least one array to stack")
    like = traced_in(parts)
    place = axis_of(axis, rank_of(parts[0]) + 1)
    if like is not None and not rank_of(parts[0]):
        parts = [p if is_traced(p) else _number(like, p) for p in parts]
    rows = [with_new_axes(p, (place,)) for p in parts]
    return concatenate(rows, place, dtype=dtype)


def _number(like: Any, x: Any) -> Any:
    return structural.constant(like, x[()], dtype_name(x))


def vstack(tup: Any, *, dtype: Any = None) -> Any:
    """Arrays as rows."""
    return concatenate([atleast_2d(a) for a in tup], 0, dtype=dtype)


def hstack(tup: Any, *, dtype: Any = None) -> Any:
    """Arrays side by side."""
    parts = [atleast_1d(a) for a in tup]
    return concatenate(parts, 0 if rank_of(parts[0]) == 1 else 1, dtype=dtype)


def dstack(tup: Any) -> Any:
    """Arrays joined along a third axis."""
    return concatenate([atleast_3d(a) for a in tup], 2)


def column_stack(tup: Any) -> Any:
    """Vectors as the columns of a matrix."""
    columns = [asarray(a) for a in tup]
    return concatenate(
        [transpose(atleast_2d(c)) if rank_of(c) < 2 else c for c in columns], 1
    )


def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """Values joined to the end."""
    return concatenate([arr, values], axis)


# --- splitting ---------------------------------------------------------------------


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Equal parts, or the parts between positions."""
    ary = asarray(ary)
    place = axis_of(axis, rank_of(ary))
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        return _between(ary, list(indices_or_sections), place)
    parts = concrete_size(size_of(indices_or_sections))
    length = Dim.of(dims(ary)[place]) // parts
    if not same_size(dims(ary)[place], length * parts):
        raise ValueError("array split does not result in an equal division")
    size = length if length.value is None else length.value
    return [_part(ary, place, size * k, size) for k in range(parts)]


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Parts whose lengths differ by at most one."""
    ary = asarray(ary)
    place = axis_of(axis, rank_of(ary))
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        return _between(ary, list(indices_or_sections), place)
    parts = concrete_size(size_of(indices_or_sections))
    length, longer = divmod(concrete_size(dims(ary)[place]), parts)
    sizes = [length + (k < longer) for k in range(parts)]
    starts = [sum(sizes[:k]) for k in range(parts)]
    return [_part(ary, place, a, n) for a, n in zip(starts, sizes, strict=True)]


def _between(ary: Any, positions: Sequence[Any], axis: int) -> list[Any]:
    edges = [None, *positions, None]
    return [along(ary, axis, slice(low, high)) for low, high in pairwise(edges)]


def _part(x: Any, axis: int, start: Size, size: Size) -> Any:
    windows = [Window(0, 1, d) for d in dims(x)]
    windows[axis] = Window(start, 1, size)
    return windowed(x, windows)


def _split_along(axis: Callable[[int], int]) -> Callable[..., Any]:
    def splitter(ary: Any, indices_or_sections: Any) -> Any:
        return split(ary, indices_or_sections, axis(rank_of(ary)))

    return splitter


# --- reversing and rolling ---------------------------------------------------------


def flip(m: Any, axis: Any = None) -> Any:
    """Elements in reverse order along axes."""
    m = asarray(m)
    reversed_axes = axes_of(axis, rank_of(m))
    windows = [
        Window(d - 1, -1, d) if k in reversed_axes else Window(0, 1, d)
        for k, d in enumerate(dims(m))
    ]
    return windowed(m, windows)


def fliplr(m: Any) -> Any:
    """Columns in reverse order."""
    return flip(m, 1)


def flipud(m: Any) -> Any:
    """Rows in reverse order."""
    return flip(m, 0)


def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """Rotated by quarter turns in the plane of two axes."""
    m = asarray(m)
    first, second = (axis_of(a, rank_of(m)) for a in axes)
    perm = list(range(rank_of(m)))
    perm[first], perm[second] = second, first
    match k % 4:
        case 0:
            return m
        case 1:
            return transpose(flip(m, second), perm)
        case 2:
            return flip(m, (first, second))
        case _:
            return flip(transpose(m, perm), second)


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along an axis, those pushed off the end back to the start."""
    a = asarray(a)
    if axis is None:
        return structural.reshape(roll(ravel(a), shift, 0), shape=dims(a))
    axes = axis if isinstance(axis, tuple) else (axis,)
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    for one, by in zip(axes, shifts, strict=True):
        a = _roll(a, axis_of(one, rank_of(a)), size_of(by))
    return a


def _roll(a: Any, axis: int, by: Size) -> Any:
    size = dims(a)[axis]
    forward = size_at_least(by, 0)
    distance = by if forward else -by
    if not size_at_least(size, distance):
        length = concrete_size(size)
        if length == 0:
            return a
        by, size = concrete_size(by) % length, length
        forward, distance = True, by
    cut = size - distance if forward else distance
    head, tail = _part(a, axis, 0, cut), _part(a, axis, cut, size - cut)
    return structural.concatenate(tail, head, axis=axis)


# --- repeating ---------------------------------------------------------------------


def tile(A: Any, reps: Any) -> Any:
    """Copies laid side by side along each axis."""
    counts = list(sizes_of(reps))
    x = asarray(A)
    if len(counts) > rank_of(x):
        x = with_new_axes(x, tuple(range(len(counts) - rank_of(x))))
    counts = [*([1] * (rank_of(x) - len(counts))), *counts]
    shape: list[Size] = []
    for count, size in zip(counts, dims(x), strict=True):
        shape += [count, size]
    axes = tuple(range(1, len(shape), 2))
    copies = structural.expand(x, shape=tuple(shape), axes=axes)
    joined = (count_of(pair) for pair in zip(counts, dims(x), strict=True))
    return structural.reshape(copies, shape=tuple(joined))


def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Each element repeated, all as often or each by a number of its own."""
    a = asarray(a)
    if axis is None:
        a, axis = ravel(a), 0
    place = axis_of(axis, rank_of(a))
    if rank_of(asarray(repeats)):
        if is_traced(repeats) or traced_in(repeats) is not None:
            raise refuse(
                "repeat by traced numbers has a result whose shape depends on data.",
                "Pass the repeats as a static array.",
            )
        order = np.repeat(np.arange(concrete_size(dims(a)[place])), repeats)
        return gather(a, order, axes=(place,), position=place)
    count, rank = size_of(repeats), rank_of(a)
    shape = (*dims(a)[: place + 1], count, *dims(a)[place + 1 :])
    axes = tuple(k for k in range(rank + 1) if k != place + 1)
    copies = structural.expand(a, shape=shape, axes=axes)
    joined = list(dims(a))
    joined[place] = count_of([joined[place], count])
    return structural.reshape(copies, shape=tuple(joined))


# --- diagonals ---------------------------------------------------------------------


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements of a diagonal, on a last axis."""
    a = asarray(a)
    rank = rank_of(a)
    first, second = axis_of(axis1, rank), axis_of(axis2, rank)
    height, width = dims(a)[first], dims(a)[second]
    down, right = max(-offset, 0), max(offset, 0)
    rows = height - down if size_at_least(height, down) else 0
    columns = width - right if size_at_least(width, right) else 0
    numbers = counting(a, columns if size_at_least(rows, columns) else rows)
    pairs = sorted(
        [(first, numbers + down), (second, numbers + right)], key=lambda p: p[0]
    )
    axes = tuple(axis for axis, _ in pairs)
    return gather(a, *(index for _, index in pairs), axes=axes, position=rank - 2)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    numbers = diagonal(a, offset, axis1, axis2)
    return structural.reduce_sum(numbers, axes=(rank_of(numbers) - 1,))


def diag(v: Any, k: int = 0) -> Any:
    """A matrix with a vector on its diagonal; of a matrix, its diagonal."""
    v = asarray(v)
    return diagonal(v, k) if rank_of(v) == 2 else diagflat(v, k)


def diagflat(v: Any, k: int = 0) -> Any:
    """A matrix with the elements on a diagonal."""
    v = ravel(asarray(v))
    size = dims(v)[0]
    side = size + abs(k)
    square = diagonal_part(structural.expand(v, shape=(size, size), axes=(0,)))
    if k == 0:
        return square
    starts = (max(-k, 0), max(k, 0))
    return structural.pad(square, starts=starts, steps=(1, 1), shape=(side, side))


def tril(m: Any, k: int = 0) -> Any:
    """The lower triangle; zeros above."""
    return triangle(asarray(m), k, upper=False)


def triu(m: Any, k: int = 0) -> Any:
    """The upper triangle; zeros below."""
    return triangle(asarray(m), k, upper=True)


NUMPY: dict[Any, Callable[..., Any]] = {
    np.concatenate: concatenate,
    np.stack: stack,
    np.vstack: vstack,
    np.hstack: hstack,
    np.dstack: dstack,
    np.column_stack: column_stack,
    np.append: append,
    np.split: split,
    np.array_split: array_split,
    np.vsplit: _split_along(lambda rank: 0),
    np.hsplit: _split_along(lambda rank: 0 if rank == 1 else 1),
    np.dsplit: _split_along(lambda rank: 2),
    np.flip: flip,
    np.fliplr: fliplr,
    np.flipud: flipud,
    np.rot90: rot90,
    np.roll: roll,
    np.tile: tile,
    np.repeat: repeat,
    np.diagonal: diagonal,
    np.trace: trace,
    np.diag: diag,
    np.diagflat: diagflat,
    np.tril: tril,
    np.triu: triu,
}
METHODS: dict[str, Callable[..., Any]] = {
    "repeat": repeat,
    "diagonal": diagonal,
    "trace": trace,
}
