"""Writes to Refs: elements, slices, integer arrays, masks, and updates in place.

The right side of an assignment is a value of the graph, so what it read of the array
stays what it was: NumPy's rule for overlapping slices. Additions to floats accumulate,
as their adjoint then only reads; every other update is a load, an operation, a store.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.ir.graph import Literal, Operand, Value
from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import Dim, Shape, same_size, show
from tracegrad.ir.types import DTYPES, FLOATS, DType
from tracegrad.numpy_api import indexing
from tracegrad.numpy_api.arguments import astype
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.shapes import broadcast_arrays, with_new_axes
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import refs, structural
from tracegrad.primitives.identities import core
from tracegrad.traces.indices import is_basic, select
from tracegrad.traces.masked import Masked, same_mask
from tracegrad.traces.memory import Key, Made, Memory, mark
from tracegrad.traces.operators import BINARY
from tracegrad.traces.regions import nest
from tracegrad.traces.tracer import (
    Tracer,
    convert,
    dtype_name,
    expand_to,
    lift,
    result_dtype,
)
from tracegrad.traces.views import (
    Alias,
    View,
    as_number,
    as_stored,
    snapshot,
    viewed,
    whole_view,
)

# --- making Refs -------------------------------------------------------------------


def copied(memory: Memory, array: Any) -> View:
    """A new Ref with the contents of an array."""
    builder = memory.builder
    operand = array.operand if isinstance(array, Tracer) else lift(builder, array)
    name = operand.name if isinstance(operand, Value) else None
    return _ref(memory, builder.emit1(refs.copy, (operand,)), name)


def allocated(memory: Memory, array: Any, *, empty: bool) -> View:
    """A new Ref where the program makes an array.

    empty: whether its contents don't matter, as those of ``np.empty``.
    """
    fill, type_ = _constant(memory, array)
    if fill is None:
        return copied(memory, array)
    params = {
        "shape": type_.shape,
        "dtype": type_.dtype,
        "fill": None if empty else fill,
    }
    return _ref(memory, memory.builder.emit1(refs.alloc, (), params), None)


def _constant(memory: Memory, array: Any) -> tuple[float | None, Any]:
    """The number that fills an array, if there is one; and its type."""
    if isinstance(array, Tracer):
        inner = core(array.operand)
        value = inner.value if isinstance(inner, Literal) else None
        return value, array.type
    plain = np.asarray(array)
    # Its own type, without making a hidden input of it.
    stand_in = structural.filled(_any_tracer(memory), 0, plain.shape, plain.dtype)
    uniform = plain.size and bool((plain == plain.flat[0]).all())
    return (plain.flat[0].item() if uniform else None), stand_in.type


def _any_tracer(memory: Memory) -> Tracer:
    return Tracer(memory.builder, Literal(0, "int64"), weak=True)


def _ref(memory: Memory, operand: Operand, name: str | None) -> View:
    assert isinstance(operand, Value)
    if operand.name is None:
        operand.name = name
    return whole_view(memory, operand)


def made(memory: Memory, value: Any, key: Key, *, empty: bool) -> Any:
    """What an expression gave: arrays that it made are known by its place.

    key: the expression. empty: whether what it made has no contents yet.
    """
    if type(value) in (tuple, list):
        parts = [
            made(memory, x, (*key, k), empty=empty)
            if isinstance(x, (Tracer, np.ndarray))
            else x
            for k, x in enumerate(value)
        ]
        same = all(a is b for a, b in zip(parts, value, strict=True))
        return value if same else type(value)(parts)
    if isinstance(value, np.ndarray):
        if memory.is_known(value) or value.dtype.name not in DTYPES:
            return value
        if memory.is_demanded(key):
            return allocated(memory, value, empty=empty)
        memory.remember(value, key)
        return value
    if type(value) is not Tracer or value.origin is not None or not value.ndim:
        return value
    # What has no contents will be written: that needn't be found out by a restart.
    if empty or memory.is_demanded(key):
        return allocated(memory, value, empty=empty)
    return mark(value, Made(key))


def count(memory: Memory, size: Any) -> Any:
    """A size as a number to calculate with."""
    return as_number(memory, size)


# --- storing -----------------------------------------------------------------------


def writable(memory: Memory, array: Any) -> View:
    """An array as a view of a Ref.

    Raises:
        Restart: if it isn't one yet.
        TracingError: if it can't be one.
    """
    if isinstance(array, Alias):
        raise TracingError(
            "an array is written through a reshaped view of it.",
            memory.builder.location,
            "Write to the array itself, with indices for its own axes.",
        )
    if isinstance(array, View) and array.mutable:
        return array
    memory.require_ref(array)
    raise AssertionError("require_ref raises")


def write(view: View, value: Any, primitive: Primitive = refs.store) -> None:
    """Store a value into all of a view, or accumulate it."""
    memory, builder = view.memory, view.builder
    type_ = view.type
    operand = convert(builder, lift(builder, snapshot(value)), type_.dtype)
    operand = _broadcast(memory, operand, type_.shape)
    stored = as_stored(view, Tracer(builder, operand))
    base = memory.usable(view.base)
    memory.touch(base)
    inputs = (base, lift(builder, stored, type_.dtype), *view.index)
    builder.emit(primitive, inputs, view.params)


def _broadcast(memory: Memory, operand: Operand, shape: Shape) -> Operand:
    """A value in the shape of what it is assigned to: leading ones are dropped."""
    builder, own = memory.builder, operand.type.shape
    extra = len(own) - len(shape)
    if extra > 0 and all(same_size(d, Dim.constant(1)) for d in own[:extra]):
        operand = builder.emit1(
            structural.squeeze, (operand,), {"axes": tuple(range(extra))}
        )
        own = operand.type.shape
    offset = len(shape) - len(own)
    fits = offset >= 0 and all(
        d == Dim.constant(1) or same_size(d, target)
        for d, target in zip(own, shape[offset:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"could not broadcast input array from shape {show(own)} into shape "
            f"{show(shape)}"
        )
    return expand_to(builder, operand, shape)


def set_item(memory: Memory, array: Any, index: Any, value: Any) -> None:
    """``array[index] = value``."""
    view, index = _at_mask(writable(memory, array), index)
    if is_basic(index):
        write(select(view, index), value)
    elif _mask(index) is not None:
        _set_where(view, index, value)
    else:
        each_of(view, index, value, refs.store)


def update_item(
    memory: Memory, array: Any, index: Any, kind: type[ast.operator], value: Any
) -> None:
    """``array[index] <op>= value``, where value was computed meanwhile."""
    view, index = _at_mask(writable(memory, array), index)
    if is_basic(index):
        update(select(view, index), kind, value)
        return
    mask = _mask(index)
    if mask is not None:
        current = snapshot(view)
        after = BINARY[kind](current, _spread(mask, current, value))
        _store_where(view, index, current, after)
    else:
        before = indexing.getitem(snapshot(view), index)
        each_of(view, index, BINARY[kind](before, value), refs.store)


def update(view: View, kind: type[ast.operator], value: Any) -> None:
    """``view <op>= value``."""
    dtype = view.type.dtype
    joint = result_dtype([snapshot_type(view), value])
    if kind in (ast.Add, ast.Sub) and dtype in FLOATS and joint == dtype:
        write(view, value if kind is ast.Add else -value, refs.accumulate)
        return
    after = BINARY[kind](snapshot(view), value)
    if not np.can_cast(_dtype(after), dtype, "same_kind"):
        raise TypeError(
            f"Cannot cast ufunc {kind.__name__.lower()!r} output from "
            f"{_dtype(after)!r} to {np.dtype(dtype)!r} with casting rule 'same_kind'"
        )
    write(view, after)


def snapshot_type(view: View) -> Any:
    """Something of the view's dtype, without a load."""
    return np.dtype(view.type.dtype).type(0)


