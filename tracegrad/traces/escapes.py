"""Exceptions that escape from a trace, and are neither ours nor the program's.

A function is traced by running it on stand-ins for its values. Where Python or a
library can't do with a stand-in what it does with a number, it says so in its own
words; here that becomes an error at the user's line. What goes wrong in tracegrad
itself is said to be its defect.

>>> str(explained(TypeError("unhashable type: 'View'"), None).what)
'unhashable type: a traced value.'
"""

from __future__ import annotations

import re
from types import TracebackType

from tracegrad.errors import TracegradError, TracingError
from tracegrad.ir.source import Location

_STAND_IN = re.compile(r"'(?:\w+\.)*(?:Tracer|View|Alias|Frozen|Masked|Stretch|Steps)'")
_SPEAKS_OF_US = ("traced array has no", "<traced ")
_OURS = ("tracegrad", "codegen", "numba", "llvmlite")


class OperandError(TracingError, TypeError):
    """An operation that Python doesn't have for what a traced value stands for."""


def complex_refused(where: Location | None) -> TracingError:
    """The error for numbers that a graph can't hold."""
    return TracingError(
        "complex numbers are not supported.",
        where,
        "Calculate with real and imaginary parts.",
    )


def explained(error: Exception, where: Location | None) -> TracingError | None:
    """The error to raise instead of one that is about stand-ins, if it is."""
    if isinstance(error, RecursionError):
        return TracingError(
            "calls nest too deeply: a recursion that a traced value ends has no end "
            "while it is traced.",
            where,
            "Write it as a loop, or let a static value end it.",
        )
    text = str(error)
    if not isinstance(error, (TypeError, AttributeError, ValueError)):
        return None
    if not _STAND_IN.search(text) and not any(part in text for part in _SPEAKS_OF_US):
        return None
    if _innermost(error.__traceback__).startswith("numba."):
        return TracingError(
            "an object of Numba's (typed list, jitclass) can't hold a traced value.",
            where,
            "Use a list, a class of Python's or a NumPy array in its place.",
        )
    kind = OperandError if isinstance(error, TypeError) else TracingError
    return kind(
        f"{_STAND_IN.sub('a traced value', text)}.",
        where,
        "Write it with NumPy functions that tracegrad knows, or do it outside.",
    )


def is_defect(error: Exception) -> bool:
    """Whether an exception was raised by our own code, on no one's behalf."""
    if isinstance(error, TracegradError) or hasattr(error, "__notes__"):
        return False
    module = _innermost(error.__traceback__)
    return module.split(".")[0] in _OURS


def defect(error: Exception, title: str, where: Location | None) -> TracegradError:
    """The error to raise instead of one of our own making."""
    return TracegradError(
        f"{title} can't be compiled ({type(error).__name__}: {error}).",
        where,
        "This is a defect of tracegrad: please report it.",
    )


def _innermost(traceback: TracebackType | None) -> str:
    """The module in which an exception was raised."""
    found = ""
    while traceback is not None:
        found = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return found
