"""Export functions as a Python file that needs NumPy, Numba for speed, nothing else.

The file holds the kernels as they are printed, with the user's lines as comments, the
helpers that they call, and for each a function that takes what the original takes.

>>> import tempfile
>>> import numpy as np
>>> from tracegrad import export_python, grad
>>> slope = grad(lambda x, k: 0.5 * k * np.sum(x**2))
>>> types = "float64[:], float64"
>>> with tempfile.TemporaryDirectory() as directory:
...     path = export_python({"slope": slope}, types, directory + "/model.py")
...     print("def slope(x, k):" in path.read_text())
True
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

import numpy as np

from codegen import layout, standalone
from tracegrad import __version__
from tracegrad.errors import ArgumentError
from tracegrad.lower.lower import ScalarOutput
from tracegrad.shipping.interface import (
    Functions,
    Interface,
    Nest,
    Signatures,
    first_line,
    interfaces,
    map_results,
)
from tracegrad.traces.inputs import identifier

_WIDTH = 88
_ARRAY = '''\
def _array(value, name, dtype, rank):
    """An array as a kernel takes it: contiguous, aligned, of this very dtype."""
    if isinstance(value, np.ndarray) and value.dtype != dtype:
        raise TypeError(f"{name} is {value.dtype}, where {np.dtype(dtype)} is needed")
    array = np.require(value, dtype, ("C", "A"))
    if array.ndim != rank:
        raise ValueError(f"{name} has {array.ndim} axes, where {rank} are needed")
    return array'''
_GUARD = '''\
class GuardFailed(ValueError):
    """The sizes are not among those that a function was compiled for."""'''
_NUMBERS = {
    "float64": "float({})",
    "float32": "np.float32({})",
    "int64": "{}.__index__()",
    "int32": "np.int32({})",
    "bool": "bool({})",
}


def export_python(
    functions: Functions,
    signatures: Signatures,
    path: str | PathLike[str],
    *,
    cache: bool = False,
) -> Path:
    """Write functions as a Python file that needs nothing of ours.

    It imports NumPy, and Numba where it is installed; there it gives the same bits as
    the functions do here. Without Numba the same code runs as plain Python, slowly, and
    adds in order.

    Args:
        functions: ``grad(f)``, ``jit(f)`` and the like: one, several, or by the names
            they get.
        signatures: for each function a text such as ``"float64[8], float64"``, or a
            tuple of example arguments; a list of these for several functions. Sizes are
            examples, too.
        path: of the file.
        cache: whether Numba keeps what it compiles beside the file.

    Returns:
        The path.

    Raises:
        ArgumentError: if functions and signatures don't fit.
        TracegradError: if a function can't be traced; then nothing is written.
    """
    shipped = interfaces(functions, signatures)
    written = [_Function(made, cache) for made in shipped.values()]
    helpers = set().union(*(function.helpers for function in written))
    for title in shipped:
        if title in standalone.names_defined(helpers) | _own_names(shipped):
            raise ArgumentError(
                f"{title} is the name of a helper in the file.",
                todo="Give the function by another name: {name: function}.",
            )
    records = any(list(function.records()) for function in written)
    imports = ["from collections import namedtuple"] if records else []
    body = "\n\n\n".join(
        [
            standalone.preamble(helpers, imports).rstrip(),
            _GUARD,
            _ARRAY,
            *(text for function in written for text in function.texts()),
        ]
    )
    file = Path(path)
    file.write_text(f"{_heading(shipped, body)}\n{body}\n", encoding="utf-8")
    return file


def _own_names(shipped: Mapping[str, Interface]) -> set[str]:
    return {"np", "njit", "GuardFailed", "int", "float", *map(_kernel_name, shipped)}


def _kernel_name(title: str) -> str:
    return f"{title}_kernel"


def _heading(shipped: Mapping[str, Interface], body: str) -> str:
    """The docstring of the file."""
    lines = [f"Compiled by tracegrad {__version__}; do not edit.", ""]
    for made in shipped.values():
        lines += wrap(
            f"{made.title}({made.signature})", _WIDTH, subsequent_indent="    "
        )
    lines += ["", f"sha256 of the code: {sha256(body.encode()).hexdigest()}"]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}\n"""\n'


