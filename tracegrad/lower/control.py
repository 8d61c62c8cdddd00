"""Control flow: loops and branches of a program as loops and branches of the kernel.

A carried number is a variable, in which the next value is computed as soon as the last
use of this one is behind; what is left to do at the end of the body is a parallel copy.
A carried array that is recomputed has two places, and carried Refs go round: both are
names exchanged at the end of the body.

    a, b = for_ 0 n (a0, b0) { i, a, b: c = add a b; b, c }
    ->  for i in range(n): c = a + b; a = b; b = c
"""

from __future__ import annotations

from collections.abc import Callable

from codegen import loop_ir
from codegen.loop_ir import (
    Array,
    Assign,
    Break,
    Check,
    Const,
    Expr,
    For,
    If,
    Op,
    Var,
    While,
)
from tracegrad.errors import TracegradError
from tracegrad.ir.graph import Equation, Graph, Value
from tracegrad.ir.primitive import Primitive
from tracegrad.lower import memory
from tracegrad.lower.block import Block
from tracegrad.lower.carried import Carried, computed, move
from tracegrad.lower.life import captured, touched
from tracegrad.lower.locations import location_of
from tracegrad.lower.sizes import arithmetic
from tracegrad.lower.state import State
from tracegrad.lower.strips import find_strip, in_strips, make_room
from tracegrad.primitives import control, refs, storage

_ONE = loop_ir.integer(1)


def run(block: Block) -> None:
    """Write the equations of a block, and what it gives."""
    block.state.blocks.append(block)
    for position, equation in enumerate(block.graph.equations):
        block.position = position
        _write(block, equation)
    block.state.blocks.pop()
    block.position = len(block.graph.equations)
    block.demand(block.graph.results)


def _write(block: Block, equation: Equation) -> None:
    writer = _WRITERS.get(equation.primitive, Block.pure)
    try:
        writer(block, equation)
    except TracegradError as error:
        raise error.located(equation.location) from None


def _check(block: Block, equation: Equation) -> None:
    cond = block.number(equation.inputs[0])
    kind, message = equation.params["kind"], equation.params["message"]
    block.state.emit(Check(cond, kind, message, location_of(equation)))


def _ready(block: Block, equation: Equation) -> None:
    """Have everything at hand that an equation with regions uses."""
    block.demand(x for x in equation.inputs if not x.type.ndim)
    block.offer(equation)
    block.before_write(touched(equation))


# --- loops -------------------------------------------------------------------------


def _for(block: Block, equation: Equation) -> None:
    state, params = block.state, equation.params
    body = equation.regions[0]
    _ready(block, equation)
    lo, hi = (state.integer(x) for x in equation.inputs[:2])
    bounds = _bounds(state, equation)
    stops, trips = params["stops"], equation.outputs[-1]
    counted = trips in block.last
    counter: Var | None = None
    if counted:
        counter = state.variable(trips, kept=True)
        start = loop_ir.integer(0) if stops else _trips(lo, hi, params["step"])
        state.emit(Assign(counter, start, location_of(equation)))
        if stops:
            state.mutable.add(counter.name)
    strip = find_strip(body)
    if strip is not None and strip.cell is not None:
        state.roomy.update(map(id, strip.grown))
        count = _trips(lo, hi, params["step"])
        for stmt in make_room(state, strip, state.scalar(strip.cell), count):
            state.emit(stmt)
    carried = Carried(block, equation, equation.inputs[2:])
    carried.begin(body)
    index = state.names.variable(body.params[0].name or "i", "int64")
    with state.block(loops=1) as stmts, state.index(body.params[0], index):
        carried.enter(body.params[1:])
        inner = Block(state, body)
        carried.aim(inner, body.results[stops:])
        run(inner)
        flag = _flag(inner, carried) if stops else None
        carried.advance(inner, body.results[stops:])
        if counter is not None and stops:
            state.emit(Assign(counter, arithmetic("add", counter, _ONE)))
        if flag is not None:
            state.emit(If(flag, (Break(),)))
    state.emit(For(index, *bounds, tuple(stmts), location_of(equation)))
    carried.leave()
    if counter is not None:
        state.hold(trips, counter)


def _flag(inner: Block, carried: Carried) -> Expr:
    """Whether this iteration is the last, from before the carried values go on."""
    flag = inner.state.scalar(inner.graph.results[0])
    if flag in carried.vars.values():
        assert isinstance(flag, Var)
        saved = inner.state.names.variable("stop", "bool", kept=True)
        inner.state.emit(Assign(saved, flag))
        return saved
    return flag


def _trips(lo: Expr, hi: Expr, step: int) -> Expr:
    """How many iterations a loop has."""
    far, near = (hi, lo) if step > 0 else (lo, hi)
    span = arithmetic("subtract", far, near)
    size = abs(step)
    if size > 1:
        span = arithmetic("add", span, loop_ir.integer(size - 1))
        span = Op("floor_divide", (span, loop_ir.integer(size)), "int64")
    return Op("maximum", (span, loop_ir.integer(0)), "int64")


def _bounds(state: State, loop: Equation) -> tuple[Expr, Expr, int]:
    """The bounds and step of a range, in the order in which it is run."""
    step = loop.params["step"]
    lo, hi = (state.integer(x) for x in loop.inputs[:2])
    if not loop.params["reversed"]:
        return lo, hi, step
    sign = 1 if step > 0 else -1
    before, last = (state.integer(x, -sign) for x in loop.inputs[:2])
    if abs(step) > 1:
        # The last index that the range takes.
        span = arithmetic("subtract", last, lo)
        whole = Op("floor_divide", (span, loop_ir.integer(step)), "int64")
        last = arithmetic(
            "add", lo, arithmetic("multiply", whole, loop_ir.integer(step))
        )
    return last, before, -step


