"""Upwards: the mirror of a loop that replaces cells one after another runs forwards.

Rotation made its iterations gather: each reads one new cell, replaces one behind it,
and hands on what the next ones need, which none remembers for long. What is handed on
is then a function of the last few cells that were read. A loop in the other direction
reads the same cells, if it keeps those that it has replaced already:

    w = start; for i downwards: v = a[i]; a[i + 1] = w + p * v; w = q * v
    ->  x = a[lo]; last = q * x
        for i upwards, but the top one: y = a[i + 1]; a[i + 1] = q * y + p * x; x = y
        a[hi] = start + p * x; w = last

The iterations at the top, where what is handed on is still what it was at the start,
come last, each by itself. Processors read and write upwards; backwards, every vector
has to be reversed, and compilers often give up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracegrad.ir.graph import (
    Builder,
    Equation,
    Graph,
    Operand,
    Value,
    substitute,
)
from tracegrad.ir.primitive import Scalar
from tracegrad.ir.shapes import Assumptions, Dim, size_decided_at_least
from tracegrad.primitives import refs
from tracegrad.primitives.control import for_
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms.affine import Prover, affine, combine
from tracegrad.transforms.cells import place_of
from tracegrad.transforms.clobber import in_bounds
from tracegrad.transforms.order import is_sum, operands
from tracegrad.transforms.regions import (
    Carried,
    Structure,
    adopt,
    body_of,
    carried,
    clone,
    is_ref,
    regions_in,
    substitute_everywhere,
)
from tracegrad.transforms.rotate import line

FURTHEST = 2
"""The most iterations for which what is handed on may be remembered."""
DEAREST = 5
"""The most that an equation may cost that is calculated again in each iteration."""


def upwards(graph: Graph) -> Graph:
    """The graph with mirrors that only look a few cells back turned round."""
    copy = clone(graph)
    prover = Prover(Structure(copy))
    known: dict[Value, Operand] = {}
    used = set(operands(copy))
    for region in list(regions_in(copy)):
        for loop in list(region.equations):
            if _is_mirror(loop) and loop.outputs[-1] not in used:
                sweep = _sweep(prover, loop)
                if sweep is not None and _is_long(prover, loop, sweep.reach):
                    made = sweep.turned(known)
                    at = region.equations.index(loop)
                    region.equations[at : at + 1] = adopt(region, made)
    substitute_everywhere(copy, known)
    return copy


# --- finding -----------------------------------------------------------------------


def _is_mirror(loop: Equation) -> bool:
    return (
        loop.primitive is for_
        and loop.params["reversed"]
        and loop.params["step"] == 1
        and not loop.params["stops"]
    )


def _is_long(prover: Prover, loop: Equation, least: int) -> bool:
    """Whether a loop has so many iterations, or may be assumed to."""
    ahead = combine(affine(loop.inputs[1]), affine(loop.inputs[0]), -1)
    if prover.at_least(ahead, least):
        return True
    total = Dim.constant(0)
    for symbol, coefficient in ahead.items():
        if not isinstance(symbol, tuple):
            return False
        total += Dim(((symbol, coefficient),))
    return size_decided_at_least(total, Dim.constant(least))


def _sweep(prover: Prover, loop: Equation) -> _Sweep | None:
    """What a loop does, if it can be turned round."""
    body = body_of(loop)
    stores = [e for e in body.equations if e.primitive is refs.store]
    if len(stores) != 1 or not all(map(_is_simple, body.equations)):
        return None
    (store,) = stores
    ref = store.inputs[0]
    loads = [e for e in body.equations if _reads(e, ref)]
    changed = {e.inputs[0] for e in body.equations if e.primitive is refs.accumulate}
    if len(loads) != 1 or ref in changed:
        return None
    if any(_reads(e, other) for e in body.equations for other in changed):
        return None
    distance = _distance(prover, body, loads[0], store)
    uses = Counter(operands(body))
    entries = carried(loop)
    sums = [c for c in entries if is_sum(body, uses, c)]
    handed = [c for c in entries if c not in sums]
    if distance < 1 or any(is_ref(c.param) or c.param.type.ndim for c in entries):
        return None
    sweep = _Sweep(loop, body, loads[0], distance, sums, handed)
    return sweep if sweep.reach <= FURTHEST and sweep.is_cheap() else None


def _is_simple(equation: Equation) -> bool:
    """Whether an equation calculates with numbers, or is a read or write of one."""
    cell = equation.primitive in (refs.load, refs.store, refs.accumulate)
    numbers = not any(x.type.ndim for x in (*equation.inputs[cell:], *equation.outputs))
    return numbers and (cell or isinstance(equation.primitive.lower, Scalar))


def _reads(equation: Equation, ref: Operand) -> bool:
    return equation.primitive is refs.load and equation.inputs[0] is ref


def _distance(prover: Prover, body: Graph, load: Equation, store: Equation) -> int:
    """How far the cell that is replaced lies above that which is read, if at all."""
    found = []
    for equation in (load, store):
        place = place_of(equation)
        assert place is not None
        at = line(place, body.params[0], {body})
        if at is None or not in_bounds(prover, place):
            return 0
        found.append(at)
    (axis, ahead, rest), (other, behind, same) = found
    return behind - ahead if (axis, rest) == (other, same) else 0


# --- turning -----------------------------------------------------------------------


@dataclass
class _Sweep:
    """A loop that can be turned round.

    load: of the cell that is new in an iteration.
    distance: how many iterations later, upwards, the cell that it replaces is new.
    sums: what the loop carries that is only added to.
    handed: what else it carries.
    """

    loop: Equation
    body: Graph
    load: Equation
    distance: int
    sums: list[Carried]
    handed: list[Carried]

    def __post_init__(self) -> None:
        self._rest = [e for e in self.body.equations if e is not self.load]
        self.reach = max([self.distance, *(self._age(c, ()) for c in self.handed)])

    def _age(self, entry: Carried, inside: tuple[Value, ...]) -> int:
        """How many iterations ago the oldest cell was read that it depends on."""
        if entry.param in inside:
            return FURTHEST + 1  # on itself, and so on all of them
        inside = (*inside, entry.param)
        before = self._closure([entry.next])
        needed = [c for c in self.handed if c.param in before]
        return 1 + max((self._age(c, inside) for c in needed), default=0)

    def _closure(self, wanted: Iterable[Operand]) -> set[Operand]:
        """What an iteration has to know for some values, these included."""
        found = set(wanted)
        for equation in reversed(self._rest):
            if found.intersection(equation.outputs):
                found.update(equation.inputs)
        return found

    def is_cheap(self) -> bool:
        """Whether it costs little to calculate again what an iteration was handed."""
        steps = self._needed([x for e in self._rest for x in e.inputs])
        again = [_cost(e) for equations, _ in steps[1:] for e in equations]
        whole = sum(map(_cost, self._rest))
        return sum(again) <= whole and max(again, default=0) <= DEAREST

    def _needed(
        self, wanted: Iterable[Operand]
    ) -> list[tuple[list[Equation], list[Carried]]]:
        """What values need of this iteration and of those above it in turn."""
        found = []
        for _ in range(self.reach + 1):
            closure = self._closure(wanted)
            equations = [e for e in self._rest if closure.intersection(e.outputs)]
            handed = [c for c in self.handed if c.param in closure]
            found.append((equations, handed))
            wanted = [c.next for c in handed]
        return found

    # --- emitting ------------------------------------------------------------------

    def turned(self, known: dict[Value, Operand]) -> list[Equation]:
        """Equations to stand in the loop's place; extends ``known`` by its results."""
        loop = self.loop
        outside = loop.outputs[-1].graph
        apart = Graph(outside.name, parent=outside)
        builder = Builder(apart, Assumptions(), simplify)
        builder.location = loop.location
        lo, hi = loop.inputs[:2]
        first = [self._cell(builder, lo, k) for k in range(self.reach)]
        last = self._values(builder, lo, first, [c.next for c in self.handed])
        made = self._loop(builder, first)
        sums = [c.param for c in self.sums]
        totals: dict[Value, Operand] = dict(zip(sums, made, strict=False))
        above: dict[Value, Operand] = {c.param: c.initial for c in self.handed}
        for k in reversed(range(self.reach)):
            above = {
                **above,
                **totals,
                self.body.params[0]: _moved(builder, hi, k - self.reach),
                self.load.outputs[0]: made[len(self.sums) + k],
            }
            builder.replay(self._rest, above)
            totals = {c.param: substitute(c.next, above) for c in self.sums}
            above = {c.param: substitute(c.next, above) for c in self.handed}
        known.update((c.output, totals[c.param]) for c in self.sums)
        known.update((c.output, substitute(c.next, last)) for c in self.handed)
        return apart.equations

    def _loop(self, builder: Builder, first: Sequence[Operand]) -> list[Operand]:
        """The loop without its last iterations; its totals, and the cells it read."""
        lo, hi = self.loop.inputs[:2]
        body = Graph(self.body.name)
        old, cell = self.body.params[0], self.load.outputs[0]
        index = body.add_param(old.type, old.name)
        totals = [body.add_param(c.param.type, c.param.name) for c in self.sums]
        window = [body.add_param(cell.type, cell.name) for _ in first]
        with builder.region(body):
            new = self._cell(builder, index, self.reach)
            wanted = [x for e in self._rest for x in e.inputs]
            values = self._values(builder, index, [*window, new], wanted)
            values.update(zip([c.param for c in self.sums], totals, strict=True))
            builder.replay(self._rest, values)
            body.results = [
                *(substitute(c.next, values) for c in self.sums),
                *(*window, new)[1:],
            ]
        initial = [*(c.initial for c in self.sums), *first]
        bounds = (lo, _moved(builder, hi, -self.reach))
        params = {**self.loop.params, "reversed": False}
        types = (*(p.type for p in body.params[1:]), old.type)
        return list(builder.emit(for_, [*bounds, *initial], params, (body,), types))

    def _values(
        self,
        builder: Builder,
        index: Operand,
        window: Sequence[Operand],
        wanted: Iterable[Operand],
    ) -> dict[Value, Operand]:
        """Values of an iteration of which the cells, and those above, are known."""
        known: dict[Value, Operand] = {}
        for k, (equations, handed) in reversed([*enumerate(self._needed(wanted))]):
            above, known = known, {self.body.params[0]: _moved(builder, index, k)}
            if k < len(window):
                known[self.load.outputs[0]] = window[k]
            known.update((c.param, substitute(c.next, above)) for c in handed)
            builder.replay(equations, known)
        return known

    def _cell(self, builder: Builder, index: Operand, k: int) -> Operand:
        """What was read in an iteration so far above the one of an index."""
        known: dict[Value, Operand] = {self.body.params[0]: _moved(builder, index, k)}
        closure = self._closure(self.load.inputs)
        making = [e for e in self._rest if closure.intersection(e.outputs)]
        builder.replay([*making, self.load], known)
        return known[self.load.outputs[0]]


def _moved(builder: Builder, index: Operand, by: int) -> Operand:
    moved = Tracer(builder, index)
    if by:
        moved = moved + by if by > 0 else moved - -by
    operand: Operand = moved.operand
    return operand


def _cost(equation: Equation) -> int:
    rule = equation.primitive.lower
    return rule.cost if isinstance(rule, Scalar) else 2
