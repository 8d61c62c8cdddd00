"""Preparation: a graph in the form that clustering reads.

What enters is any graph; what leaves are its live equations and its results, in which
composite primitives are replaced by their expansions, and every array among the results
is a value of its own that can be written to an output.

    x, softmax x, x  ->  copy x, divide ..., copy x
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tracegrad.ir import primitive as table
from tracegrad.ir.graph import Builder, Equation, Graph, Operand, Value, substitute
from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import Assumptions
from tracegrad.ir.types import FLOATS
from tracegrad.lower.access import unit_reshape
from tracegrad.primitives.elementwise import multiply
from tracegrad.primitives.rearrange import simplify
from tracegrad.primitives.structural import dims, expand, reduce_sum, transpose
from tracegrad.traces.tracer import Tracer

SMALL_PRODUCT = 64
"""The multiplications up to which a product of known sizes is written as loops."""

# A result's own array: the same elements again.
copy = Primitive(
    "copy", lambda x: x.copy(), lambda x: x, lower=table.Scalar("x", ("x",), 0)
)


@dataclass(slots=True)
class Prepared:
    """Live equations in order, and the results, arrays among them all distinct."""

    equations: list[Equation]
    results: list[Operand]


def prepare(graph: Graph, assumptions: Assumptions) -> Prepared:
    """The equations of a graph that its results need, ready for clustering."""
    equations, results = list(graph.equations), list(graph.results)
    if any(_replaced(equation) for equation in equations):
        equations, results = _expanded(graph, assumptions)
    seen: set[Operand] = set(graph.params)
    for position, result in enumerate(results):
        if isinstance(result, Value) and result.type.ndim:
            if result in seen or is_view(result):
                made = _copy(graph, result)
                equations.append(made)
                results[position] = made.outputs[0]
            seen.add(result)
    return Prepared(_live(equations, results), results)


def is_view(value: Value) -> bool:
    """Whether a value is the cells of another under other axes."""
    made = value.definition
    return (
        made is not None and made.primitive.name == "reshape" and not unit_reshape(made)
    )


def _copy(graph: Graph, value: Value) -> Equation:
    twin = Value(value.type, value.name, graph)
    location = value.definition.location if value.definition else None
    twin.definition = Equation(copy, (value,), {}, (), (twin,), location)
    return twin.definition


def _live(equations: Sequence[Equation], results: Sequence[Operand]) -> list[Equation]:
    """Those that the results need."""
    needed = {x for x in results if isinstance(x, Value)}
    found: list[Equation] = []
    for equation in reversed(equations):
        if any(output in needed for output in equation.outputs):
            needed.update(x for x in equation.inputs if isinstance(x, Value))
            found.append(equation)
    return found[::-1]


# --- expansion ---------------------------------------------------------------------


def _replaced(equation: Equation) -> bool:
    """Whether an equation is written in other primitives before lowering."""
    primitive, params = equation.primitive, equation.params
    match primitive.lower:
        case table.Composite():
            return True
        case table.Reduction():
            return not params["axes"]
        case table.Library("dot"):
            return equation.outputs[0].type.dtype not in FLOATS or _is_small(equation)
        case table.Library("argsort"):
            return bool(params["axis"] != equation.outputs[0].type.ndim - 1)
    return False


def _is_small(equation: Equation) -> bool:
    """Whether a product takes no longer as loops than the call of BLAS alone."""
    a, b = (operand.type.shape for operand in equation.inputs)
    sizes = [size.value for size in (*a, *b[1:])]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and math.prod(known) <= SMALL_PRODUCT


def _expanded(
    graph: Graph, assumptions: Assumptions
) -> tuple[list[Equation], list[Operand]]:
    target = Graph(graph.name)
    builder = Builder(target, assumptions, simplify, exact=True)
    known: dict[Value, Operand] = {}
    _expand(builder, graph.equations, known)
    results = [substitute(result, known) for result in graph.results]
    return target.equations, results


def expanded_copy(graph: Graph, assumptions: Assumptions) -> Graph:
    """A graph of the same parameters, without composites in any of its regions."""
    target = Graph(graph.name, params=list(graph.params))
    builder = Builder(target, assumptions, simplify, exact=True)
    known: dict[Value, Operand] = {}
    _expand(builder, graph.equations, known)
    target.results = [substitute(result, known) for result in graph.results]
    return target


def _expand(
    builder: Builder, equations: Sequence[Equation], known: dict[Value, Operand]
) -> None:
    """Emit equations again, with what composites stand for in their places."""
    for equation in equations:
        with builder.at(equation.location):
            if equation.regions:
                _expand_regions(builder, equation, known)
                continue
            if not _replaced(equation):
                builder.replay([equation], known)
                continue
            inputs = [Tracer(builder, substitute(x, known)) for x in equation.inputs]
            made = _rewritten(equation, inputs).operand
        (output,) = equation.outputs
        if isinstance(made, Value) and made.name is None:
            made.name = output.name
        known[output] = made


def _expand_regions(
    builder: Builder, equation: Equation, known: dict[Value, Operand]
) -> None:
    inputs = [substitute(x, known) for x in equation.inputs]
    regions = []
    for region in equation.regions:
        copy = Graph(region.name)
        for param in region.params:
            known[param] = copy.add_param(param.type, param.name)
        with builder.region(copy):
            _expand(builder, region.equations, known)
        copy.results = [substitute(result, known) for result in region.results]
        regions.append(copy)
    types = tuple(output.type for output in equation.outputs)
    made = builder.emit(
        equation.primitive, inputs, equation.params, tuple(regions), types
    )
    for old, new in zip(equation.outputs, made, strict=True):
        known[old] = new
        assert isinstance(new, Value)
        new.name = old.name


def _rewritten(equation: Equation, inputs: Sequence[Tracer]) -> Tracer:
    primitive, params = equation.primitive, equation.params
    match primitive.lower:
        case table.Composite(expansion):
            result = expansion(*inputs, **params)
        case table.Reduction():
            result = inputs[0]
        case table.Library("dot"):
            result = _product(*inputs)
        case _:
            result = _sorted_last(primitive, inputs[0], params["axis"])
    assert isinstance(result, Tracer)
    return result


def _product(a: Tracer, b: Tracer) -> Tracer:
    """A matrix product as loops: one of integers, which BLAS lacks, or a small one."""
    rank = len(dims(a)) + len(dims(b)) - 1
    shape = (*dims(a), *dims(b)[1:])
    inner = len(dims(a)) - 1
    left = expand(a, shape=shape, axes=tuple(range(len(dims(a)))))
    right = expand(b, shape=shape, axes=tuple(range(inner, rank)))
    result = reduce_sum(multiply(left, right), axes=(inner,))
    assert isinstance(result, Tracer)
    return result


def _sorted_last(primitive: Primitive, x: Tracer, axis: int) -> Tracer:
    """A sort along any axis as one along the last."""
    rank = len(dims(x))
    order = (*(k for k in range(rank) if k != axis), axis)
    back = tuple(order.index(k) for k in range(rank))
    moved = primitive(transpose(x, perm=order), axis=rank - 1)
    result = transpose(moved, perm=back)
    assert isinstance(result, Tracer)
    return result
