"""Trace a function by running its own source on tracers.

What enters is a Python function and what its arguments look like; what leaves is a
``Traced``: the graph, everything that was assumed of sizes and of the world outside,
and how results go back into the nest that the function returned.

Tracing runs the function twice. The first run finds out which sizes must be equal; the
second one uses one symbol for them, without which equal loops would look different. A
run that meets a write to an array begins again, with a Ref where the array was made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracegrad import pytree
from tracegrad.errors import TracingError
from tracegrad.ir.graph import Builder, Graph, Literal, Operand, Value
from tracegrad.ir.shapes import Assumptions, Dim, assuming
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.calls import call
from tracegrad.traces.exchanged import contents
from tracegrad.traces.indices import get
from tracegrad.traces.inputs import Leaf, input_tracer
from tracegrad.traces.memory import Key, Made, Memory, Restart, mark
from tracegrad.traces.outside import Capture, Outside, StateGuard
from tracegrad.traces.overlaps import exclusive
from tracegrad.traces.scope import Machine, running
from tracegrad.traces.spelling import first_words
from tracegrad.traces.stores import copied
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.unmet import noting
from tracegrad.traces.unsized import first_unsized
from tracegrad.traces.views import View
from tracegrad.traces.words import refused


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

    @property
    def python(self) -> bool:
        """Whether what the kernel gives is returned as it is: arrays, Python numbers.

        A float64 scalar is a Python float even where NumPy would return np.float64,
        which takes longer to make than a small kernel to run.
        """
        type_ = self.type
        return type_ is None or type_.ndim > 0 or self.weak or type_.dtype == "float64"


@dataclass(frozen=True, slots=True)
class Written:
    """An argument array that the function writes: what it holds at the end.

    Attributes:
        leaf: its position among the leaves.
        result: the position of its final contents among the graph's results.
    """

    leaf: int
    result: int


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
        written: the arguments that it writes; their results come last.
        exclusive: pairs of parameters that must not share memory, as some function
            in it writes the first one.
    """

    graph: Graph
    assumptions: Assumptions
    leaves: tuple[Leaf, ...]
    captures: tuple[Capture, ...]
    guards: tuple[StateGuard, ...]
    outputs: tuple[Output, ...]
    tree: pytree.Tree
    stages: dict[str, Graph] = field(default_factory=dict)
    written: tuple[Written, ...] = ()
    exclusive: tuple[tuple[int, int], ...] = ()


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
    demands: set[Key] = set()
    first = _trace(function, leaves, tree, name, {}, demands, silent=False)
    known = first.assumptions.solve()
    if known == first.assumptions.known:
        return first
    return _trace(function, leaves, tree, name, known, demands, silent=True)


def _trace(
    function: Callable[..., Any],
    leaves: Sequence[Leaf],
    tree: pytree.Tree,
    name: str,
    known: dict[str, Dim],
    demands: set[Key],
    *,
    silent: bool,
) -> Traced:
    """Trace until what the trace demands of its start is met; extends ``demands``."""
    while True:
        met = frozenset(demands)
        try:
            return _trace_once(function, leaves, tree, name, known, met, silent=silent)
        except Restart as restart:
            if restart.key in demands:
                raise TracingError(
                    "the trace begins again and again, as it can't do what it has to.",
                    restart.where,
                    "This is a defect of tracegrad: please report it.",
                ) from None
            demands.add(restart.key)


def _trace_once(
    function: Callable[..., Any],
    leaves: Sequence[Leaf],
    tree: pytree.Tree,
    name: str,
    known: dict[str, Dim],
    demands: frozenset[Key],
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
    memory = Memory(builder, demands, get)
    machine = Machine(builder, outside, memory, call, silent=silent)
    arguments = []
    for leaf in leaves:
        if leaf.traced:
            tracer = input_tracer(builder, graph, leaf)
            arguments.append(_argument(memory, tracer, ("argument", leaf.name)))
        else:
            outside.enter(leaf.value, leaf.name)
            arguments.append(leaf.value)
    args, kwargs = pytree.unflatten(tree, arguments)
    with assuming(assumptions), running(machine), noting(leaves, assumptions):
        returned = machine.call(function, *args, **kwargs)
        outputs, out_tree = _outputs(machine, graph, returned)
        written = _written(memory, graph, arguments)
    traced = [k for k, leaf in enumerate(leaves) if leaf.traced]
    owners = [graph.params[traced.index(w.leaf)] for w in written]
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
        written,
        exclusive(memory, graph, owners),
    )


def _argument(memory: Memory, leaf: Any, key: Key) -> Any:
    """An argument: as it is, or copied if it is an array that will be written."""
    if not isinstance(leaf, Tracer) or not leaf.ndim:
        return leaf
    # Of an array that the caller goes on to write, a function sees what it is now.
    own = Tracer(leaf.builder, leaf.operand)
    if not memory.is_demanded(key):
        return mark(own, Made(key))
    view = copied(memory, own)
    memory.sources[view.base] = own
    return view


def _is_written(memory: Memory, argument: Any) -> bool:
    """Whether an argument is an array that the function wrote."""
    if not isinstance(argument, View) or not argument.mutable:
        return False
    base = argument.base
    return memory.version(base) > 0 or base in memory.exchanged


