"""State: what is known while the blocks of a program are written, one in another.

Scalars are variables, arrays are buffers, integers are sizes where that is known: an
index ``i - 1`` is then written as such, wherever it is used. A variable that a loop
carries is *mutable*: what is made of it may not be written down again later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from codegen import loop_ir
from codegen.loop_ir import (
    Allocate,
    Array,
    Assign,
    DType,
    Expr,
    Load,
    Role,
    Stmt,
    Var,
    nested,
)
from tracegrad.ir.graph import Literal, Operand, Value
from tracegrad.ir.shapes import Dim, Shape, product
from tracegrad.lower import element
from tracegrad.lower.buffers import SMALL, Buffer, whole
from tracegrad.lower.names import MARK, Names
from tracegrad.lower.sizes import Facts, Sizes, arithmetic

# Sizes of more terms than this are names, not expressions, where they are used.
SHORT = 2


class State:
    """The values, names and statements so far.

    Attributes:
        buffers: where each value is that exists already.
        targets: the arrays that some values are to be written to.
        top: allocations that are made at entry.
        body: the statements of the innermost block.
        loops: how many loops of the program are open.
        holders: the values that each variable has held.
        mutable: variables that are assigned in more than one place.
        blocks: those that are being written, outermost first.
        roomy: equations that make room where there is room already, by ``id``.
        formulas: variables that are known at entry, and what they are there.
    """

    def __init__(
        self, names: Names, sizes: Sizes, facts: Facts, buffers: dict[Value, Buffer]
    ) -> None:
        self.names = names
        self.sizes = sizes
        self.facts = facts
        self.buffers = buffers
        self.targets: dict[Value, Array] = {}
        self.dims: dict[Value, Dim] = {}
        self.top: list[Stmt] = []
        self.body: list[Stmt] = []
        self.loops = 0
        self.holders: dict[str, list[Value]] = {}
        self.mutable: set[str] = set()
        self.roomy: set[int] = set()
        self.blocks: list[Any] = []
        self._symbols: set[str] = set()
        self._indices: dict[str, Dim] = {}
        self.formulas: dict[str, Expr] = {}

    # --- statements ----------------------------------------------------------------

    def emit(self, stmt: Stmt) -> None:
        """Add a statement to the innermost block."""
        self.body.append(stmt)

    @contextmanager
    def block(self, loops: int = 0) -> Iterator[list[Stmt]]:
        """Open a block, within so many more loops; its statements are the caller's."""
        outer, self.body = self.body, []
        self.loops += loops
        try:
            yield self.body
        finally:
            self.body = outer
            self.loops -= loops

    # --- scalars -------------------------------------------------------------------

    def scalar(self, operand: Operand) -> Expr:
        """A number: a constant or a variable."""
        if isinstance(operand, Literal):
            return element.literal(operand.value, operand.dtype)
        held = self.buffers[operand].scalar
        assert held is not None
        return held

    def variable(
        self, value: Value, name: str | None = None, *, kept: bool = False
    ) -> Var:
        """A new variable that is named after a value."""
        name = value.name or name or self.names.fallback(value)
        return self.names.variable(name, value.type.dtype, kept or bool(value.name))

    def hold(self, value: Value, var: Var) -> None:
        """Know that a variable holds a value."""
        self.buffers[value] = Buffer(value, (), None, var)
        self.holders.setdefault(var.name, []).append(value)

    def assign(self, value: Value, expr: Expr) -> None:
        """Give a value a variable of its own."""
        var = self.variable(value)
        self.emit(Assign(var, expr))
        self.hold(value, var)

    def reusable(self, value: Value) -> Var | None:
        """The variable of a value if it may be assigned again once that is dead."""
        buffer = self.buffers.get(value)
        var = buffer.scalar if buffer is not None else None
        fixed = var is None or MARK not in var.name or var.name in self._symbols
        return None if fixed else var

    # --- sizes ---------------------------------------------------------------------

    def dim(self, operand: Operand) -> Dim:
        """An integer as a size; a symbol of its own if nothing else is known."""
        if isinstance(operand, Literal):
            return Dim.constant(int(operand.value))
        if operand not in self.dims:
            var = self.scalar(operand)
            assert isinstance(var, Var)
            self.dims[operand] = self.symbol(operand, var)
        return self.dims[operand]

    def symbol(self, value: Value, var: Var) -> Dim:
        """A symbol for what a variable holds now."""
        name = self.names.unique(value.name or "t")
        self.sizes.bind(name, var)
        self.facts.vary(name)
        self._symbols.add(var.name)
        return Dim.symbol(name)

    def known_dim(self, operand: Operand) -> Dim | None:
        """An integer as a size that stays what it is, if it is visibly one."""
        if isinstance(operand, Literal):
            return Dim.constant(int(operand.value))
        if operand in self.dims:
            dim = self.dims[operand]
            made = (self.sizes.expr(Dim.symbol(s)) for s in dim.symbols())
            names = {var.name for var in made if isinstance(var, Var)}
            return None if names & self.mutable else dim
        held = self.buffers.get(operand)
        if held is None or held.scalar is None or held.scalar.name in self.mutable:
            return None
        return self.dim(operand)

    def integer(self, operand: Operand, more: int = 0) -> Expr:
        """An index, a bound or a length: written out where that is short."""
        dim = self.known_dim(operand)
        if dim is None or len(dim.terms) > SHORT:
            return arithmetic("add", self.scalar(operand), loop_ir.integer(more))
        return self.sizes.expr(dim + more)

    @contextmanager
    def index(self, param: Value, var: Var) -> Iterator[None]:
        """Let a loop's index be known in its body."""
        self.hold(param, var)
        self._symbols.add(var.name)
        # Sizes know it by its name, which an inner loop may have too; what is made of
        # its value here goes by a symbol that no other loop has.
        self.dims[param] = self.symbol(param, var)
        name = param.name
        if not name:
            yield
            return
        before = self.sizes.bind(name, var) if self.sizes.knows(name) else None
        outer = self._indices.get(name)
        self.sizes.bind(name, var)
        self.facts.vary(name)
        self._indices[name] = self.dims[param]
        try:
            yield
        finally:
            del self._indices[name]
            if outer is not None:
                self._indices[name] = outer
            if before is not None:
                self.sizes.bind(name, before)
            else:
                self.sizes.forget(name)

    def lasting(self, size: Dim) -> Dim:
        """A size by symbols that mean the same in loops further in."""
        return size.substitute(self._indices)

    # --- arrays --------------------------------------------------------------------

    def array(self, value: Value) -> Array:
        """The array that a value is in."""
        array = self.buffers[value].array
        assert array is not None
        return array

    def new_array(self, value: Value, name: str | None = None) -> Array:
        """An array for a value, allocated at entry or here; or the one it is to be."""
        if name is None and value in self.targets:
            return self.targets[value]
        base = name or value.name or self.names.fallback(value)
        return self.allocate(base, value.type.dtype, value.type.shape)

    def allocate(self, base: str, dtype: DType, shape: Shape) -> Array:
        """A new array."""
        large = self.facts.hint(product(shape)) > SMALL
        exprs = tuple(map(self.sizes.expr, shape))
        role: Role = "workspace" if large and at_entry(exprs) else "local"
        array = Array(self.names.unique(base), dtype, exprs, role)
        self.adopt([Allocate(array)])
        return array

    def hold_array(self, value: Value, array: Array) -> None:
        """Know that an array holds a value."""
        self.buffers[value] = whole(value, array)

    def adopt(self, allocations: Sequence[Allocate]) -> None:
        """Place allocations: in no loop if their sizes are known at entry."""
        for stmt in allocations:
            early = self.loops and at_entry(stmt.array.shape)
            (self.top if early else self.body).append(stmt)


def at_entry(exprs: Iterable[Expr]) -> bool:
    """Whether expressions are of parameters and their sizes only."""
    return not any(
        isinstance(part, Load) or (isinstance(part, Var) and MARK in part.name)
        for expr in exprs
        for part in nested(expr)
    )
