"""Derivatives as functions that run inside a trace.

Each constructor takes a Python function and gives another one. Called on tracers, the
new function records the old one as a region of the trace in progress and emits its
derivative there. So transformations nest and mix in any order, and a compiled gradient
is nothing but ``jit`` of the traced one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder, Selection
from tracegrad.errors import (
    ArgumentError,
    DifferentiationError,
    DTypeError,
    ShapeError,
)
from tracegrad.ir.graph import Builder, Graph, Literal, Operand, Value
from tracegrad.ir.shapes import same_size, show
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.identities import filled
from tracegrad.tape.value import Value as Taped
from tracegrad.traces.memory import Memory
from tracegrad.traces.overlaps import apart
from tracegrad.traces.scope import Machine, current
from tracegrad.traces.source import Region, trace_region
from tracegrad.traces.tracer import Tracer, convert, dtype_name, lift
from tracegrad.transforms.custom_call import free_values
from tracegrad.transforms.jvp import jvp
from tracegrad.transforms.pipeline import PREPARE, run
from tracegrad.transforms.vjp import vjp

Function = Callable[..., Any]


def machine_in_progress() -> Machine:
    """The trace in progress, without which no derivative can be emitted."""
    machine = current()
    assert machine is not None, "derivatives are emitted into a trace"
    return machine


@dataclass(frozen=True, slots=True)
class Recorded:
    """A function recorded on its arguments, ready to be differentiated.

    Attributes:
        machine: the trace in progress.
        region: the function's graph; its parameters are the chosen leaves.
        arguments: the chosen leaves as tracers.
        names: what the chosen leaves are called.
    """

    machine: Machine
    region: Region
    arguments: tuple[Tracer, ...]
    names: tuple[str, ...]

    @property
    def operands(self) -> list[Operand]:
        """The arguments as operands of the enclosing graph."""
        return [tracer.operand for tracer in self.arguments]

    def returned(self, results: Sequence[Operand]) -> Any:
        """What the function returned, with its results' values outside the region."""
        builder = self.machine.builder
        remaining = iter(results)
        leaves = [
            Tracer(builder, next(remaining), x.weak) if isinstance(x, Tracer) else x
            for x in self.region.outputs
        ]
        return pytree.unflatten(self.region.tree, leaves)

    def pull(self, cotangents: Sequence[Operand | None]) -> tuple[Any, list[Any]]:
        """What was returned, and the cotangents of the chosen leaves."""
        builder = self.machine.builder
        wrt = range(len(self.arguments))
        results, bars = vjp(builder, self.region.graph, self.operands, wrt, cotangents)
        found = [_or_zeros(bar, x) for bar, x in zip(bars, self.arguments, strict=True)]
        return self.returned(results), found

    def push(self, tangents: Sequence[Operand | None]) -> tuple[Any, Any]:
        """What was returned, and its tangent in the same nest."""
        out, (leaves,) = self.push_all([tangents])
        return out, pytree.unflatten(pytree.structure(out), leaves)

    def push_all(
        self, directions: Sequence[Sequence[Operand | None]]
    ) -> tuple[Any, list[list[Any]]]:
        """What was returned, and the tangents of its leaves along each direction."""
        builder, graph = self.machine.builder, self.region.graph
        results, found = jvp(builder, graph, self.operands, directions)
        out = self.returned(results)
        leaves = pytree.leaves(out)
        tangents = []
        for dots in found:
            remaining = iter(dots)
            tangents.append([_tangent(x, remaining) for x in leaves])
        return out, tangents


def _tangent(leaf: Any, dots: Iterator[Operand | None]) -> Any:
    """The tangent of an output leaf: zero where it is constant, None if no float."""
    if isinstance(leaf, Tracer):
        dot = next(dots)
        return _or_zeros(dot, leaf) if leaf.type.differentiable else None
    return np.zeros_like(leaf)[()] if is_float(leaf) else None


def _or_zeros(operand: Operand | None, like: Tracer) -> Tracer:
    if operand is None:
        operand = filled(like.builder, 0, like.type)
    return Tracer(like.builder, operand, like.weak)


# --- recording ---------------------------------------------------------------------