def _dtype(x: Any) -> np.dtype[Any]:
    return np.dtype(dtype_name(x))


# --- masks -------------------------------------------------------------------------


def _mask(index: Any) -> Any:
    """The boolean mask that an index consists of."""
    known = isinstance(index, (Tracer, np.ndarray)) and dtype_name(index) == "bool"
    return index if known and len(structural.dims(index)) else None


def _at_mask(view: View, index: Any) -> tuple[View, Any]:
    """``view[i, mask, j]`` as the part at the other items, and the mask of that part.

    Raises:
        TracingError: if the mask's axes aren't the first ones of the part.
    """
    items = index if isinstance(index, tuple) else ()
    place = next((k for k, x in enumerate(items) if _is_traced_mask(x)), None)
    if place is None:
        return view, index
    mask, before, after = items[place], items[:place], items[place + 1 :]
    kept = any(x is None or x is Ellipsis or isinstance(x, slice) for x in before)
    if kept or not is_basic((*before, *after)):
        raise TracingError(
            "an assignment by a mask along with slices before it, or with another "
            "array, is not supported.",
            view.builder.location,
            "Use np.where, or a loop over the other axes.",
        )
    around = (slice(None),) * mask.ndim
    return select(view, (*before, *around, *after)), mask


def _is_traced_mask(item: Any) -> bool:
    return isinstance(item, Tracer) and item.ndim > 0 and dtype_name(item) == "bool"


