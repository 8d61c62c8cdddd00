"""Execute the statements of a traced function.

A block tells how it ended, as a ``Signal``; nothing here uses Python's own control flow
to leave a block, so that a block can be run in the middle of another one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tracegrad.errors import TracegradError, TracingError
from tracegrad.traces import assignments
from tracegrad.traces.branches import Branch, unless_jumped
from tracegrad.traces.carried import CarryRefs
from tracegrad.traces.conditions import condition
from tracegrad.traces.exits import (
    BROKE,
    CONTINUED,
    RETURNED,
    Signal,
    clear,
    flag,
    jumped,
    signal_of,
)
from tracegrad.traces.expressions import bind, evaluate
from tracegrad.traces.iteration import (
    UNROLL_LIMIT,
    Marked,
    Range,
    Steps,
    check_unrolled,
    steps_of,
)
from tracegrad.traces.loops import For, While, left_by_break
from tracegrad.traces.memory import Key, Restart
from tracegrad.traces.names import (
    assigned,
    may_jump,
    may_stop,
    only_returns,
)
from tracegrad.traces.raising import check_assertion, raise_exception
from tracegrad.traces.scope import Frame
from tracegrad.traces.sequences import items
from tracegrad.traces.stale import Widened
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.unrolling import (
    check_growth,
    has_begun,
    key_of,
    may_stay,
    recorded,
    stays,
)


def execute(block: Sequence[ast.stmt], frame: Frame) -> Signal:
    """Run statements until one jumps.

    After a jump that is decided at run time, the rest runs where it wasn't taken.
    """
    for k, statement in enumerate(block):
        frame.at(statement.lineno)
        rest = block[k + 1 :]
        if isinstance(statement, ast.If):
            signal, rest = _if(statement, rest, frame)
        else:
            handler = _EXECUTE.get(type(statement))
            if handler is None:
                raise _refused(statement, frame)
            signal = handler(statement, frame) or Signal.NEXT
        if signal is Signal.MAYBE and rest:
            return unless_jumped(
                frame, bound_by(frame, rest), partial(execute, rest, frame)
            )
        if signal is not Signal.NEXT or not rest:
            return signal
    return Signal.NEXT


def _refused(statement: ast.stmt, frame: Frame) -> TracegradError:
    what = f"{type(statement).__name__.lower()}"
    todo = "Move it out of the traced function."
    if isinstance(statement, ast.ClassDef):
        what, todo = "a class definition", "Define it outside the traced function."
    if isinstance(statement, ast.Match):
        what = "a match statement that takes a value apart"
        todo = (
            "Match literals, names and classes without arguments, or use if and elif."
        )
    return frame.refused(f"{what} can't be traced.", todo)


def _expression(statement: ast.Expr, frame: Frame) -> None:
    if not isinstance(statement.value, ast.Constant):
        evaluate(statement.value, frame)


# --- branches ----------------------------------------------------------------------


def _if(
    statement: ast.If, rest: Sequence[ast.stmt], frame: Frame
) -> tuple[Signal, Sequence[ast.stmt]]:
    """A branch: how it ended, and what is left of the rest of its block.

    If one arm jumps, the rest of the block belongs to the other one.
    """
    value = evaluate(statement.test, frame)
    frame.at(statement.lineno)
    test = condition(frame, value, "the branch")
    if not isinstance(test, Tracer):
        if isinstance(value, Tracer) and frame.unrolled and may_jump([statement]):
            # A size decides when a loop ends that has no condition: it isn't unrolled.
            _stage_if_new(frame)
        return execute(statement.body if test else statement.orelse, frame), rest
    names = bound_by(frame, [statement, *rest])
    branch = Branch(frame, test, names)
    bodies = (
        partial(execute, arm, frame) for arm in (statement.body, statement.orelse)
    )
    arms = branch.record(*bodies)
    falling = [arm for arm in arms if arm.falls]
    if len(falling) == 1 and rest:
        after = partial(execute, rest, frame)
        names = bound_by(frame, rest)
        branch.resume(falling[0], partial(unless_jumped, frame, names, after))
        rest = ()
    return branch.merge(), rest


def _stage_if_new(frame: Frame) -> None:
    key = frame.unrolled[-1]
    if not frame.machine.memory.is_demanded(key):
        raise Restart(key)


def bound_by(frame: Frame, nodes: Sequence[ast.AST]) -> list[str]:
    """The names that statements bind, as the class around spells them."""
    return [frame.mangled(name) for name in assigned(nodes)]


# --- loops -------------------------------------------------------------------------


def _for(statement: ast.For, frame: Frame) -> Signal:
    iterable = evaluate(statement.iter, frame)
    frame.at(statement.lineno)
    constants = stays(iterable, statement, frame)
    steps = steps_of(frame.machine.memory, iterable, constants=constants)
    if steps is None:
        key = key_of(statement, frame) if may_stay(iterable) else None
        return _unrolled_for(statement, iterable, frame, key)
    refused = _attempted(frame, partial(_staged_for, statement, steps, frame))
    if isinstance(refused, Signal):
        return refused
    if isinstance(refused, Widened) and steps.surely_run():
        return _peeled_for(statement, steps, frame)
    if isinstance(steps, Marked):
        raise refused
    given = iterable if constants else steps
    return _or_refused(partial(_unrolled_for, statement, given, frame), refused)


def _peeled_for(statement: ast.For, steps: Steps, frame: Frame) -> Signal:
    """The first iteration by itself: what starts as 0 is an array from then on."""
    names = bound_by(frame, [statement.target, *statement.body, *statement.orelse])
    bind(statement.target, steps.at(0), frame)
    signal = execute(statement.body, frame)
    clear(frame, CONTINUED)
    if signal not in (Signal.BREAK, Signal.RETURN):
        rest = partial(_staged_for, statement, steps.rest(), frame)
        signal = unless_jumped(frame, names, rest)
    if signal is Signal.RETURN:
        return signal
    left_by_break(frame)
    return signal_of(frame)


def _staged_for(statement: ast.For, steps: Steps, frame: Frame) -> Signal:
    targets = [statement.target]
    names = bound_by(frame, [*targets, *statement.body])
    first = next(iter(assigned(targets)), "k")
    constant = isinstance(steps, Range) and all(
        isinstance(x, int) for x in (steps.start, steps.stop)
    )
    loop = For(
        frame,
        names,
        partial(execute, statement.body, frame),
        breaks=bool(statement.orelse),
        steps=steps,
        bind=lambda item: bind(statement.target, item, frame),
        label=first.strip("_") or "k",
        exact=constant,
    )
    loop.stage()
    return _otherwise(statement.orelse, frame)


def _otherwise(block: Sequence[ast.stmt], frame: Frame) -> Signal:
    """The ``else`` of a loop: unless it was left by a jump."""
    signal = Signal.NEXT
    if block:
        run = partial(execute, block, frame)
        signal = unless_jumped(frame, bound_by(frame, block), run)
        if signal is Signal.BREAK:
            signal = Signal.NEXT
    left_by_break(frame)
    return signal_of(frame) if signal in (Signal.NEXT, Signal.MAYBE) else signal


def _attempted(frame: Frame, stage: Callable[[], Signal]) -> Signal | TracingError:
    """How a staged loop ended; or why it can't be staged, and then nothing is done.

    Raises:
        TracingError: why not, if that shows when the loop is part of the program.
    """
    handling = frame.handling
    before, equations = frame.snapshot(), recorded(frame)
    try:
        return stage()
    except (Restart, CarryRefs):
        raise
    except TracingError as error:
        if has_begun(frame, equations):
            raise
        error.located(frame.machine.builder.location)
        frame.restore(before)
        frame.handling = handling
        return error


def _unrolled_for(
    statement: ast.For, iterable: Any, frame: Frame, key: Key | None = None
) -> Signal:
    """Run a loop while tracing.

    key: what demands that it is staged, if it could be.

    Raises:
        Restart: if it would become too many equations, and could be staged.
    """
    before = recorded(frame)
    stopped = (BROKE, RETURNED)
    names = bound_by(frame, [statement.target, *statement.body])
    for count, item in enumerate(items(frame.machine, iterable), start=1):
        if recorded(frame) > before:
            check_unrolled(frame.machine.memory, count)

        def step(item: Any = item) -> Signal:
            bind(statement.target, item, frame)
            return execute(statement.body, frame)

        signal = unless_jumped(frame, names, step)
        clear(frame, CONTINUED)
        if signal is Signal.BREAK:
            left_by_break(frame)
            return signal_of(frame)
        if signal is Signal.RETURN:
            return signal
        if jumped(frame, stopped) is True:
            break
        if key is not None:
            check_growth(frame, key, before, count / len(iterable))
    return _otherwise(statement.orelse, frame)


def _while(statement: ast.While, frame: Frame) -> Signal:
    memory = frame.machine.memory
    key = key_of(statement, frame)
    if any(assigned([statement.test])):
        statement = _tested_inside(statement)
    assumptions = frame.machine.builder.assumptions
    guards = dict(assumptions.guards)
    value = _tried(statement, frame)
    run = partial(_unrolled_while, statement, value, frame, key)
    if not isinstance(value, Tracer) and not memory.is_demanded(key):
        return run()
    # What this try assumed of sizes, the condition may not need as a region.
    assumed, assumptions.guards = assumptions.guards, guards
    refused = _attempted(frame, partial(_staged_while, statement, frame))
    if isinstance(refused, Signal):
        return refused
    assumptions.guards |= assumed
    if isinstance(condition(frame, value, "the loop"), Tracer):
        raise refused
    return _or_refused(run, refused)


def _tried(statement: ast.While, frame: Frame) -> Any:
    """What the condition of a loop gives before the first iteration.

    Raises:
        TracingError: if it writes to an array, and can't be tried.
    """
    memory = frame.machine.memory
    written = sum(memory.versions.values())
    value = evaluate(statement.test, frame)
    frame.at(statement.lineno)
    if isinstance(value, Tracer) and sum(memory.versions.values()) != written:
        raise frame.refused(
            "the condition of a loop writes to an array.",
            "Write it as while True: with if and break.",
        )
    return value


def _or_refused(run: Callable[[], Signal], refused: TracingError) -> Signal:
    """Unroll a loop that can't be staged; if that fails, say why not that."""
    try:
        return run()
    except TracegradError as error:
        raise (error if isinstance(error, (Restart, CarryRefs)) else refused) from None


