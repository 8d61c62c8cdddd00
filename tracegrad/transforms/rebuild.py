"""How a forward value could be made again in the reverse sweep, and at what cost.

From what is at hand there: the index of the mirror loop, values outside all regions,
and other forward values that are rebuilt or stored. There is no way to rebuild what a
loop carries, what a loop results in, or a cell that was overwritten, unless it is in a
snapshot.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal as Choice

from tracegrad.ir.graph import Equation, Graph, Operand, Value, values_of
from tracegrad.ir.primitive import IndexMap, Scalar
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs
from tracegrad.primitives.control import cond, for_
from tracegrad.transforms.cells import place_of
from tracegrad.transforms.clobber import Clobber
from tracegrad.transforms.regions import (
    Structure,
    captured,
    carried,
    is_loop,
    is_ref,
    walk_in,
)
from tracegrad.transforms.snapshots import Snapshots

LOAD = 2
EACH = 40
"""How often a loop, or an operation along one axis, is taken to run."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a value again.

    cost: per run, in additions.
    operands: forward values that it takes.
    how: the mirror's ``index``; a ``counter`` that a loop changes by an invariant; the
        same equation ``again``; a load from the ``cell`` where an equation stored it,
        or from the ``snapshot`` that is the first of the operands.
    equation: the loop for a counter; the load from the array that a snapshot is of.
    """

    cost: int
    operands: tuple[Value, ...]
    how: Choice["index", "counter", "again", "cell", "snapshot"]
    equation: Equation | None = None


class Recipes:
    """Finds recipes for the values of forward regions."""

    def __init__(self, structure: Structure, forward: Collection[Graph]) -> None:
        self._structure = structure
        self._forward = forward
        self._clobber = Clobber(structure)
        self._cells = self._stored_values()
        self.snapshots = Snapshots(structure, self._clobber)

    def is_forward(self, operand: Operand) -> bool:
        """Whether it is a value that the reverse sweep can't see."""
        return isinstance(operand, Value) and operand.graph in self._forward

    def recipe(self, value: Value) -> Recipe | None:
        """The cheapest way to make a value again, if there is one."""
        if value in self.snapshots:
            return None
        found = self._computed(value)
        if found is not None and found.cost <= LOAD:
            return found
        store = self._cells.get(value)
        if store is None:
            return found
        place = place_of(store)
        assert place is not None
        cost = LOAD * elements(value)
        if found is not None and found.cost <= cost:
            return found
        return Recipe(cost, self._operands(place.index), "cell", store)

    def _operands(self, operands: Collection[Operand]) -> tuple[Value, ...]:
        return tuple(x for x in values_of(list(operands)) if self.is_forward(x))

    def _computed(self, value: Value) -> Recipe | None:
        made = value.definition
        if made is None:
            return self._parameter(value)
        if made.primitive is cond:
            return self._branches(made)
        if made.primitive is refs.load:
            return self._loaded(made, LOAD * elements(value))
        if made.regions or made.primitive.effect != "pure":
            return None
        return Recipe(cost_of(made), self._operands(made.inputs), "again", made)

    def _loaded(self, load: Equation, cost: int) -> Recipe | None:
        """From the same cells, or from a copy of them."""
        if self._readable(load):
            return Recipe(cost, self._operands(load.inputs), "again", load)
        snapshot = self.snapshots.of(load)
        if snapshot is None:
            return None
        operands = (snapshot, *self._operands(load.inputs[1:]))
        return Recipe(cost // 2, operands, "snapshot", load)

    def _parameter(self, value: Value) -> Recipe | None:
        """A loop's index, or an integer that it changes by the same each time."""
        if value.graph.params[0] is value:
            return Recipe(0, (), "index")
        loop = self._structure.owner[value.graph]
        (entry,) = (c for c in carried(loop) if c.param is value)
        change = _change(entry.next, value)
        if change is None or value.type.dtype != "int64":
            return None
        if isinstance(change, Value) and change.graph is value.graph:
            return None
        operands = [change, entry.initial]
        if loop.primitive is for_:
            if loop.params["reversed"]:
                return None
            operands.append(loop.inputs[0])
        return Recipe(2, self._operands(operands), "counter", loop)

    def _readable(self, load: Equation) -> bool:
        """Whether a load gives the same when the forward sweep has ended."""
        place = place_of(load)
        assert place is not None
        if is_ref(place.base) and self.is_forward(place.base):
            return False
        return self._clobber.intact(place, load)

    def _branches(self, equation: Equation) -> Recipe | None:
        cost = 1
        for inner in walk_in(equation):
            if inner.primitive is refs.load:
                if not self._readable(inner):
                    return None
            elif inner.primitive.effect != "pure" or is_loop(inner):
                return None
            cost += 0 if inner.regions else cost_of(inner)
        return Recipe(cost, self._operands(captured(equation)), "again", equation)

    def _stored_values(self) -> dict[Value, Equation]:
        """Values that rest in a cell which nobody overwrites."""
        found: dict[Value, Equation] = {}
        for equation, (graph, _) in self._structure.place.items():
            if equation.primitive is not refs.store or graph not in self._forward:
                continue
            ref, value = equation.inputs[:2]
            if not isinstance(value, Value) or value.graph is not graph:
                continue
            place = place_of(equation)
            assert place is not None
            # An index made of integers alone can't depend on what is stored.
            fit = value.type.differentiable and all(map(_is_integral, place.index))
            if (
                fit
                and value not in found
                and not self.is_forward(ref)
                and self._clobber.intact(place, equation)
            ):
                found[value] = equation
        return found


def _change(operand: Operand, param: Value) -> Operand | None:
    """By what an integer grows, if it is the sum of a parameter and something."""
    made = operand.definition if isinstance(operand, Value) else None
    if made is None or made.primitive not in (ew.add, ew.subtract):
        return None
    first, second = made.inputs
    if first is param and second is not param:
        return second
    return first if second is param and made.primitive is ew.add else None


def _is_integral(operand: Operand) -> bool:
    """Whether an index is computed from integers alone."""
    made = operand.definition if isinstance(operand, Value) else None
    if made is None:
        return True
    if made.regions:
        return is_loop(made) and operand is made.outputs[-1]
    if made.primitive is refs.load:
        return all(map(_is_integral, made.inputs[1:]))
    return not any(x.type.differentiable for x in made.inputs) and all(
        map(_is_integral, made.inputs)
    )


def cost_of(equation: Equation) -> int:
    """What an equation costs, in additions."""
    primitive = equation.primitive
    count = max((elements(o) for o in equation.outputs), default=1)
    if primitive is refs.load:
        return LOAD * count
    match primitive.lower:
        case Scalar(cost=cost):
            return cost * count
        case IndexMap():
            return count
    widest = max((elements(x) for x in equation.inputs), default=1)
    return EACH * max(count, widest)


def elements(operand: Operand) -> int:
    """How many numbers a value is taken to hold."""
    return int(EACH**operand.type.ndim)
