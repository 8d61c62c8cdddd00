"""Coalesce: the next value of a variable is computed in the variable itself.

What enters are tidied statements, in which a value that goes on has a name of its own
until it is copied or changed; what leaves has two names only where both values are
needed at once.

    om2 = om - h * x; total += om2; om = om2   ->   om = om - h * x; total += om
    x_bar2 = x_bar + a; x_bar = x_bar2 - b     ->   x_bar = x_bar + a; x_bar = x_bar - b
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from codegen.jumps import leaves_loop
from codegen.loop_ir import (
    Allocate,
    Assign,
    Expr,
    If,
    Reshape,
    Stmt,
    Var,
    View,
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


def _block(body: Sequence[Stmt], totals: Counter[str]) -> list[Stmt]:
    inside = [
        with_blocks(stmt, [_block(inner, totals) for inner in blocks(stmt)])
        for stmt in body
    ]
    return _Block(inside, totals).coalesced()


class _Block:
    """The statements of a block, and which of them mention a variable.

    A long block has many variables, each mentioned by a few statements: only those are
    looked at and rewritten, so that what a block costs goes with its length.

    Attributes:
        body: the statements; None where one is no longer needed.
        totals: how often the whole program mentions each variable.
        mentions: how often a statement mentions each variable.
        users: the positions of the statements that mention a variable.
        exits: the positions of those that may leave the loop around them.
    """

    def __init__(self, body: Sequence[Stmt], totals: Counter[str]) -> None:
        self.body: list[Stmt | None] = list(body)
        self.totals = totals
        self.mentions = [_all_mentioned([stmt]) for stmt in body]
        self.users: defaultdict[str, set[int]] = defaultdict(set)
        for k, found in enumerate(self.mentions):
            for name in found:
                self.users[name].add(k)
        self.exits = [k for k, stmt in enumerate(body) if leaves_loop(stmt)]

    def coalesced(self) -> list[Stmt]:
        """The statements that are left, once nothing more can be coalesced.

        From the last to the first: in a chain of updates, the name of the last stays,
        and each of the others is replaced once.
        """
        again = True
        while again:
            again = False
            for position in reversed(range(len(self.body))):
                while found := self._found(position):
                    self._rename(*found)
                    again = True
        return [stmt for stmt in self.body if stmt is not None]

    def _found(self, position: int) -> tuple[Var, Var] | None:
        """A variable that may be one with that assigned here, and the latter."""
        match self.body[position]:
            case Assign(target, value):
                for source in dict.fromkeys(nested(value)):
                    if not isinstance(source, Var) or not _alike(source, target, value):
                        continue
                    if self._may_be_one(position, value, target, source):
                        return source, target
        return None

    def _may_be_one(self, copy: int, value: Expr, target: Var, source: Var) -> bool:
        """Whether a source can be its target, to which ``value`` is assigned."""
        users = sorted(self.users[source.name])
        start, last = users[0], users[-1]
        here = sum(self.mentions[k][source.name] for k in users)
        if here != self.totals[source.name]:
            return False  # it is used outside of this block
        if start >= copy or not _makes(self._at(start), source, target):
            return False
        if any(start < k < copy for k in (*self.users[target.name], *self.exits)):
            return False
        if source != value:
            return last <= copy and target not in nested(value)
        # Neither may change while the other is read.
        both = {source.name, target.name}
        concerned = self.users[source.name] | self.users[target.name]
        later = [self._at(k) for k in concerned if copy < k <= last]
        return not any(both & _written(stmt) for stmt in later)

    def _at(self, position: int) -> Stmt:
        stmt = self.body[position]
        assert stmt is not None  # whoever asks has it from ``users``
        return stmt

    def _rename(self, source: Var, target: Var) -> None:
        """Let a variable have the name of another."""
        rename = Rewrite(names={source.name: target.name})
        del self.totals[source.name]
        for k in self.users.pop(source.name):
            kept = list(_without_copies(rename.stmt(self._at(k))))
            before, after = self.mentions[k], _all_mentioned(kept)
            self.body[k], self.mentions[k] = (kept[0] if kept else None), after
            self.totals[target.name] += after[target.name] - before[target.name]
            for name in (target.name, *before):
                if after[name]:
                    self.users[name].add(k)
                else:
                    self.users[name].discard(k)


def _alike(source: Var, target: Var, value: Expr) -> bool:
    """Whether two names are of one thing; the user's own names stay apart."""
    base = source.name.split(MARK)[0]
    copied = source == value and base == "t"
    same = base == target.name.split(MARK)[0] and base != "t"
    return source != target and source.dtype == target.dtype and (copied or same)


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
    clean = source.name not in _all_mentioned(before) and not any(
        map(leaves_loop, before)
    )
    return clean and _makes(arm[-1], source, target)


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


def _mentioned(stmt: Stmt) -> Iterator[str]:
    """The variables that a statement itself reads or writes."""
    yield from variables(expressions(stmt))
    yield from targets(stmt)


def _all_mentioned(body: Sequence[Stmt]) -> Counter[str]:
    """How often statements and what is inside them mention each variable."""
    return Counter(name for stmt in walk(tuple(body)) for name in _mentioned(stmt))


def _written(stmt: Stmt) -> set[str]:
    return {name for inner in walk((stmt,)) for name in targets(inner)}