def _tested_inside(statement: ast.While) -> ast.While:
    """``while True`` with the condition, which binds names, as its first statement."""
    test = ast.UnaryOp(ast.Not(), statement.test)
    first = ast.If(test, [ast.Break()], [])
    loop = ast.While(ast.Constant(True), [first, *statement.body], [])
    for node in (first, *first.body, test, loop, loop.test):
        ast.copy_location(node, statement.test)
    if statement.orelse:
        first.body = [*statement.orelse, *first.body]
    return loop


def _test(statement: ast.While, frame: Frame) -> Any:
    value = evaluate(statement.test, frame)
    frame.at(statement.lineno)
    return condition(frame, value, "the loop")


def _staged_while(statement: ast.While, frame: Frame) -> Signal:
    loop = While(
        frame,
        bound_by(frame, statement.body),
        partial(execute, statement.body, frame),
        breaks=bool(statement.orelse),
        test=partial(_test, statement, frame),
        stops=may_stop(statement.body),
    )
    loop.stage()
    if only_returns(statement) and flag(frame, RETURNED) is not False:
        frame.put(RETURNED, True)
    return _otherwise(statement.orelse, frame)


def _unrolled_while(statement: ast.While, value: Any, frame: Frame, key: Key) -> Signal:
    """Run a loop while tracing, as long as its condition is known.

    value: of the condition, the first time.

    Raises:
        Restart: if that isn't known later on, or the loop doesn't come to an end.
    """
    before, count = recorded(frame), 0
    while True:
        test = condition(frame, value, "the loop")
        if isinstance(test, Tracer):
            if count and not frame.machine.memory.is_demanded(key):
                raise Restart(key)  # a loop from the start, not after some iterations
            return _staged_while(statement, frame)
        if not test:
            return execute(statement.orelse, frame)
        count += 1
        if recorded(frame) > before and count > UNROLL_LIMIT:
            raise _to_stage(frame, key)
        with frame.unrolling(key):
            signal = execute(statement.body, frame)
        clear(frame, CONTINUED)
        if signal is Signal.BREAK:
            left_by_break(frame)
            return signal_of(frame)
        if signal is Signal.RETURN:
            return signal
        if jumped(frame) is not False:
            raise _to_stage(frame, key)
        value = _tried(statement, frame)


