"""Indices of views: integers and slices that may depend on loops and data.

An index that ends up in a ``load`` or ``store`` counts from the front and lies within
the axis: where that isn't proven, a negative index is wrapped by an explicit select and
a ``check`` raises IndexError. A slice must have the same length whenever its line runs,
or one that sizes and loop indices determine; where NumPy would shorten a slice that
runs past the end, and that can't be excluded, a ``check`` raises NotImplementedError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracegrad.errors import ControlFlowError, TracingError
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import INTEGERS, NARROW
from tracegrad.numpy_api import indexing
from tracegrad.numpy_api.arguments import known_size, needed_size
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.structural import Size
from tracegrad.traces.checks import emit_check
from tracegrad.traces.memory import SIZED, Memory, Part
from tracegrad.traces.tracer import Tracer, dtype_name, lift
from tracegrad.traces.views import (
    Alias,
    Number,
    Point,
    Span,
    View,
    as_number,
    snapshot,
    snapshots,
)


class UnknownLength(TracingError):
    """A slice whose length neither sizes nor loop indices determine."""


def is_basic(index: Any) -> bool:
    """Whether an index consists of integers, slices, None and an ellipsis."""
    items = index if isinstance(index, tuple) else (index,)
    return all(
        item is None
        or item is Ellipsis
        or isinstance(item, slice)
        or (np.ndim(item) == 0 if not isinstance(item, Tracer) else not item.ndim)
        for item in items
    ) and not any(_is_mask(item) for item in items)


def _is_mask(item: Any) -> bool:
    if isinstance(item, (bool, np.bool_)):
        return True
    return isinstance(item, (Tracer, np.ndarray)) and dtype_name(item) == "bool"


def get(view: View, index: Any) -> Any:
    """``view[index]``: an element, another view, or a new array."""
    if isinstance(view, Alias) and is_basic(index):
        return _of_alias(view, index)
    if isinstance(view, Alias) or not is_basic(index):
        return indexing.getitem(snapshot(view), snapshots(index))
    found = select(view, index)
    # NumPy's element is a scalar, and its array without axes is a view; the only such
    # array of ours is a Ref of rank 0.
    items = index if isinstance(index, tuple) else (index,)
    if found.axes or Ellipsis in [i for i in items if not isinstance(i, Tracer)]:
        return found
    return Tracer(found.builder, found.operand)


def _of_alias(view: Alias, index: Any) -> Any:
    found = Alias(view, lambda x: indexing.getitem(x, index))
    return found if found.dims else snapshot(found)


def select(view: View, index: Any) -> View:
    """The cells of a view at a basic index, as a view.

    Raises:
        IndexError: if the index is out of bounds for the sizes of the example.
    """
    memory = view.memory
    entries, axes = list(view.entries), list(view.axes)
    result: list[int | None] = []
    place = 0
    for item in expanded(index, len(axes)):
        if item is None:
            result.append(None)
            continue
        axis = axes[place]
        if axis is None:
            result.extend(_of_new_axis(memory, item, place))
        else:
            entry = entries[axis]
            assert isinstance(entry, Span)
            entries[axis] = _within(memory, entry, item, place)
            result.extend([] if isinstance(entries[axis], Point) else [axis])
        place += 1
    found = View(memory, view.base, tuple(entries), tuple(result))
    found.origin = Part(view)
    return found


def expanded(index: Any, rank: int) -> list[Any]:
    """One item per axis, and a None per new axis."""
    items = list(index) if isinstance(index, tuple) else [index]
    consumed = sum(item is not None and item is not Ellipsis for item in items)
    if consumed > rank:
        raise IndexError(
            f"too many indices for array: array is {rank}-dimensional, but "
            f"{consumed} were indexed"
        )
    dots = [k for k, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    rest: list[Any] = [slice(None)] * (rank - consumed)
    if not dots:
        return items + rest
    return items[: dots[0]] + rest + items[dots[0] + 1 :]


def _of_new_axis(memory: Memory, item: Any, place: int) -> Sequence[None]:
    """An axis of length one that the base doesn't have, indexed."""
    if isinstance(item, slice):
        if item == slice(None):
            return [None]
        raise TracingError(
            "a slice of an axis that None made is not supported.",
            memory.builder.location,
            "Slice first, and add the axis then.",
        )
    point(memory, item, 1, place)
    return []


def _within(memory: Memory, outer: Span, item: Any, place: int) -> Point | Span:
    """An item of an index, applied to a window of the base."""
    size = outer.size if outer.size.value is None else outer.size.value
    if not isinstance(item, slice):
        return Point(_moved(outer, point(memory, item, size, place)))
    inner = span(memory, item, size)
    return Span(_moved(outer, inner.start), inner.size, outer.step * inner.step)


def _moved(outer: Span, start: Number) -> Number:
    """A position in a window as one in the base."""
    if outer.step == 1 and type(outer.start) is int and outer.start == 0:
        return start
    return outer.start + (start if outer.step == 1 else start * outer.step)


# --- integers ----------------------------------------------------------------------


