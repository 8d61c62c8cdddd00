"""What graphs can be evaluated on, besides NumPy's numbers: symbols, or many digits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import monotonic
from typing import Any

from tracegrad.errors import TracegradError


class Undecided(TracegradError):
    """A loop, an index or an order depends on a value that the algebra doesn't know."""


class NoSymbolicForm(TracegradError):
    """A primitive has no meaning in this algebra."""


class OutOfTime(TracegradError):
    """An evaluation took longer than it was given."""


class Algebra(ABC):
    """The numbers that a graph is evaluated on.

    Args:
        deadline: when to give up, in the seconds of ``time.monotonic``.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline = deadline

    def tick(self) -> None:
        """Called before each equation.

        Raises:
            OutOfTime: after the deadline.
        """
        if self._deadline is not None and monotonic() > self._deadline:
            raise OutOfTime("out of time.")

    @abstractmethod
    def literal(self, value: float) -> Any:
        """A floating-point constant."""

    @abstractmethod
    def function(self, name: str, text: str, names: tuple[str, ...]) -> Any:
        """A scalar function, from its SymPy text over the operands' names."""

    @abstractmethod
    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        """One of two values."""

    @abstractmethod
    def decide(self, condition: Any) -> bool | None:
        """The truth of a condition, or None."""

    @abstractmethod
    def integer(self, value: Any) -> int | None:
        """The integer that a value is, or None."""

    @abstractmethod
    def pivot(self, column: Any) -> int:
        """The position of a number to divide by."""


def known_integer(x: Any) -> bool:
    """Whether it is an integer or truth value of Python's own."""
    return isinstance(x, int)
