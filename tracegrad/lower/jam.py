"""Jamming: several iterations of an outer loop share one pass of the loop inside.

In a blocked nest the loop over a block is innermost, and what it does per element is
little: a product, added to a cell that is loaded and stored again for every term. What
enters are tidied statements; what leaves takes a few outer iterations at a time, so
that each cell is loaded and stored once for all of them. The iterations that are left
over keep the plain loop.

    for j in range(d):                  for j in range(0, d - 1, 2):
        L_j = L[j]                          L_j = L[j]
        for k in range(128):                L_j1 = L[j + 1]
            y[k] += L_j * x[j, k]   ->      for k in range(128):
                                                y[k] += L_j * x[j, k] + L_j1 * ...
                                        for j in range(d // 2 * 2, d):
                                            ...

Only sums change, and of those only the order; a scalar accumulator keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from codegen.loop_ir import (
    Accumulate,
    Array,
    Assign,
    Const,
    Convert,
    Expr,
    For,
    If,
    Load,
    Op,
    Reshape,
    Select,
    Stmt,
    Store,
    Swap,
    View,
    While,
    blocks,
    expressions,
    integer,
    nested,
    variables,
    walk,
)
from codegen.rewrite import Rewrite
from tracegrad.lower.names import MARK, Names
from tracegrad.lower.sizes import arithmetic

# How many iterations may share a pass. More than five run out of registers.
FACTORS = (4, 5, 3, 2)
Bound = Assign | Accumulate
_LITTLE = frozenset({"add", "subtract", "multiply", "negative"})


def jam(body: Sequence[Stmt], names: Names) -> list[Stmt]:
    """The statements, with the loops around those over a block jammed.

    Args:
        body: tidied statements. Names are unique: what a loop binds is read nowhere
            else.
        names: which loops those are, and what copies of variables are called.
    """
    if not names.lanes:
        return list(body)
    return _Jammer(names, _shared_memory(body)).block(body)


def _shared_memory(body: Sequence[Stmt]) -> dict[str, str]:
    """For views, and arrays that change names, one array that may be the same."""
    bases: dict[str, str] = {}

    def unite(one: Array, other: Array) -> None:
        left, right = _base(bases, one.name), _base(bases, other.name)
        if left != right:
            bases[left] = right

    for stmt in walk(tuple(body)):
        match stmt:
            case View(view, base) | Reshape(view, base):
                unite(view, base)
            case Swap(targets=(first, *others)):
                for other in others:
                    unite(other, first)
    return bases


def _base(bases: Mapping[str, str], array: str) -> str:
    while array in bases:
        array = bases[array]
    return array


def best_factor(trips: int) -> int:
    """The number of iterations to take at a time that gives the fewest passes."""
    return min(FACTORS, key=lambda factor: trips // factor + trips % factor)


@dataclass(frozen=True, slots=True)
class _Nest:
    """A loop in parts: what it does before, in and after the loop inside it."""

    before: tuple[Stmt, ...]
    inner: For
    after: tuple[Stmt, ...]

    @property
    def stmts(self) -> tuple[Stmt, ...]:
        """All simple statements, in order."""
        return (*self.before, *self.inner.body, *self.after)


@dataclass(frozen=True, slots=True)
class _Jammer:
    names: Names
    bases: Mapping[str, str]

    def block(self, body: Sequence[Stmt]) -> list[Stmt]:
        """Statements, jammed wherever it pays."""
        out: list[Stmt] = []
        for stmt in body:
            match stmt:
                case For():
                    nest = self._nest(stmt)
                    if nest is None:
                        out.append(replace(stmt, body=tuple(self.block(stmt.body))))
                    else:
                        out += self._jammed(stmt, nest)
                case While(body=inside):
                    out.append(replace(stmt, body=tuple(self.block(inside))))
                case If(then=then, otherwise=otherwise):
                    arms = (tuple(self.block(then)), tuple(self.block(otherwise)))
                    out.append(replace(stmt, then=arms[0], otherwise=arms[1]))
                case _:
                    out.append(stmt)
        return out

    def _nest(self, loop: For) -> _Nest | None:
        """The parts of a loop, if it may be jammed and that pays."""
        inside = [k for k, stmt in enumerate(loop.body) if blocks(stmt)]
        if len(inside) != 1 or loop.step != 1 or loop.lo != integer(0):
            return None
        (at,) = inside
        inner = loop.body[at]
        if not isinstance(inner, For) or inner.var.name not in self.names.lanes:
            return None
        nest = _Nest(loop.body[:at], inner, loop.body[at + 1 :])
        free = _is_little(inner) and _carries_nothing(nest, loop.var.name)
        return nest if free and self._writes_apart(nest) else None

    def _writes_apart(self, nest: _Nest) -> bool:
        """Whether no iteration reads what another one writes."""
        sums, results = (
            [_base(self.bases, s.array.name) for s in part if isinstance(s, Store)]
            for part in (nest.inner.body, nest.after)
        )
        read = {
            _base(self.bases, part.array.name)
            for stmt in nest.stmts
            for expr in expressions(stmt)
            for part in nested(expr)
            if isinstance(part, Load)
        }
        return read.isdisjoint([*sums, *results]) and set(sums).isdisjoint(results)

    def _jammed(self, loop: For, nest: _Nest) -> Iterator[Stmt]:
        known = int(loop.hi.value) if isinstance(loop.hi, Const) else None
        trips = (
            self.names.trips.get(loop.var.name, FACTORS[0]) if known is None else known
        )
        factor = best_factor(trips)
        if known is not None and known < factor:
            yield loop
            return
        copies = self._copies(loop, nest, factor)
        body = (
            *(stmt for copy in copies for stmt in copy.before),
            replace(copies[0].inner, body=tuple(_merged(copies))),
            *(stmt for copy in copies for stmt in copy.after),
        )
        last = arithmetic("subtract", loop.hi, integer(factor - 1))
        yield replace(loop, hi=last, step=factor, body=body)
        if known is None or known % factor:
            yield replace(loop, lo=_whole_steps(loop.hi, factor))

    def _copies(self, loop: For, nest: _Nest, factor: int) -> list[_Nest]:
        """A nest's parts in successive iterations, each with names of its own."""
        bound = dict.fromkeys(s.target.name for s in nest.stmts if isinstance(s, Bound))
        copies = [nest]
        for step in range(1, factor):
            at = arithmetic("add", loop.var, integer(step))
            renamed = {name: self.names.unique(_stepped(name, step)) for name in bound}
            rewrite = Rewrite(names=renamed, values={loop.var.name: at})
            parts = (nest.before, nest.inner.body, nest.after)
            before, body, after = map(rewrite.block, parts)
            copies.append(_Nest(before, replace(nest.inner, body=body), after))
        return copies


