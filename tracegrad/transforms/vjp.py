"""Reverse mode: pull cotangents back along a graph, emitting into a builder.

The forward equations come first, then the reverse sweep. Whatever it emits are ordinary
equations, so it can be differentiated again.

A graph with regions or Refs is differentiated apart, where what the sweep needs of the
forward regions can be found and stored, and then emitted as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegrad.ir.graph import Builder, Graph, Operand, Value, substitute
from tracegrad.ir.shapes import assuming
from tracegrad.transforms.activity import active
from tracegrad.transforms.checkpoint import Checkpointed, is_marked
from tracegrad.transforms.dce import prune
from tracegrad.transforms.pipeline import PREPARE, run
from tracegrad.transforms.preaccumulate import preaccumulate
from tracegrad.transforms.residuals import resolve
from tracegrad.transforms.sweep import Sweep, touches


def vjp(
    builder: Builder,
    graph: Graph,
    arguments: Sequence[Operand],
    wrt: Sequence[int],
    cotangents: Sequence[Operand | None],
) -> tuple[list[Operand], list[Operand | None]]:
    """The results of a graph on arguments, and the cotangents of some arguments.

    Args:
        builder: where the equations go.
        graph: the function; may use values of the builder's own graph, as constants.
        arguments: one operand per parameter.
        wrt: positions of the parameters whose cotangents are wanted.
        cotangents: one per result; None is zero. That of a Ref is an array.

    Returns:
        The results, and a cotangent per position in ``wrt``, None where it is zero.
    """
    if all(e.primitive.effect == "pure" and not e.regions for e in graph.equations):
        results, bars, _ = _emit(builder, graph, arguments, wrt, cotangents)
        return results, bars
    apart = Graph(graph.name, parent=graph.parent)
    params = [apart.add_param(p.type, p.name) for p in graph.params]
    seeds: list[Operand | None] = []
    given: list[Operand] = []
    for result, cotangent in zip(graph.results, cotangents, strict=True):
        seed = cotangent
        if isinstance(cotangent, Value):
            name = result.name if isinstance(result, Value) else None
            seed = apart.add_param(cotangent.type, f"{name}_bar" if name else None)
            given.append(cotangent)
        seeds.append(seed)
    with assuming(builder.assumptions):  # what is guarded proves indices in bounds
        prepared = run(PREPARE, graph)
        present = _reverse(builder, apart, prepared, params, wrt, seeds)
    made = builder.inline(apart, [*arguments, *given])
    rest = iter(made[len(graph.results) :])
    bars = [next(rest) if k in present else None for k in range(len(wrt))]
    return made[: len(graph.results)], bars


def _reverse(
    builder: Builder,
    apart: Graph,
    graph: Graph,
    params: Sequence[Operand],
    wrt: Sequence[int],
    seeds: Sequence[Operand | None],
) -> set[int]:
    """Fill a graph with the two sweeps; the positions in ``wrt`` not zero."""
    inner = Builder(apart, builder.assumptions, builder.simplify)
    inner.indices = builder.indices
    results, bars, sweep = _emit(inner, graph, params, wrt, seeds)
    apart.results = [*results, *(bar for bar in bars if bar is not None)]
    prune(apart)
    resolve(inner, apart, sweep.mirrors)
    prune(apart)
    return {k for k, bar in enumerate(bars) if bar is not None}


def _emit(
    builder: Builder,
    graph: Graph,
    arguments: Sequence[Operand],
    wrt: Sequence[int],
    cotangents: Sequence[Operand | None],
) -> tuple[list[Operand], list[Operand | None], Sweep]:
    known: dict[Value, Operand] = dict(zip(graph.params, arguments, strict=True))
    copies: dict[Graph, Graph] = {}
    inputs = [graph.params[k] for k in wrt]
    jacobians = preaccumulate(builder, graph, inputs)
    seeded = [
        (result, cotangent)
        for result, cotangent in zip(graph.results, cotangents, strict=True)
        if cotangent is not None
    ]
    found = active(graph, inputs, [result for result, _ in seeded])
    again = {}
    for k, equation in enumerate(graph.equations):
        if is_marked(equation) and touches(equation, found):
            later = graph.equations[k + 1 :]
            with builder.at(equation.location):
                again[equation] = Checkpointed(builder, equation, known, later)
        else:
            builder.replay([equation], known, copies)
    results = [substitute(r, known) for r in graph.results]
    sweep = Sweep(builder, known, copies, found, again, jacobians)
    with builder.rearranging():
        for result, cotangent in seeded:
            sweep.seed(result, cotangent)
        sweep.block(graph)
    return results, [sweep.cotangent(p) for p in inputs], sweep
