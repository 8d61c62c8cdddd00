"""Branches that are decided when the program runs.

Both arms are recorded, each in a region of its own, and what they bind becomes results
of a ``cond``. An arm that raises becomes a ``check``. A conditional expression whose
arms are cheap and can't fail is computed on both sides and selected from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tracegrad.errors import TracegradError
from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value, substitute
from tracegrad.ir.primitive import Scalar
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.control import check, cond
from tracegrad.traces.checks import VALUE_ERRORS, emit_check, message_of, negated
from tracegrad.traces.exits import (
    FLAGS,
    HIDDEN,
    VALUE,
    Signal,
    jumped,
    only_flag,
    raise_flag,
    signal_of,
)
from tracegrad.traces.scope import Frame, name_value
from tracegrad.traces.slots import (
    Layout,
    Mismatch,
    held,
    joined,
    operands,
    rebuilt,
    zeros,
)
from tracegrad.traces.stale import MISSING, Lost, Pending, Unsure, loaded
from tracegrad.traces.tracer import Tracer

_RESULT = "<result>"
_CHEAP = 8  # the cost of an arm that is rather computed than branched around
_NOT_TOTAL = (ew.floor_divide, ew.remainder, ew.fmod)

Body = Callable[[], Signal]


@dataclass(slots=True)
class Arm:
    """One side of a branch: what it records, binds, and how it ends.

    error: what it raised, so that it never ends.
    """

    graph: Graph
    truth: bool
    values: dict[str, Any] = field(default_factory=dict)
    signal: Signal = Signal.NEXT
    error: BaseException | None = None

    @property
    def falls(self) -> bool:
        """Whether what follows it runs on some path."""
        return self.error is None and self.signal.falls


class Branch:
    """A branch in the making.

    Args:
        frame: where it is.
        predicate: a traced boolean.
        names: what either arm may bind.

    Attributes:
        before: what the names hold before it.
    """

    def __init__(self, frame: Frame, predicate: Tracer, names: Sequence[str]) -> None:
        self._frame = frame
        self._memory = frame.machine.memory
        self._builder = frame.machine.builder
        self._predicate = predicate.operand
        self._names = list(dict.fromkeys((*names, *HIDDEN)))
        self.before = {name: frame.peek(name) for name in self._names}
        self._arms = (Arm(Graph("then"), True), Arm(Graph("otherwise"), False))

    def record(self, then: Body, otherwise: Body) -> tuple[Arm, Arm]:
        """Record both arms."""
        for arm, body in zip(self._arms, (then, otherwise), strict=True):
            with self._restored():
                self._run(arm, body)
        return self._arms

    def resume(self, arm: Arm, body: Body) -> None:
        """Record more at the end of an arm."""
        with self._restored():
            for name, content in arm.values.items():
                self._frame.put(name, content)
            self._run(arm, body)

    @contextmanager
    def _restored(self) -> Iterator[None]:
        frame = self._frame
        before = {name: frame.peek(name) for name in self._names}
        location, handling = self._builder.location, frame.handling
        try:
            yield
        finally:
            for name, content in before.items():
                frame.put(name, content)
            self._builder.location, frame.handling = location, handling

    def _run(self, arm: Arm, body: Body) -> None:
        bounds = self._memory.bounds
        facts = bounds.implied(self._predicate, arm.truth)
        with self._memory.region(arm.graph, self._frame.home()), bounds.given(facts):
            arm.signal, arm.error = guarded(self._frame, body)
            raise_flag(self._frame, arm.signal)
        arm.values = {name: self._frame.peek(name) for name in self._names}

    # --- joining ---------------------------------------------------------------------

    def merge(self, *, select: bool = False) -> Signal:
        """Bind what the arms bound; how the whole branch ended.

        select: whether cheap arms are computed on both sides.
        """
        if all(arm.error for arm in self._arms):
            self._emit([], [[], []])
            error = self._arms[0].error
            assert error is not None
            raise error
        joins = [
            _Join(self, name, [arm.values[name] for arm in self._arms])
            for name in self._names
        ]
        made = [join.results() for join in joins]
        types = [t for join in joins for t in join.types]
        columns = [[x for pair in made for x in pair[side]] for side in (0, 1)]
        if select and self._is_cheap(columns):
            found = iter(self._selected(columns))
        else:
            found = iter(self._emit(types, columns))
        for join in joins:
            self._frame.put(join.name, join.outcome(found))
        return signal_of(self._frame)

    def _emit(self, types: list[Any], columns: list[list[Operand]]) -> list[Operand]:
        graphs = tuple(arm.graph for arm in self._arms)
        for graph, column in zip(graphs, columns, strict=True):
            graph.results = list(column)
        if not types and not any(graph.equations for graph in graphs):
            return []
        if not types and self._as_check(graphs):
            return []
        return list(
            self._builder.emit(cond, (self._predicate,), {}, graphs, tuple(types))
        )

    def _as_check(self, graphs: tuple[Graph, ...]) -> bool:
        """Whether the branch did nothing but raise, and is a check now."""
        for graph, other, truth in zip(
            graphs, graphs[::-1], (True, False), strict=True
        ):
            if other.equations or len(graph.equations) != 1:
                continue
            (equation,) = graph.equations
            if equation.primitive is check and equation.inputs[0] == _FALSE:
                predicate = self._predicate
                if truth:
                    predicate = negated(self._builder, predicate)
                with self._builder.at(equation.location):
                    self._builder.emit(check, (predicate,), equation.params)
                return True
        return False

    def _is_cheap(self, columns: list[list[Operand]]) -> bool:
        if any(x.type.ndim for column in columns for x in column):
            return False
        return all(
            arm.error is None and sum(map(_cost, arm.graph.equations)) <= _CHEAP
            for arm in self._arms
        )

    def _selected(self, columns: list[list[Operand]]) -> list[Operand]:
        sides = []
        for arm, column in zip(self._arms, columns, strict=True):
            known: dict[Value, Operand] = {}
            self._builder.replay(arm.graph.equations, known)
            sides.append([substitute(x, known) for x in column])
        return [self._choice(a, b) for a, b in zip(*sides, strict=True)]

    def _choice(self, a: Operand, b: Operand) -> Operand:
        builder, predicate = self._builder, self._predicate
        if a == b:
            return a
        if b == _FALSE:
            return builder.emit1(cmp.logical_and, (predicate, a))
        if a == _TRUE:
            return builder.emit1(cmp.logical_or, (predicate, b))
        return builder.emit1(cmp.select, (predicate, a, b))

    # --- what a join asks ------------------------------------------------------------

    def inside(self, side: int) -> Any:
        """Emit at the end of an arm."""
        return self._builder.region(self._arms[side].graph)

    def lives(self, side: int) -> bool:
        """Whether an arm ends."""
        return self._arms[side].error is None

    def flag(self, pair: tuple[Any, Any]) -> Any:
        """The predicate, or its opposite, for (True, False) or (False, True)."""
        operand = self._predicate
        if pair == (False, True):
            operand = negated(self._builder, operand)
        return Tracer(self._builder, operand, weak=True)

    @property
    def memory(self) -> Any:
        """Of the trace."""
        return self._memory


_TRUE, _FALSE = Literal(True, "bool"), Literal(False, "bool")


def _cost(equation: Equation) -> float:
    """What an equation costs where its arm isn't taken; infinite if it may fail."""
    rule = equation.primitive.lower
    total = isinstance(rule, Scalar) and equation.primitive not in _NOT_TOTAL
    scalars = all(not x.type.ndim for x in equation.inputs)
    return rule.cost if total and scalars and isinstance(rule, Scalar) else float("inf")


