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
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a name is used, and whether it is given a value there, whatever it was."""

    position: Position
    makes: bool


def declarations(
    body: Sequence[Stmt], results: Sequence[Expr]
) -> dict[tuple[int, int], list[str]]:
    """The names to declare before the statement at a place of a block."""
    found: dict[str, list[Mention]] = {}
    for position, stmt in _positions(body, ()):
        for name in _mentioned(stmt):
            own = _makes(stmt, name)
            found.setdefault(name, []).append(Mention(position, own))
    for name in _names(results):
        end = Mention(((id(body), len(body)),), False)
        found.setdefault(name, []).append(end)
    places: dict[tuple[int, int], list[str]] = {}
    for name, mentions in found.items():
        for place in _places(mentions, 0):
            places.setdefault(place, []).append(name)
    return places


def read(body: Sequence[Stmt], results: Sequence[Expr]) -> set[str]:
    """The names whose values are used."""
    names = set(_names(results))
    for stmt in walk(tuple(body)):
        names |= set(_names(expressions(stmt)))
    return names


def _places(mentions: Sequence[Mention], depth: int) -> list[tuple[int, int]]:
    """Where to declare a name, from its mentions within one block at some depth.

    In the block itself, before the first; or in each of the blocks inside, if every one
    of them begins by giving it a value, so that none is handed from one to the next.
    """
    inner: dict[int, list[Mention]] = {}
    for mention in mentions:
        if len(mention.position) == depth + 1:
            break
        inner.setdefault(mention.position[depth + 1][0], []).append(mention)
    else:
        groups = list(inner.values())
        if len(groups) == 1 or all(_begins(group, depth + 1) for group in groups):
            return [place for group in groups for place in _places(group, depth + 1)]
    block, _ = mentions[0].position[depth]
    return [(block, min(mention.position[depth][1] for mention in mentions))]


def _begins(mentions: Sequence[Mention], depth: int) -> bool:
    """Whether a block gives a name a value before it reads any."""
    first = mentions[0]
    return first.makes and len(first.position) == depth + 1


def _makes(stmt: Stmt, name: str) -> bool:
    """Whether a statement gives a name a value that isn't made of its last."""
    if not isinstance(stmt, Assign) or stmt.target.name != name:
        return False
    return name not in _names(expressions(stmt))


def _positions(
    body: Sequence[Stmt], outer: Position
) -> Iterator[tuple[Position, Stmt]]:
    for place, stmt in enumerate(body):
        position = (*outer, (id(body), place))
        yield position, stmt
        for block in blocks(stmt):
            yield from _positions(block, position)


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
