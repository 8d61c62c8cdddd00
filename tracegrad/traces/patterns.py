"""``match`` statements as the branches that they stand for.

    match kind:                        <subject> = kind
        case "a" | "b": ...      ->    if <subject> == "a" or <subject> == "b": ...
        case other if g: ...           elif [other := <subject>] and g: ...

Patterns that take a value apart have no such form: a statement with one stays as it is.
"""

from __future__ import annotations

import ast
from typing import Any, TypeVar

_Node = TypeVar("_Node", bound=ast.AST)


class NoBranch(Exception):
    """A pattern takes its subject apart."""


def with_branches(tree: _Node) -> _Node:
    """A syntax tree whose ``match`` statements are branches, where they can be."""
    return _Branches().visit(tree)  # type: ignore[no-any-return]


class _Branches(ast.NodeTransformer):
    def visit_Match(self, node: ast.Match) -> Any:
        self.generic_visit(node)
        subject = f"<subject {node.lineno}:{node.col_offset}>"
        branches: list[ast.stmt] = []
        try:
            for case in reversed(node.cases):
                branches = [_branch(case, subject, branches)]
        except NoBranch:
            return node
        target = ast.Name(subject, ast.Store())
        first = ast.copy_location(ast.Assign([target], node.subject), node)
        return [ast.fix_missing_locations(first), *branches]


def _branch(case: ast.match_case, subject: str, otherwise: list[ast.stmt]) -> ast.If:
    tests = [_test(case.pattern, subject)]
    names = _captures(case.pattern)
    if names:
        value = ast.Name(subject, ast.Load())
        bound = [ast.NamedExpr(ast.Name(n, ast.Store()), value) for n in names]
        tests.append(ast.List(list[ast.expr](bound), ast.Load()))  # true, as not empty
    if case.guard:
        tests.append(case.guard)
    branch = ast.If(ast.BoolOp(ast.And(), tests), case.body, otherwise)
    return ast.fix_missing_locations(ast.copy_location(branch, case.pattern))


def _test(pattern: ast.pattern, subject: str) -> ast.expr:
    """Whether a pattern fits."""
    value = ast.Name(subject, ast.Load())
    match pattern:
        case ast.MatchValue(value=literal):
            return ast.Compare(value, [ast.Eq()], [literal])
        case ast.MatchSingleton(value=constant):
            return ast.Compare(value, [ast.Is()], [ast.Constant(constant)])
        case ast.MatchOr(patterns=patterns):
            return ast.BoolOp(ast.Or(), [_test(p, subject) for p in patterns])
        case ast.MatchAs(pattern=None):
            return ast.Constant(True)
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _test(inner, subject)
        case ast.MatchClass(cls=kind, patterns=[], kwd_patterns=[]):
            function: Any = isinstance  # whatever the program calls by that name
            return ast.Call(ast.Constant(function), [value, kind], [])
    raise NoBranch


def _captures(pattern: ast.pattern) -> list[str]:
    """The names that a pattern gives to its subject."""
    found = [p.name for p in ast.walk(pattern) if isinstance(p, ast.MatchAs)]
    return [name for name in found if name]
