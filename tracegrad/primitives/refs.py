"""Refs: arrays that are written in place, and the effects on them.

An index has one entry per axis of the base, and an operand each: a *point* drops the
axis, a *window* keeps ``size`` cells from its start on, ``step`` apart. A view is no
value: whoever indexes a view names its base. There is no freeze: a Ref among a graph's
results is an output array.

An index counts from the front and lies within its axis, as do all cells of a window:
whoever makes one has wrapped a negative index by a ``select``, and put a ``check`` that
raises IndexError before it, where that wasn't proven. The size of a window, like every
shape in a loop, may be a Dim in which the name of the loop's index is a symbol.

``load`` also reads immutable arrays, at points that are only known at run time.

>>> import numpy as np
>>> load(np.arange(12).reshape(3, 4), 1, 0, sizes=(None, 2), steps=(1, 3))
array([4, 7])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import Dim, Shape
from tracegrad.ir.types import ArrayType, DType, RefType, Type


def _infer_alloc(*, shape: Shape, dtype: DType, fill: float | None) -> RefType:
    return RefType(dtype, shape)


def _alloc(*, shape: tuple[int, ...], dtype: DType, fill: float | None) -> Any:
    # What was never written is NaN, so that a test notices reading it.
    empty = np.nan if dtype.startswith("float") else 0
    return np.full(shape, empty if fill is None else fill, dtype)


def window(
    index: tuple[Any, ...], sizes: tuple[int | None, ...], steps: tuple[int, ...]
) -> tuple[Any, ...]:
    """The NumPy index that an index means."""
    entries: list[Any] = []
    for start, size, step in zip(index, sizes, steps, strict=True):
        first = int(start)
        if size is None:
            entries.append(first)
            continue
        stop = first + size * step
        entries.append(slice(first, stop if stop >= 0 else None, step))
    return tuple(entries)


def window_type(base: Type, sizes: tuple[Dim | None, ...]) -> ArrayType:
    """The type of what an index selects."""
    return ArrayType(base.dtype, tuple(Dim.of(s) for s in sizes if s is not None))


def _infer_load(
    base: Type, *index: ArrayType, sizes: tuple[Dim | None, ...], steps: tuple[int, ...]
) -> ArrayType:
    return window_type(base, sizes)


def _infer_write(ref: RefType, value: ArrayType, *index: ArrayType, **_: Any) -> Any:
    return ()


def _load(base: Any, *index: Any, sizes: Any, steps: Any) -> Any:
    return np.array(base[window(index, sizes, steps)])[()]


def _store(ref: Any, value: Any, *index: Any, sizes: Any, steps: Any) -> Any:
    ref[window(index, sizes, steps)] = value
    return ()


def _accumulate(ref: Any, value: Any, *index: Any, sizes: Any, steps: Any) -> Any:
    ref[window(index, sizes, steps)] += value
    return ()


# A new array, filled with a number, or with whatever is there (fill=None).
alloc = Primitive("alloc", _alloc, _infer_alloc, effect="allocate")

# A new array with the contents of an array or a Ref.
copy = Primitive(
    "copy",
    lambda x: np.array(x),
    lambda x: RefType(x.dtype, x.shape),
    effect="allocate",
)

# load(base, *index)[sizes, steps]: the value at the index.
load = Primitive("load", _load, _infer_load, effect="read")

# store(ref, value, *index)[sizes, steps]: ref[index] = value.
store = Primitive("store", _store, _infer_write, effect="write")

# accumulate(ref, value, *index)[sizes, steps]: ref[index] += value. Its adjoint only
# reads, which is why it is not a load, an addition and a store.
accumulate = Primitive("accumulate", _accumulate, _infer_write, effect="accumulate")