@dataclass(frozen=True)
class _Function:
    """One function of the file."""

    made: Interface
    cache: bool

    @property
    def helpers(self) -> set[str]:
        """The helpers that its kernel calls."""
        return self._printed()[1] - {"GuardFailed"}

    def _printed(self) -> tuple[str, set[str]]:
        kernel = self.made.program.lowered.kernel
        return standalone.kernel_text(kernel, _kernel_name(self.made.title), self.cache)

    def texts(self) -> Iterator[str]:
        """The kernel, what it needs, and the function around it."""
        for name, array in self.made.constants.items():
            yield self._table(name, array)
        yield from self.records()
        yield self._printed()[0]
        yield "\n".join(self._wrapper())

    # --- what stands beside it ------------------------------------------------------

    def _table(self, name: str, array: np.ndarray[Any, Any]) -> str:
        dtype = standalone.dtype_name(array.dtype.name)
        cells = indent("\n".join(wrap(_cells(array), _WIDTH - 8)), " " * 8)
        shape = f".reshape({array.shape!r})" if array.ndim != 1 else ""
        head = f"{self._constant(name)} = np.array("
        return f"{head}\n    [\n{cells}\n    ],\n    {dtype},\n){shape}"

    def _constant(self, name: str) -> str:
        return f"_{self.made.title}_{name}"

    def records(self) -> Iterator[str]:
        """Definitions of the named tuples among the results."""
        for nest in _records(self.made.results):
            name, fields = nest["record"], [field for field, _ in nest["fields"]]
            yield f"{name} = namedtuple({json.dumps(name)}, {json.dumps(fields)})"

    # --- the function --------------------------------------------------------------

    def _wrapper(self) -> Iterator[str]:
        kernel = self.made.program.lowered.kernel
        words = self._words()
        prepared = standalone.preparation(kernel, words)
        arena = any(line.startswith(f"{words} = ") for line in prepared)
        yield from self._head(arena)
        yield from self._docstring()
        yield from self._unpacking()
        yield from self._conversions()
        yield from (f"    {line}" for line in prepared)
        if arena:
            yield "    if workspace is None:"
            yield f"        workspace = np.empty({words})"
            yield f"    elif workspace.dtype != np.float64 or workspace.size < {words}:"
            text = f'f"workspace needs {{{words}}} float64 numbers"'
            yield f"        raise ValueError({text})"
        yield from self._call(arena)

    def _words(self) -> str:
        """What the size of the workspace is called."""
        kernel = self.made.program.lowered.kernel
        taken = {p.name for p in kernel.parameters}
        return identifier("words", taken | set(self.made.inputs))

    def _head(self, arena: bool) -> list[str]:
        parts = [
            a.name if a.default is None else f"{a.name}={a.default!r}"
            for a in self.made.arguments
        ]
        parts += ["*", "workspace=None"] if arena else []
        return layout.signature(self.made.title, parts)

    def _docstring(self) -> Iterator[str]:
        text = first_line(self.made) or f"{self.made.title}, compiled by tracegrad."
        text = text.replace("\\", "\\\\").replace('"""', "'''")
        yield f'    """{text}"""' if text[-1] != '"' else f'    """{text} """'

    def _unpacking(self) -> Iterator[str]:
        """All leaves of nested arguments at once: a leaf may bear another's name."""
        targets: dict[int, str] = {}
        for argument in self.made.arguments:
            _unpack(argument.nest, argument.name, targets)
        pairs = [(self.made.inputs[k], text) for k, text in sorted(targets.items())]
        pairs = [(name, text) for name, text in pairs if name != text]
        if pairs:
            names, texts = zip(*pairs, strict=True)
            yield from _lines(f"{', '.join(names)} = {', '.join(texts)}", "    ")
        for k, _ in self.made.written:
            yield f"    {self._given(k)} = {self.made.inputs[k]}"

    def _given(self, k: int) -> str:
        """The name of the array that the caller gave and the function writes."""
        return identifier(f"given_{self.made.inputs[k]}", self.made.inputs)

    def _conversions(self) -> Iterator[str]:
        types = {str(p.name): p.type for p in self.made.program.graph.params}
        for name in self.made.inputs:
            type_ = types[name]
            if type_.ndim:
                dtype = standalone.dtype_name(type_.dtype)
                value = f'_array({name}, "{name}", {dtype}, {type_.ndim})'
            else:
                value = _NUMBERS[type_.dtype].format(name)
            yield f"    {name} = {value}"
        for first, second in self.made.exclusive:
            a, b = self.made.inputs[first], self.made.inputs[second]
            yield f"    if np.may_share_memory({a}, {b}):"
            yield f'        raise ValueError("{a}, which is written, overlaps {b}")'

    def _call(self, arena: bool) -> Iterator[str]:
        lowered = self.made.program.lowered
        kernel = lowered.kernel
        parameters = [p.name for p in kernel.parameters]
        names = [str(p.name) for p in self.made.program.graph.params]
        arguments = [
            self._constant(name) if name in self.made.constants else name
            for name in names
        ]
        arguments += parameters[len(names) :]
        taken = {*parameters, "workspace", self._words()}
        scalars = [identifier(f"result{k}", taken) for k in range(len(kernel.results))]
        arguments += ["workspace"] if arena else []
        call = f"{_kernel_name(self.made.title)}({', '.join(arguments)})"
        arrays = iter(parameters[len(names) :])
        results = [
            scalars[o.position] if isinstance(o, ScalarOutput) else next(arrays)
            for o in lowered.outputs
        ]
        messages = standalone.guards(kernel)
        pad = "    "
        if messages:
            yield "    try:"
            pad = " " * 8
        yield from _lines(f"{', '.join(scalars)} = {call}" if scalars else call, pad)
        if messages:
            yield "    except GuardFailed:"
            yield from _raising(", ".join(messages))
        for k, result in self.made.written:
            yield f"    np.copyto({self._given(k)}, {results[result]})"
        types = [r.type.dtype for r in self.made.program.graph.results]
        display = _display(self.made.results, results, types)
        if display != "None":
            yield from _lines(f"return {display}", "    ")


