"""Arrays that a loop fills, one part in each iteration.

This is how ``vmap`` runs over a batch, and how a Jacobian runs over its columns: no
operation needs to know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegrad.ir.graph import Graph, Value
from tracegrad.ir.shapes import Shape
from tracegrad.ir.types import DType
from tracegrad.primitives import refs
from tracegrad.traces.indices import select
from tracegrad.traces.memory import Memory
from tracegrad.traces.stores import write
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import View, snapshot, viewed, whole_view


def allocate(memory: Memory, outer: Graph, shape: Shape, dtype: DType) -> View:
    """A new array without contents, made in a graph around before its loop to come."""
    builder = memory.builder
    params = {"shape": shape, "dtype": dtype, "fill": None}
    with builder.inside(outer):
        made = builder.emit1(refs.alloc, (), params)
    assert isinstance(made, Value)
    return whole_view(memory, made)


def put(target: View, index: Sequence[Any], value: Any) -> None:
    """``target[index] = value``."""
    write(select(target, tuple(index)), value)


def part(memory: Memory, array: Tracer, axis: int, position: Any) -> Any:
    """The part of an array at a position along an axis: an element, or a view."""
    view = viewed(memory, array)
    if view is None:  # a reshaped view: what it shows now
        view = viewed(memory, snapshot(array))
    assert view is not None, "arrays are values"
    found = select(view, (*(slice(None),) * axis, position))
    return found if found.axes else Tracer(found.builder, found.operand)
