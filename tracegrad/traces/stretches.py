"""Slices whose length is known at run time only.

Such a slice is a function of positions: what it shows is never an array of the graph.
Functions of elements are put off until a position is asked for; a reduction, a loop or
an assignment asks for one after the other, in a loop of that length.

    x[a:b].sum()    ->  for k in range(clip(b) - clip(a)): s += x[clip(a) + k]
    y[a:b] = 2 * x[c:d]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.ir.graph import Graph, Value
from tracegrad.ir.types import ArrayType, scalar
from tracegrad.numpy_api import table as numpy_table
from tracegrad.numpy_api.arguments import astype, axes_of
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.computed_sizes import is_of_sizes
from tracegrad.traces import programs
from tracegrad.traces.checks import emit_check
from tracegrad.traces.indices import weak
from tracegrad.traces.memory import SIZED, Memory, Restart
from tracegrad.traces.scope import current
from tracegrad.traces.tracer import Tracer, lift
from tracegrad.traces.unsized import ELEMENTWISE, Unsized
from tracegrad.traces.views import Number, as_number, snapshot

Positions = tuple[Any, ...]
Show = Callable[..., Any]  # of positions, and of what the parts have there
Source = tuple[Tracer, Callable[[Positions], tuple[Any, ...]]]


class Stretch(Unsized):
    """Elements at positions along leading axes, as many as are known at run time.

    Attributes:
        memory: of the trace.
        lengths: of the leading axes.
        parts: what it is calculated from.
        element: the type of what is at a position along each of the leading axes.
        home: the region in which it was made.
        reads: the Refs that it shows or was calculated from, as often written.
        source: the array that it was sliced from, and the index in it for a position;
            None if it was calculated, and is what the Refs held then.
    """

    __slots__ = (
        "_sample",
        "_show",
        "element",
        "home",
        "lengths",
        "memory",
        "parts",
        "reads",
        "source",
    )

    def __init__(
        self,
        memory: Memory,
        lengths: tuple[Number, ...],
        show: Show,
        reads: Iterable[tuple[Value, int]],
        *,
        parts: tuple[Stretch, ...] = (),
        source: Source | None = None,
    ) -> None:
        self.memory = memory
        self.lengths = lengths
        self.parts = parts
        self._show = show
        self._sample = self._tried()
        self.element = _type_of(memory, self._sample)
        self.home = memory.regions[-1] if memory.regions else None
        self.reads = tuple(dict.fromkeys(reads))
        self.source = source

    def item(self, positions: Positions) -> Any:
        """What is at a position along each leading axis; every part is asked once."""
        known: dict[int, Any] = {}
        waiting = [self]
        while waiting:
            top = waiting[-1]
            missing = [part for part in top.parts if id(part) not in known]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if id(top) not in known:
                shown = [snapshot(known[id(part)]) for part in top.parts]
                known[id(top)] = top._show(positions, *shown)
        return known[id(self)]

    def _tried(self) -> Any:
        """An item in a graph that nobody uses."""
        graph = Graph("element")
        with self.memory.region(graph):
            builder = self.memory.builder
            params = [graph.add_param(scalar("int64"), "k") for _ in self.lengths]
            at = tuple(Tracer(builder, param, weak=True) for param in params)
            parts = [
                Tracer(builder, graph.add_param(part.element), weak=part._sample.weak)
                if isinstance(part._sample, Tracer)
                else part._sample
                for part in self.parts
            ]
            return snapshot(self._show(at, *parts))

    @property
    def calculated(self) -> bool:
        """Whether it depends on what Refs held when it was made."""
        return self.source is None and bool(self.reads)

    @property
    def dtype(self) -> Any:
        """Of the elements."""
        return np.dtype(self.element.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.lengths) + self.element.ndim

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of its axes."""
        own = (as_number(self.memory, size) for size in self.element.shape)
        return (*self.lengths, *own)

    @property
    def size(self) -> Any:
        """The number of elements."""
        return math.prod(self.shape)

    def copy(self) -> Stretch:
        """What it shows now."""
        return _calculated(lambda x: x, (self,), {})

    def row(self, position: Any) -> Any:
        """What a loop over it has at a position, which is within bounds."""
        if len(self.lengths) > 1 or self.calculated:
            raise self.refused("a loop")
        self.require_usable()
        return self.item((position,))

    def __getitem__(self, index: Any) -> Any:
        return _part(self, index)

    def apply(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """A function of NumPy's, or a built-in one."""
        if function is len:
            return self.lengths[0]
        first = args[0] if args else None
        if function in _COPIES and len(args) == 1 and not kwargs:
            return self.copy()
        reduction = _REDUCTIONS.get(function)
        if reduction is not None and first is self:
            given = {k: v for k, v in kwargs.items() if v is not None}
            return reduction(self, *args[1:], **given)
        vectors = all(isinstance(x, Stretch) and x.ndim == 1 for x in args)
        if function in _PRODUCTS and vectors and not kwargs:
            return _sum(args[0] * args[1])
        if isinstance(function, np.ufunc) or function in ELEMENTWISE:
            return _calculated(numpy_table.lookup(function), args, kwargs)
        raise self.refused(numpy_table.name_of(function))

    def elementwise(
        self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """A function of elements, put off until they are asked for."""
        return _calculated(function, args, kwargs)

    def refused(self, use: str) -> TracingError:
        """The error for a use that needs an array.

        Raises:
            Restart: if it can be one, as nothing but sizes determines its length.
        """
        lengths = [_traced(self.memory, length) for length in self.lengths]
        sized = all(is_of_sizes(length.operand) for length in lengths)
        if sized and not self.memory.is_demanded(SIZED):
            raise Restart(SIZED)
        return TracingError(
            f"{use} of a slice needs its length, which depends on a traced value.",
            self.memory.builder.location,
            "Use elementwise functions and reductions of the slice, assign to it, or "
            "write the operation as a loop over elements.",
        )

    def require_usable(self) -> None:
        """Refuse a use that would see something else than NumPy's array has.

        Raises:
            TracingError: if its region is over, or what it was calculated from has
                changed meanwhile, or may change before each use.
        """
        regions = self.memory.regions
        if self.home is not None and all(r is not self.home for r in regions):
            raise TracingError(
                "a slice whose length depends on a traced value is used after the "
                "branch or loop in which it was made.",
                self.memory.builder.location,
                "Use it where it was made.",
            )
        here = regions[-1] if regions else None
        changed = any(self.memory.version(b) != n for b, n in self.reads)
        if self.calculated and (changed or here is not self.home):
            raise TracingError(
                "what was calculated from a slice whose length depends on a traced "
                "value is used after the array may have been written.",
                self.memory.builder.location,
                "Calculate it where it is used.",
            )


def _type_of(memory: Memory, item: Any) -> ArrayType:
    operand = lift(memory.builder, item)
    assert isinstance(operand.type, ArrayType)
    return operand.type


def _part(whole: Stretch, index: Any) -> Any:
    """An element, or a row."""
    integer = isinstance(index, (int, np.integer, Tracer)) and not np.ndim(index)
    if not integer or len(whole.lengths) > 1:
        raise whole.refused("such an index")
    whole.require_usable()
    position, length = index, whole.lengths[0]
    if isinstance(index, Tracer):
        position = weak(cmp.select(index < 0, index + length, index))
    elif index < 0:
        position = length + index
    message = "an index is out of bounds for axis 0"
    for condition in (position >= 0, position < length):
        emit_check(whole.memory, condition, IndexError, message)
    return whole.item((position,))


# --- functions of elements ---------------------------------------------------------


def _calculated(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> Stretch:
    first = next(x for x in args if isinstance(x, Stretch))
    memory = first.memory
    parts = [x if isinstance(x, Stretch) else snapshot(x) for x in args]
    for part in parts:
        if isinstance(part, Stretch):
            part.require_usable()
            require_same(first, part)
        elif np.ndim(part) > first.element.ndim:
            raise first.refused("a calculation with an array")

    def show(_: Positions, *shown: Any) -> Any:
        items = iter(shown)
        return function(
            *(next(items) if isinstance(x, Stretch) else x for x in parts), **kwargs
        )

    calculated = tuple(x for x in parts if isinstance(x, Stretch))
    reads = (read for part in calculated for read in part.reads)
    return Stretch(memory, first.lengths, show, reads, parts=calculated)


def require_same(a: Stretch, b: Stretch) -> None:
    """Two slices must have the same length, now or when the program runs."""
    if len(a.lengths) != len(b.lengths) or a.element.ndim != b.element.ndim:
        raise a.refused("a calculation with a slice of another rank")
    affine, memory = a.memory.bounds.affine_of, a.memory
    for one, other in zip(a.lengths, b.lengths, strict=True):
        if (affine(one) - affine(other)).value != 0:
            equal = weak(_traced(memory, one)) == other
            message = "slices in a calculation have lengths that differ"
            emit_check(memory, equal, ValueError, message)


def _traced(memory: Memory, number: Number) -> Tracer:
    return Tracer(memory.builder, lift(memory.builder, number, "int64"))


# --- loops over them ---------------------------------------------------------------


def _fold(whole: Stretch, function: Any, start: Any) -> Any:
    """An associative function of all items, from what leaves them as they are."""
    whole.require_usable()

    def along(positions: Positions) -> Any:
        depth = len(positions)
        if depth == len(whole.lengths):
            return whole.item(positions)
        return run(
            programs.folded,
            function,
            lambda k: along((*positions, k)),
            whole.lengths[depth],
            start,
        )

    return along(())


def run(program: Any, *args: Any) -> Any:
    """Interpret one of our programs."""
    machine = current()
    assert machine is not None
    return machine.call(program, *args)


# --- reductions --------------------------------------------------------------------


def _reduction(name: str, function: Any, start: Callable[[Stretch], Any]) -> Any:
    def reduce(whole: Stretch, axis: Any = None, keepdims: Any = False) -> Any:
        if keepdims and keepdims is not np._NoValue:
            raise whole.refused("keepdims")
        axes = axes_of(axis, whole.ndim)
        if len(axes) == whole.ndim and whole.element.ndim:
            rows = numpy_table.lookup(getattr(np, name))
            whole = _calculated(rows, (whole,), {})
        elif axes != tuple(range(len(whole.lengths))):
            raise whole.refused("a reduction of some of the axes")
        return _fold(whole, function, _filled(whole, start(whole)))

    return reduce


def _filled(whole: Stretch, number: Any) -> Any:
    """An item with the same number everywhere."""
    if not whole.element.ndim:
        return number
    sizes = tuple(as_number(whole.memory, d) for d in whole.element.shape)
    return numpy_table.lookup(np.full)(sizes, number)


def _constant(value: Any) -> Callable[[Stretch], Any]:
    return lambda whole: whole.dtype.type(value)


def _truth(value: bool) -> Callable[[Stretch], Any]:
    return lambda whole: np.bool_(value)


def _limit(floating: float, whole_number: int, name: str) -> Callable[[Stretch], Any]:
    """What an extreme starts from; there must be an element."""
    message = f"zero-size array to reduction operation {name} which has no identity"

    def start(whole: Stretch) -> Any:
        for length in whole.lengths:
            emit_check(whole.memory, length > 0, ValueError, message)
        real = whole.element.differentiable
        return whole.dtype.type(floating if real else whole_number)

    return start


def _sum(whole: Stretch, axis: Any = None, keepdims: Any = False) -> Any:
    if whole.dtype == bool:
        whole = _calculated(lambda x: astype(x, "int64"), (whole,), {})
    return _plain_sum(whole, axis, keepdims)


def _mean(whole: Stretch, axis: Any = None, keepdims: Any = False) -> Any:
    covered = axes_of(axis, whole.ndim)
    count = math.prod((whole.shape[k] for k in covered), start=1)
    return _sum(whole, axis, keepdims) / count


def _var(whole: Stretch, axis: Any = None, ddof: Any = 0) -> Any:
    if len(axes_of(axis, whole.ndim)) != whole.ndim:
        raise whole.refused("a variance of some of the axes")
    deviation = whole - _mean(whole)
    return _sum(deviation * deviation) / (whole.size - ddof)


def _std(whole: Stretch, axis: Any = None, ddof: Any = 0) -> Any:
    return ew.length(_var(whole, axis, ddof))


def _norm(whole: Stretch) -> Any:
    return ew.length(_sum(whole * whole))


_INT64 = np.iinfo(np.int64)
_plain_sum = _reduction("sum", np.add, _constant(0))
_max = _reduction("max", np.maximum, _limit(-math.inf, int(_INT64.min), "maximum"))
_min = _reduction("min", np.minimum, _limit(math.inf, int(_INT64.max), "minimum"))
_any = _reduction("any", np.logical_or, _truth(False))
_all = _reduction("all", np.logical_and, _truth(True))
_COPIES = frozenset({np.copy, np.array, np.asarray})
_PRODUCTS = frozenset({np.dot, np.inner, np.vdot})
_REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _sum,
    sum: _sum,
    np.prod: _reduction("prod", np.multiply, _constant(1)),
    np.max: _max,
    max: _max,
    np.min: _min,
    min: _min,
    np.any: _any,
    any: _any,
    np.all: _all,
    all: _all,
    np.count_nonzero: lambda whole: _sum(whole != 0),
    np.mean: _mean,
    np.average: _mean,
    np.var: _var,
    np.std: _std,
    np.size: lambda whole: whole.size,
    np.linalg.norm: _norm,
}
