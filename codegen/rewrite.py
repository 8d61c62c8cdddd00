"""Rebuild loop-IR statements with names or variables replaced.

What enters is a block and what to replace; what leaves is a new block. Statements and
expressions in which nothing changes are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    Operand,
    Reshape,
    Select,
    Size,
    Stmt,
    Store,
    Swap,
    Var,
    View,
    While,
)


def with_blocks(stmt: Stmt, inner: Sequence[Sequence[Stmt]]) -> Stmt:
    """A statement with other blocks, as many as it has."""
    match stmt, inner:
        case For() | While(), [body]:
            return replace(stmt, body=tuple(body))
        case If(), [then, otherwise]:
            return replace(stmt, then=tuple(then), otherwise=tuple(otherwise))
        case _:
            return stmt


@dataclass(slots=True)
class Rewrite:
    """What to replace.

    names: of variables and arrays, wherever they occur.
    values: variables by expressions, where they are read.
    arrays: by other arrays, by name.
    parts: operations by variables, once their arguments are rebuilt.
    rows: cells of arrays, by name and all indices but the last, by those of views.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Expr] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    parts: Mapping[Expr, Var] = field(default_factory=dict)
    rows: Mapping[tuple[str, tuple[Expr, ...]], Array] = field(default_factory=dict)

    def expr(self, expr: Expr) -> Expr:
        """An expression, rebuilt."""
        match expr:
            case Var(name, dtype):
                if name in self.values:
                    return self.values[name]
                return self.variable(expr)
            case Const():
                return expr
            case Op(name, args, dtype):
                rebuilt = Op(name, tuple(map(self.expr, args)), dtype)
                return self.parts.get(rebuilt, rebuilt) if self.parts else rebuilt
            case Convert(arg, dtype):
                return Convert(self.expr(arg), dtype)
            case Select(cond, then, otherwise, dtype):
                arms = (self.expr(cond), self.expr(then), self.expr(otherwise))
                return Select(*arms, dtype)
            case Load(array, index):
                array, index = self.cell(array, index)
                return replace(expr, array=array, index=index)
            case Size(array):
                return replace(expr, array=self.array(array))

    def variable(self, var: Var) -> Var:
        """A variable by its new name."""
        name = self.names.get(var.name)
        return var if name is None else Var(name, var.dtype)

    def cell(
        self, array: Array, index: tuple[Expr, ...]
    ) -> tuple[Array, tuple[Expr, ...]]:
        """A cell's array and index."""
        row = self.rows.get((array.name, index[:-1]))
        if row is not None:
            return row, (self.expr(index[-1]),)
        return self.array(array), tuple(map(self.expr, index))

    def array(self, array: Array) -> Array:
        """An array by its new name."""
        array = self.arrays.get(array.name, array)
        name = self.names.get(array.name)
        if name is None and not self.values and not self.parts:
            return array
        shape = tuple(map(self.expr, array.shape))
        if name is None and shape == array.shape:
            return array
        return replace(array, name=name or array.name, shape=shape)

    def block(self, body: Sequence[Stmt]) -> tuple[Stmt, ...]:
        """Statements, rebuilt."""
        return tuple(map(self.stmt, body))

    def stmt(self, stmt: Stmt) -> Stmt:
        """A statement, rebuilt with everything nested in it."""
        match stmt:
            case For(var, lo, hi):
                return replace(
                    stmt,
                    var=self.variable(var),
                    lo=self.expr(lo),
                    hi=self.expr(hi),
                    body=self.block(stmt.body),
                )
            case While():
                cond = self.expr(stmt.cond)
                return replace(stmt, cond=cond, body=self.block(stmt.body))
            case If():
                return replace(
                    stmt,
                    cond=self.expr(stmt.cond),
                    then=self.block(stmt.then),
                    otherwise=self.block(stmt.otherwise),
                )
            case _:
                return self.simple(stmt)

    def simple(self, stmt: Stmt) -> Stmt:
        """A statement without nested blocks, rebuilt."""
        match stmt:
            case Assign() | Accumulate():
                return replace(
                    stmt,
                    target=self.variable(stmt.target),
                    value=self.expr(stmt.value),
                )
            case Store(array, index, value):
                array, index = self.cell(array, index)
                return replace(stmt, array=array, index=index, value=self.expr(value))
            case Fill(array, value, prefix):
                return replace(
                    stmt,
                    array=self.array(array),
                    value=self.expr(value),
                    prefix=tuple(map(self.expr, prefix)),
                )
            case Allocate(array):
                return replace(stmt, array=self.array(array))
            case View(view, base, starts, index):
                return View(
                    self.array(view),
                    self.array(base),
                    tuple(map(self.expr, starts)),
                    tuple(map(self.expr, index)),
                )
            case Reshape() | Swap() | Grow():
                return self._renaming(stmt)
            case Library(_, outputs, operands):
                return replace(
                    stmt,
                    outputs=tuple(map(self._output, outputs)),
                    operands=tuple(
                        Operand(self.array(x.array), x.transposed) for x in operands
                    ),
                )
            case Check():
                return replace(stmt, cond=self.expr(stmt.cond))
            case _:
                return stmt

    def _renaming(self, stmt: Reshape | Swap | Grow) -> Stmt:
        match stmt:
            case Reshape(view, base):
                return Reshape(self.array(view), self.array(base))
            case Swap(targets, sources):
                return replace(
                    stmt,
                    targets=tuple(map(self.array, targets)),
                    sources=tuple(map(self.array, sources)),
                )
            case Grow(array, size):
                return replace(stmt, array=self.array(array), size=self.expr(size))

    def _output(self, output: Array | Var) -> Array | Var:
        if isinstance(output, Array):
            return self.array(output)
        return self.variable(output)
