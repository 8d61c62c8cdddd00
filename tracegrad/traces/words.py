"""Texts of traced values: made while tracing, though the values aren't known yet.

Such a text has a stand-in where the value belongs. It can be put together with others
and say something in an exception or a warning. Whatever would decide or calculate by
it is refused, as the value's own text might say something else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from tracegrad.errors import ControlFlowError, TracegradError

_T = TypeVar("_T")

STAND_IN = "<traced "  # how the text of every stand-in begins


class Words(str):
    """A text in which a traced value has a part."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return str, (plain(self),)

    def __bool__(self) -> bool:
        return True  # no value's text is empty

    def __add__(self, other: str) -> str:
        return Words(plain(self) + other)

    def __radd__(self, other: str) -> str:
        return Words(other + plain(self))


def worded(found: _T) -> _T:
    """What was found; a text that a traced value has a part in, as Words."""
    if type(found) is str and STAND_IN in cast("str", found):
        return cast("_T", Words(found))
    return found


def plain(text: str) -> str:
    """A text as an ordinary one, stand-ins included."""
    return str.__str__(text)


def refused() -> ControlFlowError:
    """The error for what needs to know a text of a traced value."""
    return ControlFlowError(
        "the text of a traced value decides something, or is taken apart.",
        todo="Compare or calculate with the value itself (np.round, np.sign, x < 0)."
        " Its text can be joined to others, for an exception or a warning.",
    )


def _refuse(self: Words, *args: Any, **kwargs: Any) -> Any:
    raise refused()


_KEPT = {"__new__", "__str__", "__repr__", "__format__", "__getattribute__", "__doc__"}
for _name in vars(str).keys() - vars(Words).keys() - _KEPT:
    setattr(Words, _name, _refuse)


def spelled_out(error: Exception, again: Callable[[], Any]) -> Exception | None:
    """An exception of the program's with values in its text, not stand-ins.

    Args:
        error: what was raised while tracing.
        again: runs the program with values.

    Returns:
        What that raises, if it is of the same kind; None if the error says what it can.
    """
    if isinstance(error, TracegradError) or STAND_IN not in str(error):
        return None
    try:
        again()
    except Exception as own:
        return own if type(own) is type(error) else None
    return None
