"""One hierarchy of errors: what happened, where in the user's code, what to do.

>>> from tracegrad.ir.source import Location
>>> here = Location("model.py", 14, "loss", "k = np.argsort(x)")
>>> print(TracingError("argsort has no derivative.", here, "Use stop_gradient."))
argsort has no derivative.
  at model.py:14 in loss: k = np.argsort(x)
  Use stop_gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracegrad.ir.source import Location


class TracegradError(Exception):
    """The base of every error that tracegrad raises on purpose.

    Args:
        what: one sentence that says what happened.
        where: the user's line, if one is known.
        todo: one sentence that says what to do about it.
    """

    def __init__(
        self, what: str, where: Location | None = None, todo: str | None = None
    ) -> None:
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(what, where, todo)

    def located(self, where: Location | None) -> TracegradError:
        """This error at a line, unless it already names one."""
        if self.where is None:
            self.where = where
        return self

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  at {self.where}")
        if self.todo is not None:
            lines.append(f"  {self.todo}")
        return "\n".join(lines)


class TracingError(TracegradError):
    """The function can't be recorded: a construct, call or object is unsupported."""


class ControlFlowError(TracingError):
    """A branch, loop or conversion needs a value that is only known at run time."""


class ShapeError(TracegradError, ValueError):
    """Shapes don't fit; the message names both operands."""


class DTypeError(TracegradError, TypeError):
    """A dtype is unsupported, or can't be differentiated."""


class TapeWarning(UserWarning):
    """A function could not be compiled, and runs on the tape instead."""


class DifferentiationError(TracegradError):
    """Something has no derivative, or the function's output can't be differentiated."""


class ArgumentError(TracegradError, TypeError, ValueError):
    """A transform was given arguments that don't fit its function."""


class LibraryError(TracegradError):
    """A compiled library can't be exported or loaded: the message says why."""
