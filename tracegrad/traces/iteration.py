"""What a loop runs over when its length is known only at run time.

A ``Steps`` gives its item at a traced position; ``range``, ``enumerate``, ``zip`` and
``reversed`` of traced things are such, and so is an array as a sequence of its rows.
Iterated by Python, it is unrolled under a guard on its length, if sizes determine it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from tracegrad.errors import ControlFlowError, TracingError
from tracegrad.ir.shapes import concrete_size, hint_of, size_at_least
from tracegrad.ir.types import INTEGERS, NARROW
from tracegrad.numpy_api.arguments import known_size, needed_size
from tracegrad.primitives import elementwise as ew
from tracegrad.traces.indices import get, weak
from tracegrad.traces.memory import Memory
from tracegrad.traces.stretches import Stretch
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import as_number, viewed

UNROLL_LIMIT = 1000
"""How many steps of traced operations a loop may have that is unrolled."""


@dataclass(frozen=True)
class Steps:
    """The base of sequences that are indexed by a traced position."""

    memory: Memory = field(repr=False)

    @property
    def length(self) -> Any:
        """How many items there are: an int, or a tracer of one."""
        raise NotImplementedError

    def at(self, position: Any) -> Any:
        """The item at a position that is within bounds."""
        raise NotImplementedError

    def rest(self) -> Steps:
        """All but the first item."""
        return Rest(self.memory, self)

    def surely_run(self) -> bool:
        """Whether there is an item for certain, by a guard if need be."""
        bounds = self.memory.bounds
        return bounds.proves(bounds.affine_of(self.length) - 1)

    def counted(self) -> int:
        """The number of items, guarded; there may not be too many to unroll."""
        length = self.length
        if isinstance(length, Tracer):
            size = needed_size(length)
            if size is None:
                raise ControlFlowError(
                    "the length of a sequence depends on a traced value.",
                    self.memory.builder.location,
                    "Run over it with a for statement; comprehensions and lists need a "
                    "length that sizes determine.",
                )
            check_unrolled(self.memory, hint_of(size))
            length = concrete_size(size)
        check_unrolled(self.memory, length)
        return int(length)

    def __len__(self) -> int:
        return self.counted()

    def __iter__(self) -> Iterator[Any]:
        # One by one: the loop may write to what it runs over.
        return (self.at(k) for k in range(self.counted()))


def check_unrolled(memory: Memory, steps: int) -> None:
    """Refuse a loop that would be unrolled into too many equations."""
    if steps > UNROLL_LIMIT:
        raise ControlFlowError(
            f"a loop of {steps} steps would be unrolled.",
            memory.builder.location,
            f"Write it as an array expression; loops of traced operations may have "
            f"{UNROLL_LIMIT} steps.",
        )


@dataclass(frozen=True)
class Range(Steps):
    """``range(start, stop, step)`` with integers that may be traced."""

    start: Any
    stop: Any
    step: int

    @property
    def length(self) -> Any:
        """How many integers it has."""
        first, last = (self.start, self.stop)[:: 1 if self.step > 0 else -1]
        span, stride = last - first, abs(self.step)
        if isinstance(span, int):
            return max(0, -(-span // stride))
        size = known_size(span)
        if size is not None:
            return as_number(self.memory, _ceiling(self.memory, size, stride))
        count = span if stride == 1 else (span + (stride - 1)) // stride
        return weak(ew.maximum(count, 0))

    def rest(self) -> Steps:
        """The same from the second integer on."""
        return Range(self.memory, self.start + self.step, self.stop, self.step)

    def at(self, position: Any) -> Any:
        """``start + position * step``."""
        return self.start + (position if self.step == 1 else position * self.step)


def _ceiling(memory: Memory, span: Any, stride: int) -> Any:
    if not size_at_least(span, 0):
        return 0
    return span if stride == 1 else (span + (stride - 1)) // stride


@dataclass(frozen=True)
class Rest(Steps):
    """A sequence without its first item, which it has."""

    inner: Steps

    @property
    def length(self) -> Any:
        """One less."""
        return self.inner.length - 1

    def at(self, position: Any) -> Any:
        """One further."""
        return self.inner.at(position + 1)


@dataclass(frozen=True)
class Rows(Steps):
    """An array along its first axis."""

    array: Tracer

    @property
    def length(self) -> Any:
        """Its first size."""
        return self.array.shape[0]

    def at(self, position: Any) -> Any:
        """A row, or an element."""
        view = viewed(self.memory, self.array)
        if view is None or not (self.memory.staged or isinstance(position, Tracer)):
            return self.array[position]
        return get(view, position)


@dataclass(frozen=True)
class Elements(Steps):
    """A slice of unknown length along its first axis."""

    stretch: Stretch

    @property
    def length(self) -> Any:
        """Its length."""
        return self.stretch.lengths[0]

    def at(self, position: Any) -> Any:
        """A row, or an element."""
        return self.stretch.row(position)


@dataclass(frozen=True)
class Cells(Steps):
    """``np.ndindex(*sizes)``: where a grid's cells are, the last axis fastest."""

    sizes: tuple[Any, ...]

    @property
    def length(self) -> Any:
        """How many cells there are."""
        return reduce(operator.mul, self.sizes, 1)

    def at(self, position: Any) -> Any:
        """A position along each axis."""
        found = []
        for size in self.sizes[:0:-1]:
            found.append(position % size)
            position = position // size
        return (*((position,) if self.sizes else ()), *found[::-1])


