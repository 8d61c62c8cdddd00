"""Several kernels as one C library: its source, its header, and its description.

The description is what a caller in another language needs to know, as plain data: the
functions with their parameters in order, the shapes of arrays as expressions over the
integers among those, and what each status means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codegen.c.arrays import refuse
from codegen.c.expressions import CTYPES
from codegen.c.helpers import helper_definitions
from codegen.c.identifiers import spelled
from codegen.c.library import routine_definitions
from codegen.c.printer import Function, Parameter, print_function, signature
from codegen.c.statements import Status
from codegen.c.vector_math import definitions
from codegen.loop_ir import Const, Expr, Kernel, Op, Var

ABI = 1
"""The version of the calling convention that a description states."""

_CONDITIONS = """\
#ifdef __FAST_MATH__
#error "compile without -ffast-math: it changes the results"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """A printed library.

    source: the ``.c`` file.
    header: the ``.h`` file.
    description: plain data, for a loader.
    """

    name: str
    source: str
    header: str
    description: dict[str, Any]


def print_unit(
    name: str,
    kernels: Mapping[str, Kernel],
    notes: Sequence[str] = (),
    constants: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> Unit:
    """Print kernels as a C library.

    Args:
        name: of the library; its functions' names begin with it.
        kernels: by the name that each function gets after that.
        notes: lines for the head of both files.
        constants: for each function, the cells of inputs that are part of it.

    Raises:
        NotExpressible: naming what C can't say, before anything is printed.
    """
    name = spelled(name)
    statuses: list[Status] = []
    functions: dict[str, Function] = {}
    for title, kernel in kernels.items():
        symbol = f"{name}_{spelled(title)}"
        if symbol in {function.name for function in functions.values()}:
            raise refuse(f"two functions are called {symbol}: rename one")
        tables = (constants or {}).get(title)
        functions[title] = print_function(kernel, symbol, statuses, tables)
    every = list(functions.values())
    body = _body(name, every, statuses)
    digest = hashlib.sha256(body.encode()).hexdigest()
    banner = _banner([*notes, f"sha256 of the code: {digest}"])
    return Unit(
        name,
        f"{banner}\n{_includes(name)}\n{body}",
        f"{banner}\n{_header(name, every)}",
        {
            "abi": ABI,
            "library": name,
            "code": digest,
            "functions": {t: _described(f) for t, f in functions.items()},
            "statuses": [_status(status) for status in statuses],
        },
    )


def _banner(notes: Sequence[str]) -> str:
    inner = "\n".join(f"   {_comment(note)}".rstrip() for note in notes)
    return f"/*\n{inner}\n*/\n"


def _comment(text: str) -> str:
    """Text that can't end a comment or hide in one."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def _includes(name: str) -> str:
    headers = ("math.h", "stdbool.h", "stddef.h", "stdint.h", "string.h")
    lines = [f'#include "{name}.h"', "", *(f"#include <{h}>" for h in headers)]
    return "\n".join(lines) + "\n\n" + _CONDITIONS


def _body(name: str, functions: Sequence[Function], statuses: Sequence[Status]) -> str:
    """Everything after the includes: what identifies the library."""
    maths = definitions(set().union(*(f.maths for f in functions)) - {"radd", "rmul"})
    helpers = helper_definitions(set().union(*(f.helpers for f in functions)))
    routines = routine_definitions(set().union(*(f.routines for f in functions)))
    shared = [text for text in helpers if text not in maths]
    printed = [text for f in functions for text in (f.work_size, f.definition) if text]
    parts = (*shared, *maths, *routines, *printed, _messages(name, statuses))
    return "\n\n".join(parts) + "\n"


def _messages(name: str, statuses: Sequence[Status]) -> str:
    """The function that tells what a status means."""
    lines = [f"const char *{name}_message(int status)", "{", "    switch (status) {"]
    lines += ["    case 0:", '        return "success";']
    for number, status in enumerate(statuses, 1):
        lines += [f"    case {number}:", f"        return {_quoted(_text(status))};"]
    lines += ["    default:", '        return "unknown status";', "    }", "}"]
    return "\n".join(lines)


def _text(status: Status) -> str:
    kind = {"guard": "sizes must fit", "capacity": "no room"}.get(status.kind)
    kind = kind or status.kind
    where = status.location
    at = f" at {where.file}:{where.line}: {where.text}" if where is not None else ""
    return f"{kind}: {status.message}{at}"