def _set_where(view: View, mask: Any, value: Any) -> None:
    """``view[mask] = value``: a selection over the whole."""
    current = snapshot(view)
    _store_where(view, mask, current, _spread(mask, current, value))


def _store_where(view: View, mask: Any, current: Any, value: Any) -> None:
    chosen = _leading(mask, current)
    write(view, cmp.select(chosen, astype(asarray(value), current.dtype), current))


def _leading(mask: Any, like: Any) -> Any:
    """A mask of the leading axes as one of all axes."""
    rank, own = len(structural.dims(like)), len(structural.dims(mask))
    for a, b in zip(structural.dims(mask), structural.dims(like), strict=False):
        if not same_size(a, b):
            raise IndexError("boolean index did not match indexed array")
    if isinstance(mask, np.ndarray):
        mask = Tracer(like.builder, like.builder.capture(mask))
    return with_new_axes(snapshot(mask), tuple(range(own, rank)))


def _spread(mask: Any, like: Any, value: Any) -> Any:
    """A value that is the same for each element that a mask selects.

    Raises:
        TracingError: if it has one element per selected one.
    """
    if isinstance(value, Masked):
        if isinstance(mask, Tracer) and same_mask(snapshot(mask), value.mask):
            return value.values
        raise TracingError(
            "a mask is assigned what another mask selects.",
            like.builder.location,
            "Use the same mask on both sides, as in y[mask] = x[mask].",
        )
    value = snapshot(value)
    rest = len(structural.dims(like)) - len(structural.dims(mask))
    shape = structural.dims(value)
    if len(shape) > rest:
        raise TracingError(
            "a mask is assigned an array with one element per selected one, of which "
            "the number depends on data.",
            like.builder.location,
            "Use y[:] = np.where(mask, values, y) with values of y's shape.",
        )
    return value


# --- integer arrays ----------------------------------------------------------------


def each_of(view: View, index: Any, value: Any, primitive: Primitive) -> None:
    """A loop over index arrays: ``view[index] = value``, the last write wins."""
    memory = view.memory
    items = list(index) if isinstance(index, tuple) else [index]
    if any(item is None or item is Ellipsis for item in items):
        raise TracingError(
            "an assignment by index arrays along with None or ... is not supported.",
            memory.builder.location,
            "Name all axes, or write it as a loop over elements.",
        )
    items = _positions(items)
    items += [slice(None)] * (len(view.dims) - len(items))
    places = [k for k, item in enumerate(items) if not is_basic(item)]
    joint = [_traced(memory, items[k]) for k in places]
    joint = list(broadcast_arrays(*joint)) if len(joint) > 1 else joint
    shape = joint[0].dims
    at = _block_at(items, places)
    plain = select(
        view, tuple(i if isinstance(i, slice) else slice(None) for i in items)
    )
    rest = [
        d for d, item in zip(plain.dims, items, strict=True) if isinstance(item, slice)
    ]
    target = (*rest[:at], *shape, *rest[at:])
    dtype: DType = view.type.dtype
    source = _traced(memory, astype(asarray(snapshot(value)), dtype))
    values = Tracer(view.builder, _broadcast(memory, source.operand, target))
    whole = viewed(memory, values)

    def store(counters: Sequence[Any]) -> None:
        cells: list[Any] = list(items)
        for k, array in zip(places, joint, strict=True):
            cells[k] = _element(memory, array, counters)
        item: Any = values
        if whole is not None:
            around = [slice(None)] * at
            item = select(whole, (*around, *counters, ...))
        write(select(view, tuple(cells)), item, primitive)

    nest(memory, shape, store)


def _positions(items: list[Any]) -> list[Any]:
    """Masks that are known while tracing as the positions where they are true."""
    found: list[Any] = []
    for item in items:
        array = np.asarray(item) if isinstance(item, list) else item
        if isinstance(array, np.ndarray) and array.dtype == bool:
            found.extend(np.nonzero(array))
        else:
            found.append(array)
    return found


def _traced(memory: Memory, array: Any) -> Tracer:
    if isinstance(array, Tracer):
        return snapshot(array)  # type: ignore[no-any-return]
    return Tracer(memory.builder, lift(memory.builder, np.asarray(array)))


def _block_at(items: list[Any], places: list[int]) -> int:
    """How many axes come before those of the index arrays: NumPy's rule."""
    advanced = [k for k, item in enumerate(items) if not isinstance(item, slice)]
    if advanced[-1] - advanced[0] != len(advanced) - 1:
        return 0
    return sum(isinstance(item, slice) for item in items[: advanced[0]])


def _element(memory: Memory, array: Tracer, counters: Sequence[Any]) -> Any:
    view = viewed(memory, array)
    if view is None:
        return array
    found = select(view, tuple(counters))
    return Tracer(found.builder, found.operand)
