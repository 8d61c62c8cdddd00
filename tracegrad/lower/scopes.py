"""Scopes: the blocks being written, and what is known in each of them.

A value is bound in the outermost open block in which all that it is made of is known:
that is loop-invariant hoisting. Nothing leaves a block that a test guards, so a load is
never made that the test was to prevent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from codegen.loop_ir import (
    Accumulate,
    Assign,
    Const,
    Expr,
    Fill,
    If,
    Location,
    Op,
    Stmt,
    Store,
    Var,
    expressions,
    nested,
    walk,
)
from tracegrad.ir.graph import Value
from tracegrad.lower.access import Indices, depth
from tracegrad.lower.names import Names


@dataclass(slots=True)
class Scope:
    """A block: how many loops are around it, its statements, and values known in it.

    tested: the guarded blocks in it, which more may be added to.
    """

    level: int
    guarded: bool = False
    body: list[Stmt] = field(default_factory=list)
    known: dict[tuple[Value, Indices], Expr] = field(default_factory=dict)
    tested: dict[Expr, tuple[If, Scope]] = field(default_factory=dict)


class Scopes:
    """The open blocks, outermost first."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.stack = [Scope(0)]
        self.levels: dict[str, int] = {}

    @property
    def here(self) -> Scope:
        """The innermost block."""
        return self.stack[-1]

    def emit(self, stmt: Stmt) -> None:
        """Add a statement to the innermost block."""
        self.here.body.append(stmt)

    @contextmanager
    def block(self, level: int) -> Iterator[Scope]:
        """Open a block; its statements are the caller's to place."""
        scope = Scope(level)
        self.stack.append(scope)
        try:
            yield scope
        finally:
            self.stack.pop()

    @contextmanager
    def guarded(self, tests: Sequence[Expr]) -> Iterator[None]:
        """Write into ``if tests:``, the same block as before if there is one."""
        cond = tests[0]
        for test in tests[1:]:
            cond = Op("and", (cond, test), "bool")
        here = self.here
        scope = self._reopen(cond) or Scope(here.level, guarded=True)
        self.stack.append(scope)
        try:
            yield
        finally:
            self.stack.pop()
        stmt = If(cond, tuple(scope.body))
        here.body.append(stmt)
        here.tested[cond] = (stmt, scope)

    def _reopen(self, cond: Expr) -> Scope | None:
        """Take an earlier block out, if nothing after it reads what it writes."""
        body = self.here.body
        if cond not in self.here.tested:
            return None
        stmt, scope = self.here.tested[cond]
        position = next(k for k, other in enumerate(body) if other is stmt)
        written = {
            inner.target.name
            for inner in walk((stmt,))
            if isinstance(inner, Assign | Accumulate)
        }
        later = walk(tuple(body[position + 1 :]))
        read = {
            part.name
            for inner in later
            for expr in expressions(inner)
            for part in nested(expr)
            if isinstance(part, Var)
        }
        stores = any(isinstance(inner, Store | Fill) for inner in walk((stmt,)))
        if stores or read & written:
            return None
        del body[position]
        return scope

    def find(self, value: Value, index: Indices) -> Expr | None:
        """A value that is known here."""
        for scope in reversed(self.stack):
            found = scope.known.get((value, index))
            if found is not None:
                return found
        return None

    def learn(self, value: Value, index: Indices, expr: Expr) -> None:
        """Know a value in the innermost block."""
        self.here.known[value, index] = expr

    def level(self, expr: Expr) -> int:
        """How many loops must be open for an expression to be known."""
        return max(
            (
                self.levels.get(part.name, 0)
                for part in nested(expr)
                if isinstance(part, Var)
            ),
            default=0,
        )

    def home(self, level: int) -> Scope:
        """The outermost open block in which something of a level is known."""
        position = len(self.stack) - 1
        while (
            position > 0
            and not self.stack[position].guarded
            and self.stack[position - 1].level >= level
        ):
            position -= 1
        return self.stack[position]

    def bind(
        self,
        key: tuple[Value, Indices],
        expr: Expr,
        name: str,
        *,
        kept: bool = False,
        level: int | None = None,
        location: Location | None = None,
    ) -> Expr:
        """Give an expression a name where it is invariant, unless it is one already."""
        if level is None:
            level = self.level(expr)
        scope = self.home(level)
        # What a pad is depends on where in its loop this is, even if its value does
        # not: it is known in this piece of the loop only.
        known = self.home(max(level, depth(key[1]))).known
        if not isinstance(expr, Const | Var):
            var = self.names.variable(name, expr.dtype, kept)
            self.levels[var.name] = level
            scope.body.append(Assign(var, expr, location))
            expr = var
        known[key] = expr
        return expr
