"""Graphs as plain data, to send them to another process.

Pickle would follow a value to its equation, that to its operands, and so on, deeper
than the stack of a long program; here values and equations are numbered instead.
"""

from __future__ import annotations

from typing import Any

from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value
from tracegrad.ir.primitive import Primitive, collect
from tracegrad.primitives import TABLE, control, refs, storage

_PRIMITIVES: dict[str, Primitive] = TABLE | collect(control, refs, storage)


def dump(graph: Graph) -> Any:
    """A graph as tuples of numbers, texts, types and parameters."""
    return _dumped(graph, {})


def _dumped(graph: Graph, numbers: dict[Value, int]) -> Any:
    def number(value: Value) -> int:
        return numbers.setdefault(value, len(numbers))

    def operand(x: Operand) -> Any:
        return x if isinstance(x, Literal) else number(x)

    params = [(number(p), p.type, p.name) for p in graph.params]
    equations = []
    for e in graph.equations:
        inputs = [operand(x) for x in e.inputs]
        regions = [_dumped(r, numbers) for r in e.regions]
        outputs = [(number(o), o.type, o.name) for o in e.outputs]
        params_ = dict(e.params)
        equations.append(
            (e.primitive.name, inputs, params_, regions, outputs, e.location)
        )
    return graph.name, params, equations, [operand(r) for r in graph.results]


def load(data: Any) -> Graph:
    """The graph again."""
    return _loaded(data, {}, None)


def _loaded(data: Any, values: dict[int, Value], parent: Graph | None) -> Graph:
    name, params, equations, results = data
    graph = Graph(name, parent=parent)

    def operand(x: Any) -> Operand:
        return x if isinstance(x, Literal) else values[x]

    for key, type_, own in params:
        values[key] = graph.add_param(type_, own)
    for primitive, inputs, statics, regions, outputs, location in equations:
        found = [Value(type_, own, graph) for _, type_, own in outputs]
        equation = Equation(
            _PRIMITIVES[primitive],
            tuple(operand(x) for x in inputs),
            statics,
            tuple(_loaded(r, values, graph) for r in regions),
            tuple(found),
            location,
        )
        for (key, _, _), value in zip(outputs, found, strict=True):
            value.definition = equation
            values[key] = value
        graph.equations.append(equation)
    graph.results = [operand(r) for r in results]
    return graph
