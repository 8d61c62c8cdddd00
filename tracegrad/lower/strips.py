"""Strips: room for many iterations at once, in storage that a loop makes grow.

A test for room in every iteration costs more than the store it is for, and so does an
array whose name is bound again in the loop. Where each iteration takes one position, a
``while`` runs in strips: there is room for all of a strip before it begins.

    while test: grow kept top; kept[top] = x; top += 1; ...
    ->  more = True
        while more:
            if top + 64 > kept.shape[0]: kept = grown(kept, top + 64)
            more = False; stop = top + 64
            while test:
                if top == stop: more = True; break
                kept[top] = x; top += 1; ...
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen import loop_ir
from codegen.loop_ir import (
    Assign,
    Break,
    Const,
    Expr,
    Grow,
    If,
    Location,
    Op,
    Size,
    Stmt,
    Var,
    While,
)
from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value
from tracegrad.lower.state import State
from tracegrad.primitives.elementwise import add
from tracegrad.primitives.refs import load, store
from tracegrad.primitives.storage import grow

STRIP = loop_ir.integer(64)


@dataclass(slots=True)
class Strip:
    """Arrays that take a position per iteration, which a counter holds.

    cell: the Ref without axes that counts; None for the loop's own count.
    """

    grown: list[Equation]
    cell: Value | None


def find_strip(body: Graph) -> Strip | None:
    """What a loop's body lets grow, if by one position per iteration."""
    found = [e for e in body.walk() if e.primitive is grow]
    own = {id(e) for e in body.equations}
    if not found or any(id(e) not in own for e in found):
        return None
    positions = {e.inputs[1] for e in found}
    if len(positions) != 1:
        return None
    (position,) = positions
    if position is body.params[0]:
        return Strip(found, None)
    cell = _cell(position)
    return Strip(found, cell) if cell is not None and _once(body, cell) else None


def _cell(position: Operand) -> Value | None:
    """The counter that a position was read of."""
    made = position.definition if isinstance(position, Value) else None
    if made is None or made.primitive is not load or made.params["sizes"]:
        return None
    source = made.inputs[0]
    return source if isinstance(source, Value) else None


def _once(body: Graph, cell: Value) -> bool:
    """Whether an iteration adds one to a counter, and does no more to it."""
    writes = [
        e
        for e in body.walk()
        if e.primitive.effect in ("write", "accumulate") and e.inputs[0] is cell
    ]
    if len(writes) != 1 or writes[0] not in body.equations:
        return False
    value = writes[0].inputs[1]
    made = value.definition if isinstance(value, Value) else None
    return (
        writes[0].primitive is store
        and made is not None
        and made.primitive is add
        and _cell(made.inputs[0]) is cell
        and made.inputs[1] == Literal(1, "int64")
    )


def make_room(state: State, strip: Strip, first: Expr, count: Expr) -> list[Stmt]:
    """Tests for room for so many positions."""
    found: list[Stmt] = []
    end = Op("add", (first, count), "int64")
    for equation in strip.grown:
        ref = equation.inputs[0]
        assert isinstance(ref, Value)
        array = state.array(ref)
        full = Op("greater", (end, Size(array, 0)), "bool")
        found.append(If(full, (Grow(array, end),)))
    return found


def in_strips(
    state: State, strip: Strip, counter: Var, body: list[Stmt], where: Location | None
) -> None:
    """Write a loop whose body starts with its test, in strips."""
    more = state.names.variable("more", "bool", kept=True)
    stop = state.names.variable("stop", "int64", kept=True)
    true, false = Const(True, "bool"), Const(False, "bool")
    full = If(Op("equal", (counter, stop), "bool"), (Assign(more, true), Break()))
    (position,) = [k for k, stmt in enumerate(body) if _leaves(stmt)][:1]
    inner = (*body[: position + 1], full, *body[position + 1 :])
    state.emit(Assign(more, true))
    room = make_room(state, strip, counter, STRIP)
    end = Op("add", (counter, STRIP), "int64")
    outer = (
        *room,
        Assign(more, false),
        Assign(stop, end),
        While(true, inner, where),
    )
    state.emit(While(more, outer, where))


def _leaves(stmt: Stmt) -> bool:
    return isinstance(stmt, If) and stmt.then == (Break(),)
