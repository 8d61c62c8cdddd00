"""Texts of arrays on the tape, whose values are known: they say what NumPy's would.

What a program reads from a text with so many digits is constant almost everywhere, as
rounded values are. But all the digits of a number are the number itself.
"""

from __future__ import annotations

import dis
from types import FrameType

from tracegrad.errors import DifferentiationError


class Digits(str):
    """All digits of a number that carries a derivative."""

    __slots__ = ()

    def __float__(self) -> float:
        raise DifferentiationError(
            "float() of a number's text would lose its derivative.",
            todo="Use the number itself. If the derivative is not wanted, use "
            "tracegrad.stop_gradient(x) first.",
        )


def _operation(statement: str) -> bytes:
    """The instruction of the operator in a statement."""
    code = compile(statement, "<operator>", "exec")
    return next(
        code.co_code[i.offset : i.offset + 2]
        for i in dis.get_instructions(code)
        if i.opname == "BINARY_OP"
    )


_PERCENT = {_operation("a % b"), _operation("a %= b")}


def is_interpolating(frame: FrameType) -> bool:
    """Whether a frame is at a ``%``: if that asks for a float, it makes a text."""
    at = frame.f_lasti
    return frame.f_code.co_code[at : at + 2] in _PERCENT