def _quoted(text: str) -> str:
    """A C string of a text; bytes beyond ASCII in octal, which ends after 3 digits."""
    parts = []
    for byte in text.encode():
        printable = 32 <= byte < 127 and chr(byte) not in '"\\?'
        parts.append(chr(byte) if printable else f"\\{byte:03o}")
    return f'"{"".join(parts)}"'


# --- the header --------------------------------------------------------------------


def _header(name: str, functions: Sequence[Function]) -> str:
    guard = f"{name.upper()}_H"
    lines = [f"#ifndef {guard}", f"#define {guard}", ""]
    lines += [f"#include <{h}>" for h in ("stdbool.h", "stddef.h", "stdint.h")]
    lines += ["", "#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
    lines += [
        "/*",
        "   Every function returns 0, or a status that says why it stopped: outputs",
        "   then hold nothing of use. Arrays are C-contiguous; outputs and workspace",
        "   overlap nothing else. Nothing is allocated or kept, so any number of",
        "   threads may call at once, each with its own workspace, as malloc aligns.",
        "*/",
        f"const char *{name}_message(int status);",
    ]
    for function in functions:
        lines += ["", *_prototype(function)]
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "", "#endif", ""]
    return "\n".join(lines)


def _prototype(function: Function) -> list[str]:
    """A function's documentation and declarations."""
    lines = ["/*"]
    if function.doc:
        first, *rest = function.doc.strip().splitlines()
        lines += [f"   {_comment(line)}".rstrip() for line in (first, *rest)] + [""]
    rows = [(_role(p), p.name, _meaning(p, function)) for p in function.parameters]
    widths = [max(len(row[k]) for row in rows) if rows else 0 for k in (0, 1)]
    for role, name, meaning in rows:
        lines.append(f"   {role:{widths[0]}}  {name:{widths[1]}}  {meaning}".rstrip())
    lines.append("*/")
    if function.work_size:
        counts = [p.text for p in function.parameters if p.counts]
        lines += signature(f"size_t {function.name}_work_size", counts)
        lines[-1] += ";"
    lines += signature(f"int {function.name}", [p.text for p in function.parameters])
    lines[-1] += ";"
    return lines


def _role(parameter: Parameter) -> str:
    return {"input": "in", "output": "out", "workspace": "scratch"}.get(
        parameter.kind, "in"
    )


def _meaning(parameter: Parameter, function: Function) -> str:
    match parameter.kind:
        case "workspace":
            return f"{function.name}_work_size(...) bytes"
        case "size":
            return "a length"
        case "capacity":
            return "iterations of a while loop to have room for"
        case _:
            kind = CTYPES[parameter.dtype]
            if parameter.shape is None:
                return "one number" if parameter.kind == "output" else "a number"
            sizes = (_shown(size, function.names) for size in parameter.shape)
            return kind + "".join(f"[{size}]" for size in sizes)


def _shown(size: Expr, names: Mapping[str, str]) -> str:
    """A length as a reader writes it."""
    symbols = {"add": "+", "subtract": "-", "multiply": "*", "floor_divide": "/"}
    match size:
        case Const(value):
            return str(value)
        case Var(name):
            return names.get(name, name)
        case Op(operation, (left, right)) if operation in symbols:
            sides = _shown(left, names), _shown(right, names)
            return f"({sides[0]} {symbols[operation]} {sides[1]})"
        case Op(operation, args):
            return f"{operation}({', '.join(_shown(arg, names) for arg in args)})"
        case _:
            return "..."


# --- the description ---------------------------------------------------------------


def _described(function: Function) -> dict[str, Any]:
    return {
        "symbol": function.name,
        "workspace": bool(function.work_size),
        "parameters": [
            {
                "kind": p.kind,
                "name": p.name,
                "dtype": p.dtype,
                "shape": p.shape and [_plain(s, function.names) for s in p.shape],
            }
            for p in function.parameters
        ],
    }


def _plain(size: Expr, names: Mapping[str, str]) -> Any:
    """A length as plain data: a number, a name, or ``[operation, left, right]``."""
    match size:
        case Const(value):
            return int(value)
        case Var(name):
            return names[name]
        case Op(operation, args):
            return [operation, *(_plain(arg, names) for arg in args)]
        case _:
            raise refuse("an output has a length that is no expression of the sizes")


def _status(status: Status) -> dict[str, Any]:
    where = status.location
    return {
        "kind": status.kind,
        "message": status.message,
        "file": where and where.file,
        "line": where and where.line,
        "text": where and where.text,
    }
