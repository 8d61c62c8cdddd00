"""Trace a function by running its own source on tracers.

What enters is a Python function and what its arguments look like; what leaves is a
``Traced``: the graph, everything that was assumed of sizes and of the world outside,
and how results go back into the nest that the function returned.

Tracing runs the function twice. The first run finds out which sizes must be equal; the
second one uses one symbol for them, without which equal loops would look different.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracegrad import pytree
from tracegrad.ir.graph import Builder, Graph, Literal, Value
from tracegrad.ir.shapes import Assumptions, Dim, assuming
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.calls import call
from tracegrad.traces.inputs import Leaf, input_tracer
from tracegrad.traces.outside import Capture, Outside, StateGuard
from tracegrad.traces.scope import Machine, running
from tracegrad.traces.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Output:
    """One leaf of what the function returned.

    Attributes:
        type: of the result; None for a static object.
        weak: whether it is a Python number.
        result: its position among the graph's results.
        value: the object, if it is static; a constant array is copied at each call.
        repeated: whether an earlier leaf is the same array, so that this is a copy.
    """

    type: ArrayType | None
    weak: bool = False
    result: int = -1
    value: Any = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Traced:
    """A function as a graph, for all arguments that keep what was assumed.

    Attributes:
        graph: parameters are the traced leaves, then the captures' arrays.
        assumptions: about sizes, tested at the kernel's entry.
        leaves: the arguments' leaves, static ones included.
        captures: the hidden inputs, in the order of the last parameters.
        guards: about the world outside, tested at each call.
        outputs: the leaves of what is returned, in order.
        tree: the nest they go into.
        stages: graphs met on the way, by title: for those who want to look.
    """

    graph: Graph
    assumptions: Assumptions
    leaves: tuple[Leaf, ...]
    captures: tuple[Capture, ...]
    guards: tuple[StateGuard, ...]
    outputs: tuple[Output, ...]
    tree: pytree.Tree
    stages: dict[str, Graph] = field(default_factory=dict)


def trace(
    function: Callable[..., Any],
    leaves: Sequence[Leaf],
    tree: pytree.Tree,
    name: str | None = None,
) -> Traced:
    """Record what a function does to arguments like these.

    Args:
        function: called with the arguments; its own source is what is run.
        leaves: the leaves of ``(args, kwargs)``.
        tree: the structure of ``(args, kwargs)``.
        name: of the graph.

    Raises:
        TracegradError: at the user's line, if the function can't be recorded.
    """
    name = name or str(getattr(function, "__name__", "f"))
    first = _trace_once(function, leaves, tree, name, {}, silent=False)
    known = first.assumptions.solve()
    if known == first.assumptions.known:
        return first
    return _trace_once(function, leaves, tree, name, known, silent=True)


def _trace_once(
    function: Callable[..., Any],
    leaves: Sequence[Leaf],
    tree: pytree.Tree,
    name: str,
    known: dict[str, Dim],
    *,
    silent: bool,
) -> Traced:
    graph = Graph(name)
    assumptions = Assumptions(known=dict(known))
    outside = Outside(graph, (leaf.name for leaf in leaves))
    builder = Builder(
        graph,
        assumptions,
        simplify,
        capture=lambda array: outside.constant(builder, array),
    )
    machine = Machine(builder, outside, call, silent=silent)
    arguments = []
    for leaf in leaves:
        if leaf.traced:
            arguments.append(input_tracer(builder, graph, leaf))
        else:
            outside.enter(leaf.value, leaf.name)
            arguments.append(leaf.value)
    args, kwargs = pytree.unflatten(tree, arguments)
    with assuming(assumptions), running(machine):
        returned = machine.call(function, *args, **kwargs)
        outputs, out_tree = _outputs(machine, graph, returned)
    for name in assumptions.signed:  # no array's shape tells an integer: it is guarded
        assumptions.known.pop(name, None)
    return Traced(
        graph,
        assumptions,
        tuple(leaves),
        tuple(outside.captures),
        tuple(outside.guards),
        outputs,
        out_tree,
        machine.stages,
    )


def _outputs(
    machine: Machine, graph: Graph, returned: Any
) -> tuple[tuple[Output, ...], pytree.Tree]:
    """The graph's results, from what the function returned."""
    opened = machine.outside.opened(machine.builder, returned)
    found, tree = pytree.flatten(opened)
    outputs = []
    for leaf in found:
        if not isinstance(leaf, Tracer):
            outputs.append(Output(None, value=leaf))
        elif isinstance(leaf.operand, Literal):
            number = leaf.dtype.type(leaf.operand.value)
            outputs.append(Output(None, value=number.item() if leaf.weak else number))
        else:
            seen = leaf.operand in graph.results
            if not seen:
                graph.results.append(leaf.operand)
            position = graph.results.index(leaf.operand)
            repeated = seen and leaf.ndim > 0
            outputs.append(Output(leaf.type, leaf.weak, position, None, repeated))
    return tuple(outputs), tree


# --- a function inside a trace -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """A function recorded in the middle of a trace, closing over what is around.

    Attributes:
        graph: its parameters are the leaves that were replaced.
        outputs: the leaves of what the function returned; a tracer's operand is a
            result of the graph, and means nothing outside of it.
        tree: the structure of what was returned.
    """

    graph: Graph
    outputs: tuple[Any, ...]
    tree: pytree.Tree


def trace_region(
    machine: Machine,
    function: Callable[..., Any],
    leaves: Sequence[Any],
    tree: pytree.Tree,
    replaced: Sequence[int],
) -> Region:
    """Record a function as a graph of its own, in the trace in progress.

    Args:
        machine: the trace in progress.
        function: called with the arguments.
        leaves: the leaves of ``(args, kwargs)``.
        tree: their structure.
        replaced: positions of the leaves, all tracers, that become parameters.
    """
    builder = machine.builder
    graph = Graph(getattr(function, "__name__", "f"))
    inner = list(leaves)
    with builder.region(graph):
        for position in replaced:
            tracer = leaves[position]
            param = graph.add_param(tracer.type, _name_of(tracer))
            inner[position] = Tracer(builder, param, tracer.weak)
        args, kwargs = pytree.unflatten(tree, inner)
        returned = machine.call(function, *args, **kwargs)
        opened = machine.outside.opened(builder, returned)
        outputs, out_tree = pytree.flatten(opened)
    graph.results.extend(x.operand for x in outputs if isinstance(x, Tracer))
    return Region(graph, tuple(outputs), out_tree)


def _name_of(tracer: Tracer) -> str | None:
    return tracer.operand.name if isinstance(tracer.operand, Value) else None
