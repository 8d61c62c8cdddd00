"""Execute the statements of a traced function.

A block tells how it ended, as a ``Signal``; nothing here uses Python's own control flow
to leave a block, so that a block can be run in the middle of another one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

import numpy as np

from tracegrad.errors import TracegradError
from tracegrad.traces.expressions import (
    BINARY,
    bind,
    evaluate,
    make_function,
)
from tracegrad.traces.objects import (
    get_item,
    in_place_refused,
    set_attribute,
    set_item,
)
from tracegrad.traces.scope import Frame, truth
from tracegrad.traces.sequences import check_unrolled, items, static_key
from tracegrad.traces.tracer import Tracer


class Signal(Enum):
    """How a block ended: at its end, or by a jump."""

    NEXT = auto()
    BREAK = auto()
    CONTINUE = auto()
    RETURN = auto()


def execute(block: Sequence[ast.stmt], frame: Frame) -> Signal:
    """Run statements until one jumps."""
    for statement in block:
        frame.at(statement.lineno)
        handler = _EXECUTE.get(type(statement))
        if handler is None:
            raise _refused(statement, frame)
        signal = handler(statement, frame)
        if signal is not None and signal is not Signal.NEXT:
            return signal
    return Signal.NEXT


def _refused(statement: ast.stmt, frame: Frame) -> TracegradError:
    names = {ast.ClassDef: "a class definition", ast.Match: "a match statement"}
    what = names.get(type(statement), f"{type(statement).__name__.lower()}")
    return frame.refused(
        f"{what} can't be traced.",
        "Move it out of the traced function, or use if and elif.",
    )


# --- assignments -------------------------------------------------------------------


def _expression(statement: ast.Expr, frame: Frame) -> None:
    if not isinstance(statement.value, ast.Constant):
        evaluate(statement.value, frame)


def _assign(statement: ast.Assign, frame: Frame) -> None:
    value = evaluate(statement.value, frame)
    frame.at(statement.lineno)
    for target in statement.targets:
        bind(target, value, frame)


def _annotated(statement: ast.AnnAssign, frame: Frame) -> None:
    if statement.value is not None:
        bind(statement.target, evaluate(statement.value, frame), frame)


def _augmented(statement: ast.AugAssign, frame: Frame) -> None:
    target, kind = statement.target, statement.op
    match target:
        case ast.Name(id=name):
            before = frame.load(frame.mangled(name))
            after = _updated(kind, before, statement, frame)
            frame.store(frame.mangled(name), after)
        case ast.Attribute(value=node, attr=name):
            owner = evaluate(node, frame)
            before = evaluate(target, frame)
            after = _updated(kind, before, statement, frame)
            set_attribute(owner, frame.mangled(name), after, frame)
        case ast.Subscript(value=node, slice=index_node):
            owner = evaluate(node, frame)
            index = evaluate(index_node, frame)
            if isinstance(owner, Tracer):
                raise in_place_refused(frame.machine.builder)
            before = get_item(owner, index, frame)
            after = _updated(kind, before, statement, frame)
            set_item(owner, index, after, frame)


def _updated(
    kind: ast.operator, before: Any, statement: ast.AugAssign, frame: Frame
) -> Any:
    """``before <op>= value``: a new number, or the same list or array changed."""
    value = evaluate(statement.value, frame)
    frame.at(statement.lineno)
    machine = frame.machine
    if isinstance(before, Tracer) and before.ndim:
        raise in_place_refused(frame.machine.builder)
    if isinstance(before, np.ndarray) and isinstance(value, Tracer):
        raise in_place_refused(frame.machine.builder)
    if hasattr(before, _IN_PLACE[type(kind)]):
        machine.outside.refuse_write(machine.builder, before, "changing in place")
        update = getattr(before, _IN_PLACE[type(kind)])
        after = update(machine.outside.opened(machine.builder, value))
        if after is not NotImplemented:
            return after
    return BINARY[type(kind)](before, value)


_IN_PLACE: dict[type[ast.operator], str] = {
    ast.Add: "__iadd__",
    ast.Sub: "__isub__",
    ast.Mult: "__imul__",
    ast.Div: "__itruediv__",
    ast.FloorDiv: "__ifloordiv__",
    ast.Mod: "__imod__",
    ast.Pow: "__ipow__",
    ast.MatMult: "__imatmul__",
    ast.BitAnd: "__iand__",
    ast.BitOr: "__ior__",
    ast.BitXor: "__ixor__",
    ast.LShift: "__ilshift__",
    ast.RShift: "__irshift__",
}


def _delete(statement: ast.Delete, frame: Frame) -> None:
    machine = frame.machine
    for target in statement.targets:
        match target:
            case ast.Name(id=name):
                frame.delete(frame.mangled(name))
            case ast.Subscript(value=node, slice=index):
                owner = evaluate(node, frame)
                machine.outside.refuse_write(machine.builder, owner, "del")
                del owner[static_key(evaluate(index, frame))]
            case ast.Attribute(value=node, attr=name):
                owner = evaluate(node, frame)
                machine.outside.refuse_write(machine.builder, owner, "del")
                delattr(owner, frame.mangled(name))


def _function(statement: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> None:
    decorators = [evaluate(node, frame) for node in statement.decorator_list]
    function: Any = make_function(statement, frame)
    for decorator in reversed(decorators):
        function = frame.machine.call(decorator, function)
    frame.store(frame.mangled(statement.name), function)


def _import(statement: ast.Import, frame: Frame) -> None:
    for alias in statement.names:
        module = __import__(alias.name, frame.namespace, None, (), 0)
        if alias.asname:
            for part in alias.name.split(".")[1:]:
                module = getattr(module, part)
        name = alias.asname or alias.name.split(".")[0]
        frame.machine.outside.enter(module, name)
        frame.store(name, module)


def _import_from(statement: ast.ImportFrom, frame: Frame) -> None:
    names = [alias.name for alias in statement.names]
    module = __import__(
        statement.module or "", frame.namespace, None, names, statement.level
    )
    outside = frame.machine.outside
    outside.enter(module, module.__name__.split(".")[-1])
    for alias in statement.names:
        value = outside.attribute(frame.machine.builder, module, alias.name)
        frame.store(alias.asname or alias.name, value)


# --- branches and loops on what is known -------------------------------------------


def _if(statement: ast.If, frame: Frame) -> Signal:
    test = evaluate(statement.test, frame)
    frame.at(statement.lineno)
    chosen = truth(frame, test, "the branch")
    return execute(statement.body if chosen else statement.orelse, frame)


def _for(statement: ast.For, frame: Frame) -> Signal:
    iterable = evaluate(statement.iter, frame)
    frame.at(statement.lineno)
    recorded = _recorded(frame)
    for count, item in enumerate(items(frame.machine, iterable), start=1):
        if _recorded(frame) > recorded:
            check_unrolled(frame.machine, count)
        bind(statement.target, item, frame)
        signal = execute(statement.body, frame)
        if signal is Signal.BREAK:
            return Signal.NEXT
        if signal is Signal.RETURN:
            return signal
    return execute(statement.orelse, frame)


def _while(statement: ast.While, frame: Frame) -> Signal:
    recorded, count = _recorded(frame), 0
    while _holds(statement, frame):
        count += 1
        if _recorded(frame) > recorded:
            check_unrolled(frame.machine, count)
        signal = execute(statement.body, frame)
        if signal is Signal.BREAK:
            return Signal.NEXT
        if signal is Signal.RETURN:
            return signal
    return execute(statement.orelse, frame)


def _holds(statement: ast.While, frame: Frame) -> bool:
    test = evaluate(statement.test, frame)
    frame.at(statement.lineno)
    return truth(frame, test, "the loop")


def _recorded(frame: Frame) -> int:
    return len(frame.machine.builder.graph.equations)


# --- errors and contexts -----------------------------------------------------------


def _assert(statement: ast.Assert, frame: Frame) -> None:
    test = evaluate(statement.test, frame)
    frame.at(statement.lineno)
    if not truth(frame, test, "an assertion"):
        arguments = [evaluate(statement.msg, frame)] if statement.msg else []
        raise AssertionError(*arguments)


def _raise(statement: ast.Raise, frame: Frame) -> None:
    if statement.exc is None:
        home = frame.home()
        if home.handling is None:
            raise RuntimeError("No active exception to reraise")
        raise home.handling
    error = evaluate(statement.exc, frame)
    if isinstance(error, type):
        error = frame.machine.call(error)
    frame.at(statement.lineno)
    if statement.cause is not None:
        raise error from evaluate(statement.cause, frame)
    raise error


def _try(statement: ast.Try, frame: Frame) -> Signal:
    try:
        signal = _guarded(statement, frame)
    except BaseException:
        # A jump out of ``finally`` swallows the exception, as in Python.
        final = execute(statement.finalbody, frame)
        if final is not Signal.NEXT:
            return final
        raise
    final = execute(statement.finalbody, frame)
    return signal if final is Signal.NEXT else final


def _guarded(statement: ast.Try, frame: Frame) -> Signal:
    try:
        signal = execute(statement.body, frame)
    except TracegradError:
        raise  # never the user's to catch: the program can't be traced
    except BaseException as error:
        for handler in statement.handlers:
            if handler.type is None or isinstance(error, evaluate(handler.type, frame)):
                return _handle(handler, error, frame)
        raise
    return execute(statement.orelse, frame) if signal is Signal.NEXT else signal


def _handle(handler: ast.ExceptHandler, error: BaseException, frame: Frame) -> Signal:
    before, frame.handling = frame.handling, error
    if handler.name:
        frame.store(handler.name, error)
    try:
        return execute(handler.body, frame)
    finally:
        frame.handling = before
        if handler.name:
            frame.store(handler.name, None)
            frame.delete(handler.name)


def _with(statement: ast.With, frame: Frame) -> Signal:
    return _within(statement.items, statement, frame)


def _within(managers: list[ast.withitem], block: ast.With, frame: Frame) -> Signal:
    if not managers:
        return execute(block.body, frame)
    signal = Signal.NEXT
    with evaluate(managers[0].context_expr, frame) as entered:
        if managers[0].optional_vars is not None:
            bind(managers[0].optional_vars, entered, frame)
        signal = _within(managers[1:], block, frame)
    return signal


# --- jumps -------------------------------------------------------------------------


def _return(statement: ast.Return, frame: Frame) -> Signal:
    value = None if statement.value is None else evaluate(statement.value, frame)
    frame.at(statement.lineno)
    frame.returned = value
    return Signal.RETURN


def _nothing(statement: ast.stmt, frame: Frame) -> None:
    """``pass``, ``global`` and ``nonlocal`` do nothing when they are met."""


_EXECUTE: dict[type[ast.stmt], Callable[[Any, Frame], Signal | None]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Delete: _delete,
    ast.FunctionDef: _function,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.If: _if,
    ast.For: _for,
    ast.While: _while,
    ast.Assert: _assert,
    ast.Raise: _raise,
    ast.Try: _try,
    ast.With: _with,
    ast.Return: _return,
    ast.Pass: _nothing,
    ast.Global: _nothing,
    ast.Nonlocal: _nothing,
    ast.Break: lambda statement, frame: Signal.BREAK,
    ast.Continue: lambda statement, frame: Signal.CONTINUE,
}
