"""Which elements a slice of unknown length shows, as NumPy has it, and writes to them.

Bounds count from the front or the end, and are cut to the axis: what is known of them
while tracing saves the comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.graph import Value
from tracegrad.ir.types import RefType
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.structural import Size
from tracegrad.traces import programs
from tracegrad.traces.indices import expanded, has_size, weak
from tracegrad.traces.memory import Memory
from tracegrad.traces.stretches import Positions, Stretch, require_same, run
from tracegrad.traces.tracer import Tracer, lift
from tracegrad.traces.views import Number, View, as_number, snapshot

Put = Callable[[Tracer, tuple[Any, ...], Any], None]
Get = Callable[[Tracer, Any, Memory], Any]

# --- making them -------------------------------------------------------------------


def stretch(array: Tracer, index: Any, memory: Memory, get: Get) -> Stretch | None:
    """``array[index]`` with slices of unknown length, if it can be one."""
    items = expanded(index, array.ndim)
    loose = [k for k, item in enumerate(items) if _is_loose(memory, item)]
    if not loose or any(item is None for item in items):
        return None
    leading = [k for k in range(loose[-1] + 1) if isinstance(items[k], slice)]
    ends = []
    for k in leading:
        found = _clipped(memory, items[k], array.dims[k])
        if found is None:
            return None
        ends.append(found)

    def index_at(positions: Positions) -> tuple[Any, ...]:
        at = list(items)
        for k, position, (start, _, step) in zip(leading, positions, ends, strict=True):
            at[k] = start + (position if step == 1 else position * step)
        return tuple(at)

    def show(positions: Positions) -> Any:
        return get(array, index_at(positions), memory)

    lengths = tuple(length for _, length, _ in ends)
    source = (array, index_at)
    return Stretch(memory, lengths, show, _shown(memory, array), source=source)


def gathered(array: Tracer, index: Any, memory: Memory, get: Get) -> Stretch:
    """``array[positions]``, or ``array[i, positions]`` with integers before them."""
    items = index if isinstance(index, tuple) else (index,)
    place = next(k for k, item in enumerate(items) if isinstance(item, Stretch))
    places, before, after = items[place], items[:place], items[place + 1 :]
    plain = not any(np.ndim(x) or isinstance(x, slice) for x in before)
    if not plain or not all(isinstance(x, slice) for x in after):
        raise places.refused("an index with others beside it")
    places.require_usable()

    def show(_: Positions, place: Any) -> Any:
        return get(array, (*before, place, *after), memory)

    reads = (*_shown(memory, array), *places.reads)
    return Stretch(memory, places.lengths, show, reads, parts=(places,))


def holds_stretch(index: Any) -> bool:
    """Whether an index is, or has, a slice of unknown length as positions."""
    items = index if isinstance(index, tuple) else (index,)
    return any(isinstance(item, Stretch) for item in items)


def _shown(memory: Memory, array: Tracer) -> tuple[tuple[Value, int], ...]:
    if isinstance(array, View) and isinstance(array.base.type, RefType):
        return ((array.base, memory.version(array.base)),)
    return ()


def _is_loose(memory: Memory, item: Any) -> bool:
    return isinstance(item, slice) and any(
        isinstance(bound, Tracer) and not has_size(memory, bound)
        for bound in (item.start, item.stop)
    )


def _clipped(
    memory: Memory, item: slice, size: Size
) -> tuple[Number, Number, int] | None:
    """Where a slice starts, how many elements it has, and its step if that is > 0."""
    step = 1 if item.step is None else item.step
    if isinstance(step, Tracer) or step < 1:
        return None
    start = _bound(memory, 0 if item.start is None else item.start, size)
    end = as_number(memory, size) if item.stop is None else item.stop
    span = _at_least(memory, _bound(memory, end, size) - start, 0)
    return start, (span if step == 1 else (span + (step - 1)) // step), step


def _bound(memory: Memory, given: Any, size: Size) -> Number:
    """A bound of a slice as NumPy takes it: from the front, and within the axis."""
    bounds, count = memory.bounds, as_number(memory, size)
    number: Any = Tracer(memory.builder, lift(memory.builder, given, "int64"))
    form = bounds.affine(number.operand)
    if bounds.proves(-form - 1):
        number = number + count
    elif not bounds.proves(form):
        number = weak(cmp.select(number < 0, number + count, number))
    number = _at_least(memory, number, 0)
    if bounds.proves(bounds.affine_of(count) - bounds.affine_of(number)):
        return number
    return weak(ew.minimum(number, count))


def _at_least(memory: Memory, number: Any, least: int) -> Number:
    if memory.bounds.proves(memory.bounds.affine_of(number) - least):
        return number
    return weak(ew.maximum(number, least))


# --- writing to them ---------------------------------------------------------------


def store(target: Stretch, value: Any, put: Put, base: Value) -> None:
    """Assign to each item, or update it.

    put: does it for one, at an index of an array.
    base: the Ref that is written.

    Raises:
        TracingError: if the value has another shape, or reads what is written.
    """
    target.require_usable()
    if target.source is None:
        raise target.refused("an update in place")
    if isinstance(value, Stretch):
        value.require_usable()
        require_same(target, value)
        if any(read is base for read, _ in value.reads):
            raise target.refused("an assignment from the same array")
    elif np.ndim(value) > target.element.ndim:
        raise target.refused("an assignment of an array")
    array, index_at = target.source

    def along(positions: Positions) -> None:
        depth = len(positions)
        if depth < len(target.lengths):
            length = target.lengths[depth]
            run(programs.repeated, lambda k: along((*positions, k)), length)
            return
        item = value.item(positions) if isinstance(value, Stretch) else value
        put(array, index_at(positions), snapshot(item))

    along(())
