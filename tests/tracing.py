"""Record, differentiate and evaluate graphs, without source interpretation or lowering.

The function is called natively on tracers, so it sees what ``np.*`` does to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad.ir.graph import Builder, Graph, Operand
from tracegrad.ir.shapes import Assumptions, Dim, assuming, shape_of
from tracegrad.ir.types import ArrayType, dtype_of
from tracegrad.primitives.identities import filled
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.evaluate import evaluate, sizes_of
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms.jvp import jvp
from tracegrad.transforms.vjp import vjp


@dataclass
class Recorded:
    """A graph, what it assumes, and the constant arrays that are its last arguments."""

    graph: Graph
    assumptions: Assumptions
    count: int
    constants: list[np.ndarray]

    def __call__(self, *arguments: Any) -> Any:
        """Evaluate on other arguments."""
        assert self.holds(*arguments), "a guard is broken"
        results = evaluate(self.graph, [*arguments, *self.constants])
        return results[0] if len(results) == 1 else tuple(results)

    def holds(self, *arguments: Any) -> bool:
        """Whether these arguments keep the assumptions."""
        sizes = sizes_of(self.graph, [*arguments, *self.constants])
        return all(guard.holds(sizes) for guard in self.assumptions.guards)

    @property
    def types(self) -> list[ArrayType]:
        """Of the results."""
        return [r.type for r in self.graph.results]


def record(function: Callable[..., Any], *arguments: Any) -> Recorded:
    """Record what a function does to arguments like these; sizes stay symbolic.

    As in a real trace, a second run uses one symbol for sizes that must be equal.
    """
    first = _record(function, arguments, {})
    known = first.assumptions.solve()
    return _record(function, arguments, known) if known else first


def _record(
    function: Callable[..., Any], arguments: Sequence[Any], known: dict[str, Dim]
) -> Recorded:
    graph, assumptions = Graph("f"), Assumptions(known=known)
    constants: list[np.ndarray] = []

    def capture(array: Any) -> Operand:
        constants.append(np.array(array))
        type_ = ArrayType(dtype_of(array.dtype), shape_of(array.shape))
        return graph.add_param(type_, f"constant{len(constants)}")

    builder = Builder(graph, assumptions, simplify, capture=capture)
    inputs = [
        Tracer(builder, _input(graph, assumptions, f"x{k}", np.asarray(x)))
        for k, x in enumerate(arguments)
    ]
    with assuming(assumptions):
        outputs = function(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    graph.results = [o.operand for o in outputs]
    return Recorded(graph, assumptions, len(inputs), constants)


def _input(graph: Graph, assumptions: Assumptions, name: str, x: np.ndarray) -> Any:
    shape = []
    for axis, size in enumerate(x.shape):
        symbol = f"{name}.shape[{axis}]"
        assumptions.hints[symbol] = size
        own = Dim.symbol(symbol)
        shape.append(own.substitute(assumptions.known))
        assumptions.assume(own, "==", shape[-1])
    if not x.ndim and x.dtype == np.int64:
        assumptions.hints[name] = int(x)
        assumptions.signed.add(name)
    return graph.add_param(ArrayType(dtype_of(x.dtype), tuple(shape)), name)


def _again(recorded: Recorded) -> tuple[Builder, list[Operand]]:
    graph = Graph(recorded.graph.name)
    params: list[Operand] = [
        graph.add_param(p.type, p.name) for p in recorded.graph.params
    ]
    return Builder(graph, recorded.assumptions, simplify), params


def _new(builder: Builder, recorded: Recorded, results: list[Operand]) -> Recorded:
    builder.graph.results = results
    return Recorded(
        builder.graph, recorded.assumptions, recorded.count, recorded.constants
    )


def pullback(
    recorded: Recorded, weights: Sequence[Any], *, values: bool = False
) -> Recorded:
    """The gradient of the results' sum with weights, by all floating-point inputs.

    values: give the results too, in front.
    """
    builder, params = _again(recorded)
    wrt = [
        k for k in range(recorded.count) if recorded.graph.params[k].type.differentiable
    ]
    constants = [np.asarray(w) for w in weights]
    bars: list[Operand | None] = []
    for k, (result, weight) in enumerate(zip(recorded.types, constants, strict=True)):
        if not result.differentiable:
            bars.append(None)
            continue
        array = weight.astype(result.dtype)
        bars.append(builder.graph.add_param(result, f"weight{k}_{len(params)}"))
        params.append(bars[-1])
        recorded = Recorded(
            recorded.graph,
            recorded.assumptions,
            recorded.count,
            [*recorded.constants, array],
        )
    arguments = params[: len(recorded.graph.params)]
    with assuming(recorded.assumptions):
        results, found = vjp(builder, recorded.graph, arguments, wrt, bars)
    gradients = [
        filled(builder, 0, recorded.graph.params[k].type) if bar is None else bar
        for k, bar in zip(wrt, found, strict=True)
    ]
    return _new(builder, recorded, [*results, *gradients] if values else gradients)


def pushforward(recorded: Recorded, directions: Sequence[Any]) -> Recorded:
    """The tangents of the results, along directions of the floating-point inputs."""
    builder, params = _again(recorded)
    arguments = list(params)
    dots: list[Operand | None] = [None] * len(arguments)
    given = iter(directions)
    constants = list(recorded.constants)
    for k in range(recorded.count):
        type_ = recorded.graph.params[k].type
        if type_.differentiable:
            dots[k] = builder.graph.add_param(type_, f"along{k}_{len(params)}")
            params.append(dots[k])
            constants.append(np.asarray(next(given)).astype(type_.dtype))
    with assuming(recorded.assumptions):
        results, (found,) = jvp(builder, recorded.graph, arguments, [dots])
    tangents = [
        filled(builder, 0, r.type) if dot is None else dot
        for r, dot in zip(results, found, strict=True)
        if r.type.differentiable
    ]
    new = _new(builder, recorded, tangents)
    new.constants = constants
    return new
