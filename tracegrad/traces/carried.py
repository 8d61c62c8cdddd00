"""What a loop hands from iteration to iteration, found by recording its body.

Every name that the body binds is followed. A number starts as a slot of its own type; a
name that holds another array at the end of the body gets a slot for arrays; one that is
bound first in the body gets a slot that starts with a zero. The body is recorded again
until the slots take what ends up in them. Names that Refs are exchanged between
(``u, v = v, u``) carry the Refs themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tracegrad import pytree
from tracegrad.errors import ControlFlowError, TracingError
from tracegrad.ir.graph import Graph, Literal, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import ArrayType, Type
from tracegrad.traces.exits import BROKE, RETURNED, VALUE
from tracegrad.traces.growth import creeps
from tracegrad.traces.memory import Key, Memory, Restart
from tracegrad.traces.scope import name_value
from tracegrad.traces.slots import (
    Layout,
    Mismatch,
    Slot,
    check_settled,
    layout_of,
    operands,
    rebuilt,
    slotted,
    widened,
    zeros,
)
from tracegrad.traces.stale import MISSING, Lost, Pending, Unsure
from tracegrad.traces.tracer import Tracer, lift
from tracegrad.traces.views import whole_view

_PYTHON, _NUMPY = (Slot(ArrayType("float64", ()), weak=w) for w in (True, False))
_BOOL = Literal(False, "bool")


class CarryRefs(TracingError):
    """Refs from outside of the loop around are exchanged, so it has to carry them."""

    def __init__(self, bases: list[Value], memory: Memory) -> None:
        self.bases = bases
        super().__init__(
            "arrays are exchanged in a branch or nested loop.",
            memory.builder.location,
            "Copy them instead: u[:] = v.",
        )


@dataclass(slots=True)
class Range:
    """What an integer that is carried lies between, by induction."""

    floor: Dim | None = None
    ceiling: Dim | None = None


class Carried:
    """One name that the body of a loop binds.

    Attributes:
        name: of the variable.
        entry: what it holds before the loop.
        layout: the slots that it needs; None if it keeps what it holds.
        lost: why it can't be carried.
        flagged: whether a slot tells if it is bound.
        exchanged: whether it carries a Ref.
        firmed: whether all that was news is that Python's floats became NumPy's.
        doubts: loops that forgot what it held before them; what it holds may be that.
        params: what its slots are in the body.
        end: what it held when the body was recorded last.
    """

    def __init__(self, memory: Memory, name: str, entry: Any, loop: Key) -> None:
        self.name = name
        self.entry = entry
        self._key = (*loop, name)
        self.doubts: frozenset[Key] = frozenset()
        self.lost: Lost | None = None
        self.flagged = False
        self.exchanged = False
        self.firmed = False
        self.params: list[Value] = []
        self.start: Any = None
        self.end: Any = None
        self.ranges: dict[int, Range] = {}
        hidden = name in (RETURNED, BROKE, VALUE)
        # Whether the first iteration, or what is after the loop, may read the entry.
        doubtful = not hidden and isinstance(entry, (Lost, Unsure, Pending))
        self._forgets = doubtful and not memory.is_demanded(self._key)
        if doubtful and not self._forgets:
            self._keep(entry)
        self.is_new = hidden or entry is MISSING or isinstance(entry, (Lost, Pending))
        self.is_new = self.is_new or self._forgets
        self.layout: Layout | None = None
        if not self.is_new:
            self.layout = _kept(layout_of(self._before()), self.flagged)

    def _keep(self, entry: Lost | Unsure | Pending) -> None:
        """Be what it holds before the loop, which may be nothing that can be used."""
        match entry:
            case Lost():
                self.lost = entry
            case Pending():
                entry.asked = True
            case Unsure():
                self.flagged, self.doubts = True, entry.doubts

    def _before(self) -> Any:
        """The value that it has before the loop, bound or not."""
        return self.entry.value if isinstance(self.entry, Unsure) else self.entry

    # --- recording -------------------------------------------------------------------

    @property
    def types(self) -> list[Type]:
        """Of the values that it carries."""
        if self.exchanged:
            return [self.entry.base.type]
        if self.layout is None or self.lost is not None:
            return []
        return [*self.layout.types, *([_BOOL.type] if self.flagged else [])]

    def enter(self, memory: Memory, graph: Graph) -> Any:
        """What it holds at the start of the body, with new parameters."""
        self.params = self.add_params(graph)
        self.start = self.content(memory, self.params)
        return self.start

    def add_params(self, graph: Graph) -> list[Value]:
        """Parameters of a region for what it carries."""
        types = self.types
        plain = self.name if self.name.isidentifier() else "value"
        named = [
            plain if len(types) == 1 else f"{plain}_{k}" for k in range(len(types))
        ]
        if self.flagged:
            named[-1] = f"{plain}_bound"
        pairs = zip(types, named, strict=True)
        return [graph.add_param(type_, name) for type_, name in pairs]

    def content(self, memory: Memory, params: list[Value]) -> Any:
        """What it holds, given the parameters of a region."""
        if self.lost is not None:
            return self.lost
        if self.exchanged:
            return whole_view(memory, params[0])
        if self.name in (RETURNED, BROKE, VALUE):
            return MISSING
        if self.is_new and not self.flagged:
            return Pending()
        if self.layout is None:
            return self.entry
        found: Iterator[Operand] = iter(params)
        value = rebuilt(memory, self.layout, found, self._sources())
        if not self.flagged:
            return value
        bound = Tracer(memory.builder, next(found), weak=True)
        return Unsure(value, lambda: bound, self.doubts)

    def _sources(self) -> list[Any]:
        contents = [
            c.value if isinstance(c, Unsure) else c for c in (self.entry, self.end)
        ]
        assert self.layout is not None
        return [c for c in contents if _fits(self.layout, c)]

    # --- after recording -------------------------------------------------------------

    def settle(self, memory: Memory, end: Any) -> bool:
        """Take note of what it holds at the end; whether to record the body again."""
        if self.name in (RETURNED, BROKE) and end is False:
            end = MISSING
        self.end = end
        asked = isinstance(self.start, Pending) and self.start.asked
        if asked and self._forgets:
            raise Restart(self._key)
        if self.exchanged or self.lost is not None or end is self.start:
            return False
        if isinstance(end, Lost):
            return self._lose(end)
        value, flagged = end, self.flagged
        if end is MISSING:
            return (
                self._lose(
                    Lost("{name} is deleted in a loop.", "Bind it in every iteration.")
                )
                if self.layout is not None
                else False
            )
        if isinstance(end, Unsure):
            self.doubts |= end.doubts
            value, flagged = end.value, self.name not in (RETURNED, BROKE, VALUE)
        flagged = flagged or asked
        try:
            layout = self._widened(value, flagged)
            if self.is_new and layout is not None:
                check_settled(memory, layout)
        except Mismatch as error:
            return self._lose(Lost(error.why, error.todo, error.widens))
        except ControlFlowError as error:
            todo = error.todo or "Use another name for it in the loop."
            return self._lose(Lost(f"{{name}}: {error.what}", todo))
        changed = layout != self.layout or flagged != self.flagged
        first = self.layout is None and self.is_new and not asked
        self.firmed = flagged == self.flagged and _firmed(self.layout, layout)
        self.layout, self.flagged = layout, flagged
        return changed and not first

    def _widened(self, value: Any, flagged: bool) -> Layout | None:
        if self.layout is not None:
            return widened(self.layout, value)
        if self.is_new:
            return slotted(value)
        return _kept(widened(layout_of(self._before()), value), flagged)

    def _lose(self, lost: Lost) -> bool:
        self.lost, self.flagged = lost, False
        # Read at the start of a body, it would have been what it was before the loop.
        asked = isinstance(self.start, Pending) and self.start.asked
        return not self.is_new or asked or bool(self.params)

    # --- what goes into its slots ----------------------------------------------------

    def initial(self, memory: Memory) -> list[Operand]:
        """What its slots hold before the loop, emitted there."""
        if self.exchanged:
            return [memory.usable(self.entry.base)]
        if not self.types:
            return []
        assert self.layout is not None
        if self.is_new:
            found = list(zeros(memory, self.layout))
        else:
            found = list(operands(memory, self.layout, self._before()))
        if not self.flagged:
            return found
        known = self.entry.bound() if isinstance(self.entry, Unsure) else True
        return [*found, _flag(False if self.is_new else known)]

    def results(self, memory: Memory) -> list[Operand]:
        """What its slots hold after the body, emitted at its end."""
        if self.exchanged:
            return [memory.usable(self.end.base)]
        if not self.types:
            return []
        if self.end is self.start or self.end is MISSING:
            return list(self.params)
        assert self.layout is not None
        unsure = isinstance(self.end, Unsure)
        value = self.end.value if unsure else self.end
        found = list(operands(memory, self.layout, value))
        if not self.flagged:
            return found
        bound = self.end.bound() if unsure else True
        return [*found, _flag(bound)]

    def outcome(self, memory: Memory, outputs: list[Operand], ran: Any) -> Any:
        """What it holds after the loop.

        ran: called, tells whether there was an iteration.
        """
        if self.lost is not None:
            return self.lost
        if self.exchanged:
            (ref,) = outputs
            assert isinstance(ref, Value)
            view = whole_view(memory, ref)
            return view
        if self.layout is None or self.end is MISSING:
            unchanged = self.end is self.start or not self.is_new
            return self.entry if unchanged else self.end
        found = iter(outputs)
        value = rebuilt(memory, self.layout, found, self._sources())
        name_value(value, self.name)
        if self.name in (RETURNED, BROKE, VALUE):
            return value
        # What a Lost entry was isn't there to be kept.
        forgotten = self._forgets and not isinstance(self.entry, Lost)
        doubts = self.doubts | ({self._key} if forgotten else frozenset())
        if self.flagged:
            bound = Tracer(memory.builder, next(found), weak=True)
            return Unsure(value, lambda: bound, doubts)
        return Unsure(value, ran, doubts) if self.is_new else value

    # --- integers --------------------------------------------------------------------

    def induced(self, memory: Memory) -> bool:
        """Find what its integers lie between by induction; whether that is news."""
        news = False
        if self.layout is None or self.is_new or self.lost or self.exchanged:
            return False
        ends = _leaves(self.end, self.layout)
        starts = _leaves(self.entry, self.layout)
        slots = [k for k in self.layout.kinds if isinstance(k, Slot)]
        for k, (slot, first, last) in enumerate(zip(slots, starts, ends, strict=True)):
            if slot.type.ndim or slot.type.dtype != "int64" or k in self.ranges:
                continue
            bounds = memory.bounds
            begin, end = (bounds.affine_of(x) for x in (first, last))
            step = end - bounds.affine(self.params[k])
            if bounds.proves_freely(step):
                self.ranges[k] = Range(floor=begin)
                news = True
            elif bounds.proves_freely(-step):
                self.ranges[k] = Range(ceiling=begin)
                news = True
        return news

    def limit(self, memory: Memory) -> None:
        """Let what was found of its integers be known in the body."""
        for k, found in self.ranges.items():
            memory.bounds.limit(self.params[k], found.floor, found.ceiling)

    def grows(self, memory: Memory) -> bool:
        """Whether an integer may become too large for 64 bits in few iterations."""
        if not self.params or self.layout is None or self.exchanged or self.lost:
            return False
        ends = _leaves(self.end, self.layout)
        slots = [k for k in self.layout.kinds if isinstance(k, Slot)]
        for param, slot, end in zip(self.params, slots, ends, strict=False):
            if slot.type.ndim or slot.type.dtype != "int64" or not slot.weak:
                continue
            operand = lift(memory.builder, end, "int64")
            if not creeps(memory.bounds, operand, param):
                return True
        return False


def _kept(layout: Layout, flagged: bool) -> Layout | None:
    """The layout, if there is something to carry: values, or whether one is bound."""
    return layout if layout.types or flagged else None


def _firmed(before: Layout | None, after: Layout | None) -> bool:
    """Whether two layouts differ only in floats that were Python's, and are NumPy's."""
    if before is None or after is None or before.tree != after.tree:
        return False
    pairs = zip(before.kinds, after.kinds, strict=True)
    return all(a == b or (a, b) == (_PYTHON, _NUMPY) for a, b in pairs)


def _flag(bound: Any) -> Operand:
    return bound.operand if isinstance(bound, Tracer) else Literal(bound, "bool")


def _leaves(value: Any, layout: Layout) -> list[Any]:
    inner = value.value if isinstance(value, Unsure) else value
    pairs = zip(layout.kinds, pytree.leaves(inner), strict=True)
    return [leaf for kind, leaf in pairs if isinstance(kind, Slot)]


def _fits(layout: Layout, content: Any) -> bool:
    if content is MISSING or isinstance(content, (Lost, Pending)):
        return False
    return pytree.structure(content) == layout.tree
