"""Materialising residuals: storage, stores, loads, and values made again.

Storage has one axis per loop where all the bounds are known before the nest is entered,
and one axis for all where the lengths of inner loops follow from the indices of outer
ones: see ``packing``. Otherwise it grows: a ``while_`` by itself counts its positions,
and anything deeper pushes onto a stack, whose top is an integer in a cell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tracegrad.errors import DifferentiationError
from tracegrad.ir.graph import (
    Builder,
    Equation,
    Graph,
    Literal,
    Operand,
    Value,
    substitute,
)
from tracegrad.ir.primitive import Scalar
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import RefType
from tracegrad.primitives import refs, storage
from tracegrad.primitives.control import for_, while_
from tracegrad.primitives.identities import size_value
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms import cells
from tracegrad.transforms.cse import is_read_back
from tracegrad.transforms.packing import Packing, bounds_of, packing
from tracegrad.transforms.rebuild import Recipe
from tracegrad.transforms.regions import (
    Structure,
    adopt,
    carried,
    draft,
    substitute_here,
    walk_in,
)
from tracegrad.transforms.sweep import trip_count

STRIP = 64
"""The capacity with which growing storage starts."""


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where the values of one region are kept.

    lengths: of the axes that loops index; None if it grows.
    position: where the iterations of a nest are on a single axis, by their indices.
    top: the cell with the number of values on the stack, if it is one.
    """

    lengths: tuple[Operand, ...] | None = None
    position: Dim | None = None
    top: Operand | None = None


def own_regions(mirror: Graph, mirrors: Mapping[Graph, Graph]) -> Iterator[Graph]:
    """A mirror and the regions inside it that mirror nothing."""
    others = set(mirrors.values())
    yield mirror
    for equation in mirror.equations:
        for region in equation.regions:
            if region not in others:
                yield from own_regions(region, mirrors)


def is_rectangular(structure: Structure, graph: Graph) -> bool:
    """Whether the loops around a region all have bounds known outside them."""
    return all(
        structure.owner[loop].primitive is for_
        and all(
            isinstance(x, Literal) or x.graph not in structure.owner
            for x in structure.owner[loop].inputs[:2]
        )
        for loop in structure.loops(graph)
    )


def has_fixed_place(structure: Structure, graph: Graph) -> bool:
    """Whether it is known beforehand where each iteration keeps what it stores."""
    return is_rectangular(structure, graph) or bool(_packed(structure, graph))


def _packed(structure: Structure, graph: Graph) -> Packing | None:
    return packing(structure, [structure.owner[g] for g in structure.loops(graph)])


