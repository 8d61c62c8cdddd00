"""Snapshots: a copy of an array, in place of each number that a loop reads of it.

    for k:                                      # k_kept[k] = u, once
        for i: new[i] = u[i] * (u[i + 1] - u[i - 1])
        u, new = new, u

Here every cell of ``u`` is overwritten in time, so what the inner loop reads has to be
stored: three numbers for each cell, or once the whole array, as it is before the loop.
It is at hand then for all the reads. Only an array through which the loops go from end
to end is copied: no program becomes slower by more than a factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracegrad.ir.graph import Builder, Equation, Graph, Operand, Value
from tracegrad.ir.shapes import Assumptions
from tracegrad.primitives.control import for_
from tracegrad.transforms import cells
from tracegrad.transforms.affine import Form, Prover, affine, combine
from tracegrad.transforms.cells import Place, place_of
from tracegrad.transforms.clobber import Clobber
from tracegrad.transforms.regions import (
    Structure,
    adopt,
    body_of,
    carried,
    is_ref,
    walk_in,
    written,
)

MARGIN = 16
"""Loops may leave out so many cells along an axis, and still go through all of it."""


class Snapshots:
    """The copies that would serve the loads of one graph, as it was when asked."""

    def __init__(self, structure: Structure, clobber: Clobber) -> None:
        self._structure = structure
        self._clobber = clobber
        self._prover = Prover(structure)
        self._made: dict[tuple[Operand, Graph, Equation | None], Value] = {}

    def __contains__(self, value: Value) -> bool:
        return value in self._made.values()

    def of(self, load: Equation) -> Value | None:
        """The copy that a load could read instead, if one would do."""
        place = place_of(load)
        assert place is not None
        sizes = {name for d in place.base.type.shape for name in d.symbols()}
        if not is_ref(place.base) or sizes & self._structure.index_names:
            return None
        assert isinstance(place.base, Value)
        path = self._structure.path(self._structure.place[load][0])
        for depth, graph in enumerate(path):
            inside = path[depth + 1 :]
            step = self._structure.owner[inside[0]] if inside else load
            if (
                self._structure.is_body(graph)
                and place.base.graph in path[: depth + 1]
                and self._goes_through(place, inside)
                and self._clobber.unchanged(place, load, step)
            ):
                return self._copy(place.base, graph, step)
        return None

    def insert(self, snapshot: Value) -> None:
        """Put the copy that was chosen where it is taken."""
        for (_, graph, after), value in self._made.items():
            if value is snapshot:
                at = 0 if after is None else graph.equations.index(after) + 1
                assert value.definition is not None
                graph.equations.insert(at, value.definition)

    def _copy(self, ref: Value, graph: Graph, step: Equation) -> Value:
        """All the cells, as the last change before a step of a graph leaves them."""
        before = graph.equations[: self._structure.place[step][1]]
        writers = [
            e for e in before if any(changes(inner, ref) for inner in walk_in(e))
        ]
        if ref.definition in before:
            writers = writers or [ref.definition]
        key = ref, graph, writers[-1] if writers else None
        if key not in self._made:
            builder = Builder(Graph(graph.name, parent=graph), Assumptions())
            value = cells.load(builder, cells.whole(ref))
            assert isinstance(value, Value)
            adopt(graph, builder.graph.equations)
            value.name = ref.name
            self._made[key] = value
        return self._made[key]

    def _goes_through(self, place: Place, inside: Sequence[Graph]) -> bool:
        """Whether loops around a load take it along all axes, nearly to both ends."""
        trips = dict(self._trips(inside))
        for operand, size, step, length in zip(
            place.index, place.sizes, place.steps, place.base.type.shape, strict=True
        ):
            taken: Form | None
            if size is not None:
                taken = self._prover.size(size) if abs(step) == 1 else None
            else:
                form = affine(operand)
                along = [index for index in trips if abs(form.get(index, 0)) == 1]
                taken = trips.pop(along[0]) if along else None
            if taken is None:
                return False
            left = combine(self._prover.size(length), taken, -1)
            if set(left) - {()} or left.get((), 0) > MARGIN:
                return False
        return True

    def _trips(self, inside: Sequence[Graph]) -> Iterator[tuple[Value, Form]]:
        """How often loops run that are nested with nothing between, by their index."""
        for graph in inside:
            loop = self._structure.owner[graph]
            if loop.primitive is not for_ or loop.params["stops"]:
                return
            step = loop.params["step"]
            lo, hi = map(affine, loop.inputs[:2])
            if abs(step) == 1:
                yield body_of(loop).params[0], combine({}, combine(hi, lo, -1), step)


def changes(equation: Equation, ref: Operand) -> bool:
    """Whether an equation writes a Ref, or makes it go by another name."""
    return written(equation) is ref or any(c.initial is ref for c in carried(equation))
