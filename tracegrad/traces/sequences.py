"""Sequences in traced code: what a loop, an unpacking or a ``*`` runs over.

They are short and static: an array gives its rows, one by one, and its length is
guarded. Loops whose length isn't a number while tracing are in ``loops``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracegrad.ir.shapes import size_equals
from tracegrad.primitives.identities import dim_of
from tracegrad.traces import iteration
from tracegrad.traces.iteration import Rows
from tracegrad.traces.scope import Machine
from tracegrad.traces.tracer import Tracer


def items(machine: Machine, value: Any, expected: int | None = None) -> Iterator[Any]:
    """The items of an iterable; an array gives its rows, each when it is asked for.

    expected: how many an unpacking takes, so that another length is an error.
    """
    if isinstance(value, Iterator):
        machine.outside.refuse_write(machine.builder, value, "iterating")
        machine.memory.refuse_change(value, "iterating")
    if not isinstance(value, Tracer):
        return iter(machine.outside.opened(machine.builder, value))
    if not value.ndim:
        raise TypeError("iteration over a 0-d array")
    rows = Rows(machine.memory, value)
    length = value.dims[0]
    if expected is not None and size_equals(length, expected):
        count = expected
    else:
        count = rows.counted()
    return (rows.at(k) for k in range(count))


def check_unrolled(machine: Machine, steps: int) -> None:
    """Refuse a loop that would be unrolled into too many equations."""
    iteration.check_unrolled(machine.memory, steps)


def static_key(index: Any) -> Any:
    """A size as the plain number that a list or dict needs, under a guard."""
    if isinstance(index, Tracer) and dim_of(index.operand) is not None:
        return index.__index__()
    return index