def _to_stage(frame: Frame, key: Key) -> TracegradError:
    """Ask for a trace in which a loop is staged; it is in vain to ask twice."""
    if not frame.machine.memory.is_demanded(key):
        return Restart(key)
    return frame.refused(
        "a loop that can't be staged has no end that is known while tracing.",
        "Let its condition say when it ends.",
    )


# --- errors and contexts -----------------------------------------------------------


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
        with frame.machine.memory.handling(_caught(statement, frame)):
            signal = execute(statement.body, frame)
    except TracegradError:
        raise  # never the user's to catch: the program can't be traced
    except BaseException as error:
        for handler in statement.handlers:
            if handler.type is None or isinstance(error, evaluate(handler.type, frame)):
                return _handle(handler, error, frame)
        raise
    return execute(statement.orelse, frame) if signal is Signal.NEXT else signal


def _caught(statement: ast.Try, frame: Frame) -> tuple[type[BaseException], ...]:
    """The exceptions that a statement would catch."""
    found: list[type[BaseException]] = []
    for handler in statement.handlers:
        kinds = evaluate(handler.type, frame) if handler.type else BaseException
        found.extend(kinds if isinstance(kinds, tuple) else (kinds,))
    return tuple(found)


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
    ast.Assign: assignments.assign,
    ast.AnnAssign: assignments.annotated,
    ast.AugAssign: assignments.augmented,
    ast.Delete: assignments.delete,
    ast.FunctionDef: assignments.define,
    ast.Import: assignments.import_module,
    ast.ImportFrom: assignments.import_from,
    ast.For: _for,
    ast.While: _while,
    ast.Assert: check_assertion,
    ast.Raise: raise_exception,
    ast.Try: _try,
    ast.With: _with,
    ast.Return: _return,
    ast.Pass: _nothing,
    ast.Global: _nothing,
    ast.Nonlocal: _nothing,
    ast.Break: lambda statement, frame: Signal.BREAK,
    ast.Continue: lambda statement, frame: Signal.CONTINUE,
}
