"""Storage for residuals: arrays whose lengths are known only when the program runs.

``reserve(*lengths)[name, dtype, cell, fill, grows]`` is a new array with one leading
axis per length (a negative length is none) and cells of a shape. With ``grows`` the
leading axis is a capacity: ``grow(ref, position)`` makes room for a position, and new
cells hold the fill. What has been stored stays. How often and how far it grows is
lowering's affair: it may test once per strip of positions.

>>> import numpy as np
>>> kept = reserve(2, name="kept", dtype="float64", cell=(), fill=0.0, grows=True)
>>> grow(kept, 2)
()
>>> kept.size > 2
True
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import Dim, Shape
from tracegrad.ir.types import ArrayType, DType, RefType
from tracegrad.primitives.refs import alloc


def _reserve(
    *lengths: Any,
    name: str,
    dtype: DType,
    cell: tuple[int, ...],
    fill: float | None,
    grows: bool,
) -> Any:
    # As in lowering: where no loop runs, a cell's size may be below zero.
    shape = (*(max(0, int(n)) for n in lengths), *(max(0, n) for n in cell))
    return alloc.numpy(shape=shape, dtype=dtype, fill=fill)


def _infer_reserve(
    *lengths: ArrayType,
    name: str,
    dtype: DType,
    cell: Shape,
    fill: float | None,
    grows: bool,
) -> RefType:
    leading = (Dim.symbol(f"{name}.shape[{k}]") for k in range(len(lengths)))
    return RefType(dtype, (*leading, *cell))


def _grow(ref: Any, position: Any) -> Any:
    if position >= len(ref):
        # In place: a resized array is the same one under each of its names.
        ref.resize((2 * int(position) + 1, *np.shape(ref)[1:]), refcheck=False)
    return ()


reserve = Primitive("reserve", _reserve, _infer_reserve, effect="allocate")

grow = Primitive("grow", _grow, lambda ref, position: (), effect="write")