def _records(nest: Nest) -> Iterator[dict[str, Any]]:
    """The named tuples in a nest."""
    if isinstance(nest, dict) and "record" in nest:
        yield nest
    if isinstance(nest, (dict, list)):
        for child in nest.values() if isinstance(nest, dict) else nest:
            yield from _records(child)


def _lines(text: str, pad: str) -> list[str]:
    """A statement at an indentation, broken where it is too long."""
    (stmt,) = ast.parse(text).body
    return layout.lines(stmt, len(pad))


def _raising(text: str) -> Iterator[str]:
    """Raise again, saying what was assumed."""
    lines = wrap(f"compiled for {text}", _WIDTH - 16, break_long_words=False)
    yield "        raise GuardFailed("
    for k, line in enumerate(lines):
        space = " " if k + 1 < len(lines) else ""
        yield f"            {json.dumps(line + space)}"
    yield "        ) from None"


def _unpack(nest: Nest, text: str, targets: dict[int, str]) -> None:
    """The expression for each leaf of an argument."""
    if isinstance(nest, int):
        targets[nest] = text
    elif nest is not None:
        for key, part in nest.get("dict", ()):
            _unpack(part, f"{text}[{key!r}]", targets)
        for field, part in nest.get("fields", ()):
            _unpack(part, f"{text}.{field}", targets)
        for k, part in enumerate(nest.get("tuple", nest.get("list", ()))):
            _unpack(part, f"{text}[{k}]", targets)


def _display(nest: Nest, results: Sequence[str], types: Sequence[str]) -> str:
    """The results in their nest, as Python."""

    def leaf(data: dict[str, Any]) -> str:
        if "value" in data:
            return f"{data['value']!r}"
        text: str = results[data["result"]]
        match data.get("how"):
            case "copy":
                return f"{text}.copy()"
            case "scalar":
                return f"{standalone.dtype_name(types[data['result']])}({text})"
            case _:
                return text

    return _shown(map_results(nest, leaf))


def _shown(nest: Nest) -> str:
    if nest is None or isinstance(nest, str):
        return str(nest)
    record: str = nest.get("record", "")
    if "tuple" in nest:
        items = [_shown(item) for item in nest["tuple"]]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if "list" in nest:
        return f"[{', '.join(map(_shown, nest['list']))}]"
    if "dict" in nest:
        items = [f"{key!r}: {_shown(item)}" for key, item in nest["dict"]]
        return f"{{{', '.join(items)}}}"
    fields = ", ".join(_shown(item) for _, item in nest["fields"])
    return f"{record}({fields})"


def _cells(array: np.ndarray[Any, Any]) -> str:
    """The numbers of an array, exactly."""
    texts = (repr(value) for value in array.ravel().tolist())
    return ", ".join({"nan": "np.nan", "inf": "np.inf"}.get(t, t) for t in texts)
