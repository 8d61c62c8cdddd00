"""Polish: statements of loops as one would write them.

What enters are tidied statements; what leaves are the same, in which a loop that starts
with a test is a ``while``, one that runs once is no loop, a variable that goes on is
updated in place, and an array that is filled with zeros is made of them. A sum of which
an innermost loop sees no more than that it grows may be taken in any order: in the
user's, it would not vectorise.

    while True: if not x > e: break; x = x - d   ->   while x > e: x -= d
    for i in range(n): s += x[i]                 ->   s = radd(s, x[i])
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Assign,
    Break,
    Combine,
    Const,
    Continue,
    Expr,
    Fill,
    For,
    If,
    Library,
    Load,
    Op,
    Stmt,
    Store,
    Var,
    While,
    blocks,
    expressions,
    integer,
    nested,
    walk,
)
from codegen.rewrite import Rewrite


def polish(body: Sequence[Stmt]) -> list[Stmt]:
    """The statements, polished."""
    found: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For():
                turns = _turns(stmt)
                if turns == 0:
                    continue
                if turns == 1 and not any(map(_jumps, stmt.body)):
                    once = polish(_At({stmt.var.name: stmt.lo}).block(stmt.body))
                    if not _reads_before_the_start(once):
                        found += once
                        continue
                stmt = replace(stmt, body=tuple(_sums(polish(stmt.body))))
            case While():
                stmt = _while(replace(stmt, body=tuple(polish(stmt.body))))
            case If():
                then, otherwise = polish(stmt.then), polish(stmt.otherwise)
                stmt = replace(stmt, then=tuple(then), otherwise=tuple(otherwise))
            case Assign():
                stmt = _update(stmt)
            case Fill() if found and _makes(found[-1], stmt):
                found.pop()
                stmt = Allocate(stmt.array, True, stmt.location)
        found.append(stmt)
    return found


def _turns(loop: For) -> int | None:
    """How often a loop runs at most, if its bounds are literals."""
    match loop.lo, loop.hi:
        case Const(lo), Const(hi):
            return len(range(int(lo), int(hi), loop.step))
    return None


def _reads_before_the_start(body: Sequence[Stmt]) -> bool:
    """Whether an index is a negative literal: in a branch that is never taken then.

    There ``x[k - 1]`` was proven by ``k > 0``, and the loop's only ``k`` is 0.
    """
    return any(
        isinstance(item, Const) and item.value < 0
        for stmt in walk(tuple(body))
        for index in _proven(stmt)
        for item in index
    )


def _proven(stmt: Stmt) -> Iterator[tuple[Expr, ...]]:
    if isinstance(stmt, Store) and stmt.nonnegative:
        yield stmt.index
    for expr in expressions(stmt):
        for part in nested(expr):
            if isinstance(part, Load) and part.nonnegative:
                yield part.index


def _jumps(stmt: Stmt) -> bool:
    """Whether a statement leaves the loop that it is in, or this turn of it."""
    if isinstance(stmt, For | While):
        return False
    inner = [inside for block in blocks(stmt) for inside in block]
    return isinstance(stmt, Break | Continue) or any(map(_jumps, inner))


class _At(Rewrite):
    """Statements at one value of a loop's variable, sums of literals added up."""

    def __init__(self, values: Mapping[str, Expr]) -> None:
        super().__init__(values=values)

    def expr(self, expr: Expr) -> Expr:
        """An expression, rebuilt."""
        match super().expr(expr):
            case Op("add", (Const(a), Const(b)), "int64"):
                return integer(int(a) + int(b))
            case Op("subtract", (Const(a), Const(b)), "int64"):
                return integer(int(a) - int(b))
            case other:
                return other


def _makes(before: Stmt, fill: Fill) -> bool:
    """Whether a fill puts zeros into what was allocated just before."""
    return (
        before == Allocate(fill.array)
        and fill.array.role == "local"
        and not fill.prefix
        and isinstance(fill.value, Const)
        and repr(fill.value.value) in ("0.0", "0", "False")
    )


def _while(loop: While) -> While:
    match loop:
        case While(Const(True), (If(cond, (Break(),), ()), *rest)):
            return replace(loop, cond=_not(cond), body=tuple(rest))
    return loop


def _not(cond: Expr) -> Expr:
    match cond:
        case Op("not", (arg,)):
            return arg
    return Op("not", (cond,), "bool")


def _update(stmt: Assign) -> Stmt:
    """``s = s + e`` as ``s += e``: the same, to the last bit."""
    target, where = stmt.target, stmt.location
    match stmt.value:
        case Op("add" | "multiply" as name, (Var() as own, rest)) if own == target:
            if not _mentions(rest, target):
                combine: Combine = "add" if name == "add" else "multiply"
                return Accumulate(target, combine, rest, False, where)
        case Op("subtract", (Var() as own, rest)) if own == target:
            if not _mentions(rest, target) and target.dtype != "bool":
                less = Op("negative", (rest,), target.dtype)
                return Accumulate(target, "add", less, False, where)
    return stmt


def _sums(body: Sequence[Stmt]) -> list[Stmt]:
    """A loop's body, in which the order of mere sums is free."""
    inside = list(walk(tuple(body)))
    if any(isinstance(stmt, For | While | Library) for stmt in inside):
        return list(body)
    used = {
        part.name
        for stmt in inside
        for expr in expressions(stmt)
        for part in nested(expr)
        if isinstance(part, Var)
    }
    used |= {stmt.target.name for stmt in inside if isinstance(stmt, Assign)}
    return [
        replace(stmt, reassociate=True)
        if isinstance(stmt, Accumulate)
        and stmt.combine == "add"
        and stmt.target.name not in used
        else stmt
        for stmt in body
    ]


def _mentions(expr: Expr, var: Var) -> bool:
    return any(part == var for part in nested(expr))
