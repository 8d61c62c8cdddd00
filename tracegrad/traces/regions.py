"""Loops that no statement of the user's is the source of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegrad.ir.graph import Graph, Literal
from tracegrad.ir.shapes import Dim, Shape
from tracegrad.ir.types import scalar
from tracegrad.primitives.control import for_
from tracegrad.primitives.identities import size_value
from tracegrad.traces.memory import Memory
from tracegrad.traces.tracer import Tracer


def each(
    memory: Memory,
    size: Dim,
    label: str,
    body: Callable[[Tracer], None],
    step: int = 1,
) -> None:
    """Record ``for k in range(0, size, step): body(k)`` as a loop.

    Args:
        memory: of the trace in progress.
        size: where the index ends.
        label: what the index is called.
        body: records an iteration; it hands on nothing but by writing to arrays.
        step: of the index.
    """
    builder, bounds = memory.builder, memory.bounds
    graph = Graph("each")
    index = graph.add_param(scalar("int64"), bounds.unique(label))
    with memory.region(graph), bounds.within(index, Dim.constant(0), size, step):
        body(Tracer(builder, index, weak=True))
    params = {"step": step, "reversed": False, "stops": False}
    limits = (Literal(0, "int64"), size_value(builder, size))
    builder.emit(for_, limits, params, (graph,), (scalar("int64"),))


def nest(
    memory: Memory, shape: Shape, body: Callable[[tuple[Any, ...]], None], step: int = 1
) -> None:
    """Record a loop over every index of a shape; ``step`` is that of the last axis."""

    def level(counters: tuple[Any, ...]) -> None:
        if len(counters) == len(shape):
            body(counters)
            return
        own = step if len(counters) == len(shape) - 1 else 1
        each(memory, shape[len(counters)], "k", lambda k: level((*counters, k)), own)

    level(())
