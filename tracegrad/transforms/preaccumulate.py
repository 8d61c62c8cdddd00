"""Preaccumulation: a loop of numbers with few inputs is differentiated forwards.

The reverse of a loop that runs until something has converged stores what each iteration
computed, on a stack. Where such a loop depends on one or two numbers only, its tangents
along each can be carried beside its values instead, which stores nothing; the reverse
sweep then only multiplies by them. See section 10.2 of Griewank and Walther (2008),
Evaluating Derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracegrad.ir.graph import (
    Builder,
    Equation,
    Graph,
    Literal,
    Operand,
    Value,
    substitute,
    values_of,
)
from tracegrad.ir.primitive import Elementwise, Linear
from tracegrad.primitives.control import while_
from tracegrad.transforms import cells
from tracegrad.transforms.activity import active, varied
from tracegrad.transforms.bodies import Body, Formula
from tracegrad.transforms.jvp import jvp
from tracegrad.transforms.local import Rows
from tracegrad.transforms.regions import (
    Carried,
    adopt,
    body_of,
    captured,
    carried,
    clone_equation,
    draft,
    is_ref,
    substitute_everywhere,
    walk_in,
)

MOST = 2
"""As many tangents cost less than what a reverse loop stores and computes."""


@dataclass(frozen=True, slots=True)
class Jacobian:
    """The derivatives of a loop's results.

    Attributes:
        inputs: the numbers that the loop depends on.
        rows: of each result, a derivative by each input; None is zero.
    """

    inputs: tuple[Value, ...]
    rows: dict[Value, list[Operand | None]]


def preaccumulate(
    builder: Builder, graph: Graph, inputs: Iterable[Value]
) -> dict[Equation, Jacobian]:
    """Let loops compute their Jacobians, in place.

    Args:
        builder: what is assumed of the graph, and how it is simplified.
        graph: what is to be differentiated.
        inputs: with respect to what.

    Returns:
        The loops that took the places of others, and what they compute.
    """
    loops = [e for e in graph.walk() if _ends_by_itself(e)]
    if not loops:
        return {}
    found = active(graph, inputs, graph.results)
    made: dict[Equation, Jacobian] = {}
    gone: set[Equation] = set()
    for loop in loops:
        outputs = [c.output for c in carried(loop) if c.output in found]
        if loop in gone or not outputs or not _is_scalar(loop, found):
            continue
        leaves, before = _inputs(loop, found)
        if len(leaves) <= MOST:
            gone.update(walk_in(loop))
            known, new, jacobian = _replace(builder, loop, leaves, before)
            found.update(values_of([x for old, x in known.items() if old in found]))
            substitute_everywhere(graph, known)
            made[new] = jacobian
    return made


def _ends_by_itself(equation: Equation) -> bool:
    """Whether only its iterations tell how many there are."""
    return equation.primitive is while_ or bool(equation.params.get("stops"))


# --- whether it can be -------------------------------------------------------------


def _is_scalar(loop: Equation, found: set[Value]) -> bool:
    """Whether all that is active in a loop are numbers, and operations on them."""
    return not loop.params.get("snapshots") and all(
        _is_operation(equation)
        if not equation.regions
        else not any(_is_array(x) for x in equation.outputs if x in found)
        for equation in (loop, *walk_in(loop))
        if any(x in found for x in (*equation.inputs, *equation.outputs))
    )


def _is_operation(equation: Equation) -> bool:
    return isinstance(equation.primitive.rule, Elementwise | Linear) and not any(
        map(_is_array, (*equation.inputs, *equation.outputs))
    )


def _is_array(x: Operand) -> bool:
    return is_ref(x) or bool(x.type.ndim)


def _inputs(loop: Equation, found: set[Value]) -> tuple[list[Value], list[Equation]]:
    """The numbers that a loop depends on, and equations between those and it.

    Those that it reads, or what these are computed from if that is fewer numbers.
    """
    near = [x for x in captured(loop) if x in found]
    region = loop.outputs[0].graph
    between: set[Equation] = set()
    far: dict[Value, None] = {}
    todo = list(near)
    while todo:
        value = todo.pop()
        made = value.definition
        if made is None or value.graph is not region or not _is_operation(made):
            far[value] = None
        elif made not in between:
            between.add(made)
            todo += [x for x in values_of(made.inputs) if x in found]
    if len(far) >= len(near):
        return near, []
    return list(far), [e for e in region.equations if e in between]


# --- doing it ----------------------------------------------------------------------


def _replace(
    builder: Builder, loop: Equation, inputs: Sequence[Value], before: list[Equation]
) -> tuple[dict[Value, Operand], Equation, Jacobian]:
    """Put a loop that carries tangents in the place of one that doesn't.

    Returns:
        What became of the loop's outputs, the new loop, and its Jacobian.
    """
    region = loop.outputs[0].graph
    part = Graph(region.name, parent=region)
    known: dict[Value, Operand] = {x: part.add_param(x.type, x.name) for x in inputs}
    part.equations = [clone_equation(e, known, part) for e in (*before, loop)]
    part.results = list(part.equations[-1].outputs)
    ones: list[Operand] = [Literal(1.0, x.type.dtype) for x in inputs]
    directions = [
        [one if k == at else None for k in range(len(ones))]
        for at, one in enumerate(ones)
    ]
    apart = draft(builder, region, exact=True)
    made, tangents = _push(apart, part, inputs, directions)
    at = region.equations.index(loop)
    region.equations[at : at + 1] = adopt(region, apart.graph.equations)
    (new,) = {x.definition for x in made if isinstance(x, Value)}
    assert new is not None
    rows = {
        x: [dots[k] for dots in tangents]
        for k, x in enumerate(made[:-1])
        if isinstance(x, Value)
    }
    outputs = dict(zip(loop.outputs, made, strict=True))
    return outputs, new, Jacobian(tuple(inputs), rows)


# --- the loop that carries them ----------------------------------------------------


def _push(
    builder: Builder,
    graph: Graph,
    arguments: Sequence[Value],
    directions: Sequence[Sequence[Operand | None]],
) -> tuple[list[Operand], list[list[Operand | None]]]:
    """``jvp`` of a graph that ends with a loop whose outputs are its results."""
    loop = graph.equations[-1]
    paths = [
        varied(
            graph, [p for p, t in zip(graph.params, d, strict=True) if t is not None]
        )
        for d in directions
    ]
    body = Body(loop, set().union(*paths))
    if not body.fits() or not body.saves(len(directions)):
        return jvp(builder, graph, arguments, directions)
    own = {*graph.params, *(o for e in graph.equations for o in e.outputs)}
    needed: list[Operand] = [x for x in captured(loop) if x in own]
    head = Graph(graph.name, graph.params, graph.equations[:-1], needed, graph.parent)
    made, tangents = jvp(builder, head, arguments, directions)
    known = dict(zip(values_of(needed), made, strict=True))
    dots = [dict(zip(values_of(needed), found, strict=True)) for found in tangents]
    return _Loop(builder, body, known, dots, paths).emit()


class _Loop:
    """Emits a loop that carries tangents.

    Args:
        builder: where it goes.
        body: the loop's.
        known: what became of the values before it.
        dots: their tangents, by direction.
        paths: what has tangents along each.
    """

    def __init__(
        self,
        builder: Builder,
        body: Body,
        known: dict[Value, Operand],
        dots: list[dict[Value, Operand | None]],
        paths: list[set[Value]],
    ) -> None:
        self._builder, self._body, self._known, self._dots = builder, body, known, dots
        self._dual = [
            (along, c)
            for along, path in zip(dots, paths, strict=True)
            for c in body.bases
            if c.output in path
        ]

    def emit(self) -> tuple[list[Operand], list[list[Operand | None]]]:
        """The loop's outputs, and their tangents by direction."""
        builder, loop = self._builder, self._body.loop
        with builder.at(loop.location):
            inputs = [self._new(x) for x in loop.inputs]
            inputs += [self._start(along, c) for along, c in self._dual]
            regions = tuple(map(self._region, loop.regions))
            *plain, trips = loop.outputs
            order = [*plain, *(c.output for _, c in self._dual), trips]
            types = tuple(o.type for o in order)
            made = builder.emit(loop.primitive, inputs, loop.params, regions, types)
            outputs = [*made[: len(plain)], made[-1]]
            for old, new in zip(loop.outputs, outputs, strict=True):
                self._known[old] = cells.named(new, old.name)
            for (along, c), dot in zip(self._dual, made[len(plain) :], strict=False):
                along[c.output] = cells.named(dot, _dotted(c.output))
            for c, formula in self._body.derived.items():
                self._follow(c, formula)
        return outputs, [[along.get(o) for o in loop.outputs] for along in self._dots]

    def _new(self, x: Operand) -> Operand:
        return substitute(x, self._known)

    def _start(self, along: dict[Value, Operand | None], c: Carried) -> Operand:
        dot = along.get(c.initial) if isinstance(c.initial, Value) else None
        return cells.zero(self._builder, c.output.type) if dot is None else dot

    def _region(self, region: Graph) -> Graph:
        """A region with the tangents among its parameters and results."""
        builder, tested = self._builder, region is not body_of(self._body.loop)
        copy = Graph(region.name)
        for param in region.params:
            self._known[param] = copy.add_param(param.type, param.name)
        for along, c in self._dual:
            along[c.param] = copy.add_param(c.param.type, _dotted(c.param))
        with builder.region(copy):
            builder.replay(region.equations, self._known)
            copy.results = [self._new(x) for x in region.results]
            if not tested:
                with builder.rearranging():
                    copy.results += self._nexts()
        return copy

    def _nexts(self) -> list[Operand]:
        builder, body = self._builder, self._body
        added = body.equations[: -len(body_of(body.loop).equations)]
        builder.replay(added, self._known)
        for param, made in body.aliases.items():
            self._known[made] = self._known[param]  # to the bit
        rows = Rows(builder, body, self._known)
        found = []
        for along, c in self._dual:
            dot = rows.tangent(c.next, along)
            if isinstance(dot, Value) and dot.graph is builder.graph:
                cells.named(dot, _dotted(c.output))
            found.append(cells.zero(builder, c.output.type) if dot is None else dot)
        return found

    def _follow(self, c: Carried, formula: Formula) -> None:
        """Find, after the loop, the tangents of a value that had none in it."""
        graph = Graph(parent=self._builder.graph)
        around = [x for x in captured(self._body.loop) if x in self._known]
        ends = {b.next: b.output for b in formula.bases if isinstance(b.next, Value)}
        sources = {**{x: x for x in around}, **ends}
        known: dict[Value, Operand] = {
            x: graph.add_param(x.type, x.name) for x in sources
        }
        graph.equations = formula.cloned(known, graph)
        graph.results = [substitute(c.next, known)]
        arguments = [self._known[x] for x in sources.values()]
        directions = [[along.get(x) for x in sources.values()] for along in self._dots]
        _, found = jvp(self._builder, graph, arguments, directions)
        for along, (dot,) in zip(self._dots, found, strict=True):
            along[c.output] = dot


def _dotted(value: Value) -> str | None:
    return f"{value.name}_dot" if value.name else None