def _written(
    memory: Memory, graph: Graph, arguments: Sequence[Any]
) -> tuple[Written, ...]:
    """Further results: what the arguments that were written hold at the end."""
    found = []
    for position, argument in enumerate(arguments):
        if _is_written(memory, argument):
            held = _held(memory, argument)
            if held not in graph.results:
                graph.results.append(held)
            found.append(Written(position, graph.results.index(held)))
    return tuple(found)


def _held(memory: Memory, argument: View) -> Operand:
    """What an argument holds at the end: its Ref, unless a loop exchanged that."""
    base = argument.base
    return contents(memory, base).operand if base in memory.exchanged else base


def _outputs(
    machine: Machine, graph: Graph, returned: Any
) -> tuple[tuple[Output, ...], pytree.Tree]:
    """The graph's results, from what the function returned."""
    opened = machine.outside.opened(machine.builder, returned)
    _refuse_unknown(machine, opened)
    found, tree = pytree.flatten(opened)
    outputs = []
    for leaf in found:
        if not isinstance(leaf, Tracer):
            outputs.append(Output(None, value=leaf))
        elif not isinstance(leaf, View) and isinstance(leaf.operand, Literal):
            number = leaf.dtype.type(leaf.operand.value)
            python = leaf.weak or leaf.type.dtype == "float64"
            outputs.append(Output(None, value=number.item() if python else number))
        else:
            operand = _result(leaf, graph)
            seen = operand in graph.results
            if not seen:
                graph.results.append(operand)
            position = graph.results.index(operand)
            repeated = seen and leaf.ndim > 0
            outputs.append(Output(leaf.type, leaf.weak, position, None, repeated))
    return tuple(outputs), tree


def _refuse_unknown(machine: Machine, returned: Any) -> None:
    if first_words(returned) is not None:
        raise refused()
    if first_unsized(returned) is not None:
        raise TracingError(
            "the function returns what a mask selects, or a slice: its length depends "
            "on data.",
            machine.builder.location,
            "Return np.where(mask, x, 0.0), which keeps the shape, or a reduction.",
        )


def _result(leaf: Tracer, graph: Graph) -> Operand:
    """What a leaf is as a result; a Ref of which it is all, as it is in the end."""
    if isinstance(leaf, View) and leaf.whole and leaf.base.graph is graph:
        return leaf.memory.usable(leaf.base)
    return leaf.operand


# --- a function inside a trace -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """A function recorded in the middle of a trace, closing over what is around.

    Attributes:
        graph: its parameters are the leaves that were replaced.
        outputs: the leaves of what the function returned; a tracer's operand is a
            result of the graph, and means nothing outside of it.
        tree: the structure of what was returned.
        written: the positions of the leaves that the function writes.
    """

    graph: Graph
    outputs: tuple[Any, ...]
    tree: pytree.Tree
    written: tuple[int, ...] = ()


def trace_region(
    machine: Machine,
    function: Callable[..., Any],
    leaves: Sequence[Any],
    tree: pytree.Tree,
    replaced: Sequence[int],
    *,
    returning: bool = False,
) -> Region:
    """Record a function as a graph of its own, in the trace in progress.

    Args:
        machine: the trace in progress.
        function: called with the arguments.
        leaves: the leaves of ``(args, kwargs)``.
        tree: their structure.
        replaced: positions of the leaves, all tracers, that become parameters.
        returning: whether to record it as if it returned, after its own result, what
            the arguments that it writes hold at the end.
    """
    builder, memory = machine.builder, machine.memory
    graph = Graph(getattr(function, "__name__", "f"))
    inner = list(leaves)
    code: Hashable = getattr(function, "__code__", None)
    with builder.region(graph):
        for position in replaced:
            tracer = leaves[position]
            param = graph.add_param(tracer.type, _name_of(tracer))
            memory.sources[param] = tracer
            inner[position] = Tracer(builder, param, tracer.weak)
        for position, leaf in enumerate(inner):
            key = ("argument", code, position)
            inner[position] = _argument(memory, leaf, key)
        args, kwargs = pytree.unflatten(tree, inner)
        returned = machine.call(function, *args, **kwargs)
        opened = machine.outside.opened(builder, returned)
        _refuse_unknown(machine, opened)
        written = [k for k, x in enumerate(inner) if _is_written(memory, x)]
        if returning:
            opened = _with_written(opened, [inner[k] for k in written])
        leaves_out, out_tree = pytree.flatten(opened)
        outputs = [_settled(x) for x in leaves_out]
    graph.results.extend(x.operand for x in outputs if isinstance(x, Tracer))
    return Region(graph, tuple(outputs), out_tree, tuple(written))


def _with_written(returned: Any, written: Sequence[View]) -> Any:
    """What a function returns, and then the arrays that it wrote and did not return."""
    leaves = [x for x in pytree.leaves(returned) if isinstance(x, View) and x.whole]
    known = {x.base for x in leaves}
    results: list[Any] = [
        contents(view.memory, view.base) for view in written if view.base not in known
    ]
    if not results:
        return returned
    if returned is not None:
        results = [returned, *results]
    return results[0] if len(results) == 1 else tuple(results)


def _settled(leaf: Any) -> Any:
    """An output leaf with an operand that is its own, loaded in the graph."""
    return Tracer(leaf.builder, leaf.operand) if isinstance(leaf, View) else leaf


def _name_of(tracer: Tracer) -> str | None:
    if isinstance(tracer, View):
        return tracer.base.name
    return tracer.operand.name if isinstance(tracer.operand, Value) else None
