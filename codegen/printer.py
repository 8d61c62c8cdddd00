"""Print a kernel as Python that a person can read and Numba can compile.

What enters is a verified ``Kernel``; what leaves is a ``Source``: the text of one flat
function, or of several if that would be long, and what it needs to import. The same
text runs in plain Python and compiled.

>>> from codegen.loop_ir import Accumulate, Array, Assign, For, Var, dim, integer
>>> from codegen.loop_ir import load, number
>>> x = Array("x", "float64", (dim("n"),), role="input")
>>> i, s = Var("i", "int64"), Var("s", "float64")
>>> loop = For(i, integer(0), dim("n"), 1, (Accumulate(s, "add", load(x, i)),))
>>> kernel = Kernel("total", (x,), (Assign(s, number(0.0)), loop), (s,))
>>> print(print_python(kernel).text)
def total(x):
    n = x.shape[0]
    s = 0.0
    for i in range(n):
        s = radd(s, x[i])
    return s
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codegen import layout
from codegen.arena import WORKSPACE, Slot, plan
from codegen.expressions import (
    ASSUME,
    DENSE,
    HELPERS,
    SUPPORT,
    VECTOR_MATH,
    assign,
    bundle,
    call,
    expression,
    name,
    returned,
)
from codegen.loop_ir import (
    Array,
    Check,
    Comment,
    Const,
    Expr,
    Kernel,
    Stmt,
    Var,
    expressions,
    nested,
    walk,
)
from codegen.parts import split
from codegen.sizes import named_sizes
from codegen.statements import Writer

_BETWEEN = "\n\n\n"


@dataclass(frozen=True, slots=True)
class Source:
    """A printed function.

    functions: its text, comments included, after that of the parts it calls.
    parts: the names of those.
    code: the same without comments and docstring: what identifies it.
    helpers: the names it calls that are neither NumPy's nor Python's.
    imports: the lines that bring them, NumPy and Numba in.
    """

    name: str
    functions: tuple[str, ...]
    parts: tuple[str, ...]
    code: str
    helpers: tuple[str, ...]
    imports: tuple[str, ...]

    @property
    def text(self) -> str:
        """The function to read, its parts before it."""
        return _BETWEEN.join(self.functions)

    @property
    def module(self) -> str:
        """A whole module that defines the compiled function: to save, to ship."""
        imports = "\n".join(self.imports)
        return _BETWEEN.join((imports, self.decorated())) + "\n"

    def decorated(self, *options: str) -> str:
        """The functions for Numba, with further options of ``njit``."""
        given = ", ".join(('error_model="numpy"', "nogil=True", *options))
        return _BETWEEN.join(f"@njit({given})\n{text}" for text in self.functions)


def print_python(kernel: Kernel) -> Source:
    """The Python source of a kernel."""
    named, sizes = named_sizes(kernel)
    main, parts = split(named)
    functions = [_function(part.kernel, loops=int(part.looped)) for part in parts]
    functions.append(_function(main, plan(named), sizes))
    return _source(kernel, functions, [part.kernel.name for part in parts])


def _function(
    kernel: Kernel,
    slots: Sequence[Slot] = (),
    sizes: Mapping[Var, Expr] | None = None,
    loops: int = 0,
) -> tuple[str, str]:
    """A kernel's function: its text, and its code alone.

    slots: the arrays to carve of the workspace.
    sizes: parameters that aren't given but calculated.
    loops: how many loops there are around its calls.
    """
    sizes = sizes or {}
    names = [p.name for p in kernel.parameters if p not in sizes]
    printer = Writer(loops=loops)
    for stmt in bound_sizes(kernel, [*_every_expression(kernel), *sizes.values()]):
        printer.emit(stmt)
    for size, value in sizes.items():
        printer.emit(assign(name(size.name), expression(value)))
    leading = _leading_checks(kernel.body)
    printer.block(kernel.body[:leading])
    for stmt in _known_lengths(kernel):
        printer.emit(stmt)
    if slots:
        names.append(WORKSPACE)
        printer.carve(slots)
    printer.block(kernel.body[leading:])
    if kernel.results:
        printer.emit(ast.Return(returned(map(expression, kernel.results))))
    pad = " " * layout.INDENT
    head = "\n".join(layout.signature(kernel.name, names))
    body = printer.lines or [f"{pad}pass"]
    bare = [line for line in body if not line.lstrip().startswith("#")]
    text = "\n".join((head, *_docstring(kernel.doc, pad), *body))
    return text, "\n".join((head, *bare))


def bound_sizes(kernel: Kernel, used: Iterable[Expr] | None = None) -> list[ast.stmt]:
    """Statements that bind the sizes which a kernel uses: ``n, d = x.shape``."""
    exprs = _every_expression(kernel) if used is None else used
    wanted = {
        part.name for expr in exprs for part in nested(expr) if isinstance(part, Var)
    }
    wanted -= {item.name for item in kernel.parameters if isinstance(item, Var)}
    result: list[ast.stmt] = []
    for array in kernel.parameters:
        if not isinstance(array, Array):
            continue
        shape = ast.Attribute(name(array.name), "shape")
        new = {
            axis: size.name
            for axis, size in enumerate(array.shape)
            if isinstance(size, Var) and size.name in wanted
        }
        unique = len(set(new.values())) == len(new)
        if unique and len(new) == array.rank > 1:
            targets = bundle(name(text) for text in new.values())
            result.append(assign(targets, shape))
            wanted -= set(new.values())
            continue
        for axis, text in new.items():
            if text in wanted:
                value = ast.Subscript(shape, ast.Constant(axis))
                result.append(assign(name(text), value))
                wanted.remove(text)
    return result


def _known_lengths(kernel: Kernel) -> list[ast.stmt]:
    """``assume(x_bar.shape[1] == 3)``: how far the rows of an output are apart.

    The caller made them so. Inputs are guarded, and LLVM knows of them from that.
    """
    return [
        ast.Expr(call(ASSUME, ast.Compare(length, [ast.Eq()], [expression(size)])))
        for array in kernel.parameters
        if isinstance(array, Array) and array.role == "output" and array.contiguous
        for axis, size in enumerate(array.shape)
        if axis and isinstance(size, Const)
        for length in [
            ast.Subscript(ast.Attribute(name(array.name), "shape"), ast.Constant(axis))
        ]
    ]


def _every_expression(kernel: Kernel) -> list[Expr]:
    stmts = list(walk(kernel.body))
    return [*kernel.results, *(expr for stmt in stmts for expr in expressions(stmt))]


def _leading_checks(body: Sequence[Stmt]) -> int:
    """How many statements at the start only test or explain."""
    for position, stmt in enumerate(body):
        if not isinstance(stmt, Check | Comment):
            return position
    return len(body)


def _source(
    kernel: Kernel, functions: Sequence[tuple[str, str]], parts: Sequence[str]
) -> Source:
    texts, codes = zip(*functions, strict=True)
    code = _BETWEEN.join(codes)
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    helpers = tuple(sorted(used & HELPERS))
    return Source(kernel.name, texts, tuple(parts), code, helpers, _imports(used))


def _docstring(doc: str, pad: str) -> list[str]:
    """The lines of a docstring."""
    if not doc:
        return []
    escaped = doc.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    first, *rest = escaped.strip().splitlines()
    if not rest:
        return [f'{pad}"""{first}"""']
    return [f'{pad}"""{first}', *((pad + line).rstrip() for line in rest), f'{pad}"""']


def _imports(used: set[str]) -> tuple[str, ...]:
    """The import lines of a module that uses these names."""
    lines = ["import numpy as np"] if "np" in used else []
    lines += ["from numba import njit"]
    if "GuardFailed" in used:
        lines.append("from codegen.errors import GuardFailed")
    for module, names in (
        ("codegen.support", used & SUPPORT),
        ("codegen.dense", used & set(DENSE.values())),
        ("codegen.vector_math", used & VECTOR_MATH),
    ):
        if names:
            lines += layout.import_lines(module, sorted(names))
    return tuple(lines)
