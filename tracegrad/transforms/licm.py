"""Loop-invariant code motion: what a loop computes anew each time, computed before.

Pure equations move if they can't raise. A load moves if the loop doesn't write the cell
and the index is proved to be inside the array, or the loop to run at least once: out of
a loop without trips, it would otherwise read what isn't there. Nests move as a whole,
with the arrays that they write: see ``nests``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegrad.ir.graph import Equation, Graph, Literal, Value, values_of
from tracegrad.ir.primitive import IndexMap
from tracegrad.ir.shapes import Dim, FloorDiv
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs
from tracegrad.primitives.control import check, for_
from tracegrad.transforms.affine import Prover, affine, combine
from tracegrad.transforms.cells import Place, place_of
from tracegrad.transforms.clobber import disjoint, in_bounds
from tracegrad.transforms.nests import invariant_nests
from tracegrad.transforms.regions import (
    Structure,
    adopt,
    body_of,
    clone,
    is_loop,
    is_ref,
    regions_in,
    walk_in,
    written,
)

_MAY_RAISE = (ew.floor_divide, ew.remainder)


def licm(graph: Graph) -> Graph:
    """The graph with invariants moved out of loops."""
    copy = clone(graph)
    _Motion(Structure(copy)).block(copy)
    return copy


class _Motion:
    """Moves equations, and knows which cells are sure to have been visited."""

    def __init__(self, structure: Structure) -> None:
        self._prover = Prover(structure)
        self._visited: set[Any] = set()

    def block(self, graph: Graph) -> None:
        """Move equations out of a graph's loops, innermost loops first."""
        moved: list[Equation] = []
        before = set(self._visited)
        for equation in graph.equations:
            for region in equation.regions:
                self.block(region)
            if is_loop(equation):
                moved += adopt(graph, self._invariants(equation))
                moved += adopt(graph, self._nests(equation))
            moved.append(equation)
            self._visited.add(_cells(place_of(equation)))
        graph.equations[:] = moved
        self._visited = before

    def _invariants(self, loop: Equation) -> list[Equation]:
        inner = {g for region in loop.regions for g in regions_in(region)}
        found = []
        for region in loop.regions:
            kept = []
            for equation in region.equations:
                operands = values_of(equation.inputs)
                fixed = all(x.graph not in inner for x in operands) and not (
                    sizes_named_in(equation) & {str(region.params[0].name)}
                )
                if fixed and self._can_move(equation, loop):
                    found.append(equation)
                    adopt(loop.outputs[-1].graph, [equation])
                else:
                    kept.append(equation)
            idle = _idle(found)
            region.equations[:] = [*adopt(region, idle), *kept]
            found = [e for e in found if e not in idle]
        return found

    def _nests(self, loop: Equation) -> list[Equation]:
        """Take whole nests, and what they write, out of a loop."""
        runs = self._runs(loop)
        index = str(body_of(loop).params[0].name)

        def movable(equation: Equation) -> bool:
            if index in sizes_named_in(equation):
                return False
            place = place_of(equation)
            if place is not None:
                return runs or in_bounds(self._prover, place)
            return equation.primitive.effect != "pure" or self._can_move(equation, loop)

        found = invariant_nests(loop, movable, runs=runs)
        idle = _idle(found)
        found = [e for e in found if e not in idle]
        body = body_of(loop)
        body.equations[:] = [e for e in body.equations if e not in found]
        return found

    def _can_move(self, equation: Equation, loop: Equation) -> bool:
        if equation.regions or not equation.outputs:
            return False
        if equation.primitive is refs.load:
            return self._can_load(equation, loop)
        if equation.primitive is cmp.size:
            return not _divides(equation.params["dim"])
        if equation.primitive in _MAY_RAISE:
            divisor = equation.inputs[1]
            integral = not divisor.type.differentiable
            if integral and not (isinstance(divisor, Literal) and divisor.value):
                return False
        return equation.primitive.effect == "pure"

    def _can_load(self, load: Equation, loop: Equation) -> bool:
        place = place_of(load)
        assert place is not None
        if not unwritten(self._prover, place, loop):
            return False
        return (
            _cells(place) in self._visited
            or in_bounds(self._prover, place)
            or self._runs(loop)
        )

    def _runs(self, loop: Equation) -> bool:
        """Whether a loop is sure to run, and to raise nothing before it loads."""
        if loop.primitive is not for_ or any(
            e.primitive is check for e in walk_in(loop)
        ):
            return False
        lo, hi = map(affine, loop.inputs[:2])
        ahead = combine(hi, lo, -1)
        if loop.params["step"] < 0:
            ahead = combine({}, ahead, -1)
        return self._prover.at_least(ahead, 1)


def _idle(moved: Sequence[Equation]) -> list[Equation]:
    """What only says where elements are, if nothing that is computed from it moves.

    Outside the loop it would be an array to be filled; inside it costs nothing.
    """
    used: set[Value] = set()
    found = []
    for equation in reversed(moved):
        if isinstance(equation.primitive.lower, IndexMap) and used.isdisjoint(
            equation.outputs
        ):
            found.append(equation)
        else:
            used.update(values_of(equation.inputs))
    return found[::-1]


def _divides(size: Dim) -> bool:
    """Whether a size has a quotient by what could be zero."""
    atoms = (atom for monomial, _ in size.terms for atom in monomial)
    return any(isinstance(a, FloorDiv) and not a.denominator.value for a in atoms)


def sizes_named_in(equation: Equation) -> set[str]:
    """The symbols of which an equation's sizes speak: a loop's index may be one."""
    found: set[str] = set()
    todo = [*equation.params.values()]
    while todo:
        param = todo.pop()
        if isinstance(param, Dim):
            found |= param.symbols()
        elif isinstance(param, tuple):
            todo += param
    return found


def _cells(place: Place | None) -> Any:
    """The identity of a place, equal only if its index has equal operands."""
    return place and (place.base, place.index, place.sizes, place.steps)


def unwritten(prover: Prover, place: Place, loop: Equation) -> bool:
    """Whether nothing in a loop writes cells that are named outside it."""
    if not is_ref(place.base):
        return True
    for equation in walk_in(loop):
        if written(equation) is place.base:
            target = place_of(equation)
            if target is None or not disjoint(prover, place, target):
                return False
    return True
