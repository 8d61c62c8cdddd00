"""Memory: Refs as arrays that are written in place, or as variables.

What enters are the effects of a block, in order; what leaves are stores and loads at
points, and, for windows, index maps and stores that array equations are clustered with:

    r = load A[i, 0:n]  ->  wherever r[j] is read: A[i, j]
    store y[0:n] = 2 r  ->  for j in range(n): y[j] = 2.0 * A[i, j]

A value is complete before any of it is stored: one that reads the cells it is stored to
in another order than they are written is made first, in scratch of its own.
"""

from __future__ import annotations

import math

from codegen import loop_ir
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    Convert,
    Expr,
    Fill,
    Grow,
    If,
    Load,
    Op,
    Size,
    Store,
)
from codegen.rewrite import Rewrite
from tracegrad.ir.graph import Equation, Literal, Operand, Value
from tracegrad.ir.primitive import Loop, Primitive
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import ArrayType
from tracegrad.lower import element
from tracegrad.lower.block import Block
from tracegrad.lower.buffers import SMALL
from tracegrad.lower.locations import location_of
from tracegrad.lower.names import MARK
from tracegrad.lower.roots import Roots, must_store
from tracegrad.lower.scalars import suffix
from tracegrad.lower.state import at_entry
from tracegrad.primitives.structural import slice_, squeeze

# A store to a window of an array: ``starts``, ``sizes`` and ``steps`` per axis.
place = Primitive("place", lambda x: x, lambda x: x, lower=Loop())


def alloc(block: Block, equation: Equation) -> None:
    """A new array, or a variable for one without axes."""
    (value,), fill = equation.outputs, equation.params["fill"]
    dtype = value.type.dtype
    number = element.literal(fill or 0, dtype)
    if not value.type.ndim:
        _new_cell(block, value, number, equation)
        return
    array = block.state.new_array(value)
    block.state.hold_array(value, array)
    if fill is not None:
        block.state.emit(Fill(array, number, (), location_of(equation)))


def _new_cell(block: Block, value: Value, number: Expr, equation: Equation) -> None:
    var = block.state.variable(value, kept=True)
    block.state.mutable.add(var.name)
    block.state.emit(Assign(var, number, location_of(equation)))
    block.state.hold(value, var)


def copy(block: Block, equation: Equation) -> None:
    """A new array with the elements of another."""
    (source,), (value,) = equation.inputs, equation.outputs
    if not value.type.ndim:
        _new_cell(block, value, block.number(source), equation)
        return
    array = block.state.new_array(value)
    block.state.hold_array(value, array)
    whole = Equation(
        equation.primitive,
        (value, source, *(Literal(0, "int64") for _ in value.type.shape)),
        {"sizes": value.type.shape, "steps": (1,) * value.type.ndim},
        (),
        (),
        equation.location,
    )
    _to_window(block, whole, array, source, None)


def reserve(block: Block, equation: Equation) -> None:
    """Storage whose lengths are numbers of the program."""
    state, params, (value,) = block.state, equation.params, equation.outputs
    if not value.type.ndim:
        number = element.literal(params["fill"] or 0, value.type.dtype)
        _new_cell(block, value, number, equation)
        return
    shape: list[Expr] = []
    for axis, operand in enumerate(equation.inputs):
        block.demand([operand])
        length = Rewrite(values=state.formulas).expr(state.integer(operand))
        size = state.known_dim(operand)
        if size is None or not state.facts.nonnegative(size):
            length = _at_least_zero(length)
        shape.append(length)
        symbol = f"{params['name']}.shape[{axis}]"
        state.sizes.bind(symbol, length)
        state.facts.vary(symbol)
    for size in map(Dim.of, params["cell"]):  # less than nothing if no loop runs
        length = state.sizes.expr(size)
        known = state.facts.nonnegative(size)
        shape.append(length if known else _at_least_zero(length))
    early = at_entry(shape)
    if not early:
        for part in (p for size in shape for p in loop_ir.nested(size)):
            if isinstance(part, loop_ir.Var):
                state.names.kept.add(part.name)
    fixed = math.prod(int(n.value) for n in shape if isinstance(n, loop_ir.Const))
    small = all(isinstance(n, loop_ir.Const) for n in shape) and fixed <= SMALL
    local = params["grows"] or not early or small
    role: loop_ir.Role = "local" if local else "workspace"
    base = value.name or params["name"]
    array = Array(state.names.unique(base), params["dtype"], tuple(shape), role)
    state.adopt([Allocate(array)])
    state.hold_array(value, array)
    if params["fill"] is not None:
        number = element.literal(params["fill"], array.dtype)
        state.emit(Fill(array, number, (), location_of(equation)))


def _at_least_zero(length: Expr) -> Expr:
    if isinstance(length, loop_ir.Const):
        return loop_ir.integer(max(0, int(length.value)))
    match length:
        case Op("maximum", (_, loop_ir.Const(value))) if value >= 0:
            return length
    return Op("maximum", (length, loop_ir.integer(0)), "int64")


