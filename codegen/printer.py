"""Print a kernel as Python that a person can read and Numba can compile.

What enters is a verified ``Kernel``; what leaves is a ``Source``: the text of one flat
function, and what it needs to import. The same text runs in plain Python and compiled.

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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codegen import layout
from codegen.arena import WORKSPACE, plan
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
from codegen.statements import Writer


@dataclass(frozen=True, slots=True)
class Source:
    """A printed function.

    text: the function, comments included.
    code: the same without comments and docstring: what identifies it.
    helpers: the names it calls that are neither NumPy's nor Python's.
    imports: the lines that bring them, NumPy and Numba in.
    """

    name: str
    text: str
    code: str
    helpers: tuple[str, ...]
    imports: tuple[str, ...]

    @property
    def module(self) -> str:
        """A whole module that defines the compiled function: to save, to ship."""
        decorator = '@njit(error_model="numpy", nogil=True)'
        return "\n".join((*self.imports, "", "", decorator, self.text, ""))


def print_python(kernel: Kernel) -> Source:
    """The Python source of a kernel."""
    slots = plan(kernel)
    names = [parameter.name for parameter in kernel.parameters]
    printer = Writer()
    for stmt in bound_sizes(kernel):
        printer.emit(stmt)
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
    return _source(kernel, names, printer.lines)


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


def _source(kernel: Kernel, names: list[str], body: list[str]) -> Source:
    pad = " " * layout.INDENT
    head = "\n".join(layout.signature(kernel.name, names))
    body = body or [f"{pad}pass"]
    text = "\n".join((head, *_docstring(kernel.doc, pad), *body))
    bare = [line for line in body if not line.lstrip().startswith("#")]
    code = "\n".join((head, *bare))
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    helpers = tuple(sorted(used & HELPERS))
    return Source(kernel.name, text, code, helpers, _imports(used))


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
