"""Make a failing program smaller while it fails in the same way.

Statements are dropped, blocks take the place of what they stand in, and expressions are
replaced by parts of them, as long as that leads anywhere.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from tests.fuzz.checking import Program, check
from tests.fuzz.comparing import Disagreement

_BLOCKS = ("body", "orelse")


def failure(program: Program) -> str | None:
    """How a program fails, if it does."""
    try:
        check(program)
    except Disagreement as error:
        return error.kind
    except Exception:  # it is no program any more, or none to compare
        return None
    return None


def shrunk(
    program: Program, fails: Callable[[Program], str | None] = failure
) -> Program:
    """The smallest program found that fails as this one does."""
    kind = fails(program)
    if kind is None:
        return program
    program = replace(program, until=kind)
    simpler = [
        replace(program, second=False),
        replace(program, sizes=()),
        replace(program, by="python"),
        replace(program, size=3),
        replace(program, size=2),
    ]
    for one in simpler:
        change = {k: v for k, v in vars(one).items() if v != vars(program)[k]}
        candidate = replace(program, **change)
        if change and fails(candidate) == kind:
            program = candidate
    before = ""
    while before != program.source:
        before = program.source
        for changes in (_statements, _expressions):
            program = _swept(program, changes, kind, fails)
    return program


def _swept(
    program: Program,
    changes: Callable[[ast.AST], Iterator[Callable[[ast.AST], None]]],
    kind: str,
    fails: Callable[[Program], str | None],
) -> Program:
    """The program after every change of a sort that keeps it failing."""
    position = 0
    while True:
        tree = ast.parse(program.source)
        change = next(islice(changes(tree), position, None), None)
        if change is None:
            return program
        size = sum(1 for _ in ast.walk(tree))
        change(tree)
        position += 1
        if sum(1 for _ in ast.walk(tree)) < size:
            candidate = replace(program, source=ast.unparse(tree))
            if fails(candidate) == kind:
                program, position = candidate, position - 1


def _statements(tree: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    for position, node in enumerate(ast.walk(tree)):
        for field in _BLOCKS:
            block = getattr(node, field, None)
            if isinstance(block, list):
                for k, statement in enumerate(block):
                    yield _edit(position, field, k, [])
                    for inner in _BLOCKS:
                        part = getattr(statement, inner, None)
                        if part and isinstance(part, list):
                            yield _edit(position, field, k, part)


def _expressions(tree: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    for position, node in enumerate(ast.walk(tree)):
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                for part in _parts(value):
                    yield _set(position, field, None, part)
            elif isinstance(value, list):
                for k, item in enumerate(value):
                    if isinstance(item, ast.expr):
                        for part in _parts(item):
                            yield _set(position, field, k, part)


def _parts(node: ast.expr) -> list[ast.expr]:
    """Simpler expressions that may take an expression's place."""
    if isinstance(node, (ast.Name, ast.Constant)):
        return []
    parts = [x for x in ast.iter_child_nodes(node) if isinstance(x, ast.expr)]
    if isinstance(node, ast.Call):
        parts = node.args
    return [*parts, ast.Name("c", ast.Load()), ast.Constant(0)]


def _edit(
    position: int, field: str, k: int, block: list[ast.stmt]
) -> Callable[[ast.AST], None]:
    def change(tree: ast.AST) -> None:
        statements = getattr(_node(tree, position), field)
        statements[k : k + 1] = copy.deepcopy(block)
        if not statements and field == "body":
            statements.append(ast.Pass())

    return change


def _set(
    position: int, field: str, k: int | None, part: ast.expr
) -> Callable[[ast.AST], None]:
    def change(tree: ast.AST) -> None:
        node = _node(tree, position)
        if k is None:
            setattr(node, field, copy.deepcopy(part))
        else:
            getattr(node, field)[k] = copy.deepcopy(part)

    return change


def _node(tree: ast.AST, position: int) -> ast.AST:
    return next(node for k, node in enumerate(ast.walk(tree)) if k == position)


__all__ = ["failure", "shrunk"]
