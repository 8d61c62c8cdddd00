"""Conditions that must hold when the program runs, or an exception is raised.

An exception that the program raises under a condition known only then becomes a
``check``: the gradient raises exactly when the function does. Its type is a built-in
one: that of the exception, or the nearest that it derives from.
"""

from __future__ import annotations

import ast
import builtins
from typing import Any, cast

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.ir.graph import Literal, Operand
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.control import check
from tracegrad.traces.memory import Memory
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.words import plain

_DIVISIONS: dict[type[ast.operator], str] = {
    ast.FloorDiv: "integer division or modulo by zero",
    ast.Mod: "integer modulo by zero",
}
# What Python and NumPy raise because of a value; another exception while tracing says
# that the program is wrong, or that tracegrad can't trace it.
VALUE_ERRORS = (
    *(ArithmeticError, AssertionError, LookupError, NameError),
    *(NotImplementedError, StopIteration, ValueError),
)


def emit_check(
    memory: Memory, condition: Any, kind: type[BaseException], message: str
) -> None:
    """Raise unless a condition holds.

    Raises:
        TracingError: if the program would catch the exception.
    """
    predicate: Operand = (
        condition.operand
        if isinstance(condition, Tracer)
        else Literal(bool(condition), "bool")
    )
    if isinstance(predicate, Literal) and predicate.value:
        return
    known = builtin_kind(kind)
    if any(issubclass(kind, caught) for caught in memory.catching):
        raise TracingError(
            f"whether {known.__name__} is raised, and caught, is decided at run time.",
            memory.builder.location,
            "Test the condition with if instead of catching the exception.",
        )
    params = {"kind": known.__name__, "message": message}
    memory.builder.emit(check, (predicate,), params)


def check_divisor(memory: Memory, kind: type[ast.operator], left: Any, by: Any) -> None:
    """Raise as Python does where one of its integers is divided by zero.

    NumPy's integers give zero then, and floats what IEEE 754 says.
    """
    message = _DIVISIONS.get(kind)
    if message is None or not (_is_integer(left) and isinstance(by, Tracer)):
        return
    if not _is_integer(by) or by.dtype.kind != "i":
        return
    form = memory.bounds.affine(by.operand)
    if not (memory.bounds.proves(form - 1) or memory.bounds.proves(-form - 1)):
        emit_check(memory, by != 0, ZeroDivisionError, message)


def _is_integer(x: Any) -> bool:
    """Whether it is an integer of Python's, not of NumPy's."""
    if isinstance(x, Tracer):
        return x.weak and not x.ndim and x.dtype.kind in "ib"
    return isinstance(x, int) and not isinstance(x, np.generic)


def builtin_kind(kind: type[BaseException]) -> type[BaseException]:
    """The nearest built-in exception that a class derives from."""
    found = (k for k in kind.__mro__ if getattr(builtins, k.__name__, None) is k)
    return cast("type[BaseException]", next(found))


def message_of(error: BaseException) -> str:
    """What an exception says."""
    return plain(str(error.args[0]) if len(error.args) == 1 else str(error))


def negated(builder: Any, predicate: Operand) -> Operand:
    """``not predicate``."""
    if isinstance(predicate, Literal):
        return Literal(not predicate.value, "bool")
    made = predicate.definition
    if made is not None and made.primitive is cmp.logical_not:
        return made.inputs[0]
    operand: Operand = builder.emit1(cmp.logical_not, (predicate,))
    return operand
