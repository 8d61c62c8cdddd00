"""Loops that are differentiated with a given number of snapshots.

The forward sweep of a marked loop keeps its state (what it carries, and the arrays that
it writes and reads) only at a few iterations. The reverse sweep takes its iterations
last first. For each, it goes on from the latest snapshot before it, in arrays of its
own, and puts snapshots that have become free where they serve best; then it runs that
one iteration forward and back.

Where snapshots are put is Revolve: A. Griewank and A. Walther, Algorithm 799, ACM
Transactions on Mathematical Software 26 (2000). With s snapshots, C(s + r, s)
iterations are reversed by running each at most r times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracegrad.ir.graph import Builder, Equation, Graph, Literal, Operand, Value
from tracegrad.ir.graph import substitute as new
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import ArrayType, RefType, Type
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs
from tracegrad.primitives.control import cond, for_, while_
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms import cells
from tracegrad.transforms.dce import prune
from tracegrad.transforms.regions import (
    Carried,
    body_of,
    captured,
    carried,
    is_ref,
    walk_in,
    written,
)
from tracegrad.transforms.residuals import resolve
from tracegrad.transforms.sweep import Sweep, trip_count

_INDEX = ArrayType("int64")
_ZERO = Literal(0, "int64")


class Checkpointed:
    """A marked loop of a graph that is being differentiated.

    Args:
        builder: of the two sweeps, where the forward one has come to the loop.
        loop: the loop.
        known: what the forward sweep made of each value so far.
        later: the equations after the loop.
    """

    def __init__(
        self,
        builder: Builder,
        loop: Equation,
        known: dict[Value, Operand],
        later: Sequence[Equation],
    ) -> None:
        self._loop = loop
        self._body = body_of(loop)
        self._slots = slots = int(loop.params["snapshots"])
        self._entries = carried(loop)
        changed = [x for x in captured(loop) if is_ref(x) and _changes(x, [loop])]
        self._state = [x for x in changed if _is_read(x, loop)]
        self._around = dict(known)
        # The reverse sweep runs in arrays of its own, and on arrays as they are now.
        for x in captured(loop):
            if x in changed:
                self._around[x] = _empty(builder, new(x, known), x.name)
            elif is_ref(x) and _changes(x, later):
                self._around[x] = builder.emit1(refs.copy, (new(x, known),))
        items = [*(c.param for c in self._entries), *self._state]
        self._kept = [
            _shelf(builder, slots + 1, x.type, f"{x.name or 't'}_kept") for x in items
        ]
        self._at = _shelf(builder, slots + 1, _INDEX, "kept_at")
        top = builder.emit1(refs.alloc, (), {"shape": (), "dtype": "int64", "fill": 0})
        self._top = cells.whole(cells.named(top, "top"))
        self._forward(builder, known)

    # --- forward -------------------------------------------------------------------

    def _forward(self, builder: Builder, known: dict[Value, Operand]) -> None:
        """Run the loop, taking snapshots; extends ``known``."""
        lo, hi = (Tracer(builder, new(x, known)) for x in self._loop.inputs[:2])
        self._lo = lo.operand
        self._count = trip_count(lo, hi, self._loop.params["step"]).operand
        state = [new(c.initial, known) for c in self._entries]
        self._push(builder, _ZERO, state, known)
        state = self._run(builder, _ZERO, state, known, self._count, self._count)
        for c, found in zip(self._entries, state, strict=True):
            known[c.output] = cells.named(found, c.output.name)
        known[self._loop.outputs[-1]] = self._count

    def _run(
        self,
        builder: Builder,
        begin: Operand,
        state: Sequence[Operand],
        known: dict[Value, Operand],
        end: Operand,
        goal: Operand,
    ) -> list[Operand]:
        """The state before an iteration, from that before an earlier one.

        Args:
            builder: where the equations go.
            begin: the number of the earlier iteration, which has a snapshot.
            state: what the loop carries there.
            known: what values around the loop are.
            end: the number of the later one.
            goal: before which iteration those end that are to be reversed.
        """

        def test(k: Value, *_: Value) -> list[Operand]:
            return [(Tracer(builder, k) < Tracer(builder, end)).operand]

        def whole(values: Sequence[Operand]) -> list[Operand]:
            remaining = iter(values)
            return [x if is_ref(x) else next(remaining) for x in state]

        def body(k: Value, *values: Value) -> list[Operand]:
            top = Tracer(builder, cells.load(builder, self._top))
            number, last = Tracer(builder, k), Tracer(builder, goal)
            left, spare = last - number, self._slots - top + 1
            cells.named(left.operand, "left")
            cells.named(spare.operand, "spare")
            after = number + _stride(builder, left, spare)
            cells.named(after.operand, "stop")
            found = self._iterations(builder, number, after, whole(values), known)
            # One slot more is for the last iteration, which is the first to be
            # reversed: Revolve goes on with it from where the forward sweep is.
            final = cmp.equal(after, Tracer(builder, self._count) - 1)
            room = cmp.bitwise_or(top < self._slots, final)
            wanted = cmp.bitwise_and(room, after < last)
            then, otherwise = Graph("then"), Graph("else")
            with builder.region(then):
                self._push(builder, after.operand, found, known)
            with builder.region(otherwise):
                pass
            builder.emit(cond, (wanted.operand,), {}, (then, otherwise), ())
            return [after.operand, *(x for x in found if not is_ref(x))]

        plain = [c.param for c in self._entries if not is_ref(c.param)]
        names = ["done", *(param.name for param in plain)]
        initial = [begin, *(x for x in state if not is_ref(x))]
        return whole(_while(builder, initial, names, test, body)[1:])

    def _iterations(
        self,
        builder: Builder,
        begin: Any,
        end: Any,
        state: Sequence[Operand],
        known: dict[Value, Operand],
    ) -> list[Operand]:
        """Some iterations as they are; arrays keep their places."""
        params = self._loop.params
        if params["reversed"]:
            count = Tracer(builder, self._count)
            begin, end = count - end, count - begin
        limits = [self._index(builder, begin), self._index(builder, end)]
        plain = {key: params[key] for key in ("step", "reversed", "stops")}
        region = builder.copy_region(self._body, dict(known))
        types = (*(x.type for x in state), _INDEX)
        # What the loop exchanges are copies, as it may do so any number of times.
        initial = [builder.emit1(refs.copy, (x,)) if is_ref(x) else x for x in state]
        made = builder.emit(for_, [*limits, *initial], plain, (region,), types)
        pairs = [(x, y) for x, y in zip(state, made, strict=False) if is_ref(x)]
        contents = [cells.load(builder, cells.whole(y)) for _, y in pairs]
        for (x, _), value in zip(pairs, contents, strict=True):
            cells.store(builder, cells.whole(x), value)
        return [x if is_ref(x) else y for x, y in zip(state, made, strict=False)]

    def _index(self, builder: Builder, number: Any) -> Operand:
        """The index after a number of steps from the start."""
        distance = number * self._loop.params["step"]
        index: Operand = (Tracer(builder, self._lo) + distance).operand
        return index

    def _push(
        self,
        builder: Builder,
        number: Operand,
        state: Sequence[Operand],
        known: dict[Value, Operand],
    ) -> None:
        """Take a snapshot of the state before an iteration."""
        top = cells.load(builder, self._top)
        cells.store(builder, _slot(self._at, top), number)
        items = [*state, *(new(x, known) for x in self._state)]
        for shelf, item in zip(self._kept, items, strict=True):
            value = cells.load(builder, cells.whole(item)) if is_ref(item) else item
            cells.store(builder, _slot(shelf, top), value)
        cells.store(builder, self._top, (Tracer(builder, top) + 1).operand)

    # --- and back ------------------------------------------------------------------

    def pull(
        self, sweep: Sweep, mirror: Graph, entries: Sequence[Carried]
    ) -> list[Operand]:
        """The cotangents of what the loop carries, before the iteration of a mirror.

        Args:
            sweep: that emits into the mirror.
            mirror: its parameters are the index, and the cotangents after it.
            entries: what they are the cotangents of.
        """
        builder = sweep.builder
        with builder.rearranging(False):  # the same bits, and so the same branches
            known = self._restored(builder, mirror.params[0])
        apart = Graph(self._body.name, parent=mirror)
        inner = Builder(apart, builder.assumptions, builder.simplify)
        inner.indices, inner.location = builder.indices, builder.location
        copies: dict[Graph, Graph] = {}
        inner.replay(self._body.equations, known, copies)
        within = sweep.nested(inner, known, copies, captured(self._loop))
        with inner.rearranging():
            within.enter(entries, mirror.params[1:])
            within.block(self._body)
            bars = [within.bar_or_zero(c.param) for c in entries]
        outer = within.beyond(self._body)
        arrays = within.adjoints
        apart.results = [*bars, *(bar.operand for bar in outer.values()), *arrays]
        prune(apart)
        resolve(inner, apart, within.mirrors)
        prune(apart)
        made = builder.inline(apart, [])
        for value, bar in zip(outer, made[len(bars) :], strict=False):
            sweep.add(value, Tracer(builder, bar))
        return made[: len(bars)]

    def _restored(self, builder: Builder, index: Operand) -> dict[Value, Operand]:
        """The state before an iteration, as what the body's parameters are."""
        number = self._number(builder, index)
        last = (Tracer(builder, cells.load(builder, self._top)) - 1).operand
        loaded = [cells.load(builder, _slot(shelf, last)) for shelf in self._kept]
        count = len(self._entries)
        for x, value in zip(self._state, loaded[count:], strict=True):
            cells.store(builder, cells.whole(self._around[x]), value)
        state = [
            cells.named(builder.emit1(refs.copy, (value,)), c.param.name)
            if is_ref(c.param)
            else value
            for c, value in zip(self._entries, loaded, strict=False)
        ]
        known = dict(self._around)
        begin = cells.load(builder, _slot(self._at, last))
        goal = (number + 1).operand
        found = self._run(builder, begin, state, known, number.operand, goal)
        self._pop(builder, number)
        known |= zip(self._body.params, [index, *found], strict=True)
        return known

    def _number(self, builder: Builder, index: Operand) -> Any:
        """How many iterations come before that of an index."""
        params = self._loop.params
        distance, step = Tracer(builder, index), params["step"]
        if self._lo != _ZERO:
            distance = distance - Tracer(builder, self._lo)
        steps = distance if step == 1 else distance // step
        if params["reversed"]:
            return Tracer(builder, self._count) - 1 - steps
        return steps

    def _pop(self, builder: Builder, number: Any) -> None:
        """Let the latest snapshot be free if it is of this iteration."""
        last = Tracer(builder, cells.load(builder, self._top)) - 1
        at = Tracer(builder, cells.load(builder, _slot(self._at, last.operand)))
        left = cmp.select(cmp.equal(at, number), last, last + 1)
        cells.store(builder, self._top, left.operand)


