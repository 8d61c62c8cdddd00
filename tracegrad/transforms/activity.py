"""Activity: which values depend on a differentiated input and reach an output.

Only those carry tangents and cotangents. A Ref counts as one value: it depends on
whatever is written into it, and what is read from it depends on the Ref. Loops carry
dependence round, so both directions are fixpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import TypeAlias

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.primitives.refs import copy, load
from tracegrad.transforms.regions import carried, is_loop, written

Flow: TypeAlias = tuple[Operand, Value]


def varied(graph: Graph, inputs: Iterable[Value]) -> set[Value]:
    """Values that depend differentiably on the inputs."""
    found = {x for x in inputs if x.type.differentiable}
    flows = list(_flows(graph))

    def spread(flow: Flow) -> Value | None:
        source, target = flow
        return target if source in found else None

    _close(found, flows, spread)
    return found


def useful(graph: Graph, outputs: Iterable[Operand]) -> set[Value]:
    """Values on which the outputs depend differentiably."""
    found = {x for x in outputs if isinstance(x, Value) and x.type.differentiable}
    flows = list(_flows(graph))[::-1]

    def spread(flow: Flow) -> Value | None:
        source, target = flow
        return source if target in found and isinstance(source, Value) else None

    _close(found, flows, spread)
    return found


def active(
    graph: Graph, inputs: Iterable[Value], outputs: Iterable[Operand]
) -> set[Value]:
    """Values that carry a derivative from the inputs to the outputs."""
    return varied(graph, inputs) & useful(graph, outputs)


def _close(
    found: set[Value], flows: list[Flow], spread: Callable[[Flow], Value | None]
) -> None:
    size = -1
    while len(found) != size:
        size = len(found)
        for flow in flows:
            reached = spread(flow)
            if reached is not None and reached.type.differentiable:
                found.add(reached)


def _flows(graph: Graph) -> Iterator[Flow]:
    """All pairs (operand, value) such that the value depends on the operand."""
    for equation in graph.walk():
        yield from _flows_of(equation)


def _flows_of(equation: Equation) -> Iterator[Flow]:
    inputs, outputs = equation.inputs, equation.outputs
    for c in carried(equation):
        yield from product((c.initial, c.next), (c.param, c.output))
    if is_loop(equation):
        return
    if equation.regions:
        for region in equation.regions:
            yield from zip(region.results, outputs, strict=True)
    elif equation.primitive in (load, copy):
        yield inputs[0], outputs[0]
    elif (ref := written(equation)) is not None:
        yield inputs[1], ref
    elif equation.primitive.rule is not None:
        yield from product(inputs, outputs)
