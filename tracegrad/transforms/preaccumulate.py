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
    values_of,
)
from tracegrad.ir.primitive import Elementwise, Linear
from tracegrad.primitives.control import while_
from tracegrad.transforms.activity import active
from tracegrad.transforms.jvp import jvp
from tracegrad.transforms.regions import (
    adopt,
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
        equation.regions or _is_operation(equation)
        for equation in walk_in(loop)
        if any(x in found for x in (*equation.inputs, *equation.outputs))
    )


def _is_operation(equation: Equation) -> bool:
    return isinstance(equation.primitive.rule, Elementwise | Linear) and not any(
        is_ref(x) or x.type.ndim for x in (*equation.inputs, *equation.outputs)
    )


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
    made, tangents = jvp(apart, part, inputs, directions)
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