@dataclass(frozen=True)
class Counted(Steps):
    """``enumerate(inner, first)``."""

    inner: Steps
    first: Any

    @property
    def length(self) -> Any:
        """That of the sequence."""
        return self.inner.length

    def at(self, position: Any) -> Any:
        """A number and an item."""
        return (self.first + position, self.inner.at(position))


@dataclass(frozen=True)
class Paired(Steps):
    """``zip(*parts)``."""

    parts: tuple[Steps, ...]

    @property
    def length(self) -> Any:
        """That of the shortest."""
        return reduce(self._shorter, (part.length for part in self.parts))

    def _shorter(self, a: Any, b: Any) -> Any:
        if not isinstance(a, Tracer) and not isinstance(b, Tracer):
            return min(a, b)
        sizes = [known_size(x) if isinstance(x, Tracer) else x for x in (a, b)]
        if None in sizes:
            return weak(ew.minimum(a, b))
        first, second = sizes
        assert first is not None
        assert second is not None
        if self.memory.builder.assumptions.hints and hint_of(first) == hint_of(second):
            return a if size_at_least(second, first) else b
        return b if size_at_least(first, second) else a

    def at(self, position: Any) -> Any:
        """An item of each."""
        return tuple(part.at(position) for part in self.parts)


@dataclass(frozen=True)
class Backward(Steps):
    """``reversed(inner)``."""

    inner: Steps

    @property
    def length(self) -> Any:
        """That of the sequence."""
        return self.inner.length

    def at(self, position: Any) -> Any:
        """Counted from the end."""
        return self.inner.at(self.length - 1 - position)


@dataclass(frozen=True)
class Marked(Steps):
    """``checkpoint(inner, snapshots)``."""

    inner: Steps
    snapshots: int

    @property
    def length(self) -> Any:
        """That of the sequence."""
        return self.inner.length

    def rest(self) -> Steps:
        """The same from the second item on."""
        return Marked(self.memory, self.inner.rest(), self.snapshots)

    def at(self, position: Any) -> Any:
        """The same item."""
        return self.inner.at(position)


_T = TypeVar("_T")


