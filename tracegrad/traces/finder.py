"""Find the syntax tree of a function from its code object.

What enters is a code object; what leaves is the node of its ``def`` or ``lambda`` and
the text around it. A node is found by code position, so two lambdas on one line are
told apart, and believed only if compiling the file gives that very code object: a file
edited after its import never passes for what runs.

>>> square, cube = (lambda x: x * x), (lambda x: x * x * x)
>>> ast.unparse(find(cube.__code__).node)
'lambda x: x * x * x'
"""

from __future__ import annotations
import __future__

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from tracegrad.traces.patterns import with_branches

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Span: TypeAlias = tuple[int, int, int, int]  # line, column, end line, end column

_FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    _FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """A function's syntax, and where it stands.

    file: the name of its file.
    owner: the class whose body it stands in, which mangles names like ``__x``.
    """

    node: FunctionNode
    code: CodeType
    file: str
    lines: tuple[str, ...]
    owner: str | None

    @property
    def body(self) -> list[ast.stmt]:
        """Its statements; a lambda's is a single return."""
        if not isinstance(self.node, ast.Lambda):
            return self.node.body
        value = self.node.body
        return [ast.copy_location(ast.Return(value), value)]

    def text(self, line: int) -> str:
        """A line of its file, stripped."""
        return self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class _File:
    """A parsed file: its functions by first line, and every code object in it."""

    name: str
    lines: tuple[str, ...]
    functions: dict[int, list[tuple[FunctionNode, str | None]]]
    codes: frozenset[CodeType]


_FILES: dict[str, _File] = {}
# By their text: what came along with functions that were pickled by value.
_ADOPTED: dict[str, _File] = {}


def adopt(title: str, text: str) -> None:
    """Let functions be found in a source that is no file here.

    Args:
        title: what errors call it.
        text: the whole source.
    """
    if text not in _ADOPTED:
        lines = tuple(text.splitlines(keepends=True))
        linecache.cache[title] = (len(text), None, list(lines), title)
        parsed = _parse(title, lines, 0)
        if parsed is not None:
            _ADOPTED[text] = parsed


def source_of(code: CodeType) -> str | None:
    """The whole source that a code object is found in."""
    file = _file_of(code)
    return None if file is None else "".join(file.lines)


def _file_of(code: CodeType) -> _File | None:
    file = _parsed(code)
    if file is not None:
        return file
    return next((file for file in _ADOPTED.values() if code in file.codes), None)


def find(code: CodeType) -> FunctionSource | None:
    """The source of a code object; None if there is none, or it has changed."""
    file = _file_of(code)
    if file is None:
        return None
    candidates = file.functions.get(code.co_firstlineno, [])
    found = [(node, owner) for node, owner in candidates if made_of(code, node)]
    if len(found) != 1 or not (code in file.codes or _rewritten(code)):
        return None
    ((node, owner),) = found
    return FunctionSource(node, code, file.name, file.lines, owner)


def made_of(code: CodeType, node: ast.AST) -> bool:
    """Whether a code object was compiled from a node of its file."""
    if isinstance(node, ast.Lambda):
        return code.co_name == "<lambda>" and _stands_at(code, node.body)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return code.co_name == node.name and code.co_firstlineno == _first_line(node)
    return False


def nested_code(code: CodeType, node: ast.AST) -> CodeType | None:
    """The code object of a function defined inside another, at any depth."""
    for inner in _nested(code):
        if made_of(inner, node) and _first_line(node) == inner.co_firstlineno:
            return inner
    return None


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


def _first_line(node: Any) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min(int(n.lineno) for n in (node, *decorators))


def _stands_at(code: CodeType, body: ast.expr) -> bool:
    """Whether a lambda's instructions cover exactly this expression."""
    spans = [
        (line, column, end, end_column)
        for line, end, column, end_column in code.co_positions()
        if line and end and column is not None and end_column
    ]
    # Entering and leaving a lambda is given the position of the lambda itself.
    start = (body.lineno, body.col_offset)
    inside: list[Span] = [s for s in spans if (s[0], s[1]) >= start]
    if not inside:
        return not any(spans)
    first = min((s[0], s[1]) for s in inside)
    last = max((s[2], s[3]) for s in inside)
    return first == start and last == (body.end_lineno, body.end_col_offset)


def _rewritten(code: CodeType) -> bool:
    """Whether pytest rewrote its asserts; everything else in it is as written."""
    return any(name.startswith("@py_") for name in code.co_varnames)


def _parsed(code: CodeType) -> _File | None:
    lines = tuple(linecache.getlines(code.co_filename))
    known = _FILES.get(code.co_filename)
    if known is not None and known.lines == lines:
        return known
    parsed = _parse(code.co_filename, lines, code.co_flags & _FUTURE_FLAGS)
    if parsed is not None:
        _FILES[code.co_filename] = parsed
    return parsed


def _parse(title: str, lines: tuple[str, ...], flags: int) -> _File | None:
    """The functions of a source; None if it has none."""
    if not lines:
        return None
    text = "".join(lines)
    try:
        tree = with_branches(ast.parse(text))
        whole = compile(text, title, "exec", flags=flags, dont_inherit=True)
    except (SyntaxError, ValueError):  # not Python: a template, a shell cell
        return None
    functions: dict[int, list[tuple[FunctionNode, str | None]]] = {}
    for node, owner in _functions(tree, None):
        functions.setdefault(_first_line(node), []).append((node, owner))
    return _File(title, lines, functions, frozenset(_nested(whole)))


def _functions(
    tree: ast.AST, owner: str | None
) -> Iterator[tuple[FunctionNode, str | None]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child, owner
        inside = child.name if isinstance(child, ast.ClassDef) else owner
        yield from _functions(child, inside)