def grow(block: Block, equation: Equation) -> None:
    """Make room for a position if it is beyond the end."""
    if id(equation) in block.state.roomy:
        return
    ref, position = equation.inputs
    array, index = block.stored(ref), block.number(position)
    full = Op("greater_equal", (index, Size(array, 0)), "bool")
    size = Op("add", (index, loop_ir.integer(1)), "int64")
    block.state.emit(If(full, (Grow(array, size),), (), location_of(equation)))


# --- points and windows ------------------------------------------------------------


def load(block: Block, equation: Equation) -> None:
    """Read a point, or let a window be an index map of its base."""
    base, *index = equation.inputs
    (value,) = equation.outputs
    assert isinstance(base, Value)
    block.demand(index)
    if not base.type.ndim:
        var = block.heir(value) or block.state.variable(value)
        expr = block.number(base)
        block.state.emit(Assign(var, expr, location_of(equation)))
        block.state.hold(value, var)
        return
    array = block.stored(base)
    if not value.type.ndim:
        cells = tuple(_position(block, x) for x in index)
        name = array.name.split(MARK)[0] + suffix(cells)
        block.give(value, Load(array, cells, array.dtype), equation, name)
        return
    _as_slice(block, equation, base, index)


def _as_slice(
    block: Block, equation: Equation, base: Value, index: list[Operand]
) -> None:
    """A window as a slice of its base, without the axes of points."""
    (value,), params = equation.outputs, equation.params
    starts = tuple(_start(block, x) for x in index)
    sizes = tuple(Dim.of(1 if n is None else n) for n in params["sizes"])
    where = equation.location
    points = tuple(k for k, n in enumerate(params["sizes"]) if n is None)
    made = {"starts": starts, "steps": params["steps"], "sizes": sizes}
    window = value
    if points:
        window = Value(ArrayType(value.type.dtype, sizes), None, block.graph)
        drop = Equation(squeeze, (window,), {"axes": points}, (), (value,), where)
    window.definition = Equation(
        slice_, (base, *index_values(index)), made, (), (window,), where
    )
    block.wait(window.definition)
    if points:
        value.definition = drop
        block.wait(drop)


def index_values(index: list[Operand]) -> list[Value]:
    """The indices that are variables: a slice that waits keeps them alive."""
    return [x for x in index if isinstance(x, Value)]


def _position(block: Block, operand: Operand) -> Expr:
    expr = block.state.integer(operand)
    return expr if expr.dtype == "int64" else Convert(expr, "int64")


def _start(block: Block, operand: Operand) -> Dim:
    """Where a window starts: a size, or a symbol for what a variable holds now."""
    state = block.state
    if operand.type.dtype == "int64":
        known = state.known_dim(operand)
        return state.dim(operand) if known is None else known
    var = state.names.variable("start", "int64", kept=True)
    state.emit(Assign(var, Convert(state.scalar(operand), "int64")))
    assert isinstance(operand, Value)
    return state.symbol(operand, var)


def write(block: Block, equation: Equation) -> None:
    """``store`` and ``accumulate``, at points and windows."""
    ref, value, *index = equation.inputs
    assert isinstance(ref, Value)
    block.demand(index)
    added = equation.primitive.name == "accumulate"
    where = location_of(equation)
    if not value.type.ndim:
        number = block.number(value)
        block.before_write({ref})
        held = block.state.buffers[ref]
        if held.array is None:
            var = held.scalar
            assert var is not None
            block.state.emit(
                Accumulate(var, "add", number, False, where)
                if added
                else Assign(var, number, where)
            )
            return
        cells = tuple(_position(block, x) for x in index)
        combine: loop_ir.Combine | None = "add" if added else None
        block.state.emit(Store(held.array, cells, number, combine, location=where))
        return
    block.before_write({ref})
    _to_window(block, equation, block.state.array(ref), value, "add" if added else None)


def _to_window(
    block: Block,
    equation: Equation,
    array: Array,
    value: Operand,
    combine: loop_ir.Combine | None,
) -> None:
    """Store an array expression, evaluated in the loop that stores it if it may be."""
    state, ref = block.state, equation.inputs[0]
    assert isinstance(ref, Value)
    starts = tuple(_start(block, x) for x in equation.inputs[2:])
    made = {
        "starts": starts,
        "sizes": equation.params["sizes"],
        "steps": equation.params["steps"],
        "combine": combine,
    }
    target = Value(ref.type, ref.name, block.graph)
    target.definition = Equation(
        place, (value,), made, (), (target,), equation.location
    )
    if _disturbed(block, target, ref):
        block.demand([value])
    state.hold_array(target, array)
    operands = [value] if isinstance(value, Value) else []
    equations = [*block.closure(operands), target.definition]
    block.pending[target] = target.definition
    block.write(equations, [*block.shared(equations, [target]), target])


def _disturbed(block: Block, target: Value, ref: Value) -> bool:
    """Whether a value reads cells of the Ref that may have been written by then."""
    assert target.definition is not None
    (value,) = target.definition.inputs
    if not isinstance(value, Value) or value not in block.pending:
        return False
    equations = [*block.closure([value]), target.definition]
    stored = {*block.state.buffers, target}
    stored |= {x for x in must_store(equations) if isinstance(x, Value)}
    return any(
        read is ref and (root.value is not target or index != root.target)
        for root in Roots(equations, stored).make()
        for read, index in root.reads
    )