def _while(block: Block, equation: Equation) -> None:
    state = block.state
    condition, body = equation.regions
    _ready(block, equation)
    trips = equation.outputs[-1]
    steps = (condition.params[0], body.params[0])
    names = {str(step.name) for step in steps}
    inside = set(captured(equation.regions))
    sized = names & _symbols(equation)
    counted = trips in block.last or any(s in inside for s in steps) or bool(sized)
    counter: Var | None = None
    if counted:
        named = trips if trips.name else body.params[0]
        counter = state.variable(named, kept=True)
        state.mutable.add(counter.name)
        state.emit(Assign(counter, loop_ir.integer(0), location_of(equation)))
    carried = Carried(block, equation, equation.inputs)
    carried.begin(body)
    strip = find_strip(body)
    if strip is not None:
        state.roomy.update(map(id, strip.grown))
    with state.block(loops=1) as stmts:
        _test(state_block=block, condition=condition, carried=carried, counter=counter)
        _repeat(block, body, carried, counter)
    where = location_of(equation)
    if strip is None:
        state.emit(While(Const(True, "bool"), tuple(stmts), where))
    else:
        cell = counter if strip.cell is None else state.scalar(strip.cell)
        assert isinstance(cell, Var)
        in_strips(state, strip, cell, stmts, where)
    carried.leave()
    if counter is not None:
        state.hold(trips, counter)


def _symbols(equation: Equation) -> set[str]:
    """The symbols of the sizes in an equation's regions."""
    return {
        symbol
        for region in equation.regions
        for inner in region.walk()
        for output in inner.outputs
        for size in output.type.shape
        for symbol in size.symbols()
    }


def _test(
    state_block: Block, condition: Graph, carried: Carried, counter: Var | None
) -> None:
    state = state_block.state
    carried.enter(condition.params[1:])
    if counter is not None:
        state.hold(condition.params[0], counter)
    inner = Block(state, condition)
    run(inner)
    holds = state.scalar(condition.results[0])
    state.emit(If(Op("not", (holds,), "bool"), (Break(),)))


def _repeat(block: Block, body: Graph, carried: Carried, counter: Var | None) -> None:
    state = block.state
    carried.enter(body.params[1:])
    inner = Block(state, body)
    carried.aim(inner, body.results)
    if counter is None:
        run(inner)
        carried.advance(inner, body.results)
        return
    with state.index(body.params[0], counter):
        run(inner)
        carried.advance(inner, body.results)
    state.emit(Assign(counter, arithmetic("add", counter, _ONE)))


# --- branches ----------------------------------------------------------------------


def _cond(block: Block, equation: Equation) -> None:
    state = block.state
    _ready(block, equation)
    predicate = state.scalar(equation.inputs[0])
    vars_: dict[int, Var] = {}
    arrays: dict[int, Array] = {}
    olds: dict[int, Value | None] = {}
    for k, output in enumerate(equation.outputs):
        if output.type.ndim:
            arrays[k] = state.new_array(output)
        else:
            vars_[k], olds[k] = _result(block, equation, k, set(vars_.values()))
            state.mutable.add(vars_[k].name)
    branches = []
    for region in equation.regions:
        with state.block() as stmts:
            _branch(block, region, vars_, olds, arrays)
        branches.append(tuple(stmts))
    state.emit(If(predicate, branches[0], branches[1], location_of(equation)))
    for k, output in enumerate(equation.outputs):
        if k in arrays:
            state.hold_array(output, arrays[k])
        else:
            state.hold(output, vars_[k])


def _result(
    block: Block, equation: Equation, k: int, taken: set[Var]
) -> tuple[Var, Value | None]:
    """The variable of a branch's result: that of a value which one branch passes on."""
    output = equation.outputs[k]
    heir = block.heir(output)
    if heir is not None and heir not in taken:
        return heir, block.heirs[output][1]
    for region in equation.regions:
        value = region.results[k]
        if not isinstance(value, Value) or value.graph is not block.graph:
            continue
        var = block.state.reusable(value)
        if var is None or var in taken or value in block.graph.params:
            continue
        times = sum(list(r.results).count(value) for r in equation.regions)
        same = var.name.split("%")[0] == (output.name or value.name or "t")
        if times == 1 and same and block.free(var, value):
            return var, value
    return block.state.variable(output, kept=True), None


def _branch(
    block: Block,
    region: Graph,
    vars_: dict[int, Var],
    olds: dict[int, Value | None],
    arrays: dict[int, Array],
) -> None:
    state = block.state
    inner = Block(state, region)
    for k, result in enumerate(region.results):
        own = isinstance(result, Value) and result.graph is region
        if not own or list(region.results).count(result) > 1:
            continue
        assert isinstance(result, Value)
        if k in arrays:
            if computed(result):
                state.targets[result] = arrays[k]
        else:
            inner.heirs[result] = (vars_[k], olds[k])
    run(inner)
    moves = []
    for k, result in enumerate(region.results):
        if k in vars_:
            moves.append((vars_[k], state.scalar(result)))
            continue
        assert isinstance(result, Value)
        buffer = state.buffers.get(result)
        if buffer is None or buffer.array is not arrays[k]:
            inner.copy_into(result, arrays[k], None)
    move(inner, moves)


_WRITERS: dict[Primitive, Callable[[Block, Equation], None]] = {
    control.for_: _for,
    control.while_: _while,
    control.cond: _cond,
    control.check: _check,
    refs.alloc: memory.alloc,
    refs.copy: memory.copy,
    refs.load: memory.load,
    refs.store: memory.write,
    refs.accumulate: memory.write,
    storage.reserve: memory.reserve,
    storage.grow: memory.grow,
}
