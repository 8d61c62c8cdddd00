"""Numbers as Python's own: ``x.item()``, ``x.tolist()``, what ``math`` works with."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.shapes import Dim, hint_of, size_equals
from tracegrad.ir.types import FLOATS
from tracegrad.traces import methods
from tracegrad.traces.iteration import Rows, check_unrolled
from tracegrad.traces.scope import Machine
from tracegrad.traces.sequences import items
from tracegrad.traces.tracer import Tracer, convert


def as_kind(value: Tracer, kind: Any) -> Tracer:
    """A traced number as ``float(x)`` or ``int(x)`` has it: a Python number."""
    if value.ndim:
        raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
    return Tracer(value.builder, convert(value.builder, value.operand, kind), weak=True)


def python_number(value: Any) -> Any:
    """A number as the Python number that is equal to it; anything else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    return _number(value) if isinstance(value, Tracer) and not value.ndim else value


def _number(value: Tracer) -> Tracer:
    dtype = value.type.dtype
    if dtype in FLOATS:
        return as_kind(value, "float64")
    return as_kind(value, dtype if dtype == "bool" else "int64")


def item(machine: Machine, array: Tracer, *index: Any) -> Tracer:
    """The only element of an array, or one by its position."""
    if len(index) == 1 and isinstance(index[0], tuple):
        index = index[0]
    if not index and not all(size_equals(d, 1) for d in array.dims):
        raise ValueError("can only convert an array of size 1 to a Python scalar")
    if len(index) == 1 and array.ndim != 1:
        array = methods.attribute(machine.memory, array, "reshape")(-1)
    elif len(index) not in (0, array.ndim):
        raise ValueError("incorrect number of indices for array")
    for position in index or (0,) * array.ndim:
        array = Rows(machine.memory, array).at(position)
    return _number(array)


def tolist(machine: Machine, array: Tracer) -> Any:
    """The elements of an array in nested lists; its sizes are guarded."""
    total = Dim.constant(1)
    for d in array.dims:
        total = total * d
    check_unrolled(machine.memory, hint_of(total))
    return _listed(machine, array)


def _listed(machine: Machine, array: Tracer) -> Any:
    if not array.ndim:
        return _number(array)
    rows = [_listed(machine, row) for row in items(machine, array)]
    machine.memory.bear(rows)
    return rows
