"""Arrays that a trace computed itself, written out in the graph where they are simple.

``np.zeros(n)``, ``np.eye(2)`` and ``np.array([1.0, 0.0])`` don't depend on what is
traced. As part of the graph they are seen by its identities, and are read where they
are used; larger arrays become hidden inputs of the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.graph import Builder, Operand
from tracegrad.ir.shapes import shape_of
from tracegrad.ir.types import FLOATS, ArrayType, stored_dtype
from tracegrad.primitives import structural
from tracegrad.primitives.identities import expand, filled

MOST = 16
"""The elements up to which an array of different numbers is written out."""


def written_out(builder: Builder, array: np.ndarray[Any, Any]) -> Operand | None:
    """An array of numbers as part of the graph; None if it is not a simple one."""
    dtype = stored_dtype(array.dtype)
    if dtype not in FLOATS or not array.size:
        return None
    cells = array.ravel()
    if cells.tobytes() == cells[:1].tobytes() * cells.size:
        return filled(builder, cells[0].item(), ArrayType(dtype, shape_of(array.shape)))
    if cells.size > MOST:
        return None
    parts = []
    for row in array:
        part = written_out(builder, np.asarray(row))
        assert part is not None
        shape = (*shape_of((1,)), *part.type.shape)
        parts.append(expand(builder, part, shape, tuple(range(1, array.ndim))))
    return builder.emit1(structural.concatenate, parts, {"axis": 0})
