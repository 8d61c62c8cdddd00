"""Symbolic sizes as loop-IR expressions, and what is known about their order.

What enters is a ``Dim``; what leaves is an int64 expression over the names that sizes
have at the kernel's entry.

>>> n = Dim.symbol("x.shape[0]")
>>> less = Sizes({"x.shape[0]": loop_ir.dim("n")}).expr(n - 1)
>>> less.name, less.args
('subtract', (Var(name='n', dtype='int64'), Const(value=1, dtype='int64')))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

from codegen import loop_ir
from codegen.loop_ir import Const, Expr, Op, Var
from tracegrad.ir.shapes import Assumptions, Dim, FloorDiv, Guard


def arithmetic(name: str, left: Expr, right: Expr) -> Expr:
    """``left name right`` of int64s, with constants folded."""
    match name, left, right:
        case "add", Const(a), Const(b):
            return loop_ir.integer(int(a) + int(b))
        case "subtract", Const(a), Const(b):
            return loop_ir.integer(int(a) - int(b))
        case "multiply", Const(a), Const(b):
            return loop_ir.integer(int(a) * int(b))
        case (("add" | "subtract"), _, Const(0)):
            return left
        case "add", Const(0), _:
            return right
        case "add", _, Const(b) if b < 0:
            return Op("subtract", (left, loop_ir.integer(-int(b))), "int64")
        case "subtract", _, Const(b) if b < 0:
            return Op("add", (left, loop_ir.integer(-int(b))), "int64")
        case "multiply", Const(1), _:
            return right
        case "multiply", _, Const(1):
            return left
    return Op(name, (left, right), "int64")


class Sizes:
    """The expressions of symbols, and so of every size.

    Args:
        symbols: the variable or expression that each symbol is at entry.
    """

    def __init__(self, symbols: Mapping[str, Expr]) -> None:
        self._symbols = dict(symbols)
        self._known: dict[Dim, Expr] = {}

    def bind(self, symbol: str, expr: Expr) -> Expr | None:
        """Give a symbol a meaning from here on; what it meant before."""
        before = self._symbols.get(symbol)
        self._symbols[symbol] = expr
        self._known.clear()
        return before

    def forget(self, symbol: str) -> None:
        """End a symbol's meaning."""
        del self._symbols[symbol]
        self._known.clear()

    def knows(self, symbol: str) -> bool:
        """Whether a symbol has a meaning here."""
        return symbol in self._symbols

    def expr(self, size: Dim) -> Expr:
        """The expression of a size."""
        if size not in self._known:
            self._known[size] = self._sum(size)
        return self._known[size]

    def _sum(self, size: Dim) -> Expr:
        # A positive term first: n - 1, not -1 + n.
        terms = sorted(size.terms, key=lambda term: term[1] < 0)
        total: Expr | None = None
        for monomial, coefficient in terms:
            product: Expr = loop_ir.integer(
                abs(coefficient) if total is not None else coefficient
            )
            for atom in monomial:
                factor = self._atom(atom)
                product = arithmetic("multiply", product, factor)
            if total is None:
                total = product
            else:
                name = "add" if coefficient > 0 else "subtract"
                total = arithmetic(name, total, product)
        return total if total is not None else loop_ir.integer(0)

    def _atom(self, atom: str | FloorDiv) -> Expr:
        if isinstance(atom, str):
            return self._symbols[atom]
        pair = (self.expr(atom.numerator), self.expr(atom.denominator))
        return Op("floor_divide", pair, "int64")


def extreme(name: str, exprs: Iterable[Expr]) -> Expr:
    """The maximum or minimum of int64 expressions, with constants folded."""
    first, *others = exprs
    return reduce(lambda left, right: _extreme(name, left, right), others, first)


def _extreme(name: str, left: Expr, right: Expr) -> Expr:
    match left, right:
        case Const(a), Const(b):
            return left if (a > b) == (name == "maximum") else right
        case _ if left == right:
            return left
    return Op(name, (left, right), "int64")


class Facts:
    """What is known of sizes: they are >= 0, and every guard holds.

    Args:
        assumptions: those of the trace, tested at entry.
    """

    def __init__(self, assumptions: Assumptions) -> None:
        self._assumptions = assumptions
        self._positive = [g for d in map(_difference, assumptions.guards) for g in d]
        self._known: dict[Dim, bool] = {}
        self._varying: set[str] = set()

    def vary(self, symbol: str) -> None:
        """Meet a symbol of a loop, or of a number that is read: nothing is known."""
        self._varying.add(symbol)

    def varies(self, size: Dim) -> bool:
        """Whether a size is not known at entry."""
        return not self._varying.isdisjoint(size.symbols())

    def nonnegative(self, size: Dim) -> bool:
        """Whether a size is proven to be >= 0."""
        if self.varies(size):
            return False
        if size not in self._known:
            inspect = self._assumptions.nonnegative
            self._known[size] = inspect(size) or any(
                inspect(size - known) for known in self._positive
            )
        return self._known[size]

    def at_least(self, left: Dim, right: Dim) -> bool:
        """Whether ``left >= right`` is proven."""
        return self.nonnegative(left - right)

    def hint(self, size: Dim) -> int:
        """The size in the example call; some large number if it varies."""
        if self.varies(size):
            some = dict.fromkeys(size.symbols(), 7919)
            return size.evaluate({**some, **self._assumptions.hints})
        return self._assumptions.hint(size)


def _difference(guard: Guard) -> list[Dim]:
    """What a guard says is >= 0."""
    match guard.relation:
        case ">=":
            return [guard.left - guard.right]
        case "<":
            return [guard.right - guard.left - 1]
        case _:
            return []


def variable_expr(index: Var, step: int, offset: Expr) -> Expr:
    """``step * index + offset`` in the order one would write it."""
    scaled = arithmetic("multiply", loop_ir.integer(abs(step)), index)
    if step > 0:
        return arithmetic("add", scaled, offset)
    if offset == loop_ir.integer(0):
        return Op("negative", (scaled,), "int64")
    return arithmetic("subtract", offset, scaled)
