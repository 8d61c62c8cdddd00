"""What the syntax of a block says before it runs: names it binds, names it reads.

Nested functions are their own scope, and so are the targets of comprehensions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BY_NODE: WeakKeyDictionary[ast.AST, tuple[str, ...]] = WeakKeyDictionary()
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def assigned(nodes: Sequence[ast.AST]) -> list[str]:
    """The names that statements or expressions bind, in order."""
    found: dict[str, None] = {}
    for node in nodes:
        if node not in _BY_NODE:  # each branch of a long block asks for the rest of it
            _BY_NODE[node] = tuple(dict.fromkeys(_bound(node, inner=False)))
        found.update(dict.fromkeys(_BY_NODE[node]))
    return list(found)


def _bound(node: ast.AST, *, inner: bool) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if not inner:
            yield name
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name
            yield from _bound(value, inner=inner)
            return
        case ast.ExceptHandler(name=str(name)):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (a.asname or a.name.split(".")[0] for a in names)
    if isinstance(node, _DEFINITIONS):
        yield node.name
    if isinstance(node, _SCOPES):
        return
    inside = inner or isinstance(node, _COMPREHENSIONS)
    for child in ast.iter_child_nodes(node):
        yield from _bound(child, inner=inside)


def read(nodes: Sequence[ast.AST]) -> list[str]:
    """The names that occur in statements or expressions other than as targets."""
    found: dict[str, None] = {}
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                found[inner.id] = None
    return list(found)


def may_jump(block: Sequence[ast.stmt]) -> bool:
    """Whether a block may end by break, continue or return."""
    return any(_jumps(statement, in_loop=False) for statement in block)


def may_stop(block: Sequence[ast.stmt]) -> bool:
    """Whether the body of a loop may end the loop, by break or return."""
    return any(_jumps(s, in_loop=False, continues=False) for s in block)


def only_returns(loop: ast.While) -> bool:
    """Whether a loop has no end but a return (or an exception): ``while True``."""
    endless = isinstance(loop.test, ast.Constant) and bool(loop.test.value)
    return endless and not any(
        _jumps(s, in_loop=False, continues=False, returns=False) for s in loop.body
    )


def _jumps(
    node: ast.AST, *, in_loop: bool, continues: bool = True, returns: bool = True
) -> bool:
    jumps = {"continues": continues, "returns": returns}
    match node:
        case ast.Return():
            return returns
        case ast.Break():
            return not in_loop
        case ast.Continue():
            return continues and not in_loop
        case ast.For(body=body, orelse=orelse) | ast.While(body=body, orelse=orelse):
            return any(
                _jumps(s, in_loop=in_loop or s in body, **jumps)
                for s in (*body, *orelse)
            )
        case ast.stmt() | ast.ExceptHandler() if not isinstance(node, _SCOPES):
            return any(
                _jumps(child, in_loop=in_loop, **jumps)
                for child in ast.iter_child_nodes(node)
            )
    return False


def inner_steps(statements: Iterable[ast.AST]) -> int | None:
    """How often the innermost of some statements run; None if a loop's length varies.

    >>> inner_steps(ast.parse("for i in range(3): [x for x in (1, 2)]").body)
    3
    """
    most = 1
    for node in statements:
        times = 1
        if isinstance(node, ast.While):
            return None
        if isinstance(node, ast.For):
            length = _literal_length(node.iter)
            if length is None:
                return None
            times = length
        inner = inner_steps(ast.iter_child_nodes(node))
        if inner is None:
            return None
        most = max(most, times * inner)
    return most


def _literal_length(node: ast.expr) -> int | None:
    """The length of a literal, or of a range between literals."""
    match node:
        case ast.Tuple() | ast.List():
            return len(node.elts)
        case ast.Call(func=ast.Name("range"), args=args):
            try:
                return len(range(*map(ast.literal_eval, args)))
            except (ValueError, TypeError):
                return None
        case ast.Call(args=args) if args:
            lengths = [n for n in map(_literal_length, args) if n is not None]
            return min(lengths, default=None)
    return None