def record(
    function: Function,
    binder: Binder,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    chosen: Sequence[int] | None,
    *,
    returning: bool = True,
) -> Recorded:
    """Record a function on arguments.

    Args:
        function: called with the arguments.
        binder: of the function.
        args: bound positional arguments.
        kwargs: bound keyword arguments.
        chosen: positions of the leaves to differentiate; None for every float.
        returning: whether what an argument that the function writes holds at the end
            is a result of it.

    Raises:
        ArgumentError: if an argument that it writes shares memory with another array.
        DTypeError: if a chosen leaf is no float.
    """
    machine = machine_in_progress()
    leaves, tree = pytree.flatten((args, kwargs))
    names = binder.names(tree)
    given = list(leaves)
    if chosen is None:
        chosen = [k for k, leaf in enumerate(leaves) if is_float(leaf)]
    else:
        chosen = [k for k in chosen if not is_static(leaves[k])]
    for k in chosen:
        leaves[k] = _differentiable(machine.builder, leaves[k], names[k])
    region = trace_region(machine, function, leaves, tree, chosen, returning=returning)
    for k in region.written:
        _check_apart(machine, binder.title, region.graph, given, names, k)
    machine.stages.setdefault(f"{binder.title}, traced", region.graph)
    region = replace(region, graph=run(PREPARE, region.graph))
    arguments = tuple(leaves[k] for k in chosen)
    return Recorded(machine, region, arguments, tuple(names[k] for k in chosen))


def _check_apart(
    machine: Machine,
    title: str,
    graph: Graph,
    leaves: Sequence[Any],
    names: Sequence[str],
    written: int,
) -> None:
    """Refuse an argument that is written and is known by another name as well."""
    others = [x for k, x in enumerate(leaves) if k != written and _is_array(x)]
    others += [Tracer(machine.builder, x) for x in _closed_over(machine.memory, graph)]
    if apart(machine.memory, leaves[written], others) is not None:
        raise ArgumentError(
            f"{title} writes to its argument {names[written]}, which shares memory "
            "with another array that it uses.",
            machine.builder.location,
            f"Pass a copy: {names[written]}.copy().",
        )


def _closed_over(memory: Memory, graph: Graph) -> list[Value]:
    """The arrays around that a function uses, other than its arguments' contents."""
    copies = memory.sources.keys()
    body = [e for e in graph.equations if copies.isdisjoint(e.outputs)]
    used = free_values(replace(graph, equations=body))
    return [x for x in used if x.type.ndim and x.graph is not graph]


def check_selected(
    binder: Binder, groups: Sequence[Sequence[int]], args: Any, kwargs: Any
) -> None:
    """Refuse to differentiate with respect to an argument without numbers."""
    leaves, tree = pytree.flatten((args, kwargs))
    for group in groups:
        if group and all(is_static(leaves[k]) for k in group):
            name = binder.names(tree)[group[0]]
            raise DTypeError(
                f"argument {name} is differentiated, but is a "
                f"{type(leaves[group[0]]).__name__}.",
                todo="Choose an argument of floating-point numbers with argnums.",
            )


_NUMBERS = (Tracer, Taped, np.ndarray, np.generic, int, float, complex)


def is_static(leaf: Any) -> bool:
    """Whether a leaf is an object of configuration: it has no derivative."""
    return not isinstance(leaf, _NUMBERS)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (Tracer, np.ndarray)) and leaf.ndim > 0


def is_float(leaf: Any) -> bool:
    """Whether a leaf is a floating-point number or array of any mode."""
    if isinstance(leaf, Tracer):
        return leaf.type.differentiable
    if isinstance(leaf, Taped):
        return bool(leaf._array.dtype.kind == "f")
    return isinstance(leaf, (float, np.floating)) or (
        isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"
    )


def _differentiable(builder: Builder, leaf: Any, name: str) -> Tracer:
    """A leaf as a tracer that carries a derivative."""
    refuse_integers(leaf, name)
    if isinstance(leaf, Tracer):
        return leaf
    weak = isinstance(leaf, float) and not isinstance(leaf, np.generic)
    return Tracer(builder, lift(builder, leaf), weak)


