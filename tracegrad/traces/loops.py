"""Loops that stay loops: ``for_`` and ``while_``, recorded from the user's.

Which loops those are, is said here and nowhere else. A ``for`` over anything whose
length isn't a number while tracing (a traced range, an array's first axis, enumerate,
zip or reversed of such) is a ``for_``, and so is one over a range that ``is_long`` and
whose body has to do with traced values. A ``while`` is a ``while_`` if its condition is
traced, or if it has none but is left by a jump that is traced. If the body doesn't
allow that (it appends to a list, say) the loop is unrolled as long as sizes determine
its length. Every other loop runs while tracing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tracegrad import pytree
from tracegrad.errors import TracingError
from tracegrad.ir.graph import Graph, Literal, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import ArrayType, scalar
from tracegrad.primitives.control import for_, while_
from tracegrad.traces.branches import Body, choose, guarded
from tracegrad.traces.carried import Carried, CarryRefs
from tracegrad.traces.conditions import opposite
from tracegrad.traces.exchanged import (
    check_permutation,
    exchanged_refs,
    poison_others,
)
from tracegrad.traces.exits import (
    BROKE,
    CONTINUED,
    HIDDEN,
    RETURNED,
    VALUE,
    Signal,
    any_of,
    clear,
    flag,
    raise_flag,
    signal_of,
)
from tracegrad.traces.iteration import Backward, Marked, Range, Steps
from tracegrad.traces.scope import Frame
from tracegrad.traces.stale import Unsure
from tracegrad.traces.tracer import Tracer, lift

_WIDE = frozenset({"float64", "int64", "bool"})
_INT = scalar("int64")
_ATTEMPTS = 12  # how often types may widen before the loop is given up


class Loop(ABC):
    """A loop in the making.

    Args:
        frame: where it is.
        names: what its body binds.
        body: runs the body once.
        breaks: whether it matters afterwards that the loop was left by break.
    """

    def __init__(
        self, frame: Frame, names: Sequence[str], body: Body, *, breaks: bool
    ) -> None:
        self.frame = frame
        self.memory = frame.machine.memory
        self.builder = frame.machine.builder
        self.body = body
        hidden = (BROKE, RETURNED, VALUE) if breaks else (RETURNED, VALUE)
        every = dict.fromkeys((*names, *hidden))
        key = (frame.code, self.builder.location)
        self.carried = [
            Carried(self.memory, name, frame.peek(name), key) for name in every
        ]
        self.stop: Any = False
        self.graph = Graph("body")

    def stage(self) -> Signal:
        """Record it; how it ended."""
        clear(self.frame, *HIDDEN)
        for _ in range(_ATTEMPTS):
            try:
                with self._restored():
                    self._record()
            except CarryRefs as refs:
                if not self._carry(refs.bases):
                    raise
                continue
            if not self._unsettled():
                return self._finish()
        raise TracingError(
            "what the names in a loop hold differs in each iteration.",
            self.builder.location,
            "Give them numbers or arrays of one kind before the loop.",
        )

    @contextmanager
    def _restored(self) -> Iterator[None]:
        frame = self.frame
        names = [*(c.name for c in self.carried), *HIDDEN]
        before = {name: frame.peek(name) for name in names}
        location, handling = self.builder.location, frame.handling
        try:
            yield
        finally:
            for name, content in before.items():
                frame.put(name, content)
            self.builder.location, frame.handling = location, handling

    @abstractmethod
    def _record(self) -> None:
        """Record the body once, into a new graph."""

    def _run(self) -> None:
        """Run the body in its region, which is entered already."""
        for c in self.carried:
            self.frame.put(c.name, c.enter(self.memory, self.graph))
        self._entered()
        for c in self.carried:
            c.limit(self.memory)
        clear(self.frame, CONTINUED)
        signal, error = guarded(self.frame, self.body)
        raise_flag(self.frame, signal)
        self.stop = any_of(flag(self.frame, name) for name in (BROKE, RETURNED))
        for c in self.carried:
            c.end = c.start if error else self.frame.peek(c.name)

    def _entered(self) -> None:
        """Take note of what is known of the parameters."""
        return

    def _unsettled(self) -> bool:
        """Whether the body has to be recorded again."""
        swapped = exchanged_refs(self.memory, self.carried)
        if swapped:
            foreign = [c.entry.base for c in swapped if not self._is_home(c.entry.base)]
            if foreign:
                raise CarryRefs(foreign, self.memory)
            for c in swapped:
                c.exchanged = True
            return True
        # All of them are asked, so that one more recording settles as much as it can.
        again = [c for c in self.carried if c.settle(self.memory, c.end)]
        if again and all(c.firmed for c in again) and self._is_the_same_firm():
            again = []
        return bool(again) or any([c.induced(self.memory) for c in self.carried])

    def _is_the_same_firm(self) -> bool:
        """Whether the body would be the same with Python's floats being NumPy's.

        As in most loops: ``total = 0.0`` before, ``total += x[i]`` in the body. It
        makes a difference to narrow dtypes, and to what else comes of such a float.
        """
        equations = (e for graph in self._regions() for e in graph.walk())
        operands = (x for e in equations for x in (*e.inputs, *e.outputs))
        return all(x.type.dtype in _WIDE for x in operands) and not any(
            isinstance(x, Tracer) and x.weak and x.type.dtype == "float64"
            for c in self.carried
            if c.end is not c.start
            for x in pytree.leaves(c.end.value if isinstance(c.end, Unsure) else c.end)
        )

    def _regions(self) -> tuple[Graph, ...]:
        return (self.graph,)

    def _is_home(self, base: Value) -> bool:
        return base.graph is self.builder.graph

    def _carry(self, bases: Sequence[Value]) -> bool:
        """Carry Refs that a loop inside exchanges; whether they can be."""
        found = [
            c
            for c in self.carried
            if getattr(c.entry, "base", None) in bases and self._is_home(c.entry.base)
        ]
        for c in found:
            c.exchanged = True
        return bool(found)

    # --- the equation ----------------------------------------------------------------

    def _finish(self) -> Signal:
        check_permutation(self.memory, self.carried)
        for c in self.carried:
            if c.types and not c.params:
                c.params = self._add_late(c)
        initial = [x for c in self.carried for x in c.initial(self.memory)]
        with self._inside():
            self._refuse_growth()
            results = [x for c in self.carried for x in c.results(self.memory)]
        outputs = iter(self._emit(initial, results))
        found = [[next(outputs) for _ in c.types] for c in self.carried]
        trips = Tracer(self.builder, next(outputs), weak=True)
        poison_others(self.memory, self.carried, found, trips)
        for c, values in zip(self.carried, found, strict=True):
            outcome = c.outcome(self.memory, values, lambda: self._ran(trips))
            self.frame.put(c.name, outcome)
        clear(self.frame, CONTINUED)
        if flag(self.frame, RETURNED) is False:
            clear(self.frame, VALUE)
        return signal_of(self.frame)

    def _refuse_growth(self) -> None:
        """Give the loop up if it may compute what only Python's integers hold."""
        return

    @abstractmethod
    def _add_late(self, c: Carried) -> list[Value]:
        """Parameters for what turned out to be carried after the last recording."""

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """At the end of the body."""
        with self.builder.region(self.graph):
            yield

    @abstractmethod
    def _emit(
        self, initial: list[Operand], results: list[Operand]
    ) -> tuple[Operand, ...]:
        """The equation's outputs."""

    @abstractmethod
    def _ran(self, trips: Tracer) -> Any:
        """Whether there was an iteration."""

    def _types(self, initial: Sequence[Operand]) -> tuple[Any, ...]:
        return (*(x.type for x in initial), _INT)