def is_marked(equation: Equation) -> bool:
    """Whether a loop is to be differentiated with snapshots."""
    return bool(equation.params.get("snapshots"))


def _stride(builder: Builder, left: Any, spare: Any) -> Any:
    """How many iterations to run before the next snapshot.

    Args:
        builder: where the equations go.
        left: how many iterations are to be reversed from here on.
        spare: how many snapshots there are for them, with that before the first.
    """

    def test(reach: Value, _: Value) -> list[Operand]:
        return [(Tracer(builder, reach) < left).operand]

    def body(reach: Value, runs: Value) -> list[Operand]:
        more = Tracer(builder, runs) + 1
        grown = Tracer(builder, reach) * (spare + more) // more
        return [grown.operand, more.operand]

    # reach is C(spare + runs, spare): what can be reversed by so many runs of each.
    start = [(spare + 1).operand, Literal(1, "int64")]
    found = _while(builder, start, ["reach", "runs"], test, body)
    reach, runs = (Tracer(builder, x) for x in found)
    fewer = reach * runs // (spare + runs)
    rest = fewer * spare // (spare + runs - 1)
    return ew.maximum(1, ew.minimum(fewer, left - rest))


# --- emitting ----------------------------------------------------------------------


def _while(
    builder: Builder,
    initial: Sequence[Operand],
    names: Sequence[str | None],
    test: Callable[..., list[Operand]],
    body: Callable[..., list[Operand]],
) -> list[Operand]:
    """A ``while_``: what it carries in the end."""
    regions = []
    for title, fill in (("condition", test), ("body", body)):
        graph = Graph(title)
        graph.add_param(_INDEX, None)
        for x, name in zip(initial, names, strict=True):
            graph.add_param(x.type, name)
        with builder.region(graph):
            graph.results = fill(*graph.params[1:])
        regions.append(graph)
    types = (*(x.type for x in initial), _INDEX)
    made = builder.emit(while_, initial, {}, tuple(regions), types)
    return list(made[:-1])


