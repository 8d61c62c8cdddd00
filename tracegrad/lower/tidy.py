"""Tidying: emitted statements become what one would have written.

What enters are statements that bind every intermediate value; what leaves binds only
what is used more than once, what the user named, and what is invariant in a loop.
Everything else stands in place, as long as its line stays short. Nothing that is
computed twice, and nothing dear or guarded, moves into a conditional arm.

    t1 = x_i * w; t2 = t1 + b; y[i] = t2   ->   y[i] = x_i * w + b
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    Check,
    Const,
    Convert,
    Expr,
    Fill,
    For,
    Grow,
    If,
    Library,
    Load,
    Op,
    Reshape,
    Select,
    Size,
    Stmt,
    Store,
    Swap,
    Var,
    View,
    While,
    blocks,
    children,
    expressions,
    nested,
    targets,
    variables,
    walk,
)
from codegen.rewrite import Rewrite
from tracegrad.lower.names import MARK, Names

WIDTH = 76
INDENT = 4
_INLINE_COST = {"divide": 1}


def tidy(
    body: Sequence[Stmt], results: Sequence[Expr], names: Names
) -> tuple[list[Stmt], list[Expr]]:
    """The statements and results, tidied."""
    uses = Counter(variables(results))
    defined: Counter[str] = Counter()
    for stmt in walk(tuple(body)):
        uses.update(variables(expressions(stmt)))
        defined.update(targets(stmt))
    live = _without_dead(body, uses)
    inliner = _Inliner(uses, defined, names.kept)
    final = inliner.block(live, 1, results)
    return final.body, final.results


def _without_dead(body: Sequence[Stmt], uses: Counter[str]) -> list[Stmt]:
    """Drop bindings that nothing reads, from the last to the first."""
    kept: list[Stmt] = []
    for stmt in reversed(body):
        match stmt:
            case Assign(target, value) | Accumulate(target, _, value) if not uses[
                target.name
            ]:
                uses.subtract(variables((value,)))
                continue
            case For():
                inner = tuple(_without_dead(stmt.body, uses))
                if not inner:
                    uses.subtract(variables((stmt.lo, stmt.hi)))
                    continue
                stmt = replace(stmt, body=inner)
            case While():
                stmt = replace(stmt, body=tuple(_without_dead(stmt.body, uses)))
            case If():
                other = tuple(_without_dead(stmt.otherwise, uses))
                then = tuple(_without_dead(stmt.then, uses))
                if not then and not other:
                    uses.subtract(variables((stmt.cond,)))
                    continue
                stmt = replace(stmt, then=then, otherwise=other)
        kept.append(stmt)
    return kept[::-1]


@dataclass(slots=True)
class _Done:
    body: list[Stmt]
    results: list[Expr]


@dataclass(slots=True)
class _Pending:
    """A binding that waits for its only use."""

    stmt: Assign
    reads: frozenset[str]


class _Inliner:
    """Writes values that are used once in place of their names."""

    def __init__(
        self, uses: Counter[str], defined: Counter[str], kept: set[str]
    ) -> None:
        self._uses = uses
        self._defined = defined
        self._kept = kept
        self._pending: dict[str, _Pending] = {}
        self._copies: dict[str, Expr] = {}

    def block(
        self, body: Sequence[Stmt], indent: int, results: Sequence[Expr] = ()
    ) -> _Done:
        """A block, and the results that are read at its end."""
        outer = self._pending
        self._pending = {}
        out: list[Stmt] = []
        for stmt in body:
            self._statement(stmt, indent, out)
        finals = [self._place(expr, out, WIDTH - indent * INDENT) for expr in results]
        self._flush(list(self._pending), out)
        self._pending = outer
        return _Done(out, finals)

    def _statement(self, stmt: Stmt, indent: int, out: list[Stmt]) -> None:
        match stmt:
            case Assign():
                self._assign(stmt, indent, out)
            case For() | While():
                stmt = self._simple(stmt, indent, out)
                self._before_block(stmt, out)
                inner = self.block(blocks(stmt)[0], indent + 1)
                assert isinstance(stmt, For | While)
                out.append(replace(stmt, body=tuple(inner.body)))
            case If():
                simple = self._simple(stmt, indent, out)
                self._before_block(stmt, out)
                assert isinstance(simple, If)
                then = self.block(simple.then, indent + 1)
                other = self.block(simple.otherwise, indent + 1)
                out.append(
                    replace(simple, then=tuple(then.body), otherwise=tuple(other.body))
                )
            case _:
                simple = self._simple(stmt, indent, out)
                self._flush_hazards(_written(stmt), out)
                out.append(simple)

    def _assign(self, stmt: Assign, indent: int, out: list[Stmt]) -> None:
        target = stmt.target
        simple = self._simple(stmt, indent, out)
        assert isinstance(simple, Assign)
        once = self._defined[target.name] == 1
        if once and self._is_copy(simple.value):
            self._copies[target.name] = simple.value
        elif once and self._uses[target.name] == 1 and target.name not in self._kept:
            reads = frozenset(variables((simple.value,))) | _arrays(simple.value)
            self._pending[target.name] = _Pending(simple, reads)
        else:
            self._flush_hazards({target.name}, out)
            out.append(simple)

    def _is_copy(self, value: Expr) -> bool:
        return isinstance(value, Const) or (
            isinstance(value, Var)
            and (self._defined[value.name] == 1 or MARK not in value.name)
        )

    def _simple(self, stmt: Stmt, indent: int, out: list[Stmt]) -> Stmt:
        """A statement with pending values put in place, nested blocks aside."""
        head = _head_width(stmt)
        room = WIDTH - indent * INDENT - head
        exprs = expressions(stmt)
        if not exprs:
            return stmt
        values: dict[str, Expr] = {}
        budget = room - sum(_width(self._copied(e)) for e in exprs)
        for expr in exprs:
            budget = self._gather(expr, budget, values, out)
        for name in [n for n in self._copies if n not in values]:
            values[name] = self._copies[name]
        rewrite = Rewrite(values=values)
        if isinstance(stmt, For | While | If):
            return _header(stmt, rewrite)
        return rewrite.simple(stmt)

    def _copied(self, expr: Expr) -> Expr:
        return Rewrite(values=self._copies).expr(expr) if self._copies else expr

    def _place(self, expr: Expr, out: list[Stmt], room: int) -> Expr:
        values: dict[str, Expr] = {}
        self._gather(expr, room - _width(expr), values, out)
        return Rewrite(values={**self._copies, **values}).expr(expr)

    def _gather(
        self, expr: Expr, budget: int, values: dict[str, Expr], out: list[Stmt]
    ) -> int:
        """Choose which pending values to write into an expression; flush the others."""
        for name, guarded in list(_slots(expr)):
            pending = self._pending.get(name)
            if pending is None or name in values:
                continue
            value = pending.stmt.value
            extra = _width(value) - len(name.split(MARK)[0])
            cheap = not guarded or _is_cheap(value)
            if cheap and (extra <= budget or extra <= 2):
                budget -= max(extra, 0)
                values[name] = value
                del self._pending[name]
            else:
                self._flush([name], out)
        return budget

    def _flush(self, names: Iterable[str], out: list[Stmt]) -> None:
        for name in names:
            out.append(self._pending.pop(name).stmt)

    def _before_block(self, stmt: Stmt, out: list[Stmt]) -> None:
        """Write out what a nested block reads or changes."""
        inside = {
            name
            for block in blocks(stmt)
            for inner in walk(block)
            for name in variables(expressions(inner))
        }
        self._flush([name for name in self._pending if name in inside], out)
        self._flush_hazards(_written(stmt), out)

    def _flush_hazards(self, written: set[str], out: list[Stmt]) -> None:
        """Write out what reads something that is about to change."""
        self._flush([n for n, p in self._pending.items() if p.reads & written], out)


def _header(stmt: For | While | If, rewrite: Rewrite) -> Stmt:
    match stmt:
        case For(lo=lo, hi=hi):
            return replace(stmt, lo=rewrite.expr(lo), hi=rewrite.expr(hi))
        case _:
            return replace(stmt, cond=rewrite.expr(stmt.cond))


def _slots(expr: Expr, guarded: bool = False) -> Iterator[tuple[str, bool]]:
    """The variables of an expression, and whether an arm of a select guards them."""
    match expr:
        case Var(name):
            yield name, guarded
        case Select(cond, then, otherwise):
            yield from _slots(cond, guarded)
            yield from _slots(then, True)
            yield from _slots(otherwise, True)
        case _:
            for child in children(expr):
                yield from _slots(child, guarded)


def _is_cheap(expr: Expr) -> bool:
    """Whether an expression may be evaluated in one arm only: no load, no call."""
    arithmetic = ("add", "subtract", "multiply", "divide", "negative")
    return all(
        not isinstance(part, Load | Select | Convert)
        and (not isinstance(part, Op) or part.name in arithmetic)
        for part in nested(expr)
    )


def _arrays(expr: Expr) -> frozenset[str]:
    return frozenset(p.array.name for p in nested(expr) if isinstance(p, Load | Size))


def _written(stmt: Stmt) -> set[str]:
    """The variables and arrays that a statement changes, nested blocks included."""
    found: set[str] = set()
    for inner in walk((stmt,)):
        match inner:
            case Assign(target=target) | Accumulate(target=target):
                found.add(target.name)
            case Store(array=array) | Fill(array=array) | Grow(array=array):
                found.add(array.name)
            case Allocate(array=array) | View(view=array) | Reshape(view=array):
                found.add(array.name)
            case Swap(targets=targets):
                found |= {target.name for target in targets}
            case Library(outputs=outputs):
                found |= {x.name for x in outputs if isinstance(x, Array | Var)}
    return found


# --- how long a line will be -------------------------------------------------------


def _head_width(stmt: Stmt) -> int:
    match stmt:
        case Assign(target=target):
            return len(target.name.split(MARK)[0]) + 3
        case Accumulate(target=target):
            return 2 * len(target.name.split(MARK)[0]) + 12
        case Store(array=array):
            return len(array.name.split(MARK)[0]) + 6
        case Check():
            return 20
        case _:
            return 8


_SYMBOLS = {
    "add": 3,
    "subtract": 3,
    "multiply": 3,
    "divide": 3,
    "floor_divide": 4,
    "remainder": 3,
    "power": 2,
    "equal": 4,
    "not_equal": 4,
    "less": 3,
    "less_equal": 4,
    "greater": 3,
    "greater_equal": 4,
    "and": 5,
    "or": 4,
}


def _width(expr: Expr) -> int:
    """About how many columns an expression takes."""
    match expr:
        case Var(name):
            return len(name.split(MARK)[0])
        case Const(value, dtype):
            return len(repr(value)) + (12 if dtype in ("float32", "int32") else 0)
        case Op("negative", (arg,)):
            return 1 + _width(arg)
        case Op("multiply" | "divide" as name, args):
            return 3 + sum(_width(a) + (2 if _is_sum(a) else 0) for a in args)
        case Op(name, args) if name in _SYMBOLS:
            return _SYMBOLS[name] + sum(map(_width, args))
        case Op(name, args):
            return len(name) + 2 + sum(map(_width, args)) + 2 * (len(args) - 1)
        case Convert(arg):
            return 7 + _width(arg)
        case Select():
            return 10 + sum(map(_width, children(expr)))
        case Load(array, index):
            inner = sum(map(_width, index)) + 2 * (len(index) - 1)
            return len(array.name.split(MARK)[0]) + 2 + inner
        case _:
            return 12


def _is_sum(expr: Expr) -> bool:
    return isinstance(expr, Op) and expr.name in ("add", "subtract")
