"""Compiled functions inside the user's own ``@njit`` code.

Numba asks a function for its type, and the type for a body once the types of a call are
known. The body tests the guards of each specialisation that fits, calls its kernel, and
leaves anything else to Python, where it is traced anew. For ``grad`` of ``f(x, k)``:

    n = x.shape[0]
    if n >= 2:
        x_bar = np.empty(x.shape, np.float64)
        kernel(x, k, x_bar)
        return x_bar
    with objmode(result=result_type):
        result = function(x, k)
    return result

What the function read from outside, arrays too, is frozen when the body is compiled, as
Numba does with the globals of any function.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from codegen.nopython import (
    ArgumentType,
    ArrayOf,
    Items,
    Known,
    NumberOf,
    Wrapper,
    arena,
    guarded,
)
from tracegrad import pytree
from tracegrad.errors import ArgumentError, ShapeError, TracingError
from tracegrad.ir.shapes import Shape
from tracegrad.printed import Scope
from tracegrad.specialisation import Specialisation
from tracegrad.traces.inputs import identifier
from tracegrad.traces.source import Output
from tracegrad.traces.unmet import wanted

_SIZE = 4  # of examples; which sizes must agree is guarded
_INDENT = "    "


class Function(Protocol):
    """What a compiled function tells of itself."""

    __signature__: inspect.Signature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A call from Python."""

    def fitting(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Specialisation]:
        """The specialisations for arguments of such types, whatever their sizes."""


def nopython(function: Function, title: str) -> Any:
    """The Numba dispatcher that stands for a function in nopython code.

    Raises:
        ArgumentError: if its signature is one that nopython code can't call.
    """
    # Importing Numba takes 0.2 s; who asks for this has done so.
    from codegen.numba_functions import dispatcher

    signature = getattr(function, "__signature__", None)
    parameters = _parameters(title, signature)
    names = [name for name, _ in parameters]

    def write(types: list[ArgumentType]) -> Wrapper:
        return _Writer(function, names, types).wrapper()

    return dispatcher(identifier(title), parameters, write)


def numba_type(dispatcher: Any) -> Any:
    """The type under which Numba knows such a dispatcher."""
    from codegen.numba_functions import numba_type_of

    return numba_type_of(dispatcher)


def _parameters(
    title: str, signature: inspect.Signature | None
) -> list[tuple[str, tuple[Any, ...]]]:
    """The names of the parameters, and the default of each that has one."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    given = [] if signature is None else list(signature.parameters.values())
    if signature is None or any(p.kind in variadic for p in given):
        raise ArgumentError(
            f"{title} takes any number of arguments, which nopython code can't pass.",
            todo="Wrap it in a function with named arguments.",
        )
    empty = inspect.Parameter.empty
    return [(p.name, () if p.default is empty else (p.default,)) for p in given]


class _Writer:
    """Writes the body for one combination of argument types."""

    def __init__(
        self, function: Function, names: list[str], types: Sequence[ArgumentType]
    ) -> None:
        self._function = function
        self._names = names
        taken = {*names, "objmode", "result_type", "result"}
        self._scope = Scope(taken, {"np": np, "function": function})
        # A leaf may be bound under the name of an argument, which is still needed.
        self._given = {name: self._scope.fresh(f"given_{name}") for name in names}
        self._lines = [f"{_INDENT}{given} = {n}" for n, given in self._given.items()]
        self._types = dict(zip(names, types, strict=True))

    def wrapper(self) -> Wrapper:
        """The body, its scope and the type of its result."""
        examples = {name: _example(type_) for name, type_ in self._types.items()}
        signature = self._function.__signature__
        bound = signature.bind_partial()
        bound.arguments.update(examples)
        paths = pytree.paths(pytree.structure((bound.args, bound.kwargs)))
        specs = _specialisations(self._function, bound.args, bound.kwargs)
        results = [self._candidate(spec, paths) for spec in specs]
        if any(result != results[0] for result in results):
            raise TracingError(
                "The type of the result depends on the sizes of the arguments.",
                todo="Call it from Python, not in nopython code.",
            )
        call = ", ".join(f"{n}={given}" for n, given in self._given.items())
        self._lines += [
            f"{_INDENT}with objmode(result=result_type):",
            f"{_INDENT * 2}result = function({call})",
            f"{_INDENT}return result",
        ]
        return Wrapper(self._lines, self._scope.objects, results[0])

    def _candidate(
        self, spec: Specialisation, paths: Sequence[tuple[Any, ...]]
    ) -> ArgumentType:
        """Lines that call a specialisation's kernel if its guards hold."""
        traced, graph = spec.traced, spec.graph
        places = [self._place(path) for path in paths]
        inputs = self._inputs(spec, places)
        sizes, holds = guarded(spec.compiled)
        apart = [_apart(inputs[i], inputs[j]) for i, j in traced.exclusive]
        tests = " and ".join(filter(None, [holds, *apart]))
        self._emit(1, *sizes, f"if {tests or 'True'}:")
        shapes = {
            p.type.shape: name
            for p, name in zip(graph.params, inputs, strict=True)
            if p.type.ndim
        }
        arrays, scalars, results = [], [], []
        for result in graph.results:
            local = self._scope.fresh(getattr(result, "name", None) or "value")
            results.append(local)
            if result.type.ndim:
                arrays.append(local)
                shape = _shape(result.type.shape, shapes)
                dtype = self._scope.name_of(
                    result.type.dtype, np.dtype(result.type.dtype)
                )
                self._emit(2, f"{local} = np.empty({shape}, {dtype})")
            else:
                scalars.append(local)
        arguments = [*inputs, *arrays]
        bound, words = arena(spec.compiled)
        if words is not None:
            space = self._scope.fresh("workspace")
            self._emit(2, *bound, f"{space} = np.empty({words})")
            arguments.append(space)
        kernel = self._scope.name_of("kernel", spec.compiled.function)
        call = f"{kernel}({', '.join(arguments)})"
        self._emit(2, f"{', '.join(scalars)} = {call}" if scalars else call)
        for written in traced.written:
            self._emit(2, f"{places[written.leaf]}[...] = {results[written.result]}")
        leaves = [self._output(output, results) for output in traced.outputs]
        nest = pytree.unflatten(traced.tree, leaves)
        text, described = _display(nest)
        self._emit(2, f"return {text}")
        return described

    def _inputs(self, spec: Specialisation, places: Sequence[str]) -> list[str]:
        """Bind a name for each input of the kernel: those its sizes are told in."""
        traced = spec.traced
        names: list[str] = []
        values: list[str] = []
        for leaf, place in zip(traced.leaves, places, strict=True):
            if leaf.traced:
                names.append(leaf.name)
                values.append(f"np.ascontiguousarray({place})" if leaf.shape else place)
        for capture in traced.captures:
            names.append(capture.leaf.name)
            frozen = np.ascontiguousarray(capture.read(), capture.leaf.dtype)
            values.append(self._scope.name_of(f"{capture.leaf.name}_value", frozen))
        self._scope.reserve(names)
        # All at once: the name of a part may be that of another argument.
        pairs = [(n, v) for n, v in zip(names, values, strict=True) if n != v]
        if pairs:
            left, right = (", ".join(side) for side in zip(*pairs, strict=True))
            self._emit(1, f"{left} = {right}")
        return names

    def _place(self, path: tuple[Any, ...]) -> str:
        """The expression for a leaf of the arguments."""
        where, key, *rest = path
        text = self._given[self._names[key] if where == 0 else str(key)]
        for part in rest:
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
        return text

    def _output(self, output: Output, results: Sequence[str]) -> _Leaf:
        if output.type is None:
            value = output.value
            if not isinstance(value, np.ndarray):
                return _Leaf(self._scope.name_of("static", value), Known(value))
            text = f"{self._scope.name_of('static', value)}.copy()"
            return _Leaf(text, ArrayOf(str(value.dtype), value.ndim, True))
        name, dtype = results[output.result], output.type.dtype
        if not output.type.ndim:
            return _Leaf(name, NumberOf(dtype))
        text = f"{name}.copy()" if output.repeated else name
        return _Leaf(text, ArrayOf(dtype, output.type.ndim, True))

    def _emit(self, depth: int, *lines: str) -> None:
        self._lines += [_INDENT * depth + line for line in lines]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """The expression for a leaf of the result, and its type."""

    text: str
    type: ArgumentType


