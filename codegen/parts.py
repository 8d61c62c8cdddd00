"""Cut a kernel into functions that it calls, where LLVM does better with them.

LLVM's time grows with variables times blocks of one function: 267 loops took 66 s, and
take 17 s in 13 functions; Strassen's products of halves of halves took ten minutes, and
take one. And in some loops it can't tell arrays apart unless they are the arguments of
a function (``entangled``, ``rows``). What is cut out are series of statements; each
becomes a kernel of its own, whose parameters are what it reads and whose results are
the names that it sets.

>>> from codegen.loop_ir import Const, For, Store, integer
>>> x, y = (Array(name, "float64", (integer(9),), role="output") for name in "xy")
>>> i = Var("i", "int64")
>>> one = For(i, integer(0), integer(9), 1, (Store(x, (i,), Const(1.0, "float64")),))
>>> two = For(i, integer(0), integer(9), 1, (Store(y, (i,), Const(2.0, "float64")),))
>>> whole, parts = split(Kernel("f", (x, y), (one,) * 40 + (two,) * 40, ()))
>>> kernels = [part.kernel for part in parts]
>>> [(k.name, [p.name for p in k.parameters]) for k in kernels][::2]
[('f_part1', ['x']), ('f_part3', ['x', 'y']), ('f_part5', ['y'])]
>>> len(whole.body)
5
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codegen.entangled import entangled, exchanged
from codegen.jumps import leaves_loop
from codegen.loop_ir import (
    Array,
    Call,
    Check,
    Fill,
    For,
    If,
    Kernel,
    Op,
    Stmt,
    Swap,
    Var,
    While,
    walk,
)
from codegen.mentions import Mentions
from codegen.rewrite import Rewrite
from codegen.rows import rows
from codegen.statements import GUARD
from codegen.verifier import definitions

LOOPS = 48
"""A kernel of this many loops stays one function."""
PART = 16
"""A part ends before it has more loops than this, if a statement ends there."""
LEAST = 4
"""Fewer loops than this are no part, unless they are entangled."""


@dataclass(frozen=True, slots=True)
class Part:
    """A function that a kernel calls; ``looped``: from inside a loop."""

    kernel: Kernel
    looped: bool


def split(kernel: Kernel) -> tuple[Kernel, tuple[Part, ...]]:
    """A kernel and the parts it calls: none if it is small and nothing is entangled."""
    splitter = _Splitter(kernel)
    body = splitter.block(kernel.body)
    return replace(kernel, body=body), tuple(splitter.parts)


class _Splitter:
    """A kernel being cut: the parts so far."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.parts: list[Part] = []
        self.depth = 0
        self.exchanged: frozenset[str] = frozenset()  # by the loop around
        self.least = LEAST if _loops(kernel.body) > LOOPS else None
        self.defined = definitions(kernel)
        everything = Mentions().statements(kernel.body).expressions(kernel.results)
        self.times = everything.times
        mentioned = everything.read | everything.arrays
        self.dtypes = {name: item.dtype for name, item in mentioned.items()}
        self.taken = {kernel.name, *everything.times}
        self.rows = {
            id(stmt): views
            for stmt in walk(kernel.body)
            if isinstance(stmt, For) and (views := rows(stmt, self.taken))
        }

    def block(self, body: Sequence[Stmt]) -> tuple[Stmt, ...]:
        """A block whose series of loops are calls of parts."""
        result: list[Stmt] = []
        series: list[Stmt] = []
        total = 0
        for stmt in body:
            weight = _loops((stmt,))
            along = self._along(stmt)
            opened = weight > LOOPS or _tangles(stmt) or self._has_rows(stmt)
            movable = not opened and not along and self._movable(stmt)
            if not movable or total + weight > PART:
                result += self._part(series)
                series, total = [], 0
            if movable:
                series.append(stmt)
                total += weight
            else:
                result.append(along or (self._inside(stmt) if opened else stmt))
        return (*result, *self._part(series))

    def _has_rows(self, stmt: Stmt) -> bool:
        return any(id(inner) in self.rows for inner in walk((stmt,)))

    def _along(self, loop: Stmt) -> Stmt | None:
        """The call, on views of rows, of a part that runs along them; if it runs."""
        views = self.rows.get(id(loop), ())
        if not views or not isinstance(loop, For) or not self._movable(loop):
            return None
        names = {view.view.name for view in views}
        self.taken |= names
        narrow = Rewrite(rows={(v.base.name, v.index): v.view for v in views})
        along = narrow.stmt(loop)
        self.defined.note(
            along, self.defined.before(loop) | names, self.defined.after(loop)
        )
        order = "less" if loop.step > 0 else "greater"
        runs = Op(order, (loop.lo, loop.hi), "bool")
        return If(runs, (*views, *self._cut([along])), location=loop.location)

    def _inside(self, stmt: Stmt) -> Stmt:
        match stmt:
            case For() | While():
                around, self.exchanged = self.exchanged, exchanged(stmt)
                self.depth += 1
                body = self.block(stmt.body)
                self.depth -= 1
                self.exchanged = around
                return replace(stmt, body=body)
            case If(then=then, otherwise=otherwise):
                then, otherwise = self.block(then), self.block(otherwise)
                return replace(stmt, then=then, otherwise=otherwise)
            case _:
                return stmt

    def _movable(self, stmt: Stmt) -> bool:
        """Whether a function can do a statement's work.

        It can't leave a loop around it. A view that others use stays beside its array:
        a function's arguments share no memory. Guards come first. What a loop exchanges
        at its end is read best in the loop itself.
        """
        if isinstance(stmt, Swap) and stmt.targets[0].name in self.exchanged:
            return False
        after = self.defined.after(stmt)
        guard = isinstance(stmt, Check) and stmt.kind == GUARD
        if guard or leaves_loop(stmt) or after is None:
            return False
        names = Mentions().statements((stmt,))
        here = self.defined.before(stmt)
        views = (name for name, array in names.arrays.items() if array.role == "view")
        return not any(
            name in here or (name in after and self._elsewhere(name, names))
            for name in views
        )

    def _elsewhere(self, name: str, names: Mentions) -> bool:
        """Whether other statements than those that mention names mention this one."""
        return self.times[name] > names.times[name]

    def _part(self, series: list[Stmt]) -> list[Stmt]:
        """The call of a part that does what a series does, if that's worth it."""
        knotted = any(entangled(stmt, self.exchanged) for stmt in series)
        if not knotted and (self.least is None or _loops(series) < self.least):
            return series
        return self._cut(series)

    def _cut(self, series: list[Stmt]) -> list[Stmt]:
        names = Mentions().statements(series)
        before = self.defined.before(series[0])
        after = self.defined.after(series[-1]) or set()
        outputs = [
            Var(name, self.dtypes[name])  # an array is returned as its name, too
            for name in self.dtypes
            if name in names.written | names.made
            and name in after
            and self._elsewhere(name, names)
        ]
        read = names.read | {x.name: x for x in outputs if x.name not in names.arrays}
        inputs: list[Array | Var] = []
        inputs += (
            array
            for name, array in names.arrays.items()
            if name in before or array.role == "workspace"  # which is there from entry
        )
        inputs += (var for name, var in read.items() if name in before)
        title = self._title()
        kernel = Kernel(title, tuple(inputs), tuple(series), tuple(outputs))
        self.parts.append(Part(kernel, looped=self.depth > 0))
        return [Call(title, tuple(inputs), tuple(outputs))]

    def _title(self) -> str:
        number = len(self.parts) + 1
        title = f"{self.kernel.name}_part{number}"
        while title in self.taken:
            title += "_"
        return title


def _loops(body: Sequence[Stmt]) -> int:
    """How many loops there are, those of filling arrays included."""
    return sum(isinstance(stmt, For | While | Fill) for stmt in walk(tuple(body)))


def _tangles(stmt: Stmt) -> bool:
    """Whether there is a loop in a statement that exchanges what loops in it use."""
    return any(
        entangled(inner, names)
        for loop in walk((stmt,))
        if (names := exchanged(loop)) and isinstance(loop, For | While)
        for inner in walk(loop.body)
    )