def point(memory: Memory, item: Any, size: Size, axis: int) -> Number:
    """An integer index that counts from the front and is in bounds."""
    if not isinstance(item, Tracer):
        known: Size | None = _integer(item)
    else:
        if item.type.dtype not in INTEGERS | NARROW:
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) "
                "and integer or boolean arrays are valid indices"
            )
        known = known_size(item)
    if known is not None:
        try:
            return as_number(memory, indexing.position(known, size, axis))
        except ControlFlowError:
            pass  # a size that varies in a loop: decided when it runs
    return _checked(memory, _as_int64(memory, item), size, axis)


def _integer(item: Any) -> int:
    if isinstance(item, (int, np.integer)):
        return int(item)
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and "
        "integer or boolean arrays are valid indices"
    )


def _as_int64(memory: Memory, item: Any) -> Tracer:
    builder = memory.builder
    return Tracer(builder, lift(builder, item, "int64"), weak=True)


def _checked(memory: Memory, item: Tracer, size: Size, axis: int) -> Number:
    """A position that is only known at run time: wrapped and checked as need be."""
    bounds, form = memory.bounds, memory.bounds.affine(item.operand)
    count = as_number(memory, size)
    position: Any = item
    wraps = not bounds.proves(form)
    if wraps and bounds.proves(-form - 1):
        position, form, wraps = item + count, form + size, False
        conditions = [] if bounds.proves(form) else [position >= 0]
    elif wraps:
        position = weak(cmp.select(item < 0, item + count, item))
        conditions = [position >= 0, position < count]
    else:
        conditions = []
    if not wraps and not bounds.proves(Dim.of(size) - 1 - form):
        conditions.append(position < count)
    for condition in conditions:
        emit_check(
            memory, condition, IndexError, f"an index is out of bounds for axis {axis}"
        )
    return position


def weak(tracer: Tracer) -> Tracer:
    """The same as a Python number."""
    return Tracer(tracer.builder, tracer.operand, weak=True)


# --- slices ------------------------------------------------------------------------


def span(memory: Memory, item: slice, size: Size) -> Span:
    """A slice of an axis."""
    step = 1 if item.step is None else _literal(memory, item.step)
    bounds = [b for b in (item.start, item.stop) if b is not None]
    if all(not isinstance(b, Tracer) or has_size(memory, b) for b in bounds):
        try:
            plain = indexing.window(slice(item.start, item.stop, step), size)
        except ControlFlowError:
            pass  # a size that varies in a loop: decided when it runs
        else:
            start = as_number(memory, plain.start)
            return Span(start, Dim.of(plain.size), plain.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    count = as_number(memory, size)
    # Where a slice ends that goes backwards to the first element: before it.
    first, last = (0, count) if step > 0 else (count - 1, -1)
    start, low = _bound(memory, first, item.start, size, step)
    stop, high = _bound(memory, last, item.stop, size, step)
    length = _length(memory, start, stop, step)
    for condition in (*low, *high):
        _runs_past(memory, condition)
    return Span(start, length, step)


def has_size(memory: Memory, bound: Tracer) -> bool:
    """Whether a bound of a slice is a size here."""
    find = needed_size if memory.is_demanded(SIZED) else known_size
    return find(bound) is not None


def _literal(memory: Memory, step: Any) -> int:
    known = needed_size(step) if isinstance(step, Tracer) else step
    if isinstance(known, Dim) or known is None:
        raise TracingError(
            "the step of a slice depends on a traced value.",
            memory.builder.location,
            "Slice with a step that is a literal number.",
        )
    return int(known)


def _bound(
    memory: Memory, default: Number, given: Any, size: Size, step: int
) -> tuple[Number, list[Any]]:
    """A bound that counts from the front, and what holds if NumPy doesn't clamp it."""
    if given is None:
        return default, []
    number = _as_int64(memory, given)
    bounds, form = memory.bounds, memory.bounds.affine(number.operand)
    if bounds.proves(-form - 1):
        number, form = number + as_number(memory, size), form + size
    conditions = [] if bounds.proves(form) else [number >= 0]
    top = Dim.of(size) - (0 if step > 0 else 1)
    if not bounds.proves(top - form):
        conditions.append(number <= as_number(memory, top))
    return number, conditions


def _length(memory: Memory, start: Number, stop: Number, step: int) -> Dim:
    """How many elements a slice has."""
    bounds = memory.bounds
    ends = [bounds.affine(lift(memory.builder, x, "int64")) for x in (start, stop)]
    distance = ends[1] - ends[0] if step > 0 else ends[0] - ends[1]
    if not bounds.is_size(distance):
        raise UnknownLength(
            "the length of a slice depends on a traced value.",
            memory.builder.location,
            "Let sizes and loop indices determine it, as in x[i:i + 3], or write the "
            "operation as a loop over elements.",
        )
    if not bounds.proves(distance):
        if bounds.proves(-distance):
            return Dim.constant(0)
        _runs_past(memory, as_number(memory, distance) >= 0)
    stride = abs(step)
    return distance if stride == 1 else (distance + (stride - 1)) // stride


def _runs_past(memory: Memory, condition: Any) -> None:
    emit_check(
        memory,
        condition,
        NotImplementedError,
        "a slice in a loop runs past the end of its array, where NumPy would shorten "
        "it; slice within the array, or write a loop over elements",
    )
