"""The wrapper for calls like the last one: generated, and as thin as Python can be.

It serves what ``direct_call`` leaves, such as dataclasses, and interpreters that get no
machine code. It checks the types of the arguments, reads
hidden inputs, tests the guards on what is outside, allocates outputs and calls the
kernel. Whatever is different is left to the general path. For ``grad`` of ``f(x, k)``
it reads

    def f_grad(x, k, *, out=None):
        try:
            if out is not None:
                raise Different
            if type(x) is not ndarray or x.dtype is not float64_dtype:
                raise Different
            x = contiguous(x)
            if type(k) is not float:
                raise Different
            x_bar = empty(x.shape)
            kernel(x, k, x_bar)
        except retry:
            pass
        else:
            return x_bar
        return general((x, k), {}, out)
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from codegen.errors import GuardFailed
from tracegrad import pytree
from tracegrad.ir.shapes import Dim, Shape
from tracegrad.printed import Scope
from tracegrad.specialisation import Specialisation
from tracegrad.traces.inputs import Leaf
from tracegrad.traces.outside import Place
from tracegrad.traces.source import Output

_RETRY = (TypeError, GuardFailed, LookupError, AttributeError, ValueError)
_KINDS = inspect.Parameter


def fast_call(
    spec: Specialisation,
    signature: inspect.Signature | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    general: Callable[..., Any],
) -> Callable[..., Any] | None:
    """A function for calls like this one; None where it can't be thin.

    Args:
        spec: what to call.
        signature: of the function; the wrapper gets the same.
        args: bound positional arguments of an example call.
        kwargs: bound keyword arguments.
        general: ``(args, kwargs, out)``, for every other call.
    """
    try:
        return _Writer(spec, signature, args, kwargs, general).function()
    except _NotThin:
        return None


class _NotThin(Exception):
    """A nest or signature that the wrapper doesn't handle."""


