"""A function and its reverse-mode program as graphs, evaluated in any algebra.

The reverse-mode program is the very graph that the gradient's kernel is made of, after
all simplification. Graphs serve every size, so a function of large arrays can be
evaluated, and proved, at small ones, if those keep what was assumed of sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tracegrad import derivatives, pytree
from tracegrad.api import grad
from tracegrad.arguments import Binder, PairBinder
from tracegrad.compiled import Compiled
from tracegrad.errors import ArgumentError
from tracegrad.ir.graph import Graph
from tracegrad.ir.shapes import Guard
from tracegrad.products import pull_kernel
from tracegrad.traces.algebra import Algebra
from tracegrad.traces.exact import evaluate_exactly
from tracegrad.traces.inputs import describe
from tracegrad.traces.source import Output, Traced, trace
from tracegrad.transforms.custom_call import expand_custom_calls
from tracegrad.transforms.pipeline import OPTIMISE, run

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Program:
    """A traced function.

    Attributes:
        traced: what tracing recorded and assumed.
        graph: without custom calls; simplified if it is what a kernel computes.
        values: the leaves it was traced for.
    """

    traced: Traced
    graph: Graph
    values: tuple[Any, ...]

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The leaves of the result."""
        return self.traced.outputs

    def arguments(self, leaves: Sequence[Any], hidden: Sequence[Any]) -> list[Any]:
        """What its graph takes: traced leaves, then hidden inputs."""
        pairs = zip(self.traced.leaves, leaves, strict=True)
        return [x for leaf, x in pairs if leaf.traced] + list(hidden)

    def evaluate(
        self, leaves: Sequence[Any], hidden: Sequence[Any], algebra: Algebra
    ) -> list[Any]:
        """The leaves of the result in an algebra.

        Args:
            leaves: for each of the arguments' leaves what it is there.
            hidden: the same for the hidden inputs.
            algebra: what to compute with.
        """
        arguments = self.arguments(leaves, hidden)
        results = evaluate_exactly(self.graph, arguments, algebra)
        return [returned(o, results, algebra) for o in self.outputs]


def returned(output: Output, results: Sequence[Any], algebra: Algebra) -> Any:
    """An output leaf, from a graph's results or as the constant that it is."""
    if output.type is not None:
        return results[output.result]
    value = output.value
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.frompyfunc(algebra.literal, 1, 1)(value)
    return algebra.literal(value) if isinstance(value, float) else value


def traced_program(
    function: Function, leaves: Sequence[Any], tree: pytree.Tree, names: Sequence[str]
) -> Program:
    """A function traced for arguments like these."""
    described = [describe(x, name) for x, name in zip(leaves, names, strict=True)]
    traced = trace(function, described, tree)
    graph = expand_custom_calls(traced.graph, traced.assumptions)
    return Program(traced, graph, tuple(leaves))