def checkpoint(steps: Iterable[_T], snapshots: int) -> Iterable[_T]:
    """What a loop runs over, marked so that its gradient needs little memory.

    The gradient of ``for i in checkpoint(range(n), snapshots=20): ...`` doesn't store
    something for each iteration: it keeps the loop's state (the names that the loop
    changes, and the arrays that it writes and reads) at as many iterations as there are
    snapshots, and runs iterations again from there. With s snapshots, C(s + r, s)
    iterations are each run at most r times before they are run forward and back: 20
    snapshots serve 231 iterations with r = 2, 1771 with 3, 10626 with 4, and 20
    million with 10.

    Args:
        steps: a range, array, or ``enumerate``, ``zip`` or ``reversed`` of such.
        snapshots: how many states are kept, at least one.

    Returns:
        The steps as they are, for code that isn't traced.

    Raises:
        ValueError: if there is no snapshot.
        TracingError: while tracing, if the loop can't stay a loop, or may be left by
            break or return.

    A marked loop inside another traced loop is differentiated as if it weren't marked.
    The places of snapshots are those of Griewank and Walther's Revolve, Algorithm 799,
    ACM Transactions on Mathematical Software 26 (2000): no schedule runs fewer.

    >>> from tracegrad import grad
    >>> @grad
    ... def decay(k):
    ...     u = 1.0
    ...     for _ in checkpoint(range(1000), snapshots=10):
    ...         u -= 0.001 * k * u * u
    ...     return u
    >>> round(decay(1.0), 3)
    -0.25
    """
    if snapshots < 1:
        raise ValueError(f"checkpoint needs at least one snapshot, not {snapshots}")
    return steps


def marked(memory: Memory, steps: Any, snapshots: Any) -> Steps:
    """``checkpoint`` in traced code."""
    count = operator.index(snapshots)
    checkpoint((), count)
    inner = steps_of(memory, steps, constants=True)
    if inner is None or isinstance(inner, Marked):
        raise TracingError(
            f"checkpoint marks a range or an array, not a {type(steps).__name__}.",
            memory.builder.location,
            "Write for i in checkpoint(range(n), snapshots=...).",
        )
    return Marked(memory, inner, count)


def steps_of(memory: Memory, value: Any, *, constants: bool = False) -> Steps | None:
    """A value as a sequence that can be indexed by a traced position, or None.

    constants: whether ranges and arrays that are known while tracing are such, too.
    """
    if isinstance(value, Steps):
        return value
    if isinstance(value, Stretch):
        return Elements(memory, value)
    if isinstance(value, Tracer) and value.ndim:
        return Rows(memory, value)
    if constants and isinstance(value, range):
        return Range(memory, value.start, value.stop, value.step)
    if constants and isinstance(value, np.ndarray) and value.ndim:
        builder = memory.builder
        return Rows(memory, Tracer(builder, builder.capture(value)))
    return None


def make_range(memory: Memory, *bounds: Any) -> Any:
    """``range`` of integers of which some are traced."""
    for bound in bounds:
        integral = isinstance(bound, Tracer) and bound.type.dtype in INTEGERS | NARROW
        if not integral and not isinstance(bound, (int, np.integer)):
            kind = bound.dtype if isinstance(bound, Tracer) else type(bound).__name__
            raise TypeError(f"'{kind}' object cannot be interpreted as an integer")
    start, stop, step = 0, bounds[0], 1
    if len(bounds) > 1:
        start, stop, step = (*bounds, 1)[:3]
    if isinstance(step, Tracer):
        if needed_size(step) is None:
            raise TracingError(
                "the step of a range depends on a traced value.",
                memory.builder.location,
                "Use a step that is a literal number, and multiply the index.",
            )
        step = step.__index__()
    if step == 0:
        raise ValueError("range() arg 3 must not be zero")
    return Range(memory, _plain(start), _plain(stop), int(step))


def _plain(bound: Any) -> Any:
    if not isinstance(bound, Tracer):
        return int(bound)
    return bound if bound.weak else weak(bound)
