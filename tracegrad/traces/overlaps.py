"""Arrays that must not share memory: one of them is an argument that is written.

A function that writes an argument is recorded on a copy of it. It would see its own
writes through any other name of the same memory, the copy does not show them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracegrad.ir.graph import Graph, Value
from tracegrad.traces.memory import Memory, Part
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import View

Shared = tuple[Any, Any]


def apart(memory: Memory, written: Any, others: Sequence[Any]) -> Any:
    """Let an array that is written share no memory with others.

    What only a call can tell, of the trace's own arguments, is noted for it.

    Returns:
        One of the others that is known to share memory with it; None if there is none.
    """
    own = _storage(memory, written)
    for other in others:
        found = _storage(memory, other)
        if _same(own, found):
            return other
        if isinstance(own, Value) and isinstance(found, Value):
            memory.apart.append((own, found))
    return None


def exclusive(
    memory: Memory, graph: Graph, written: Sequence[Value]
) -> tuple[tuple[int, int], ...]:
    """The parameters of which the first is written and must not overlap the second."""
    params = {p: k for k, p in enumerate(graph.params) if p.type.ndim}
    pairs = [(p, q) for p in written for q in params] + memory.apart
    places = {(params[p], params[q]) for p, q in pairs if p in params and q in params}
    return tuple(sorted((p, q) for p, q in places if p != q))


def _storage(memory: Memory, array: Any) -> Any:
    """The array that owns the memory that another one shows, as far as is known."""
    while isinstance(array, Tracer):
        if isinstance(array.origin, Part):
            array = array.origin.of
            continue
        base = array.base if isinstance(array, View) else array.operand
        if not isinstance(base, Value):
            return None
        if base not in memory.sources:
            return base
        array = memory.sources[base]
    return array


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.may_share_memory(first, second)
    return first is not None and first is second