class For(Loop):
    """``for target in steps``.

    Args:
        steps: what it runs over.
        bind: assigns the target.
        label: what the target is called.
        exact: whether it is given up if integers may grow beyond 64 bits, which those
            of Python don't mind: for loops that could be unrolled.
    """

    def __init__(
        self,
        frame: Frame,
        names: Sequence[str],
        body: Body,
        *,
        breaks: bool,
        steps: Steps,
        bind: Callable[[Any], None],
        label: str,
        exact: bool,
    ) -> None:
        super().__init__(frame, names, body, breaks=breaks)
        self._exact = exact
        self._snapshots = steps.snapshots if isinstance(steps, Marked) else 0
        steps = steps.inner if isinstance(steps, Marked) else steps
        self._steps, self._reversed = steps, False
        if isinstance(steps, Backward):
            self._steps, self._reversed = steps.inner, True
        self._bind = bind
        self._label = label
        self._bounds = self._interval()
        self.index: Value | None = None

    def _interval(self) -> tuple[Any, Any, int]:
        """Where the index starts and ends, and its step."""
        steps = self._steps
        if isinstance(steps, Range):
            return steps.start, steps.stop, steps.step
        return 0, steps.length, 1

    def _forms(self) -> tuple[Dim, Dim, int]:
        lo, hi, step = self._bounds
        affine = self.memory.bounds.affine_of
        return affine(lo), affine(hi), step

    def _record(self) -> None:
        self.graph = Graph("body")
        index = self.graph.add_param(_INT, self.memory.bounds.unique(self._label))
        self.index = index
        position = Tracer(self.builder, index, weak=True)
        steps = self._steps
        body = self.body

        def with_target() -> Signal:
            item = position if isinstance(steps, Range) else steps.at(position)
            self._bind(item)
            return body()

        self.body = with_target
        try:
            with self._inside_region():
                self._run()
        finally:
            self.body = body

    @contextmanager
    def _inside_region(self) -> Iterator[None]:
        assert self.index is not None
        lo, hi, step = self._forms()
        with (
            self.memory.region(self.graph, self.frame.home()),
            self.memory.bounds.within(self.index, lo, hi, step),
        ):
            yield

    @contextmanager
    def _inside(self) -> Iterator[None]:
        with self._inside_region():
            yield

    def _refuse_growth(self) -> None:
        if self._exact and any(c.grows(self.memory) for c in self.carried):
            raise TracingError(
                "an integer may grow beyond 64 bits in a loop.",
                self.builder.location,
                "Use floats.",
            )

    def _add_late(self, c: Carried) -> list[Value]:
        return c.add_params(self.graph)

    def _emit(
        self, initial: list[Operand], results: list[Operand]
    ) -> tuple[Operand, ...]:
        lo, hi, step = self._bounds
        stops = self.stop is not False
        params = {"step": step, "reversed": self._reversed, "stops": stops}
        if self._snapshots:
            params["snapshots"] = self._snapshots
            self._refuse_stop()
        flags = [_flag(self.stop)] if stops else []
        self.graph.params[1:] = [p for c in self.carried for p in c.params]
        self.graph.results = [*flags, *results]
        bounds = [lift(self.builder, x, "int64") for x in (lo, hi)]
        return self.builder.emit(
            for_, (*bounds, *initial), params, (self.graph,), self._types(initial)
        )

    def _refuse_stop(self) -> None:
        if self.stop is not False:
            raise TracingError(
                "a loop with checkpoints may be left by break or return.",
                self.builder.location,
                "Let its range say how often it runs.",
            )

    def _ran(self, trips: Tracer) -> Any:
        lo, hi, step = self._forms()
        if self.memory.bounds.proves((hi - lo if step > 0 else lo - hi) - 1):
            return True
        return trips > 0


