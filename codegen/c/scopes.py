"""Where C declares a name: in the innermost block that holds all its uses.

The loop language has Python's scoping, where a name lives as long as the function. C's
compilers do better with names that live as long as they are needed, and so do readers.

>>> from codegen.loop_ir import Assign, For, Var, dim, integer, number
>>> t, i = Var("t", "float64"), Var("i", "int64")
>>> assign = Assign(t, number(1.0))
>>> loop = For(i, integer(0), dim("n"), 1, (assign,))
>>> declarations((loop,), ())[id(loop.body), 0]
['t']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    Expr,
    Fill,
    For,
    Grow,
    Library,
    Load,
    Reshape,
    Size,
    Stmt,
    Store,
    Swap,
    Var,
    View,
    blocks,
    expressions,
    nested,
    walk,
)

# A block, by identity, and a place in it; from the outermost block inwards.
Position = tuple[tuple[int, int], ...]


def declarations(
    body: Sequence[Stmt], results: Sequence[Expr]
) -> dict[tuple[int, int], list[str]]:
    """The names to declare before the statement at a place of a block."""
    found: dict[str, list[Position]] = {}
    for position, names in _mentions(body, ()):
        for name in names:
            found.setdefault(name, []).append(position)
    for name in _names(results):
        found.setdefault(name, []).append(((id(body), len(body)),))
    places: dict[tuple[int, int], list[str]] = {}
    for name, positions in found.items():
        places.setdefault(_first(positions), []).append(name)
    return places


def read(body: Sequence[Stmt], results: Sequence[Expr]) -> set[str]:
    """The names whose values are used."""
    names = set(_names(results))
    for stmt in walk(tuple(body)):
        names |= set(_names(expressions(stmt)))
    return names


def _first(positions: Sequence[Position]) -> tuple[int, int]:
    """The first place of the innermost common block of positions."""
    depth = 0
    while True:
        here = {position[depth] for position in positions}
        if len(here) > 1 or any(len(p) == depth + 1 for p in positions):
            (block,) = {block for block, _ in here}
            return block, min(place for _, place in here)
        inner = {position[depth + 1][0] for position in positions}
        if len(inner) > 1:  # the branches of an ``if``
            return here.pop()
        depth += 1


def _mentions(
    body: Sequence[Stmt], outer: Position
) -> Iterator[tuple[Position, set[str]]]:
    for place, stmt in enumerate(body):
        position = (*outer, (id(body), place))
        yield position, _mentioned(stmt)
        for block in blocks(stmt):
            yield from _mentions(block, position)


def _mentioned(stmt: Stmt) -> set[str]:
    """The names that a statement itself reads or binds."""
    names = set(_names(expressions(stmt)))
    match stmt:
        case Assign(target=Var(name)) | Accumulate(target=Var(name)):
            names.add(name)
        case Store(array=array) | Fill(array=array) | Allocate(array=array):
            names.add(array.name)
        case Grow(array=array):
            names.add(array.name)
        case View(view=view, base=base) | Reshape(view=view, base=base):
            names |= {view.name, base.name}
        case Swap(targets=targets):
            names |= {array.name for array in targets}
        case Library(outputs=outputs, operands=operands):
            names |= {output.name for output in outputs}
            names |= {operand.array.name for operand in operands}
        case For(var=Var(name)):
            names.discard(name)
        case _:
            pass
    return names


def _names(exprs: Iterable[Expr]) -> Iterator[str]:
    for expr in exprs:
        for part in nested(expr):
            match part:
                case Var(name):
                    yield name
                case Load(array=Array(name=name)) | Size(array=Array(name=name)):
                    yield name
                case _:
                    pass
