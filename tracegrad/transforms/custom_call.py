"""A call whose derivative rule is the user's: one equation that holds closed graphs.

``custom_call`` keeps three graphs without free values: the function itself, and one of
its two derivatives, from which the other is derived by transposition. Before lowering
``expand_custom_calls`` puts the function's own equations in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracegrad.errors import DifferentiationError
from tracegrad.ir.graph import Builder, Graph, Operand, Value, substitute, values_of
from tracegrad.ir.primitive import General, Primitive
from tracegrad.ir.shapes import Assumptions
from tracegrad.ir.types import Type
from tracegrad.primitives.identities import filled
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms.vjp import vjp


@dataclass(frozen=True, slots=True, eq=False)
class CustomCall:
    """What a custom call computes.

    Attributes:
        name: the function's.
        primal: operands to results.
        push: (operands, tangents of the active ones) to the results' tangents.
        pull: (operands, cotangents of the results) to the active ones' cotangents.
        active: positions of the operands that carry derivatives.
    """

    name: str
    primal: Graph
    push: Graph | None
    pull: Graph | None
    active: tuple[int, ...]

    def __str__(self) -> str:
        return self.name


def _infer(*types: Type, call: CustomCall) -> tuple[Type, ...]:
    return tuple(result.type for result in call.primal.results)


def _numpy(*operands: Any, call: CustomCall) -> Any:
    raise TypeError(f"{call.name} is expanded before it is evaluated")


def _jvp(primals: Any, tangents: Any, outs: Any, *, call: CustomCall) -> Any:
    _check_rule(call)
    builder: Builder = outs[0].builder
    operands = [x.operand for x in primals]
    dots = [_or_zeros(tangents[k], primals[k]) for k in call.active]
    if call.push is not None:
        results: Sequence[Operand | None] = builder.inline(call.push, operands + dots)
    else:
        # The pullback is linear in its cotangents: its transpose is the pushforward.
        assert call.pull is not None
        zeros = [filled(builder, 0, out.type) for out in outs]
        wrt = range(len(operands), len(operands) + len(zeros))
        _, results = vjp(builder, call.pull, operands + zeros, wrt, dots)
    return tuple(_tracer(builder, dot) for dot in results)


def _vjp(cotangents: Any, primals: Any, outs: Any, *, call: CustomCall) -> Any:
    _check_rule(call)
    builder: Builder = outs[0].builder
    operands = [x.operand for x in primals]
    bars = [_or_zeros(b, out) for b, out in zip(cotangents, outs, strict=True)]
    if call.pull is not None:
        results: Sequence[Operand | None] = builder.inline(call.pull, operands + bars)
    else:
        assert call.push is not None
        zeros = [filled(builder, 0, primals[k].type) for k in call.active]
        wrt = range(len(operands), len(operands) + len(zeros))
        _, results = vjp(builder, call.push, operands + zeros, wrt, bars)
    found: list[Any] = [None] * len(operands)
    for position, bar in zip(call.active, results, strict=True):
        found[position] = _tracer(builder, bar)
    return tuple(found)


def _check_rule(call: CustomCall) -> None:
    if call.push is None and call.pull is None:
        raise DifferentiationError(
            f"{call.name} calls itself in its own rule; this order is too high.",
            todo="Write the rule without the function, or lower the order.",
        )


def _or_zeros(direction: Tracer | None, like: Tracer) -> Operand:
    if direction is not None:
        return direction.operand
    return filled(like.builder, 0, like.type)


def _tracer(builder: Builder, operand: Operand | None) -> Tracer | None:
    return None if operand is None else Tracer(builder, operand)


custom_call = Primitive("custom_call", _numpy, _infer, rule=General(_jvp, _vjp))


# --- closed graphs -----------------------------------------------------------------


def free_values(graph: Graph) -> list[Value]:
    """What a graph uses of the graphs around it, in order of first use."""
    own = set(graph.params)
    for equation in graph.walk():
        own.update(equation.outputs)
        for region in equation.regions:
            own.update(region.params)
    used: dict[Value, None] = {}
    for equation in graph.walk():
        used.update(dict.fromkeys(values_of(equation.inputs)))
        for region in equation.regions:
            used.update(dict.fromkeys(values_of(region.results)))
    used.update(dict.fromkeys(values_of(graph.results)))
    return [value for value in used if value not in own]


def differentiated(value: Value) -> bool:
    """Whether a value depends on a parameter of a region: of a function in a trace.

    Only such functions are differentiated; what a trace itself is given never is.
    """
    seen: set[Value] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current in seen or not current.type.differentiable:
            continue
        seen.add(current)
        if current.definition is None:
            if current.graph.parent is not None:
                return True
        else:
            waiting.extend(values_of(current.definition.inputs))
    return False


def closed(builder: Builder, graph: Graph, first: Sequence[Value]) -> Graph:
    """The same graph as one that stands alone.

    Args:
        builder: of the trace in progress, for what it assumes.
        graph: whose free values are all among ``first``.
        first: outer values that become parameters, before the graph's own.
    """
    alone = Graph(graph.name)
    known: dict[Value, Operand] = {}
    for value in (*first, *graph.params):
        # A nameless integer: the name of an integer parameter would be a symbol.
        name = value.name if value.type.differentiable else None
        known[value] = alone.add_param(value.type, name)
    own = Builder(alone, builder.assumptions, builder.simplify)
    own.replay(graph.equations, known)
    alone.results = [substitute(result, known) for result in graph.results]
    return alone


def expand_custom_calls(graph: Graph, assumptions: Assumptions) -> Graph:
    """The graph with each custom call replaced by what the function computes."""
    if not any(equation.primitive is custom_call for equation in graph.walk()):
        return graph
    result = Graph(graph.name)
    known: dict[Value, Operand] = {}
    for param in graph.params:
        known[param] = result.add_param(param.type, param.name)
    own = Builder(result, assumptions, simplify)
    _expand(own, graph, known)
    result.results = [substitute(x, known) for x in graph.results]
    return result


def _expand(builder: Builder, graph: Graph, known: dict[Value, Operand]) -> None:
    for equation in graph.equations:
        if equation.primitive is not custom_call:
            builder.replay([equation], known)
            continue
        call: CustomCall = equation.params["call"]
        inputs = [substitute(x, known) for x in equation.inputs]
        inner = dict(zip(call.primal.params, inputs, strict=True))
        _expand(builder, call.primal, inner)
        for output, result in zip(equation.outputs, call.primal.results, strict=True):
            known[output] = substitute(result, inner)