class While(Loop):
    """``while test``.

    Args:
        test: the condition, a bool or a traced boolean.
        stops: whether the body may end the loop.
    """

    def __init__(
        self,
        frame: Frame,
        names: Sequence[str],
        body: Body,
        *,
        breaks: bool,
        test: Callable[[], Any],
        stops: bool,
    ) -> None:
        super().__init__(frame, names, body, breaks=breaks)
        self._test = test
        self._stops = stops
        self._condition = Graph("condition")
        self._tested: dict[str, list[Value]] = {}
        self._stopped: list[Value] = []

    def _record(self) -> None:
        self._condition, self.graph = Graph("condition"), Graph("body")
        for graph in (self._condition, self.graph):
            graph.add_param(_INT, "trip")
        memory, bounds = self.memory, self.memory.bounds
        self._stopped = []
        with memory.region(self._condition, self.frame.home(), writes=False):
            self._tested = {c.name: c.add_params(self._condition) for c in self.carried}
            if self._stops:
                self._stopped.append(self._condition.add_param(_BOOL, "stopped"))
            for c in self.carried:
                self.frame.put(c.name, c.content(memory, self._tested[c.name]))
                for k, found in c.ranges.items():
                    bounds.limit(self._tested[c.name][k], found.floor, found.ceiling)
            holds = self._holds()
        self._condition.results = [holds]
        facts = bounds.implied(holds, True)
        with memory.region(self.graph, self.frame.home()), bounds.given(facts):
            self._run()

    def _regions(self) -> tuple[Graph, ...]:
        return (self._condition, self.graph)

    def _holds(self) -> Operand:
        found: list[Any] = [False]

        def run() -> Signal:
            if self._stopped:
                stopped = Tracer(self.builder, self._stopped[0], weak=True)
                go_on = opposite(stopped)
                found[0] = choose(self.frame, go_on, self._test, lambda: False)
            else:
                found[0] = self._test()
            return Signal.NEXT

        _, error = guarded(self.frame, run)
        return _flag(False if error else found[0])

    def _entered(self) -> None:
        bounds = self.memory.bounds
        for c in self.carried:
            pairs = zip(c.params, self._tested[c.name], strict=False)
            for own, tested in pairs:
                if _is_integer(own):
                    bounds.identify(own, tested)

    def _add_late(self, c: Carried) -> list[Value]:
        self._tested[c.name] = c.add_params(self._condition)
        return c.add_params(self.graph)

    def _emit(
        self, initial: list[Operand], results: list[Operand]
    ) -> tuple[Operand, ...]:
        params = [p for c in self.carried for p in c.params]
        tested = [p for c in self.carried for p in self._tested[c.name]]
        stopped = []
        if self._stops:
            initial, results = [*initial, _NO], [*results, _flag(self.stop)]
            stopped = [self.graph.add_param(_BOOL, "stopped")]
        self.graph.params[1:] = [*params, *stopped]
        self._condition.params[1:] = [*tested, *self._stopped]
        self.graph.results = results
        outputs = self.builder.emit(
            while_,
            initial,
            {},
            (self._condition, self.graph),
            self._types(initial),
        )
        return (*outputs[: len(params)], outputs[-1])

    def _ran(self, trips: Tracer) -> Any:
        return trips > 0


_BOOL = scalar("bool")
_NO = Literal(False, "bool")


def _flag(value: Any) -> Operand:
    if isinstance(value, Tracer):
        return value.operand
    return Literal(bool(value), "bool")


def _is_integer(value: Value) -> bool:
    return isinstance(value.type, ArrayType) and value.type == _INT


def left_by_break(frame: Frame) -> Any:
    """Whether a loop that just ended was left by break."""
    broke = flag(frame, BROKE)
    clear(frame, BROKE)
    return broke