def refuse_integers(leaf: Any, name: str) -> None:
    """Refuse to differentiate with respect to anything but floats."""
    if is_float(leaf):
        return
    kind = "bool" if isinstance(leaf, bool) else dtype_name(leaf)
    raise DTypeError(
        f"argument {name} is differentiated, but its dtype is {kind}.",
        todo=f"Pass it as floating-point numbers, such as {_as_float(leaf, name)}.",
    )


def _as_float(leaf: Any, name: str) -> str:
    rank = leaf.ndim if isinstance(leaf, (Tracer, np.ndarray)) else 0
    return f"{name}.astype(float)" if rank else f"float({name})"


# --- reverse mode ------------------------------------------------------------------


def value_and_grad(
    function: Function, selection: Selection, *, has_aux: bool
) -> Function:
    """``(*args) -> (value, gradient)``; with an auxiliary result, ((value, aux), …)."""
    binder = Binder(function)

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = binder.bind(args, kwargs)
        groups = selection.groups(binder, args, kwargs)
        chosen = [k for group in groups for k in group]
        check_selected(binder, groups, args, kwargs)
        # What arguments hold in the end has no part in the gradient of a number.
        recorded = record(function, binder, args, kwargs, chosen, returning=False)
        region, location = recorded.region, machine_in_progress().builder.location
        first = region.outputs[0] if region.outputs else None
        check_scalar(region.tree, first, binder.title, has_aux, location)
        seeds: list[Operand | None] = [None] * len(recorded.region.graph.results)
        if isinstance(recorded.region.outputs[0], Tracer):
            dtype = recorded.region.outputs[0].type.dtype
            seeds[0] = Literal(1.0, dtype)
        returned, bars = recorded.pull(seeds)
        trees = selection.structures(binder, args, kwargs)
        grads = regrouped(groups, trees, (args, kwargs), bars)
        return returned, selection.joined(grads)

    return value_and_gradient


def gradient(function: Function, selection: Selection, *, has_aux: bool) -> Function:
    """``(*args) -> gradient``; with an auxiliary result, (gradient, aux)."""
    both = value_and_grad(function, selection, has_aux=has_aux)

    def gradient_only(*args: Any, **kwargs: Any) -> Any:
        returned, grads = both(*args, **kwargs)
        return (grads, returned[1]) if has_aux else grads

    return gradient_only


def regrouped(
    groups: Sequence[Sequence[int]],
    trees: Sequence[pytree.Tree],
    arguments: Any,
    bars: Sequence[Any],
) -> list[Any]:
    """Cotangents back in the nests of the arguments; None where there is none."""
    leaves = pytree.leaves(arguments)
    remaining = iter(bars)
    results = []
    for group, tree in zip(groups, trees, strict=True):
        parts = [None if is_static(leaves[k]) else next(remaining) for k in group]
        results.append(pytree.unflatten(tree, parts))
    return results


def check_scalar(
    tree: pytree.Tree, first: Any, title: str, has_aux: bool, location: Any
) -> None:
    """Refuse what has no gradient: anything but one floating-point number.

    Args:
        tree: the structure of what was returned.
        first: the first leaf of it.
        title: of the function.
        has_aux: whether it returns a pair.
        location: the user's line, if one is known.
    """
    value = tree
    if has_aux:
        if tree.type is not tuple or len(tree.children()) != 2:
            raise DifferentiationError(
                f"has_aux=True, but {title} didn't return a pair.",
                location,
                "Return (value, auxiliary).",
            )
        value = tree.children()[0]
    if not pytree.is_leaf(value):
        raise DifferentiationError(
            f"grad needs one number, but {title} returned a {_kind(value)}.",
            location,
            "Return a scalar; to return more beside it, use has_aux=True.",
        )
    if isinstance(first, (Tracer, np.ndarray, Taped)) and first.ndim:
        shape = show(first.dims) if isinstance(first, Tracer) else str(first.shape)
        raise DifferentiationError(
            f"grad needs a scalar, but {title} returned an array of shape {shape}.",
            location,
            "Reduce it (np.sum, np.mean), or use jacobian or vjp.",
        )
    if not is_float(first):
        kind = type(first).__name__
        if isinstance(first, (Tracer, np.generic, np.ndarray, Taped)):
            kind = str(first.dtype)
        raise DifferentiationError(
            f"grad needs a floating-point number, but {title} returned {kind}.",
            location,
            "Return the value to differentiate.",
        )


