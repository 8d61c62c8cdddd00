"""Arrays made from nothing but a shape, and from nested lists of traced values.

With plain arguments these are NumPy's own: ordinary values compute as Python would.

>>> linspace(0.0, 1.0, 3)
array([0. , 0.5, 1. ])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from tracegrad.ir.shapes import Dim, size_at_least
from tracegrad.ir.types import DType, dtype_of
from tracegrad.numpy_api.arguments import (
    astype,
    count_of,
    dtype_name,
    is_traced,
    needed_size,
    number_of,
    rank_of,
    refuse,
    size_of,
    sizes_of,
    traced_in,
)
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import structural
from tracegrad.primitives.structural import Size, counting, dims, filled

# --- nested sequences --------------------------------------------------------------


def asarray(a: Any, dtype: Any = None) -> Any:
    """A traced array from nested lists of traced values; what is an array stays one."""
    if is_traced(a):
        return a if dtype is None else astype(a, dtype)
    if traced_in(a) is None:
        return np.asarray(a, dtype)
    parts = [asarray(x) for x in a]
    joint = _common_dtype(parts) if dtype is None else dtype_of(dtype)
    return _stacked([_typed(traced_in(a), x, joint) for x in parts])


def array(object: Any, dtype: Any = None, ndmin: int = 0) -> Any:
    """As ``asarray``; a traced value is never changed, so needs no copy."""
    plain = traced_in(object) is None
    made = np.array(object, dtype) if plain else asarray(object, dtype)
    missing = ndmin - rank_of(made)
    if missing <= 0:
        return made
    shape = (1,) * missing + dims(made)
    axes = tuple(range(missing, ndmin))
    return structural.expand(made, shape=shape, axes=axes)


def fromiter(iter: Iterable[Any], dtype: Any, count: int = -1) -> Any:
    """An array of the numbers that an iterable gives."""
    parts = list(iter if count < 0 else islice(iter, count))
    if traced_in(parts) is None:
        return np.fromiter(parts, dtype, count)
    if len(parts) < count:
        raise ValueError(
            f"iterator too short: Expected {count} but iterator had only {len(parts)} "
            "items."
        )
    if any(map(rank_of, parts)):
        raise ValueError("setting an array element with a sequence.")
    return array(parts, dtype)


def _stacked(parts: Sequence[Any]) -> Any:
    rows = []
    for part in parts:
        axes = tuple(range(1, rank_of(part) + 1))
        rows.append(structural.expand(part, shape=(1, *dims(part)), axes=axes))
    return structural.concatenate(*rows, axis=0)


def _common_dtype(parts: Sequence[Any]) -> DType:
    return dtype_of(np.result_type(*(np.dtype(dtype_name(part)) for part in parts)))


def _typed(like: Any, x: Any, dtype: DType) -> Any:
    """A part with the joint dtype, recorded where its neighbours are."""
    if rank_of(x) == 0 and not is_traced(x):
        return structural.constant(like, x, dtype)
    return astype(x, dtype)


# --- filled arrays -----------------------------------------------------------------


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """An array of one value, which may be traced."""
    like = traced_in([shape, fill_value])
    if like is None:
        return np.full(shape, fill_value, dtype)
    value = fill_value if dtype is None else astype(fill_value, dtype)
    if not is_traced(value):
        value = structural.constant(like, value, dtype_name(value))
    target = sizes_of(shape)
    axes = tuple(range(len(target) - rank_of(value), len(target)))
    return structural.expand(value, shape=target, axes=axes)


def zeros(shape: Any, dtype: Any = float) -> Any:
    """An array of zeros."""
    return full(shape, 0, float if dtype is None else dtype)


def ones(shape: Any, dtype: Any = None) -> Any:
    """An array of ones."""
    return full(shape, 1, float if dtype is None else dtype)


def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    """An array of one value, like another in shape and dtype."""
    like = traced_in([a, fill_value, shape])
    if like is None:
        return np.full_like(a, fill_value, dtype, shape=shape)
    target = dims(a) if shape is None else sizes_of(shape)
    kind = dtype_name(a) if dtype is None else dtype_of(dtype)
    if is_traced(fill_value):
        return full(target, astype(fill_value, kind))
    return filled(like, fill_value, target, kind)


def zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    """Zeros in the shape and dtype of an array."""
    return full_like(a, 0, dtype, shape)


def ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    """Ones in the shape and dtype of an array."""
    return full_like(a, 1, dtype, shape)


# --- matrices ----------------------------------------------------------------------


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = float) -> Any:
    """A matrix with ones on one diagonal."""
    like = traced_in([N, M])
    if like is None:
        return np.eye(N, M, k, dtype)
    rows, columns = _grid(like, size_of(N), size_of(N if M is None else M), k)
    return astype(rows == columns, dtype)


def identity(n: Any, dtype: Any = None) -> Any:
    """A square matrix with ones on the diagonal."""
    return eye(n, dtype=float if dtype is None else dtype)


def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = float) -> Any:
    """A matrix with ones at and below a diagonal."""
    like = traced_in([N, M])
    if like is None:
        return np.tri(N, M, k, dtype)
    rows, columns = _grid(like, size_of(N), size_of(N if M is None else M), k)
    return astype(rows >= columns, dtype)


def _grid(like: Any, height: Size, width: Size, offset: int) -> tuple[Any, Any]:
    """Row numbers moved by an offset, and column numbers."""
    shape = (height, width)
    rows = counting(like, height) + offset
    return (
        structural.expand(rows, shape=shape, axes=(0,)),
        structural.expand(counting(like, width), shape=shape, axes=(1,)),
    )


# --- ranges ------------------------------------------------------------------------


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """Evenly spaced whole numbers, over traced sizes; other ranges are NumPy's own."""
    like = traced_in([start, stop, step])
    if like is None:
        return np.arange(
            *((start,) if stop is None else (start, stop, step)), dtype=dtype
        )
    if stop is None:
        start, stop = 0, start
    bounds = [_whole(x) for x in (start, stop, step)]
    first, last, stride = (b if b is None else Dim.of(b) for b in bounds)
    if first is None or last is None or stride is None or not stride.value:
        raise refuse(
            "arange of traced values is not supported.",
            "Its length must follow from shapes and integer arguments, with a constant "
            "step: use np.linspace, or scale np.arange(n).",
        )
    sign = 1 if stride.value > 0 else -1
    span = (last - first) * sign
    length = span if size_at_least(span, 0) else Dim.constant(0)
    count = count_of([(length + (abs(stride.value) - 1)) // abs(stride.value)])
    numbers = counting(like, count)
    numbers = numbers if stride.value == 1 else numbers * stride.value
    if first != Dim.constant(0):
        numbers = numbers + number_of(like, first)
    if dtype is None and any(isinstance(x, float) for x in (start, stop, step)):
        dtype = "float64"
    return numbers if dtype is None else astype(numbers, dtype)


def _whole(bound: Any) -> Any:
    """A bound of a range as an integer or a size, if it is one: ``1.0`` is."""
    if isinstance(bound, float) and bound.is_integer():
        return int(bound)
    return bound if type(bound) is int else needed_size(bound)


def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None
) -> Any:
    """Evenly spaced numbers between two, which may be traced scalars."""
    like = traced_in([start, stop, num])
    if like is None:
        return np.linspace(start, stop, num, endpoint, dtype=dtype)
    if rank_of(start) or rank_of(stop):
        raise refuse("linspace between arrays is not supported.", "Broadcast a ramp.")
    count = size_of(num)
    steps = count - 1 if endpoint else count
    if not size_at_least(steps, 1):
        numbers = filled(like, 0.0, (count,), "float64") + start
    else:
        ramp = astype(counting(like, count), "float64")
        numbers = ramp * ((stop - start) / number_of(like, steps)) + start
        if endpoint:  # NumPy's last element is ``stop`` to the bit
            last = counting(like, count) == number_of(like, steps)
            numbers = cmp.select(last, stop, numbers)
    if dtype is None:
        return numbers
    whole = np.dtype(dtype).kind in "iu"  # NumPy rounds these down, not to zero
    return astype(ew.floor(numbers) if whole else numbers, dtype)


def grid(kind: Any, key: Any) -> Any:
    """``np.mgrid[key]`` or ``np.ogrid[key]``, for slices with whole steps."""
    several = isinstance(key, tuple)
    slices = key if several else (key,)
    if any(isinstance(s.step, complex) for s in slices):
        raise refuse("a grid with a complex step is not supported.", "Use np.linspace.")
    axes = [
        arange(
            0 if s.start is None else s.start, s.stop, 1 if s.step is None else s.step
        )
        for s in slices
    ]
    if not several:
        return axes[0]
    like = traced_in(axes)
    shape = tuple(dims(axis)[0] for axis in axes)
    found = []
    for k, axis in enumerate(axes):
        own = tuple(d if j == k or not kind.sparse else 1 for j, d in enumerate(shape))
        found.append(
            structural.expand(_typed(like, axis, "int64"), shape=own, axes=(k,))
        )
    return tuple(found) if kind.sparse else _stacked(found)


NUMPY: dict[Any, Callable[..., Any]] = {
    type(np.mgrid).__getitem__: grid,
    np.ndarray: zeros,
    np.array: array,
    np.fromiter: fromiter,
    np.asarray: asarray,
    np.asanyarray: asarray,
    np.ascontiguousarray: asarray,
    np.full: full,
    np.zeros: zeros,
    np.ones: ones,
    np.empty: zeros,
    np.full_like: full_like,
    np.zeros_like: zeros_like,
    np.ones_like: ones_like,
    np.empty_like: zeros_like,
    np.eye: eye,
    np.identity: identity,
    np.tri: tri,
    np.arange: arange,
    np.linspace: linspace,
}
METHODS: dict[str, Callable[..., Any]] = {}