class Materialiser:
    """Edits a graph of two sweeps.

    Args:
        builder: of that graph.
        structure: of the graph as it is.
        mirrors: by the forward regions.
        kept: the values to store.
        rebuilt: those to make again, and how.
    """

    def __init__(
        self,
        builder: Builder,
        structure: Structure,
        mirrors: Mapping[Graph, Graph],
        kept: Collection[Value],
        rebuilt: Mapping[Value, Recipe],
    ) -> None:
        self._builder = builder
        self._structure = structure
        self._mirrors = mirrors
        self._kept: dict[Graph, list[Value]] = {}
        self._rebuilt = rebuilt
        self._known: dict[Value, Operand] = {}
        self._stored: dict[Value, Operand] = {}
        self._slots: dict[Value, cells.Place] = {}
        around = structure.root.ancestors()
        self._names = sum(
            e.primitive is storage.reserve for graph in around for e in graph.walk()
        )
        for value in kept:
            self._kept.setdefault(value.graph, []).append(value)

    def run(self) -> None:
        """Make all values available, outer regions first."""
        regions = sorted(
            dict.fromkeys([*(v.graph for v in self._rebuilt), *self._kept]),
            key=lambda g: len(self._structure.path(g)),
        )
        for region in regions:
            self._region(region)
        for mirror in self._mirrors.values():
            for region in own_regions(mirror, self._mirrors):
                substitute_here(region, self._known)
        self._read_what_is_stored()

    def _region(self, region: Graph) -> None:
        """Make a region's values available at the head of its mirror."""
        mirror = self._mirrors[region]
        head = draft(self._builder, mirror, exact=True)
        self._keep(region, head)
        # What a value is made of comes first; chains may be thousands of values long.
        todo = [value for value in self._rebuilt if value.graph is region]
        todo.reverse()
        while todo:
            value = todo[-1]
            recipe = self._rebuilt[value]
            first = [
                x
                for x in recipe.operands
                if x.graph is region and x in self._rebuilt and x not in self._known
            ]
            if value in self._known or not first:
                self._make(value, recipe, head, region)
                todo.pop()
            else:
                todo += reversed(first)
        mirror.equations[:0] = adopt(mirror, head.graph.equations)

    # --- making again --------------------------------------------------------------

    def _make(self, value: Value, recipe: Recipe, head: Builder, region: Graph) -> None:
        if value in self._known:
            return
        equation = recipe.equation
        if recipe.how == "index":
            self._known[value] = self._mirrors[region].params[0]
            return
        assert equation is not None
        if recipe.how == "again":
            # What a branch has inside is not at hand outside it: known apart.
            known = dict(self._known)
            head.replay([equation], known)
            self._known.update((o, known[o]) for o in equation.outputs)
        elif recipe.how == "cell":
            place = cells.place_of(equation)
            assert place is not None
            index = tuple(substitute(x, self._known) for x in place.index)
            cell = cells.Place(place.base, index, place.sizes, place.steps)
            self._known[value] = cells.load(head, cell)
        elif recipe.how == "snapshot":
            place = self._within(self._slots[recipe.operands[0]], equation)
            self._known[value] = cells.load(head, place)
        else:
            self._known[value] = self._count(value, equation, head, region)
        cells.named(self._known[value], value.name)

    def _within(self, slot: cells.Place, load: Equation) -> cells.Place:
        """The cells of storage that hold what a load read of the array in a slot."""
        place = cells.place_of(load)
        assert place is not None
        row = len(slot.index) - len(place.index)
        return cells.Place(
            slot.base,
            (*slot.index[:row], *(substitute(x, self._known) for x in place.index)),
            (*slot.sizes[:row], *place.sizes),
            (*slot.steps[:row], *place.steps),
        )

    def _count(
        self, value: Value, loop: Equation, head: Builder, region: Graph
    ) -> Operand:
        """An integer that grew by the same in each iteration."""
        (entry,) = (c for c in carried(loop) if c.param is value)
        assert isinstance(entry.next, Value)
        made = entry.next.definition
        assert made is not None
        change = made.inputs[1] if made.inputs[0] is value else made.inputs[0]

        def tracer(operand: Operand) -> Tracer:
            return Tracer(head, substitute(operand, self._known))

        number = Tracer(head, self._mirrors[region].params[0])
        if loop.primitive is for_:
            number = _iteration(number, tracer(loop.inputs[0]), loop)
        grown = number * tracer(change)
        total = made.primitive(tracer(entry.initial), grown)
        operand: Operand = total.operand
        return operand

    # --- storing -------------------------------------------------------------------

    def _keep(self, region: Graph, head: Builder) -> None:
        values = self._kept.get(region)
        if not values:
            return
        outside = draft(self._builder, self._structure.root, exact=True)
        shelf = self._shelf(region, outside)
        before = draft(self._builder, region, exact=True)
        index = self._push(shelf, region, before)
        back = self._pop(shelf, region, head)
        for value in values:
            ref = self._reserve(shelf, value, outside)
            if shelf.lengths is None:
                before.emit(storage.grow, (ref, index[0]))
            writing = draft(self._builder, region, exact=True)
            slot = _slot(ref, value, index)
            cells.store(writing, slot, value)
            if _is_expression(value):
                self._stored[value] = cells.load(writing, slot)
            self._insert_after(value, writing.graph, region)
            self._slots[value] = _slot(ref, value, back)
            self._known[value] = cells.load(head, self._slots[value])
            cells.named(self._known[value], value.name)
        region.equations[:0] = adopt(region, before.graph.equations)
        root = self._structure.root
        nest = self._structure.owner[self._structure.path(region)[1]]
        at = root.equations.index(nest)
        root.equations[at:at] = adopt(root, outside.graph.equations)

    def _read_what_is_stored(self) -> None:
        """Let the forward sweep go on with what it stored, not compute it again."""
        for value, stored in self._stored.items():
            assert isinstance(stored, Value)
            assert stored.definition is not None
            equations = value.graph.equations
            later = equations[equations.index(stored.definition) + 1 :]
            for equation in (inner for e in later for inner in walk_in(e)):
                inputs = equation.inputs
                equation.inputs = tuple(stored if x is value else x for x in inputs)

    def _shelf(self, region: Graph, outside: Builder) -> _Shelf:
        loops = [self._structure.owner[g] for g in self._structure.loops(region)]
        if is_rectangular(self._structure, region):
            return _Shelf(tuple(_trips(loop, outside) for loop in loops))
        packed = packing(self._structure, loops)
        if packed is not None:
            total = size_value(outside, packed.total)
            return _Shelf((total,), position=packed.position)
        if len(loops) == 1:
            return _Shelf()
        params = {"shape": (), "dtype": "int64", "fill": 0}
        top = outside.emit1(refs.alloc, (), params)
        return _Shelf(top=cells.named(top, "top"))

    def _reserve(self, shelf: _Shelf, value: Value, outside: Builder) -> Operand:
        self._names += 1
        name = f"{value.name or 't'}_kept"
        lengths = shelf.lengths
        if lengths is None:
            lengths = (Literal(STRIP, "int64"),)
        params = {
            "name": f"kept{self._names}",
            "dtype": value.type.dtype,
            "cell": tuple(self._largest(d, value) for d in value.type.shape),
            "fill": None,
            "grows": shelf.lengths is None,
        }
        return cells.named(outside.emit1(storage.reserve, lengths, params), name)

    def _largest(self, size: Dim, value: Value) -> Dim:
        """A size outside all loops that is never less than one that varies."""
        for graph in reversed(self._structure.loops(value.graph)):
            loop = self._structure.owner[graph]
            name = str(graph.params[0].name)
            if name not in size.symbols():
                continue
            slope = size.substitute({name: Dim.symbol(name) + 1}) - size
            bounds = bounds_of(self._structure, loop)
            if bounds is None or slope.value is None:
                raise DifferentiationError(
                    f"the gradient has to store an array of size {size}, of which "
                    "no bound is known before the loop.",
                    loop.location,
                    "Make it as large as it can become, and use a part of it.",
                )
            least, after = bounds
            end = after - 1 if slope.value > 0 else least
            size = size.substitute({name: end})
        return size

    def _push(
        self, shelf: _Shelf, region: Graph, before: Builder
    ) -> tuple[Operand, ...]:
        """The forward sweep's index into storage."""
        if shelf.position is not None:
            return (size_value(before, shelf.position),)
        if shelf.top is None:
            return self._numbers(region, before, self._structure.loops(region))
        cell = cells.whole(shelf.top)
        top = Tracer(before, cells.load(before, cell))
        cells.store(before, cell, (top + 1).operand)
        return (top.operand,)

    def _pop(self, shelf: _Shelf, region: Graph, head: Builder) -> tuple[Operand, ...]:
        """The reverse sweep's."""
        if shelf.position is not None:
            return (size_value(head, shelf.position),)
        if shelf.top is None:
            loops = [self._mirrors[g] for g in self._structure.loops(region)]
            return self._numbers(region, head, loops)
        cell = cells.whole(shelf.top)
        top = Tracer(head, cells.load(head, cell)) - 1
        cells.store(head, cell, top.operand)
        return (top.operand,)

    def _numbers(
        self, region: Graph, builder: Builder, loops: list[Graph]
    ) -> tuple[Operand, ...]:
        """The iteration numbers of the loops around a region."""
        owners = [self._structure.owner[g] for g in self._structure.loops(region)]
        found = []
        for loop, owner in zip(loops, owners, strict=True):
            number = Tracer(builder, loop.params[0])
            if owner.primitive is not while_:
                number = _iteration(number, Tracer(builder, owner.inputs[0]), owner)
            found.append(number.operand)
        return tuple(found)

    def _insert_after(self, value: Value, made: Graph, region: Graph) -> None:
        """Put equations right after a value's definition."""
        at = 0
        if value.definition is not None:
            at = region.equations.index(value.definition) + 1
        region.equations[at:at] = adopt(region, made.equations)


def _is_expression(value: Value) -> bool:
    """Whether an array is computed element by element, wherever it is used."""
    made = value.definition
    return (
        is_read_back(value.type)
        and made is not None
        and isinstance(made.primitive.lower, Scalar)
    )


def _slot(ref: Operand, value: Value, index: tuple[Operand, ...]) -> cells.Place:
    """The cells of storage that hold one value."""
    shape = value.type.shape
    zeros = (Literal(0, "int64"),) * len(shape)
    sizes = (*(None,) * len(index), *shape)
    assert isinstance(ref.type, RefType)
    return cells.Place(ref, (*index, *zeros), sizes, (1,) * len(sizes))


def _trips(loop: Equation, builder: Builder) -> Operand:
    lo, hi = (Tracer(builder, x) for x in loop.inputs[:2])
    found = trip_count(lo, hi, loop.params["step"])
    operand: Operand = found.operand if isinstance(found, Tracer) else found
    return operand


def _iteration(index: Tracer, lo: Tracer, loop: Equation) -> Tracer:
    """How many steps an index is from its loop's start."""
    distance = index - lo if lo.operand != Literal(0, "int64") else index
    step = loop.params["step"]
    found: Tracer = distance if step == 1 else distance // step
    return found