def _kind(tree: pytree.Tree) -> str:
    return (
        "None" if tree.type is type(None) else str(getattr(tree.type, "__name__", ""))
    )


# --- products with the Jacobian ----------------------------------------------------


def pushforward(function: Function) -> Function:
    """``(primals, tangents) -> (out, out's tangent)``."""
    binder = Binder(function)

    def push(primals: Any, tangents: Any) -> Any:
        args, kwargs = binder.bind(tuple(primals), {})
        recorded = record(function, binder, args, kwargs, None)
        directions = _directions(recorded, primals, tangents, "tangent")
        return recorded.push(directions)

    return push


def pullback(function: Function) -> Function:
    """``(primals, cotangent) -> (out, the primals' cotangents)``."""
    binder = Binder(function)

    def pull(primals: Any, cotangent: Any) -> Any:
        args, kwargs = binder.bind(tuple(primals), {})
        recorded = record(function, binder, args, kwargs, None)
        return pulled(recorded, primals, cotangent)

    return pull


def pulled(recorded: Recorded, primals: Any, cotangent: Any) -> Any:
    """What a recorded function returned, and its primals' cotangents.

    primals: the first of its arguments; the others are defaults.
    """
    region = recorded.region
    given = pytree.matched(region.tree, cotangent)
    if given is None:
        raise ArgumentError(
            f"the cotangent's structure is {pytree.structure(cotangent)}, the "
            f"output's is {region.tree}.",
            todo="Pass a cotangent for each output, in the same nest.",
        )
    builder = recorded.machine.builder
    if not any(is_float(out) for out in region.outputs):
        raise DifferentiationError(
            "vjp needs a floating-point result, but the function returned none.",
            builder.location,
            "Return the values to differentiate.",
        )
    seeds = [
        _direction(builder, bar, out.type, "cotangent", "the output")
        for bar, out in zip(given, region.outputs, strict=True)
        if isinstance(out, Tracer)
    ]
    returned, bars = recorded.pull(seeds)
    remaining = iter(bars)
    own, tree = pytree.flatten(tuple(primals))
    leaves = [next(remaining) if is_float(x) else None for x in own]
    return returned, pytree.unflatten(tree, leaves)


def _directions(
    recorded: Recorded, primals: Any, tangents: Any, kind: str
) -> list[Operand | None]:
    """One operand per chosen leaf, of that leaf's type; defaults have none."""
    own, tree = pytree.flatten(tuple(primals))
    given = pytree.matched(tree, tuple(tangents))
    if given is None:
        raise ArgumentError(
            f"the {kind}s' structure is {pytree.structure(tuple(tangents))}, the "
            f"primals' is {tree}.",
            todo=f"Pass a {kind} for each primal, in the same nest.",
        )
    builder = recorded.machine.builder
    floats = [(x, t) for x, t in zip(own, given, strict=True) if is_float(x)]
    chosen: Iterator[tuple[str, Tracer]] = iter(
        zip(recorded.names, recorded.arguments, strict=True)
    )
    result: list[Operand | None] = []
    for _, tangent in floats:
        name, argument = next(chosen)
        result.append(_direction(builder, tangent, argument.type, kind, name))
    return [*result, *(None for _ in chosen)]


def _direction(
    builder: Builder, given: Any, type_: ArrayType, kind: str, name: str
) -> Operand | None:
    """A tangent or cotangent as an operand of a value's type; None if it has none."""
    if given is None or not type_.differentiable:
        return None
    operand = lift(builder, given)
    own = operand.type.shape
    fits = len(own) == len(type_.shape) and all(
        same_size(a, b) for a, b in zip(own, type_.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"the {kind} of {name} has shape {show(own)}, {name} has shape "
            f"{show(type_.shape)}.",
            builder.location,
            f"Give the {kind} the shape of what it belongs to.",
        )
    return convert(builder, operand, type_.dtype)


def itself(function: Function) -> Function:
    """The function, as traced code calls it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return machine_in_progress().call(function, *args, **kwargs)

    return call
