"""Conditions: known while tracing, or traced booleans that branch when they run."""

from __future__ import annotations

from typing import Any

from tracegrad.errors import ControlFlowError
from tracegrad.ir.graph import Literal
from tracegrad.traces.checks import negated
from tracegrad.traces.protocols import truth_of
from tracegrad.traces.scope import Frame, truth
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import snapshot


def condition(frame: Frame, value: Any, construct: str) -> Any:
    """Whether a value is true: a bool if that is known, else a traced boolean.

    Raises:
        ControlFlowError: for an array.
    """
    value = truth_of(frame.machine, value)
    if not isinstance(value, Tracer):
        return bool(value)
    value = snapshot(value)
    try:
        return truth(frame, value, construct)
    except ControlFlowError:
        if value.ndim:
            raise
    test = value if value.type.dtype == "bool" else value != 0
    if isinstance(test.operand, Literal):
        return bool(test.operand.value)
    return test


def opposite(test: Tracer) -> Tracer:
    """``not test``."""
    return Tracer(test.builder, negated(test.builder, test.operand), weak=True)
