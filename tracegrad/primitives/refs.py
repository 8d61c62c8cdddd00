"""Refs: arrays that are written in place, and the four effects on them.

An index names some axes of the base; the value has the axes that are left. A view is
no value: whoever indexes a view names its base with full indices. There is no freeze:
a Ref among a graph's results is an output array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import Shape
from tracegrad.ir.types import ArrayType, DType, RefType


def _infer_alloc(*, shape: Shape, dtype: DType, fill: float | None) -> RefType:
    return RefType(dtype, shape)


def _alloc(*, shape: tuple[int, ...], dtype: DType, fill: float | None) -> Any:
    return np.full(
        shape, np.nan if fill is None and dtype[0] == "f" else fill or 0, dtype
    )


def _at(ref: Any, index: tuple[Any, ...], axes: tuple[int, ...]) -> tuple[Any, ...]:
    place = dict(zip(axes, (int(i) for i in index), strict=True))
    return tuple(place.get(axis, slice(None)) for axis in range(np.ndim(ref)))


def _rest(ref: RefType, axes: tuple[int, ...]) -> ArrayType:
    kept = tuple(d for axis, d in enumerate(ref.shape) if axis not in axes)
    return ArrayType(ref.dtype, kept)


def _infer_load(ref: RefType, *index: ArrayType, axes: tuple[int, ...]) -> ArrayType:
    return _rest(ref, axes)


def _infer_write(
    ref: RefType, value: ArrayType, *index: ArrayType, axes: tuple[int, ...]
) -> tuple[()]:
    assert value == _rest(ref, axes), f"{value} written to {ref} at axes {axes}"
    return ()


def _load(ref: Any, *index: Any, axes: tuple[int, ...]) -> Any:
    return np.array(ref[_at(ref, index, axes)])


def _store(ref: Any, value: Any, *index: Any, axes: tuple[int, ...]) -> tuple[()]:
    ref[_at(ref, index, axes)] = value
    return ()


def _accumulate(ref: Any, value: Any, *index: Any, axes: tuple[int, ...]) -> tuple[()]:
    ref[_at(ref, index, axes)] += value
    return ()


# A new array, filled with a number, or with whatever is there (fill=None).
alloc = Primitive("alloc", _alloc, _infer_alloc, effect="allocate")

# load(ref, *index)[axes]: the value at the index.
load = Primitive("load", _load, _infer_load, effect="read")

# store(ref, value, *index)[axes]: ref[index] = value.
store = Primitive("store", _store, _infer_write, effect="write")

# accumulate(ref, value, *index)[axes]: ref[index] += value; its adjoint only reads.
accumulate = Primitive("accumulate", _accumulate, _infer_write, effect="accumulate")