@dataclass(frozen=True, eq=False)
class Subject:
    """What is verified: a function, its reverse-mode program and its kernel.

    Attributes:
        function: the user's.
        args: the point.
        primal: the function.
        reverse: of the same arguments and, unless the function returns one number, a
            cotangent: the cotangents of the chosen leaves.
        kernel: what the reverse program is compiled to, for the user to call.
        chosen: positions, among the leaves, of those that are differentiated.
        scalar: whether the function returns one number.
    """

    function: Function
    args: tuple[Any, ...]
    primal: Program
    reverse: Program
    kernel: Compiled
    chosen: tuple[int, ...]
    scalar: bool

    @cached_property
    def title(self) -> str:
        """What the function is called."""
        return str(getattr(self.function, "__name__", "f"))

    @property
    def names(self) -> list[str]:
        """Of the chosen leaves."""
        return [self.primal.traced.leaves[k].name for k in self.chosen]

    @property
    def results(self) -> list[int]:
        """Positions of the outputs that carry derivatives."""
        return [k for k, o in enumerate(self.primal.outputs) if _is_float(o)]

    @property
    def guards(self) -> Iterator[Guard]:
        """What both programs assume of sizes."""
        yield from self.primal.traced.assumptions.guards
        yield from self.reverse.traced.assumptions.guards

    def arguments(self, leaves: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        """The leaves that the reverse program takes: the function's own, and weights.

        Args:
            leaves: the function's.
            weights: one for each output that carries a derivative.
        """
        if self.scalar:
            return list(leaves)
        given = iter(weights)
        seeds = [next(given) if _is_float(o) else 0 for o in self.primal.outputs]
        return [*leaves, *seeds]

    def bars(self, outputs: Sequence[Any]) -> list[Any]:
        """The chosen leaves' cotangents, from the reverse program's outputs."""
        if self.scalar:
            return list(outputs)
        floats = [k for k, x in enumerate(self.primal.values) if _carries_derivative(x)]
        found = dict(zip(floats, outputs, strict=True))
        return [found[k] for k in self.chosen]

    def call(self, leaves: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        """The compiled kernel's cotangents of the chosen leaves."""
        flat = self.arguments(leaves, weights)
        args = pytree.unflatten(pytree.structure(self.args), list(leaves))
        if self.scalar:
            outputs = self.kernel(*args)
        else:
            tree = self.primal.traced.tree
            outputs = self.kernel(args, pytree.unflatten(tree, flat[len(leaves) :]))
        return self.bars([x for x in pytree.leaves(outputs) if x is not None])


def _is_float(output: Output) -> bool:
    if output.type is not None:
        return bool(output.type.differentiable)
    return _carries_derivative(output.value)


def _carries_derivative(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        return bool(x.dtype.kind == "f")
    return isinstance(x, (float, np.floating))


def subject(
    function: Function, args: Sequence[Any], argnums: Sequence[int] | None
) -> Subject:
    """Trace a function and its reverse-mode program.

    Args:
        function: of the arguments.
        args: positional; defaults are filled in.
        argnums: the arguments to differentiate; by default all with floats in them.

    Raises:
        TracegradError: if the function can't be traced or differentiated.
    """
    binder = Binder(function)
    bound, kwargs = binder.bind(tuple(args), {})
    if kwargs:
        raise ArgumentError(
            f"{binder.title} has keyword-only arguments.",
            todo="Wrap it in a lambda of positional arguments.",
        )
    leaves, tree = pytree.flatten((bound, {}))
    names = binder.names(tree)
    primal = _program(derivatives.itself(function), leaves, tree, names)
    groups = _groups(bound)
    if argnums is None:
        argnums = [k for k, g in enumerate(groups) if _floats(leaves, g)]
    argnums = tuple(k % len(bound) for k in argnums)
    selected = [k for a in argnums for k in groups[a]]
    chosen = _floats(leaves, selected)
    if not chosen:
        raise ArgumentError(
            f"{binder.title} was given no floating-point argument to differentiate.",
            todo="Pass floats and arrays of floats.",
        )
    scalar = chosen == selected and _is_number(primal)
    if scalar:
        kernel = grad(function, argnums=argnums)
        given = leaves
    else:
        kernel = pull_kernel(function)
        structure = primal.traced.tree
        ones = [_ones(o, primal) for o in primal.outputs]
        cotangent = pytree.unflatten(structure, ones)
        given, tree = pytree.flatten(((bound, cotangent), {}))
        names = PairBinder(function, None).names(tree)
    reverse = _program(kernel.__tracegrad_inline__, given, tree, names)
    reverse = replace(reverse, graph=run(OPTIMISE, reverse.graph))
    return Subject(function, bound, primal, reverse, kernel, tuple(chosen), scalar)


def _program(
    function: Function, leaves: Sequence[Any], tree: pytree.Tree, names: Sequence[str]
) -> Program:
    """A function traced for arguments like these."""
    described = [describe(x, name) for x, name in zip(leaves, names, strict=True)]
    traced = trace(function, described, tree)
    graph = expand_custom_calls(traced.graph, traced.assumptions)
    return Program(traced, graph, tuple(leaves))


def _groups(args: tuple[Any, ...]) -> list[list[int]]:
    """The positions of each argument's leaves."""
    counts = [len(pytree.leaves(a)) for a in args]
    starts = [sum(counts[:k]) for k in range(len(counts))]
    return [[*range(s, s + n)] for s, n in zip(starts, counts, strict=True)]


def _floats(leaves: Sequence[Any], positions: Sequence[int]) -> list[int]:
    return [k for k in positions if _carries_derivative(leaves[k])]


def _is_number(program: Program) -> bool:
    """Whether it returns one floating-point number, that depends on something."""
    if not pytree.is_leaf(program.traced.tree):
        return False
    (output,) = program.outputs
    return output.type is not None and output.type.ndim == 0 and _is_float(output)


def _ones(output: Output, program: Program) -> Any:
    """A cotangent like an output."""
    if output.type is None:
        return output.value
    sizes = program.traced.assumptions.hints
    shape = tuple(d.evaluate(sizes) for d in output.type.shape)
    ones = np.ones(shape, output.type.dtype)
    return ones if shape else ones.item()
