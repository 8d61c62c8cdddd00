"""Rotation: a cell that neighbouring iterations change goes from one to the next.

A loop that changes ``a[i]`` and ``a[i + 1]`` reads each cell from memory twice and
writes it twice, each time waiting for the iteration before. Here the cells in the
window between the foremost and the last index are variables, which the loop carries:
each iteration reads one new cell and writes the one that it is the last to change.

    for i: a[i] += f(i); a[i + 1] += g(i)
    ->  w = a[lo]
        for i: v = a[i + 1]; a[i] = w + f(i); w = v + g(i)
        a[hi] = w

The adjoint of a stencil, which scatters into its neighbours, becomes one that gathers,
and such a loop vectorises. (Callahan, Carr, Kennedy 1990, "scalar replacement".)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tracegrad.ir.graph import Builder, Equation, Graph, Literal, Operand, Value
from tracegrad.ir.shapes import Assumptions
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs
from tracegrad.primitives.control import check, cond, for_
from tracegrad.primitives.identities import filled
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms import cells
from tracegrad.transforms.affine import Form, Prover, affine, combine
from tracegrad.transforms.cells import Place, place_of
from tracegrad.transforms.clobber import disjoint, in_bounds
from tracegrad.transforms.regions import (
    Structure,
    adopt,
    body_of,
    captured,
    carried,
    carry,
    clone,
    is_ref,
    regions_in,
    set_carried,
    substitute_everywhere,
)

WIDEST = 4
"""The most cells that a window may be apart from end to end."""


@dataclass(slots=True)
class _Row:
    """The accesses of a loop to one Ref along one line of cells.

    axis: along which they move with the loop's index.
    place: of one of them.
    offsets: of each access from the loop's index, in the direction of the loop.
    """

    axis: int
    place: Place
    offsets: dict[Equation, int] = field(default_factory=dict)

    @property
    def writes(self) -> list[int]:
        """The offsets at which cells change."""
        return [
            offset
            for equation, offset in self.offsets.items()
            if equation.primitive is not refs.load
        ]


def rotate(graph: Graph) -> Graph:
    """The graph with windows of neighbouring cells carried by their loops."""
    copy = clone(graph)
    structure = Structure(copy)
    prover = Prover(structure)
    known: dict[Value, Operand] = {}
    for region in list(regions_in(copy)):
        for equation in list(region.equations):
            if _fits(equation):
                for row in _rows(prover, equation):
                    _Window(prover, equation, row, known).carry()
    substitute_everywhere(copy, known)
    return copy


# --- finding -----------------------------------------------------------------------


def _fits(loop: Equation) -> bool:
    """Whether it visits each index in turn, and is sure to come to its end."""
    return (
        loop.primitive is for_
        and abs(loop.params["step"]) == 1
        and not loop.params["stops"]
        and not any(e.primitive is check for e in body_of(loop).walk())
    )


def direction(loop: Equation) -> int:
    """Whether a loop's index grows or shrinks."""
    step: int = loop.params["step"]
    return -step if loop.params["reversed"] else step


def _rows(prover: Prover, loop: Equation) -> list[_Row]:
    """The rows that are worth a window, of Refs that the loop uses cell by cell."""
    body = body_of(loop)
    inner = set(regions_in(body))
    accesses: dict[Value, list[Equation]] = {}
    spoilt: set[Operand] = {x for g in inner for x in g.results if is_ref(x)}
    for equation in body.equations:
        place = place_of(equation)
        if place is not None and not equation.regions:
            assert isinstance(place.base, Value)
            accesses.setdefault(place.base, []).append(equation)
        else:
            spoilt |= {x for x in captured(equation) if is_ref(x)}
    found = []
    for ref, equations in accesses.items():
        if is_ref(ref) and ref.graph not in inner and ref not in spoilt:
            found += _rows_of(prover, loop, equations, inner)
    return found


