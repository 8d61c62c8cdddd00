"""Programs: graphs with effects and regions, written block by block.

What enters is a graph with loops, branches or Refs; what leaves are the statements of
its kernel and its scalar results. A Ref that is a result is kept in the output itself,
unless a loop exchanges it with others.
"""

from __future__ import annotations

from collections.abc import Mapping

from codegen.loop_ir import Array, Expr, Stmt
from tracegrad.ir.graph import Equation, Graph, Value
from tracegrad.ir.types import ArrayType, RefType
from tracegrad.lower.block import Block
from tracegrad.lower.buffers import Buffer
from tracegrad.lower.composites import copy, is_view
from tracegrad.lower.control import run
from tracegrad.lower.names import Names
from tracegrad.lower.sizes import Facts, Sizes
from tracegrad.lower.state import State


def is_program(graph: Graph) -> bool:
    """Whether a graph has effects or regions."""
    return any(e.regions or e.primitive.effect != "pure" for e in graph.equations)


def own_results(graph: Graph) -> None:
    """Let every array among the results be one that an output can hold."""
    seen: set[Value] = set()
    for position, result in enumerate(graph.results):
        if not isinstance(result, Value) or not result.type.ndim:
            continue
        source = origin(result)
        made = source.definition
        if made is None or made.regions or is_view(source) or source in seen:
            graph.results[position] = _twin(graph, result)
        seen.add(source)


def _twin(graph: Graph, value: Value) -> Value:
    """The same elements again, as a value of its own."""
    made = Value(ArrayType(value.type.dtype, value.type.shape), value.name, graph)
    where = value.definition.location if value.definition is not None else None
    made.definition = Equation(copy, (value,), {}, (), (made,), where)
    graph.equations.append(made.definition)
    return made


def origin(value: Value) -> Value:
    """Where a Ref was made, if every loop that carries it gives it back in place."""
    while isinstance(value.type, RefType) and value.definition is not None:
        loop = value.definition
        if not loop.regions:
            break
        body = loop.regions[-1]
        k = loop.outputs.index(value)
        carried = len(loop.outputs) - 1
        if body.results[len(body.results) - carried + k] is not body.params[k + 1]:
            break
        start = loop.inputs[len(loop.inputs) - carried + k]
        assert isinstance(start, Value)
        value = start
    return value


def write_program(
    graph: Graph,
    given: dict[Value, Buffer],
    outputs: Mapping[Value, Array],
    sizes: Sizes,
    facts: Facts,
    names: Names,
) -> tuple[list[Stmt], list[Expr]]:
    """The statements of a graph, and its scalar results.

    outputs: the arrays that its array results are written to.
    """
    state = State(names, sizes, facts, given)
    state.targets.update({origin(value): array for value, array in outputs.items()})
    block = Block(state, graph)
    run(block)
    numbers = [state.scalar(x) for x in graph.results if not x.type.ndim]
    return [*state.top, *state.body], numbers
