"""``assert`` and ``raise``: exceptions of the program itself."""

from __future__ import annotations

import ast

from tracegrad.traces.checks import emit_check, message_of
from tracegrad.traces.conditions import condition
from tracegrad.traces.expressions import evaluate
from tracegrad.traces.scope import Frame
from tracegrad.traces.tracer import Tracer


def check_assertion(statement: ast.Assert, frame: Frame) -> None:
    """``assert test, message``."""
    value = evaluate(statement.test, frame)
    frame.at(statement.lineno)
    test = condition(frame, value, "an assertion")
    if test is True:
        return
    arguments = [evaluate(statement.msg, frame)] if statement.msg else []
    error = AssertionError(*arguments)
    if not isinstance(test, Tracer):
        frame.machine.raised = error
        raise error
    emit_check(frame.machine.memory, test, AssertionError, message_of(error))


def raise_exception(statement: ast.Raise, frame: Frame) -> None:
    """``raise error from cause``."""
    if statement.exc is None:
        home = frame.home()
        if home.handling is None:
            raise RuntimeError("No active exception to reraise")
        raise home.handling
    error = evaluate(statement.exc, frame)
    if isinstance(error, type):
        error = frame.machine.call(error)
    frame.at(statement.lineno)
    frame.machine.raised = error
    if statement.cause is not None:
        raise error from evaluate(statement.cause, frame)
    raise error