def guarded(frame: Frame, body: Body) -> tuple[Signal, BaseException | None]:
    """Run a body that may not run at all: what it raises becomes a check."""
    machine = frame.machine
    try:
        return body(), None
    except TracegradError as error:
        if not isinstance(error, ValueError):
            raise
        found: BaseException = error
        message = error.what
    except Exception as error:
        if not isinstance(error, VALUE_ERRORS) and error is not machine.raised:
            raise
        found, message = error, message_of(error)
    kind = ValueError if isinstance(found, TracegradError) else type(found)
    emit_check(machine.memory, False, kind, message)
    return Signal.NEXT, found


class _Join:
    """What one name holds after a branch."""

    def __init__(self, branch: Branch, name: str, contents: list[Any]) -> None:
        self.name = name
        self._branch = branch
        self._lost: Lost | None = None
        self._layout: Layout | None = None
        self._flagged = False
        self._known: Any = None
        if name in FLAGS:
            contents = [False if c is MISSING else c for c in contents]
        self._contents = contents
        live = [c for side, c in enumerate(contents) if branch.lives(side)]
        # What only one arm gives may have been made in it.
        around = live if len(live) > 1 else [*live, branch.before[name]]
        self._same = all(c is around[0] for c in around)
        self._live = live
        if self._same:
            return
        for content in live:
            if isinstance(content, Pending):
                content.asked = True
        if self._is_opposite():
            return
        self._lost = next((c for c in live if isinstance(c, Lost)), None)
        if self._lost is not None:
            return
        present = [v for v in map(_value, live) if v is not MISSING]
        if not present:
            self._known = MISSING
            return
        try:
            self._layout = joined(present) if len(present) > 1 else held(present[0])
        except Mismatch as error:
            self._lost = Lost(error.why, error.todo)
            return
        self._flagged = name != VALUE and any(_bound(c) is not True for c in live)

    def _is_opposite(self) -> bool:
        """Whether it is the predicate, or its opposite."""
        pair = (self._contents[0], self._contents[1])
        if len(self._live) == 2 and all(type(x) is bool for x in pair):
            self._known = self._branch.flag(pair)
            return True
        return False

    @property
    def types(self) -> list[Any]:
        """Of the results that it needs."""
        if self._layout is None or self._lost:
            return []
        return [*self._layout.types, *([_FALSE.type] if self._flagged else [])]

    def results(self) -> tuple[list[Operand], list[Operand]]:
        """What each arm gives, emitted at its end."""
        if self._layout is None or self._lost:
            return [], []
        return self._side(0), self._side(1)

    def _side(self, side: int) -> list[Operand]:
        assert self._layout is not None
        memory, content = self._branch.memory, self._contents[side]
        value = _value(content) if self._branch.lives(side) else MISSING
        with self._branch.inside(side):
            if value is MISSING:
                found = list(zeros(memory, self._layout))
            else:
                found = list(operands(memory, self._layout, value))
            if self._flagged:
                found.append(_flag_operand(content))
        return found

    def outcome(self, found: Iterator[Operand]) -> Any:
        """What the name holds now."""
        if self._same:
            return self._live[0]
        if self._known is not None:
            return self._known
        if self._lost is not None:
            return self._lost
        assert self._layout is not None
        memory = self._branch.memory
        values = [v for v in map(_value, self._live) if v is not MISSING]
        value = rebuilt(memory, self._layout, found, values)
        name_value(value, self.name)
        if not self._flagged:
            return value
        bound = Tracer(memory.builder, next(found), weak=True)
        doubts = (c.doubts for c in self._live if isinstance(c, Unsure))
        return Unsure(value, lambda: bound, frozenset().union(*doubts))


