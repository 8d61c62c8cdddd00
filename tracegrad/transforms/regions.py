"""Regions: copying graphs, where things are in them, and what loops carry.

A pass copies the graph it gets, edits its copy in place, and returns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracegrad.ir.graph import (
    Builder,
    Equation,
    Graph,
    Operand,
    Value,
    named_index,
    substitute,
    values_of,
)
from tracegrad.ir.types import RefType
from tracegrad.primitives.control import for_, while_

# --- looking -----------------------------------------------------------------------


def is_loop(equation: Equation) -> bool:
    """Whether it runs a region again and again."""
    return equation.primitive is for_ or equation.primitive is while_


def body_of(loop: Equation) -> Graph:
    """The region that a loop repeats."""
    return loop.regions[-1]


def is_ref(operand: Operand) -> bool:
    """Whether it is a mutable array."""
    return isinstance(operand.type, RefType)


def written(equation: Equation) -> Value | None:
    """The Ref whose cells an equation itself changes."""
    if equation.primitive.effect in ("write", "accumulate"):
        target = equation.inputs[0]
        assert isinstance(target, Value)
        return target
    return None


def walk_in(equation: Equation) -> Iterator[Equation]:
    """An equation and all those of its regions."""
    yield equation
    for region in equation.regions:
        yield from region.walk()


def regions_in(graph: Graph) -> Iterator[Graph]:
    """A graph and all the regions inside it."""
    yield graph
    for equation in graph.walk():
        yield from equation.regions


def used_by(equation: Equation) -> Iterator[Value]:
    """The values that an equation reads, those its regions read included."""
    yield from values_of(equation.inputs)
    for region in equation.regions:
        for graph in regions_in(region):
            for inner in graph.equations:
                yield from values_of(inner.inputs)
            yield from values_of(graph.results)


def captured(equation: Equation) -> list[Value]:
    """The values of the graphs around an equation that it or its regions read."""
    inner = {g for region in equation.regions for g in regions_in(region)}
    return [x for x in dict.fromkeys(used_by(equation)) if x.graph not in inner]


# --- what a loop carries -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Carried:
    """One value that a loop hands from iteration to iteration.

    tested: the same in the condition of a ``while_``.
    """

    initial: Operand
    param: Value
    tested: Value | None
    next: Operand
    output: Value


def carried(loop: Equation) -> list[Carried]:
    """What a ``for_`` or ``while_`` carries, in order; nothing for other equations."""
    if not is_loop(loop):
        return []
    body = body_of(loop)
    tested: Sequence[Value | None] = [None] * (len(loop.outputs) - 1)
    if loop.primitive is while_:
        tested = loop.regions[0].params[1:]
    return [
        Carried(*entry)
        for entry in zip(
            loop.inputs[_bounds(loop) :],
            body.params[1:],
            tested,
            body.results[_flags(loop) :],
            loop.outputs[:-1],
            strict=True,
        )
    ]


def set_carried(loop: Equation, entries: Sequence[Carried]) -> None:
    """Make a loop carry these instead."""
    body = body_of(loop)
    loop.inputs = (*loop.inputs[: _bounds(loop)], *(c.initial for c in entries))
    body.params[1:] = [c.param for c in entries]
    body.results[_flags(loop) :] = [c.next for c in entries]
    loop.outputs = (*(c.output for c in entries), loop.outputs[-1])
    if loop.primitive is while_:
        loop.regions[0].params[1:] = [c.tested for c in entries if c.tested]


def carry(loop: Equation, initial: Operand, name: str | None = None) -> Value:
    """A further carried value of a loop: its parameter, for now also its next one."""
    body, graph = body_of(loop), loop.outputs[-1].graph
    output = Value(initial.type, name, graph)
    output.definition = loop
    tested = None
    if loop.primitive is while_:
        tested = Value(initial.type, name, loop.regions[0])
    param = Value(initial.type, name, body)
    entry = Carried(initial, param, tested, param, output)
    set_carried(loop, [*carried(loop), entry])
    return param


def _bounds(loop: Equation) -> int:
    return 2 if loop.primitive is for_ else 0


def _flags(loop: Equation) -> int:
    return 1 if loop.params.get("stops") else 0


# --- where things are --------------------------------------------------------------


class Structure:
    """Where the equations and regions of a graph are, as it was when asked.

    Attributes:
        root: the graph.
        owner: the equation that holds a region.
        place: an equation's graph, and its position there.
        index_names: what loops call their indices; sizes may speak of them.
    """

    def __init__(self, graph: Graph) -> None:
        self.root = graph
        self.owner: dict[Graph, Equation] = {}
        self.place: dict[Equation, tuple[Graph, int]] = {}
        self.index_names: set[str] = set()
        for region in regions_in(graph):
            for k, equation in enumerate(region.equations):
                self.place[equation] = (region, k)
                self.owner.update(dict.fromkeys(equation.regions, equation))
                if is_loop(equation):
                    self.index_names.add(str(body_of(equation).params[0].name))

    def path(self, graph: Graph) -> list[Graph]:
        """The regions around a region and itself, outermost first; [] if foreign."""
        found = []
        while graph in self.owner:
            found.append(graph)
            graph = self.place[self.owner[graph]][0]
        return [self.root, *reversed(found)] if graph is self.root else []

    def loops(self, graph: Graph) -> list[Graph]:
        """The loop bodies around a region and itself, outermost first."""
        return [g for g in self.path(graph) if self.is_body(g)]

    def is_body(self, graph: Graph) -> bool:
        """Whether a region is what a loop repeats."""
        return graph in self.owner and is_loop(self.owner[graph])

    def loop_of(self, value: Value) -> Equation | None:
        """The loop of which a value is the index (or the iteration number)."""
        owner = self.owner.get(value.graph)
        if value.definition is None and owner is not None and is_loop(owner):
            return owner if value.graph.params[0] is value else None
        return None


# --- copying and editing -----------------------------------------------------------


def clone(graph: Graph) -> Graph:
    """A copy with values of its own; those of graphs around it stay what they are."""
    return clone_region(graph, {}, graph.parent)


def clone_region(
    region: Graph, known: dict[Value, Operand], parent: Graph | None
) -> Graph:
    """A copy of a region, with values replaced as ``known`` says; extends it."""
    copy = Graph(region.name, parent=parent)
    for param in region.params:
        known[param] = copy.add_param(param.type, param.name)
    for equation in region.equations:
        copy.equations.append(clone_equation(equation, known, copy))
    copy.results = [substitute(x, known) for x in region.results]
    return copy


def clone_equation(
    equation: Equation, known: dict[Value, Operand], graph: Graph
) -> Equation:
    """A copy of an equation that belongs into a graph; extends ``known``."""
    inputs = tuple(substitute(x, known) for x in equation.inputs)
    regions = tuple(clone_region(r, known, graph) for r in equation.regions)
    outputs = tuple(Value(o.type, o.name, graph) for o in equation.outputs)
    copy = Equation(
        equation.primitive, inputs, equation.params, regions, outputs, equation.location
    )
    for old, new in zip(equation.outputs, outputs, strict=True):
        new.definition = copy
        known[old] = new
    return copy


def substitute_everywhere(graph: Graph, known: Mapping[Value, Operand]) -> None:
    """Put other operands in the place of values, everywhere; chains are followed."""
    if known:
        for region in regions_in(graph):
            substitute_here(region, known)


def substitute_here(graph: Graph, known: Mapping[Value, Operand]) -> None:
    """The same, but not in regions inside the graph."""

    def final(operand: Operand) -> Operand:
        while isinstance(operand, Value) and operand in known:
            operand = known[operand]
        return operand

    for equation in graph.equations:
        equation.inputs = tuple(map(final, equation.inputs))
    graph.results[:] = map(final, graph.results)


def adopt(graph: Graph, equations: Iterable[Equation]) -> list[Equation]:
    """Make equations belong to a graph; the caller puts them into its list."""
    found = list(equations)
    for equation in found:
        for output in equation.outputs:
            output.graph = graph
        for region in equation.regions:
            region.parent = graph
    return found


def draft(builder: Builder, graph: Graph, *, exact: bool = False) -> Builder:
    """A builder of equations to be adopted by a graph, at a place yet to be chosen.

    It doesn't see what the graph has: whatever it reuses, it made itself.
    """
    apart = Builder(
        Graph(graph.name, parent=graph),
        builder.assumptions,
        builder.simplify,
        exact=exact,
    )
    apart.location = builder.location
    for region in (*graph.ancestors(),)[::-1]:
        if region.parent is not None:
            apart.indices |= named_index(region)
    return apart