class _Writer:
    """Collects the wrapper's lines and the objects they refer to."""

    def __init__(
        self,
        spec: Specialisation,
        signature: inspect.Signature | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        general: Callable[..., Any],
    ) -> None:
        self._spec = spec
        self._args = args
        self._kwargs = kwargs
        self._signature = signature
        self._lines: list[str] = []
        self._scope = Scope({leaf.name for leaf in spec.traced.leaves} | {"out"}, {})
        self._scope.reserve(c.leaf.name for c in spec.traced.captures)
        self._scope.reserve(signature.parameters if signature else ())
        self._general = self._scope.name_of("general", general)
        self._type, self._len = (
            self._scope.name_of("type", type),
            self._scope.name_of("len", len),
        )
        paths = pytree.paths(pytree.structure((args, kwargs)))
        self._leaves = dict(zip(paths, spec.traced.leaves, strict=True))

    def function(self) -> Callable[..., Any]:
        """The wrapper, compiled."""
        if self._spec.traced.exclusive or self._spec.traced.written:
            raise _NotThin
        header, names, arguments = self._header()
        parameters = {"out", *names.values()}
        for path, leaf in self._leaves.items():
            # A part of an argument must not replace another argument.
            if leaf.name in parameters and names.get((path[0], path[1])) != leaf.name:
                raise _NotThin
        self._check("out is not None")
        for (where, key), name in names.items():
            value = self._args[key] if where == 0 else self._kwargs[key]
            self._take(name, value, (where, key))
        for guard in self._spec.traced.guards:
            expected = self._scope.name_of("expected", guard.place.read())
            self._check(f"{self._place(guard.place)} is not {expected}")
        self._captures()
        result = self._call()
        retry = self._scope.name_of("retry", _RETRY)
        lines = [
            header,
            "    try:",
            *(" " * 8 + line for line in self._lines),
            f"    except {retry}:",
            "        pass",
            "    else:",
            f"        return {result}",
            f"    return {self._general}({arguments}, out)",
        ]
        text = "\n".join(lines)
        exec(compile(text, f"<call of {self._spec.name}>", "exec"), self._scope.objects)
        function: Callable[..., Any] = self._scope.objects["call"]
        function.__defaults__, function.__kwdefaults__ = self._defaults()
        return function

    # --- the wrapper's own parameters ----------------------------------------------

    def _header(self) -> tuple[str, dict[tuple[int, Any], str], str]:
        """The def line, the local name of each argument, and how to pass them on."""
        if self._signature is None:
            raise _NotThin
        names: dict[tuple[int, Any], str] = {}
        parts: list[str] = []
        for parameter in self._signature.parameters.values():
            name = parameter.name
            if parameter.kind in (_KINDS.VAR_KEYWORD, _KINDS.VAR_POSITIONAL):
                raise _NotThin
            if name == "out" or not name.isidentifier():
                raise _NotThin
            if parameter.kind is _KINDS.KEYWORD_ONLY:
                if "*" not in parts:
                    parts.append("*")
                names[1, name] = name
            else:
                names[0, len(names)] = name
            default = "" if parameter.default is _KINDS.empty else "=None"
            parts.append(name + default)
            if parameter.kind is _KINDS.POSITIONAL_ONLY:
                raise _NotThin
        if "*" not in parts:
            parts.append("*")
        positional = "".join(f"{n}, " for (w, _), n in names.items() if w == 0)
        keywords = ", ".join(f"{k!r}: {n}" for (w, k), n in names.items() if w == 1)
        header = f"def call({', '.join([*parts, 'out=None'])}):"
        return header, names, f"({positional}), {{{keywords}}}"

    def _defaults(self) -> tuple[tuple[Any, ...] | None, dict[str, Any]]:
        assert self._signature is not None
        parameters = self._signature.parameters.values()
        given = [p for p in parameters if p.default is not _KINDS.empty]
        positional = tuple(p.default for p in given if p.kind < _KINDS.VAR_POSITIONAL)
        named = {p.name: p.default for p in given if p.kind is _KINDS.KEYWORD_ONLY}
        return positional or None, {**named, "out": None}

    # --- taking arguments apart ----------------------------------------------------

    def _take(self, name: str, value: Any, path: tuple[Any, ...]) -> None:
        """Check that a local is like the example's, and unpack it."""
        leaf = self._leaves.get(path)
        if leaf is not None:
            self._take_leaf(name, leaf, value)
        elif value is None:
            self._check(f"{name} is not None")
        else:
            kind = self._scope.name_of("kind", type(value))
            self._check(f"{self._type}({name}) is not {kind}")
            self._unpack(name, value, path)

    def _unpack(self, name: str, value: Any, path: tuple[Any, ...]) -> None:
        keys: list[Any]
        if type(value) in (list, tuple):
            self._check(f"{self._len}({name}) != {len(value)}")
            keys = list(range(len(value)))
            parts = [self._local(f"{name}_{k}", (*path, k)) for k in keys]
            if parts:
                self._lines.append(f"{', '.join(parts)}, = {name}")
        elif type(value) is dict and all(type(k) in (str, int) for k in value):
            self._check(f"{self._len}({name}) != {len(value)}")
            keys = list(value)
            parts = [self._local(f"{name}_{k}", (*path, k)) for k in keys]
            for key, part in zip(keys, parts, strict=True):
                self._lines.append(f"{part} = {name}[{key!r}]")
        elif dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
            known = getattr(value, "__dataclass_fields__", None) or value._fields
            keys = list(known)
            parts = [self._local(f"{name}_{k}", (*path, k)) for k in keys]
            for key, part in zip(keys, parts, strict=True):
                self._lines.append(f"{part} = {name}.{key}")
        else:
            raise _NotThin
        for key, part in zip(keys, parts, strict=True):
            by_key = type(value) in (list, tuple, dict)
            inner = value[key] if by_key else getattr(value, key)
            self._take(part, inner, (*path, key))

    def _local(self, wanted: str, path: tuple[Any, ...]) -> str:
        """The name of a part: its leaf's, if it is one."""
        leaf = self._leaves.get(path)
        return leaf.name if leaf is not None else self._scope.fresh(wanted)

    def _take_leaf(self, name: str, leaf: Leaf, value: Any) -> None:
        if not leaf.traced:
            expected = self._scope.name_of("static", leaf.value)
            by_value = isinstance(leaf.value, (str, bytes))
            self._check(f"{name} {'!=' if by_value else 'is not'} {expected}")
        elif isinstance(value, np.ndarray) and value.ndim:
            self._take_array(name, leaf)
        else:
            kind = self._scope.name_of("kind", type(value))
            self._check(f"{self._type}({name}) is not {kind}")
            if isinstance(value, np.ndarray):
                raise _NotThin
        if name != leaf.name:
            self._lines.append(f"{leaf.name} = {name}")

    def _take_array(self, name: str, leaf: Leaf) -> None:
        array = self._scope.name_of("ndarray", np.ndarray)
        dtype = self._scope.name_of(f"{leaf.dtype}_dtype", np.dtype(leaf.dtype))
        self._check(
            f"{self._type}({name}) is not {array} or {name}.dtype is not {dtype}"
        )
        # For a contiguous array this is a call that returns its argument, 12 ns.
        contiguous = self._scope.name_of("contiguous", np.ascontiguousarray)
        self._lines.append(f"{name} = {contiguous}({name})")

    def _captures(self) -> None:
        for capture in self._spec.traced.captures:
            leaf = capture.leaf
            if capture.place is None:
                constant = self._scope.name_of(f"{leaf.name}_value", capture.constant)
                self._lines.append(f"{leaf.name} = {constant}")
                continue
            self._lines.append(f"{leaf.name} = {self._place(capture.place)}")
            if not leaf.shape:
                raise _NotThin
            self._take_array(leaf.name, leaf)

    # --- the call ------------------------------------------------------------------

    def _call(self) -> str:
        """Allocate, call, and the expression for what is returned."""
        traced, graph = self._spec.traced, self._spec.graph
        inputs = [leaf.name for leaf in traced.leaves if leaf.traced]
        inputs += [capture.leaf.name for capture in traced.captures]
        shapes = {
            p.type.shape: str(p.name) for p in reversed(graph.params) if p.type.ndim
        }
        arrays, scalars, results = [], [], []
        for result in graph.results:
            wanted = getattr(result, "name", None) or "result"
            local = self._scope.fresh(wanted)
            results.append(local)
            if not result.type.ndim:
                scalars.append(local)
                continue
            arrays.append(local)
            shape = self._shape(result.type.shape, shapes)
            self._lines.append(f"{local} = {self._empty(result.type.dtype, shape)}")
        kernel = self._scope.name_of("kernel", self._spec.compiled.entry)
        call = f"{kernel}({', '.join([*inputs, *arrays])})"
        targets = ", ".join(scalars)
        self._lines.append(f"{targets} = {call}" if scalars else call)
        leaves = [self._output(output, results) for output in traced.outputs]
        return self._nest(pytree.unflatten(traced.tree, leaves), leaves)

    def _shape(self, shape: Shape, known: Mapping[Shape, str]) -> str:
        if shape in known:
            return f"{known[shape]}.shape"
        return f"({''.join(f'{_size(d)}, ' for d in shape)})"

    def _empty(self, dtype: str, shape: str) -> str:
        empty = self._scope.name_of("empty", np.empty)
        if dtype == "float64":
            return f"{empty}({shape})"
        kind = self._scope.name_of(f"{dtype}_dtype", np.dtype(dtype))
        return f"{empty}({shape}, {kind})"

    def _output(self, output: Output, results: list[str]) -> str:
        if output.type is None:
            static = self._scope.name_of("static", output.value)
            copied = isinstance(output.value, np.ndarray)
            return f"{static}.copy()" if copied else static
        name = results[output.result]
        if output.repeated:
            return f"{name}.copy()"
        if output.python:
            return name
        kind = self._scope.name_of(output.type.dtype, np.dtype(output.type.dtype).type)
        return f"{kind}({name})"

    def _nest(self, value: Any, leaves: list[str]) -> str:
        """Python's display of a nest whose leaves are expressions."""
        if isinstance(value, str) or value is None:
            return str(value)
        if type(value) is tuple:
            return f"({''.join(f'{self._nest(v, leaves)}, ' for v in value)})"
        if type(value) is list:
            return f"[{', '.join(self._nest(v, leaves) for v in value)}]"
        if type(value) is dict and all(type(k) in (str, int) for k in value):
            items = (f"{k!r}: {self._nest(v, leaves)}" for k, v in value.items())
            return f"{{{', '.join(items)}}}"
        raise _NotThin

    # --- names and lines -----------------------------------------------------------

    def _check(self, otherwise: str) -> None:
        different = self._scope.name_of("Different", GuardFailed)
        self._lines += [f"if {otherwise}:", f"    raise {different}"]

    def _place(self, place: Place) -> str:
        owner = self._scope.name_of("owner", place.owner)
        match place.kind:
            case "global" | "item":
                return f"{owner}[{self._scope.name_of('key', place.key)}]"
            case "cell":
                return f"{owner}.cell_contents"
            case "attribute":
                return f"{owner}.{place.key}"
            case _:
                raise _NotThin


def _size(size: Dim) -> str:
    """A symbolic size in Python: its symbols are spelled as Python spells them."""
    return str(size)