def _value(content: Any) -> Any:
    """A name's value, bound or not."""
    if isinstance(content, Unsure):
        return content.value
    return MISSING if isinstance(content, (Lost, Pending)) else content


def _bound(content: Any) -> Any:
    if content is MISSING or isinstance(content, (Lost, Pending)):
        return False
    return content.bound if isinstance(content, Unsure) else True


def _flag_operand(content: Any) -> Operand:
    bound = _bound(content)
    if isinstance(bound, bool):
        return _TRUE if bound else _FALSE
    found = bound()
    if isinstance(found, bool):
        return _TRUE if found else _FALSE
    operand: Operand = found.operand
    return operand


# --- expressions and statements ----------------------------------------------------


def choose(
    frame: Frame,
    predicate: Tracer,
    then: Callable[[], Any],
    otherwise: Callable[[], Any],
    names: Sequence[str] = (),
) -> Any:
    """The value of one of two expressions, of which the other isn't evaluated."""

    def bound(value: Callable[[], Any]) -> Body:
        def body() -> Signal:
            frame.put(_RESULT, value())
            return Signal.NEXT

        return body

    before = frame.peek(_RESULT)
    branch = Branch(frame, predicate, [*names, _RESULT])
    branch.record(bound(then), bound(otherwise))
    branch.merge(select=True)
    result = loaded(frame.machine.memory, "the value", frame.peek(_RESULT))
    frame.put(_RESULT, before)
    return result


def unless_jumped(frame: Frame, names: Sequence[str], rest: Body) -> Signal:
    """Run the rest of a block where none of the flags is set."""
    flags = jumped(frame)
    if flags is False:
        return rest()
    if flags is True:
        return signal_of(frame)
    single = only_flag(frame)

    def skipped() -> Signal:
        if single is not None:
            frame.put(single, True)
        return Signal.NEXT

    def run() -> Signal:
        for name in FLAGS:
            frame.put(name, MISSING)
        return rest()

    branch = Branch(frame, flags, names)
    branch.record(skipped, run)
    return branch.merge()
