"""Sequences in traced code: what a loop, an unpacking or a ``*`` runs over.

They are short and static: a loop over an array's first axis is unrolled, and its length
guarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracegrad.errors import ControlFlowError
from tracegrad.ir.shapes import hint_of, size_equals
from tracegrad.primitives.identities import dim_of
from tracegrad.traces.scope import Machine
from tracegrad.traces.tracer import Tracer

UNROLL_LIMIT = 1000


def items(machine: Machine, value: Any, expected: int | None = None) -> Iterator[Any]:
    """The items of an iterable; an array gives its rows, one by one.

    expected: how many an unpacking takes, so that another length is an error.
    """
    if not isinstance(value, Tracer):
        return iter(machine.outside.opened(machine.builder, value))
    if not value.ndim:
        raise TypeError("iteration over a 0-d array")
    length = value.dims[0]
    if expected is not None and size_equals(length, expected):
        count = expected
    else:
        check_unrolled(machine, hint_of(length))
        count = machine.builder.assumptions.concrete(length)
    return iter([value[k] for k in range(count)])


def check_unrolled(machine: Machine, steps: int) -> None:
    """Refuse a loop that would be unrolled into too many equations."""
    if steps > UNROLL_LIMIT:
        raise ControlFlowError(
            f"a loop of {steps} steps would be unrolled.",
            machine.builder.location,
            f"Write it as an array expression; loops of traced operations may have "
            f"{UNROLL_LIMIT} steps.",
        )


def static_key(index: Any) -> Any:
    """A size as the plain number that a list or dict needs, under a guard."""
    if isinstance(index, Tracer) and dim_of(index.operand) is not None:
        return index.__index__()
    return index