def _display(nest: Any) -> tuple[str, ArgumentType]:
    """The display of a nest of results, and its type."""
    if isinstance(nest, _Leaf):
        return nest.text, nest.type
    if nest is None:
        return "None", Known(None)
    if type(nest) is not tuple:
        raise TracingError(
            f"It returns a {type(nest).__name__}, which nopython code can't make.",
            todo="Return numbers, arrays and tuples of them.",
        )
    parts = [_display(item) for item in nest]
    text = "".join(f"{text}, " for text, _ in parts)
    return f"({text})", Items(tuple, tuple(type_ for _, type_ in parts))


def _specialisations(
    function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Specialisation]:
    """Those for arguments of such types; the sizes are changed until one is traced.

    Raises:
        TracingError: if no sizes are found that the function accepts.
    """
    leaves, tree = pytree.flatten((args, kwargs))
    tried: set[tuple[int, int]] = set()
    while True:
        args, kwargs = pytree.unflatten(tree, leaves)
        try:
            return function.fitting(args, kwargs)
        except (ValueError, IndexError, ShapeError) as error:
            axes = [a for a in wanted(error) if (a.leaf, a.axis) not in tried]
            if not axes:
                raise TracingError(
                    f"no sizes were found with which it runs: {error}",
                    todo="Call it once from Python, with arguments as they will be, "
                    "before the function that calls it is compiled.",
                ) from error
        first = axes[0]
        tried.add((first.leaf, first.axis))
        shape = list(leaves[first.leaf].shape)
        shape[first.axis] = first.size
        leaves[first.leaf] = np.ones(shape, leaves[first.leaf].dtype)


def _example(type_: ArgumentType) -> Any:
    """A value of a type."""
    match type_:
        case ArrayOf(dtype, rank):
            return np.ones((_SIZE,) * rank, dtype)
        case NumberOf("float64"):
            return 1.0
        case NumberOf("int64"):
            return 1
        case NumberOf(dtype):
            return np.dtype(dtype).type(1)
        case Known(value):
            return value
        case Items(kind, items):
            return kind([_example(item) for item in items])


def _apart(left: str, right: str) -> str:
    """The test that two contiguous arrays share no memory."""
    ends = [f"{x}.ctypes.data + {x}.nbytes" for x in (left, right)]
    return f"({ends[0]} <= {right}.ctypes.data or {ends[1]} <= {left}.ctypes.data)"


def _shape(shape: Shape, known: Mapping[Shape, str]) -> str:
    if shape in known:
        return f"{known[shape]}.shape"
    return f"({''.join(f'{size}, ' for size in shape)})"
