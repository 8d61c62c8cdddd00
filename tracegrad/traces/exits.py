"""How a block ends: at its end, by a jump, or by a jump that is decided at run time.

Such jumps are flags, kept with the function's variables under names that no variable
can have. A flag is False where the program hasn't jumped, so everything that follows in
the block runs only where the flags are False.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from tracegrad.primitives import comparisons as cmp
from tracegrad.traces.scope import Frame
from tracegrad.traces.stale import MISSING
from tracegrad.traces.tracer import Tracer

BROKE, CONTINUED, RETURNED, VALUE = "<break>", "<continue>", "<return>", "<value>"
FLAGS = (BROKE, CONTINUED, RETURNED)
HIDDEN = (*FLAGS, VALUE)


class Signal(Enum):
    """How a block ended; MAYBE: by a jump on some paths, as the flags say."""

    NEXT = auto()
    BREAK = auto()
    CONTINUE = auto()
    RETURN = auto()
    MAYBE = auto()

    @property
    def falls(self) -> bool:
        """Whether what follows the block runs on some path."""
        return self in (Signal.NEXT, Signal.MAYBE)


_FLAG_OF = {
    Signal.BREAK: BROKE,
    Signal.CONTINUE: CONTINUED,
    Signal.RETURN: RETURNED,
}


def flag(frame: Frame, name: str) -> Any:
    """Whether a jump was taken: False, True, or a traced boolean."""
    content = frame.peek(name)
    return False if content is MISSING else content


def clear(frame: Frame, *names: str) -> None:
    """Let the program not have jumped."""
    for name in names:
        frame.put(name, MISSING)


def raise_flag(frame: Frame, signal: Signal) -> None:
    """Turn the way in which a path ended into flags."""
    if signal in _FLAG_OF:
        frame.put(_FLAG_OF[signal], True)
    if signal is Signal.RETURN:
        frame.put(VALUE, frame.returned)


def signal_of(frame: Frame) -> Signal:
    """What the flags say of the way in which a block ended."""
    found = [flag(frame, name) for name in FLAGS]
    if all(f is False for f in found):
        return Signal.NEXT
    for signal, name in _FLAG_OF.items():
        if flag(frame, name) is True:
            if signal is Signal.RETURN:
                frame.returned = frame.peek(VALUE)
            return signal
    return Signal.MAYBE


def jumped(frame: Frame, names: tuple[str, ...] = FLAGS) -> Any:
    """Whether any of some jumps was taken."""
    return any_of(flag(frame, name) for name in names)


def any_of(flags: Iterator[Any]) -> Any:
    """The disjunction of flags."""
    found: Any = False
    for one in flags:
        if one is True or found is True:
            return True
        if found is False:
            found = one
        elif one is not False:
            both: Tracer = cmp.logical_or(found, one)
            found = Tracer(both.builder, both.operand, weak=True)
    return found


def only_flag(frame: Frame) -> str | None:
    """The only jump that may have been taken, if there is but one."""
    found = [name for name in FLAGS if flag(frame, name) is not False]
    return found[0] if len(found) == 1 else None