def _rows_of(
    prover: Prover, loop: Equation, equations: list[Equation], inner: set[Graph]
) -> list[_Row]:
    """The rows of one Ref, if they share no cell and some cell changes twice."""
    rows: dict[Any, _Row] = {}
    sign = direction(loop)
    for equation in equations:
        place = place_of(equation)
        assert place is not None
        found = line(place, body_of(loop).params[0], inner)
        if found is None or not in_bounds(prover, place):
            return []
        axis, offset, key = found
        row = rows.setdefault(key, _Row(axis, place))
        row.offsets[equation] = sign * offset
    lines = list(rows.values())
    worthwhile = [
        row for row in lines if len(set(row.writes)) > 1 and _span(row) <= WIDEST
    ]
    if worthwhile:  # to prove them apart takes long where there are many
        for k, row in enumerate(lines):
            if not all(_apart(prover, row, other) for other in lines[:k]):
                return []
    return worthwhile


def _span(row: _Row) -> int:
    return max(row.offsets.values()) - min(row.offsets.values())


def line(
    place: Place, index: Value, inner: set[Graph]
) -> tuple[int, int, tuple[Any, ...]] | None:
    """The axis along which a cell moves, how far it is ahead, and where it doesn't.

    None if it doesn't move by one with an index, or with something else in a loop too.
    """
    if any(size is not None for size in place.sizes):
        return None
    axes, fixed, ahead = [], [], 0
    for axis, operand in enumerate(place.index):
        form = affine(operand)
        if index in form:
            rest = combine(form, {index: 1}, -1)
            if form[index] != 1 or set(rest) - {()}:
                return None
            axes.append(axis)
            ahead = rest.get((), 0)
        elif isinstance(operand, Value) and operand.graph in inner:
            return None
        else:
            fixed.append((axis, frozenset(form.items())))
    return (axes[0], ahead, tuple(fixed)) if len(axes) == 1 else None


def _apart(prover: Prover, row: _Row, other: _Row) -> bool:
    """Whether two rows share no cell, at whatever points they are looked at."""
    if row.axis != other.axis:
        return False

    def fixed(place: Place) -> Place:
        index = list(place.index)
        index[row.axis] = Literal(0, "int64")
        return replace(place, index=tuple(index))

    return disjoint(prover, fixed(row.place), fixed(other.place))


# --- carrying ----------------------------------------------------------------------


