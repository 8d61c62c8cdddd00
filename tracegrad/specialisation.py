"""One compiled kernel of one function, and how to call it.

A specialisation holds for all arguments of its key (nesting, dtypes, which lengths are
one, static values) whose sizes keep the guards of the trace. It reads hidden inputs,
allocates outputs, calls the kernel, and puts the results back into their nest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen import jit
from codegen.errors import GuardFailed
from tracegrad import pytree
from tracegrad.collector import seldom_collecting
from tracegrad.errors import ArgumentError, TracingError
from tracegrad.ir.graph import Graph
from tracegrad.ir.printer import print_graph
from tracegrad.ir.shapes import assuming
from tracegrad.logging import step
from tracegrad.lower.lower import Lowered, lower
from tracegrad.traces.inputs import Leaf
from tracegrad.traces.source import Output, Traced, trace
from tracegrad.transforms.custom_call import expand_custom_calls, free_values
from tracegrad.transforms.pipeline import OPTIMISE, run


@dataclass(frozen=True, eq=False)
class Specialisation:
    """A function compiled for one kind of arguments.

    Attributes:
        name: of the kernel.
        traced: what tracing recorded and assumed.
        graph: the traced graph, simplified: what the kernel computes.
        lowered: the loop program.
        compiled: its source and callables.
    """

    name: str
    traced: Traced
    graph: Graph
    lowered: Lowered
    compiled: jit.Compiled

    @property
    def signature(self) -> str:
        """The dtypes and shapes of the traced arguments."""
        shown = zip(self.traced.leaves, self._leaf_types(), strict=True)
        return ", ".join(f"{leaf.name}: {text}" for leaf, text in shown)

    def _leaf_types(self) -> list[str]:
        params = iter(self.graph.params)
        return [
            str(next(params).type) if leaf.traced else repr(leaf.value)
            for leaf in self.traced.leaves
        ]

    def holds(self) -> bool:
        """Whether the world outside is as it was when tracing."""
        return all(guard.holds() for guard in self.traced.guards)

    def accepts(self, leaves: Sequence[Any]) -> bool:
        """Whether the sizes of flat arguments keep what was assumed of them."""
        sizes = self._sizes(self.inputs(leaves))
        return all(guard.holds(sizes) for guard in self.traced.assumptions.guards)

    def stages(self) -> Iterator[tuple[str, str]]:
        """Every stage of the compilation: its title and text."""
        for title, graph in self.traced.stages.items():
            yield title, print_graph(graph)
        yield "as recorded", print_graph(self.traced.graph)
        yield "simplified", print_graph(self.graph)
        yield "assumed of sizes", "\n".join(map(str, self.traced.assumptions.guards))
        yield "loop program", "\n".join(_outline(self.lowered.kernel.body, 0))
        yield "Python source", self.compiled.source.text

    def run(self, leaves: Sequence[Any], buffers: dict[int, Any] | None = None) -> Any:
        """Call the kernel.

        Args:
            leaves: the flat arguments, static ones included.
            buffers: arrays for results, by the position of the output leaf.

        Raises:
            GuardFailed: if the sizes, or what is outside, broke an assumption.
        """
        inputs = self.inputs(leaves)
        if self.traced.exclusive:
            self._check_exclusive(leaves)
        arrays = self._allocated(inputs, buffers or {})
        returned = self.compiled.entry(*inputs, *arrays)
        results = self._results(returned, arrays)
        for written in self.traced.written:  # as the function itself would have done
            np.copyto(leaves[written.leaf], results[written.result])
        outputs = [restored(output, results) for output in self.traced.outputs]
        return pytree.unflatten(self.traced.tree, outputs)

    def inputs(self, leaves: Sequence[Any]) -> list[Any]:
        """The kernel's inputs: the traced leaves, then the hidden ones."""
        pairs = zip(self.traced.leaves, leaves, strict=True)
        inputs = [_prepared(x, leaf) for leaf, x in pairs if leaf.traced]
        return inputs + [_captured(c.read(), c.leaf) for c in self.traced.captures]

    def _check_exclusive(self, leaves: Sequence[Any]) -> None:
        """Refuse arrays that share memory with one that is written.

        Raises:
            ArgumentError: naming both.
        """
        pairs = zip(self.traced.leaves, leaves, strict=True)
        arrays = [(leaf.name, x) for leaf, x in pairs if leaf.traced]
        arrays += [(c.leaf.name, c.read()) for c in self.traced.captures]
        for first, second in self.traced.exclusive:
            (written, a), (other, b) = arrays[first], arrays[second]
            if np.may_share_memory(a, b):
                raise ArgumentError(
                    f"{written} and {other} share memory, and {written} is written.",
                    todo=f"Pass a copy: {other}.copy().",
                )

    def _allocated(
        self, inputs: Sequence[Any], buffers: dict[int, Any]
    ) -> list[np.ndarray[Any, Any]]:
        """An array per array result: the caller's, or a new one."""
        sizes = self._sizes(inputs)
        given = {self.traced.outputs[k].result: buffer for k, buffer in buffers.items()}
        arrays: list[np.ndarray[Any, Any]] = []
        for position, result in enumerate(self.graph.results):
            type_ = result.type
            if not type_.ndim:
                continue
            shape = tuple(d.evaluate(sizes) for d in type_.shape)
            if position in given:
                others = [*inputs, *arrays]
                _check_buffer(given[position], shape, type_.dtype, others)
                arrays.append(given[position])
            else:
                arrays.append(np.empty(shape, type_.dtype))
        return arrays

    def _sizes(self, inputs: Sequence[Any]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for param, x in zip(self.graph.params, inputs, strict=True):
            for axis, size in enumerate(np.shape(x)):
                sizes[f"{param.name}.shape[{axis}]"] = size
            if not param.type.ndim and param.type.dtype == "int64":
                sizes[str(param.name)] = int(x)
        return sizes

    def _results(self, returned: Any, arrays: Sequence[Any]) -> list[Any]:
        """The kernel's results: arrays it was given, and scalars it returned."""
        scalars = iter(returned if isinstance(returned, tuple) else (returned,))
        filled = iter(arrays)
        return [
            next(filled) if r.type.ndim else next(scalars) for r in self.graph.results
        ]


def _outline(statements: Iterable[Any], depth: int) -> Iterator[str]:
    """The statements of a loop program, one per line, their blocks indented."""
    for statement in statements:
        parts, blocks = [], []
        for field in dataclasses.fields(statement):
            value = getattr(statement, field.name)
            if field.name in ("body", "then", "otherwise"):
                blocks.append(value)
            elif field.name != "location" and value is not None:
                parts.append(f"{field.name}={_term(value)}")
        yield f"{'  ' * depth}{type(statement).__name__}({', '.join(parts)})"
        for block in blocks:
            yield from _outline(block, depth + 1)


def _term(value: Any) -> str:
    """An expression of a loop program, arrays and variables by name."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_term, value))})"
    if not dataclasses.is_dataclass(value):
        return str(value)
    name = getattr(value, "name", None)
    children = [
        getattr(value, field.name)
        for field in dataclasses.fields(value)
        if field.name in ("args", "arg", "array", "index", "cond", "then", "otherwise")
    ]
    if not children:
        return str(name or getattr(value, "value", value))
    inner = ", ".join(map(_term, children))
    return f"{name or type(value).__name__.lower()}({inner})"


def restored(output: Output, results: Sequence[Any]) -> Any:
    """An output leaf: an array, a Python float, or a NumPy scalar of another dtype."""
    if output.type is None:
        value = output.value
        return value.copy() if isinstance(value, np.ndarray) else value
    result = results[output.result]
    if output.repeated:
        return result.copy()
    if output.python:
        return result
    return np.dtype(output.type.dtype).type(result)


def _prepared(value: Any, leaf: Leaf) -> Any:
    """An argument as the kernel takes it: contiguous, aligned, native, or a number."""
    if leaf.shape:
        return np.require(value, leaf.dtype, ("C", "A"))
    return value.item() if hasattr(value, "item") else value


def _captured(value: Any, leaf: Leaf) -> Any:
    """A hidden input, if it is still of the kind that was traced."""
    if not isinstance(value, np.ndarray) or value.ndim != len(leaf.shape):
        raise GuardFailed
    if value.dtype != leaf.dtype:
        raise GuardFailed
    return _prepared(value, leaf)


def _check_buffer(
    buffer: Any, shape: tuple[int, ...], dtype: str, others: Sequence[Any]
) -> None:
    """Refuse an ``out=`` array that doesn't fit.

    Raises:
        ArgumentError: naming what doesn't.
    """
    if not isinstance(buffer, np.ndarray):
        problem = f"is a {type(buffer).__name__}"
    elif buffer.shape != shape or buffer.dtype != dtype:
        problem = f"is {buffer.dtype}{list(buffer.shape)}"
    elif not (buffer.flags.c_contiguous and buffer.flags.writeable):
        problem = "is not contiguous and writeable"
    elif any(np.may_share_memory(buffer, x) for x in others if np.ndim(x)):
        problem = "overlaps an argument or another one"
    else:
        return
    raise ArgumentError(
        f"out= must be a {dtype} array of shape {shape}, but it {problem}.",
        todo="Pass np.empty(shape, dtype).",
    )


def _check_closed(graph: Graph) -> None:
    """Refuse values that a differentiated function put into an outer object."""
    leaked = free_values(graph)
    if leaked:
        users = [e for e in graph.walk() if any(v in e.inputs for v in leaked)]
        raise TracingError(
            f"{leaked[0].name or 'a value'} was computed inside a function that is "
            "differentiated, and is used outside of it.",
            users[0].location if users else None,
            "Return it from that function, with has_aux=True.",
        )


@dataclass(frozen=True, eq=False)
class Program:
    """A function traced and lowered for one kind of arguments, not compiled.

    Attributes:
        name: of the kernel.
        arguments: the structure of ``(args, kwargs)``.
        traced: what tracing recorded and assumed.
        graph: the traced graph, simplified: what the kernel computes.
        lowered: the loop program.
    """

    name: str
    arguments: pytree.Tree
    traced: Traced
    graph: Graph
    lowered: Lowered


def program(
    function: Callable[..., Any], leaves: Sequence[Leaf], tree: pytree.Tree, name: str
) -> Program:
    """Trace, simplify and lower.

    Args:
        function: called with the arguments on tracers.
        leaves: of ``(args, kwargs)``.
        tree: of ``(args, kwargs)``.
        name: of the kernel.
    """
    with step("traced", name) as remarks:
        traced = trace(function, leaves, tree, name)
        _check_closed(traced.graph)
        remarks.append(f": {len(traced.graph.equations)} equations")
    with step("simplified", name), assuming(traced.assumptions):
        expanded = expand_custom_calls(traced.graph, traced.assumptions)
        graph = run(OPTIMISE, expanded)
    with step("lowered", name):
        lowered = lower(graph, traced.assumptions, name)
    return Program(name, tree, traced, graph, lowered)


def specialise(
    function: Callable[..., Any], leaves: Sequence[Leaf], tree: pytree.Tree, name: str
) -> Specialisation:
    """Trace, simplify, lower and compile: see ``program``."""
    with seldom_collecting():
        made = program(function, leaves, tree, name)
        with step("compiled", name) as remarks:
            compiled = jit.build(made.lowered.kernel)
            remarks.append(", from the cache" if compiled.cache_hit else ", cache miss")
    return Specialisation(name, made.traced, made.graph, made.lowered, compiled)
