"""What a name may hold after a branch or loop, other than a value.

``Lost``: a different object on each path, which only says why when it is used.
``Unsure``: a value, if the name was bound at all. A loop forgets what such a name held
before, unless the program turns out to read it. ``Frozen``: an array as it was, where
Python would have an alias of one that may be written later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracegrad.errors import TracingError
from tracegrad.ir.graph import Operand, Value
from tracegrad.traces.checks import emit_check
from tracegrad.traces.memory import Foreign, Key, Memory, Restart
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import View

MISSING = object()
"""What a name holds that isn't bound."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A name that can't be used.

    why: a sentence about it. todo: what to do.
    widens: whether it was a number before a loop, and is an array after an iteration.
    """

    why: str
    todo: str
    widens: bool = False


class Widened(TracingError):
    """A loop would do if its first iteration were over."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """A name that is bound only if a condition holds.

    bound: the condition, or how to get it.
    doubts: loops that would have to keep what it held before them, if it is read.
    """

    value: Any
    bound: Callable[[], Any]
    doubts: frozenset[Key] = frozenset()


@dataclass(slots=True)
class Pending:
    """A name that the body of a loop binds: unbound in the first iteration.

    asked: whether it was read before it was bound.
    """

    asked: bool = False


Special = (Lost, Unsure, Pending)


def loaded(memory: Memory, name: str, content: Any) -> Any:
    """What a name's content is to a program that reads it.

    Raises:
        TracingError: if it differs from path to path.
        UnboundLocalError: if it isn't bound.
        Restart: if a loop didn't keep what it is then.
    """
    match content:
        case Lost(why, todo, widens):
            kind = Widened if widens else TracingError
            raise kind(why.format(name=name), memory.builder.location, todo)
        case Pending():
            content.asked = True
            raise UnboundLocalError(_unbound(name))
        case Unsure(doubts=doubts) if doubts:
            raise Restart(min(doubts, key=repr))
        case Unsure(value, bound):
            emit_check(memory, bound(), UnboundLocalError, _unbound(name))
            return loaded(memory, name, value)
    return content


def _unbound(name: str) -> str:
    return (
        f"cannot access local variable {name!r} where it is not associated with a value"
    )


class Frozen(Tracer):
    """An array that shares its elements with Refs, as long as nobody writes those."""

    __slots__ = ("_operand", "_shared", "memory")

    def __init__(
        self, memory: Memory, operand: Operand, shared: dict[Value, int]
    ) -> None:
        self.builder = memory.builder
        self.weak = False
        self.memory = memory
        self.origin = Foreign(
            "is another array from one iteration, or path, to the next.",
            "Take a copy first: y = y.copy(), or assign its elements: y[:] = ...",
        )
        self._operand = operand
        self._shared = shared

    @property
    def operand(self) -> Operand:  # type: ignore[override]
        """The array."""
        for base, version in self._shared.items():
            if self.memory.version(base) != version:
                raise TracingError(
                    "an array is read through one name after it was written through "
                    "another, which were not the same in every iteration or path.",
                    self.builder.location,
                    "Take a copy where the name is bound: y = x.copy().",
                )
        return self._operand

    @property
    def as_made(self) -> Operand:
        """The array whether it may be read or not, to give it a name."""
        return self._operand

    @property
    def type(self) -> Any:
        """Its type."""
        return self._operand.type


def shared_by(memory: Memory, *arrays: Any) -> dict[Value, int]:
    """The Refs whose elements arrays show, as often as each was written so far."""
    found: dict[Value, int] = {}
    for array in arrays:
        if isinstance(array, View) and array.mutable:
            found[array.base] = memory.version(array.base)
        elif isinstance(array, Frozen):
            found |= dict.fromkeys(array._shared)  # type: ignore[arg-type]
    return {base: memory.version(base) for base in found}