class _Window:
    """The cells of a row that are under way in a loop.

    Offsets count from the loop's index in its direction: a cell is first met at the
    greatest one, ``lead``, changed for the last time at ``done``, and last read at
    ``trail``; an iteration later, each cell is one offset further back.

    known: what becomes of the values that were loaded.
    """

    def __init__(
        self, prover: Prover, loop: Equation, row: _Row, known: dict[Value, Operand]
    ) -> None:
        self._loop, self._row, self._known = loop, row, known
        self._body = body_of(loop)
        self._outside = loop.outputs[-1].graph
        self._sign = direction(loop)
        self._lead, self._trail = max(row.offsets.values()), min(row.offsets.values())
        self._first, self._done = max(row.writes), min(row.writes)
        lo, hi = map(affine, loop.inputs[:2])
        ahead: Form = combine(hi, lo, -1)
        if loop.params["step"] < 0:
            ahead = combine({}, ahead, -1)
        self._runs = prover.at_least(ahead, 1)

    def carry(self) -> None:
        """Edit the loop, and what stands before and after it."""
        loop, outside = self._loop, self._outside
        name = getattr(self._row.place.base, "name", None)
        start, after = self._ends()
        offsets = range(self._trail, self._lead)
        before = self._draft(outside)
        initial = self._guarded(before, [self._cell(start, k) for k in offsets])
        params = {
            k: carry(loop, x, name) for k, x in zip(offsets, initial, strict=True)
        }
        held = self._rewrite({**params})
        entries = carried(loop)
        count = len(entries) - len(params)
        entries[count:] = [
            replace(c, next=held[k + 1])
            for c, k in zip(entries[count:], offsets, strict=True)
        ]
        set_carried(loop, entries)
        outputs = {k: c.output for c, k in zip(entries[count:], offsets, strict=True)}
        behind = self._draft(outside)
        waiting = range(self._done, self._first)
        self._put_back(behind, [(self._cell(after, k), outputs[k]) for k in waiting])
        at = outside.equations.index(loop)
        outside.equations[at + 1 : at + 1] = adopt(outside, behind.graph.equations)
        outside.equations[at:at] = adopt(outside, before.graph.equations)

    def _rewrite(self, held: dict[int, Operand]) -> dict[int, Operand]:
        """Let the body work on variables; what they hold in the end, by offset."""
        body, offsets = self._body, self._row.offsets
        index = body.params[0]
        head, tail = self._draft(body), self._draft(body)
        place = self._cell_at(head, index, self._lead)
        held[self._lead] = cells.load(head, place)
        kept: list[Equation] = []
        for equation in body.equations:
            if equation not in offsets:
                kept.append(equation)
                continue
            offset = offsets[equation]
            if equation.primitive is refs.load:
                self._known[equation.outputs[0]] = held[offset]
            elif equation.primitive is refs.store:
                held[offset] = equation.inputs[1]
            else:
                adding = self._draft(body, exact=False)
                adding.location = equation.location
                pair = (held[offset], equation.inputs[1])
                held[offset] = adding.emit1(ew.add, pair)
                kept += adopt(body, adding.graph.equations)
        place = self._cell_at(tail, index, self._done)
        cells.store(tail, place, held[self._done])
        body.equations[:] = [
            *adopt(body, head.graph.equations),
            *kept,
            *adopt(body, tail.graph.equations),
        ]
        return held

    def _draft(self, graph: Graph, *, exact: bool = True) -> Builder:
        apart = Graph(graph.name, parent=graph)
        return Builder(apart, Assumptions(), simplify, exact=exact)

    def _ends(self) -> tuple[tuple[Operand, int], tuple[Operand, int]]:
        """The first index, and the one after the last: operands, and what to add."""
        lo, hi = self._loop.inputs[:2]
        step = self._loop.params["step"]
        if self._loop.params["reversed"]:
            return (hi, -step), (lo, -step)
        return (lo, 0), (hi, 0)

    def _cell(self, end: tuple[Operand, int], offset: int) -> tuple[Operand, int]:
        index, more = end
        return index, more + self._sign * offset

    def _cell_at(self, builder: Builder, index: Operand, offset: int) -> Place:
        return self._place(builder, (index, self._sign * offset))

    def _place(self, builder: Builder, cell: tuple[Operand, int]) -> Place:
        place = self._row.place
        moved = list(place.index)
        index, more = Tracer(builder, cell[0]), cell[1]
        moved[self._row.axis] = (index - -more if more < 0 else index + more).operand
        return replace(place, index=tuple(moved))

    def _test(self, builder: Builder) -> Operand:
        """Whether the loop runs at all."""
        lo, hi = (Tracer(builder, x) for x in self._loop.inputs[:2])
        test = (
            cmp.greater(hi, lo) if self._loop.params["step"] > 0 else cmp.less(hi, lo)
        )
        operand: Operand = test.operand
        return operand

    def _guarded(
        self, builder: Builder, wanted: Sequence[tuple[Operand, int]]
    ) -> list[Operand]:
        """Loads of cells before the loop; of none if it doesn't run."""
        if self._runs:
            return [cells.load(builder, self._place(builder, c)) for c in wanted]
        test = self._test(builder)
        then, otherwise = Graph(), Graph()
        with builder.region(then):
            then.results = [
                cells.load(builder, self._place(builder, c)) for c in wanted
            ]
        types = tuple(x.type for x in then.results)
        with builder.region(otherwise):
            otherwise.results = [filled(builder, 0, type_) for type_ in types]
        return list(builder.emit(cond, [test], {}, (then, otherwise), types))

    def _put_back(
        self, builder: Builder, written: Sequence[tuple[tuple[Operand, int], Operand]]
    ) -> None:
        """Stores of the cells that are still under way after the loop."""
        if self._runs:
            for cell, value in written:
                cells.store(builder, self._place(builder, cell), value)
            return
        test = self._test(builder)
        then, otherwise = Graph(), Graph()
        with builder.region(then):
            for cell, value in written:
                cells.store(builder, self._place(builder, cell), value)
        builder.emit(cond, [test], {}, (then, otherwise), ())