def _stepped(name: str, step: int) -> str:
    """What to call the copy of a variable: x_j1 for x_j, another total for total."""
    base = name.split(MARK)[0]
    return f"{base}{step}" if "_" in base and base[-1].isalpha() else base


def _whole_steps(count: Expr, factor: int) -> Expr:
    """Where the iterations start that are left over."""
    if isinstance(count, Const):
        return integer(int(count.value) // factor * factor)
    steps = Op("floor_divide", (count, integer(factor)), "int64")
    return arithmetic("multiply", steps, integer(factor))


def _merged(copies: Sequence[_Nest]) -> Iterator[Stmt]:
    """One pass of the inner loops of all copies: each cell is added to once."""
    for copy in copies:
        yield from (stmt for stmt in copy.inner.body if not isinstance(stmt, Store))
    for stores in zip(*map(_stores, copies), strict=True):
        values = [store.value for store in stores]
        yield replace(stores[0], value=reduce(_plus, values))


def _stores(nest: _Nest) -> list[Store]:
    return [stmt for stmt in nest.inner.body if isinstance(stmt, Store)]


def _plus(left: Expr, right: Expr) -> Expr:
    return Op("add", (left, right), left.dtype)


# --- whether it is allowed, and pays -----------------------------------------------


def _is_little(inner: For) -> bool:
    """Whether a loop only accumulates, and each term costs next to nothing."""
    return all(
        not isinstance(part, Select | Convert)
        and (not isinstance(part, Op) or part.name in _LITTLE)
        for stmt in inner.body
        for expr in expressions(stmt)
        for part in nested(expr)
    ) and any(not isinstance(stmt, Assign) for stmt in inner.body)


def _carries_nothing(nest: _Nest, var: str) -> bool:
    """Whether iterations share nothing but cells that all of them add to."""
    if not all(isinstance(stmt, Assign) for stmt in nest.before):
        return False
    if not all(isinstance(stmt, Assign | Store) for stmt in nest.after):
        return False
    bound = {s.target.name for s in nest.stmts if isinstance(s, Bound)}
    sums = {s.target.name for s in nest.inner.body if isinstance(s, Accumulate)}
    for stmt in nest.inner.body:
        match stmt:
            case Assign() | Accumulate() if not sums.isdisjoint(
                variables(expressions(stmt))
            ):
                return False
            case Store(combine="add", index=index) if (bound | {var}).isdisjoint(
                variables(index)
            ):
                pass
            case Assign() | Accumulate():
                pass
            case _:
                return False
    return _binds_first(nest, bound)


def _binds_first(nest: _Nest, bound: set[str]) -> bool:
    """Whether each iteration binds what it reads before it reads it."""
    waiting = set(bound)
    if not waiting.isdisjoint(variables(expressions(nest.inner))):
        return False
    for stmt in nest.stmts:
        if not waiting.isdisjoint(variables(expressions(stmt))):
            return False
        if isinstance(stmt, Accumulate) and stmt.target.name in waiting:
            return False
        if isinstance(stmt, Assign):
            waiting.discard(stmt.target.name)
    return True
