"""Coalesce: the next value of a variable is computed in the variable itself.

What enters are tidied statements, in which a value that goes on has a name of its own
until it is copied or changed; what leaves has two names only where both values are
needed at once.

    om2 = om - h * x; total += om2; om = om2   ->   om = om - h * x; total += om
    x_bar2 = x_bar + a; x_bar = x_bar2 - b     ->   x_bar = x_bar + a; x_bar = x_bar - b
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from codegen.loop_ir import (
    Allocate,
    Assign,
    Break,
    Continue,
    Expr,
    For,
    If,
    Reshape,
    Stmt,
    Var,
    View,
    While,
    blocks,
    expressions,
    nested,
    targets,
    variables,
    walk,
)
from codegen.rewrite import Rewrite, with_blocks
from tracegrad.lower.names import MARK


def coalesce(body: Sequence[Stmt], results: Sequence[Expr]) -> list[Stmt]:
    """The statements, with fewer copies; the results' variables keep their names."""
    totals = Counter(variables(results))
    for stmt in walk(tuple(body)):
        totals.update(_mentioned(stmt))
        if isinstance(stmt, Allocate | View | Reshape):
            # Whoever reads the array says its shape again, by the names it has here.
            totals.update(variables(expressions(stmt)))
    return _block(list(body), totals)


def _block(body: list[Stmt], totals: Counter[str]) -> list[Stmt]:
    body = [
        with_blocks(stmt, [_block(list(inner), totals) for inner in blocks(stmt)])
        for stmt in body
    ]
    position = 0
    while position < len(body):
        found = _found(body, position, totals)
        if found is None:
            position += 1
            continue
        start, source, target = found
        before = _all_mentioned(body[start:]).count(target.name)
        body[start:] = _renamed(body[start:], source, target)
        del totals[source.name]
        totals[target.name] += _all_mentioned(body[start:]).count(target.name) - before
        position = start
    return body


def _found(
    body: Sequence[Stmt], position: int, totals: Counter[str]
) -> tuple[int, Var, Var] | None:
    """A variable that may be one with that assigned here, and where it is made."""
    match body[position]:
        case Assign(target, value):
            for source in dict.fromkeys(nested(value)):
                if not isinstance(source, Var) or not _alike(source, target, value):
                    continue
                start = _start(body, position, target, source, totals)
                if start is not None:
                    return start, source, target
    return None


def _alike(source: Var, target: Var, value: Expr) -> bool:
    """Whether two names are of one thing; the user's own names stay apart."""
    base = source.name.split(MARK)[0]
    copied = source == value and base == "t"
    same = base == target.name.split(MARK)[0] and base != "t"
    return source != target and source.dtype == target.dtype and (copied or same)


def _start(
    body: Sequence[Stmt], copy: int, target: Var, source: Var, totals: Counter[str]
) -> int | None:
    """Where a source is made, if its target, assigned at ``copy``, can be it."""
    final = body[copy]
    assert isinstance(final, Assign)
    mentions = [Counter(_all_mentioned([stmt])) for stmt in body]
    users = [k for k, found in enumerate(mentions) if found[source.name]]
    start, last = users[0], users[-1]
    if sum(found[source.name] for found in mentions) != totals[source.name]:
        return None  # it is used outside of this block
    if start >= copy or not _makes(body[start], source, target):
        return None
    between = body[start + 1 : copy]
    if any(found[target.name] for found in mentions[start + 1 : copy]):
        return None
    if any(map(_leaves, between)):
        return None
    if source == final.value:
        both = {source.name, target.name}  # one can't change while the other is read
        changed = any(both & _written(stmt) for stmt in body[copy + 1 : last + 1])
        return None if changed else start
    if last > copy or target in nested(final.value):
        return None
    return start


def _makes(stmt: Stmt, source: Var, target: Var) -> bool:
    """Whether the last thing that a statement does is to make a variable."""
    match stmt:
        case Assign(made, value):
            return made == source and source not in nested(value)
        case If(cond):
            reads = set(variables([cond]))
            arms = [arm for arm in blocks(stmt) if arm]
            return (
                source.name not in reads
                and target.name not in _written(stmt)
                and len(arms) == 2
                and all(_ends(arm, source, target) for arm in arms)
            )
        case _:
            return False


def _ends(arm: Sequence[Stmt], source: Var, target: Var) -> bool:
    before = arm[:-1]
    clean = source.name not in _all_mentioned(before) and not any(map(_leaves, before))
    return clean and _makes(arm[-1], source, target)


def _renamed(body: Sequence[Stmt], source: Var, target: Var) -> list[Stmt]:
    rename = Rewrite(names={source.name: target.name})
    return [done for stmt in body for done in _without_copies(rename.stmt(stmt))]


def _without_copies(stmt: Stmt) -> Iterator[Stmt]:
    """A statement without what would assign a variable to itself."""
    match stmt:
        case Assign(target, value) if target == value:
            return
        case If():
            arms = [
                [s for x in arm for s in _without_copies(x)] for arm in blocks(stmt)
            ]
            if any(arms):
                yield with_blocks(stmt, arms)
        case _:
            yield stmt


def _leaves(stmt: Stmt) -> bool:
    """Whether a statement may leave the loop around it, or go on with its next turn."""
    if isinstance(stmt, For | While):
        return False
    return isinstance(stmt, Break | Continue) or any(
        _leaves(inner) for block in blocks(stmt) for inner in block
    )


def _mentioned(stmt: Stmt) -> Iterator[str]:
    """The variables that a statement itself reads or writes."""
    yield from variables(expressions(stmt))
    yield from targets(stmt)


def _all_mentioned(body: Sequence[Stmt]) -> list[str]:
    return [name for stmt in walk(tuple(body)) for name in _mentioned(stmt)]


def _written(stmt: Stmt) -> set[str]:
    return {name for inner in walk((stmt,)) for name in targets(inner)}