def _empty(builder: Builder, like: Operand, name: str | None) -> Operand:
    params = {"shape": like.type.shape, "dtype": like.type.dtype, "fill": None}
    return cells.named(builder.emit1(refs.alloc, (), params), name)


def _shelf(builder: Builder, slots: int, type_: Type, name: str) -> Operand:
    """Storage for snapshots of a value."""
    held = RefType(type_.dtype, (Dim.constant(slots), *type_.shape))
    params = {"shape": held.shape, "dtype": held.dtype, "fill": None}
    return cells.named(builder.emit1(refs.alloc, (), params), name)


def _slot(shelf: Operand, number: Operand) -> cells.Place:
    """The cells of one snapshot."""
    rest = shelf.type.shape[1:]
    index = (number, *(_ZERO,) * len(rest))
    return cells.Place(shelf, index, (None, *rest), (1,) * len(index))


# --- what happens to arrays --------------------------------------------------------


def _changes(ref: Value, equations: Sequence[Equation]) -> bool:
    """Whether a Ref may be written, by its own name or as one that loops exchange."""
    return any(
        written(inner) is ref or any(c.initial is ref for c in carried(inner))
        for equation in equations
        for inner in walk_in(equation)
    )


def _is_read(ref: Value, loop: Equation) -> bool:
    """Whether anything in a loop depends on what a Ref holds."""
    return any(
        ref in (inner.inputs[1:] if written(inner) is ref else inner.inputs)
        for inner in walk_in(loop)
    )
