"""Indexing: one slice, one gather and new axes make every NumPy index.

Slices and integers that shapes determine become a ``slice`` (whose adjoint is a pad);
integer arrays, and integers that depend on data, a ``gather``. Bounds are decided by
guards on sizes, except for gathers, which check their indices when they run.

>>> getitem(np.arange(12.0).reshape(3, 4), (slice(None, None, -1), 1))
array([9., 5., 1.])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tracegrad.ir.shapes import Dim, concrete_size, hint_of, same_size, size_at_least
from tracegrad.ir.types import INTEGERS, NARROW
from tracegrad.numpy_api.arguments import (
    astype,
    axis_of,
    dtype_name,
    is_traced,
    known_size,
    number_of,
    rank_of,
    refuse,
    size_of,
    traced_in,
)
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.shapes import broadcast_arrays, ravel, with_new_axes
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import structural
from tracegrad.primitives.indexing import gather
from tracegrad.primitives.structural import Size, Sizes, counting, dims

# --- what an index consists of -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """A slice of one axis: ``size`` elements from ``start`` by ``step``."""

    start: Size
    step: int
    size: Size


@dataclass(frozen=True, slots=True)
class Position:
    """One element of one axis; the axis disappears."""

    start: Size


@dataclass(frozen=True, slots=True)
class Positions:
    """Elements of one axis at an array of positions, broadcast with its fellows."""

    index: Any


@dataclass(frozen=True, slots=True)
class NewAxis:
    """An axis of length one that the array doesn't have."""


Entry: TypeAlias = Window | Position | Positions | NewAxis


def getitem(x: Any, index: Any) -> Any:
    """``x[index]`` for every index that NumPy has, traced masks excepted."""
    entries = parse(dims(x), index)
    x = _sliced(x, [e for e in entries if not isinstance(e, NewAxis)])
    plan = _Plan()
    for place, entry in enumerate(entries):
        plan.add(place, entry)
    if plan.indices:
        x = plan.gathered(x)
    return with_new_axes(x, plan.new_axes())


def _sliced(x: Any, entries: list[Entry]) -> Any:
    """The windows and positions, taken together; then positions' axes are dropped."""
    windows, dropped = [], []
    for axis, (entry, size) in enumerate(zip(entries, dims(x), strict=True)):
        match entry:
            case Window():
                windows.append(entry)
            case Position(start):
                windows.append(Window(start, 1, 1))
                dropped.append(axis)
            case _:
                windows.append(Window(0, 1, size))
    x = windowed(x, windows)
    return structural.squeeze(x, axes=tuple(dropped)) if dropped else x


def windowed(x: Any, windows: list[Window]) -> Any:
    """A slice of every axis, unless all are whole."""
    whole = all(
        w.step == 1 and Dim.of(w.start).value == 0 and Dim.of(w.size) == Dim.of(d)
        for w, d in zip(windows, dims(x), strict=True)
    )
    if whole:
        return x
    return structural.slice_(
        x,
        starts=tuple(w.start for w in windows),
        steps=tuple(w.step for w in windows),
        sizes=tuple(w.size for w in windows),
    )


@dataclass(slots=True)
class _Plan:
    """Where the axes of the result come from, in order: "axis", "new" or "block".

    The block is the common shape of the index arrays. It stands where they do if they
    are neighbours (integers among them count), else in front.
    """

    order: list[str] = field(default_factory=list)
    indices: list[Any] = field(default_factory=list)
    axes: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    block_at: int | None = None
    rank: int = 0
    kept: int = 0

    def add(self, place: int, entry: Entry) -> None:
        match entry:
            case Window():
                self.order.append("axis")
                self.kept += 1
            case NewAxis():
                self.order.append("new")
            case Position():
                self._advanced(place)
            case Positions(index):
                self._advanced(place)
                self.axes.append(self.kept)
                self.kept += 1
                self.indices.append(index)

    def _advanced(self, place: int) -> None:
        if self.block_at is None:
            self.block_at = len(self.order)
        self.places.append(place)

    def gathered(self, x: Any) -> Any:
        """The gather of all index arrays at once."""
        neighbours = self.places[-1] - self.places[0] == len(self.places) - 1
        at = self.block_at if neighbours and self.block_at is not None else 0
        indices = self.indices
        if len(indices) > 1:
            indices = list(broadcast_arrays(*indices))
        self.rank = rank_of(indices[0])
        position = self.order[:at].count("axis")
        self.order[at:at] = ["block"] * self.rank
        return gather(x, *indices, axes=tuple(self.axes), position=position)

    def new_axes(self) -> tuple[int, ...]:
        return tuple(k for k, kind in enumerate(self.order) if kind == "new")


# --- from Python's index to entries ------------------------------------------------


def parse(shape: Sizes, index: Any) -> list[Entry]:
    """One entry per axis of the array, and one per new axis, in order."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [_item(item) for item in items]
    consumed = sum(_consumes(item) for item in items)
    if consumed > len(shape):
        raise IndexError(
            f"too many indices for array: array is {len(shape)}-dimensional, but "
            f"{consumed} were indexed"
        )
    dots = [k for k, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    rest: list[Any] = [slice(None)] * (len(shape) - consumed)
    at = dots[0] if dots else len(items)
    items[at : at + 1] = rest
    entries: list[Entry] = []
    axis = 0
    for item in items:
        entries.extend(_entries(item, shape, axis))
        axis += _consumes(item)
    return entries


def _item(item: Any) -> Any:
    """Lists as arrays, and what can't be an index refused."""
    if isinstance(item, list):
        item = asarray(item) if item else np.zeros(0, np.int64)
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, (bool, np.bool_)):
        raise refuse(
            "indexing with a single boolean is not supported.",
            "Add an axis with None, or use np.where.",
        )
    kind = dtype_name(item)
    if kind == "bool" and is_traced(item):
        raise refuse(
            "a boolean mask that depends on traced values has a result whose shape "
            "depends on data.",
            "Use np.where(mask, x, 0.0), or a mask that doesn't depend on arguments.",
        )
    if kind != "bool" and kind not in INTEGERS | NARROW:
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    return item


def _consumes(item: Any) -> int:
    """How many axes of the array an item indexes."""
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, np.ndarray) and item.dtype == bool:
        return item.ndim
    return 1


def _entries(item: Any, shape: Sizes, axis: int) -> list[Entry]:
    if item is None:
        return [NewAxis()]
    if isinstance(item, slice):
        return [window(item, shape[axis])]
    if isinstance(item, np.ndarray) and item.dtype == bool:
        for k, size in enumerate(item.shape):
            if not same_size(shape[axis + k], size):
                raise IndexError(
                    f"boolean index did not match indexed array along axis {axis + k}; "
                    f"size of axis is {hint_of(shape[axis + k])} but size of "
                    f"corresponding boolean axis is {size}"
                )
        return [Positions(where) for where in np.nonzero(item)]
    if rank_of(item) == 0:
        known = known_size(item) if is_traced(item) else int(item)
        if known is not None:
            return [Position(position(known, shape[axis], axis))]
    return [Positions(astype(asarray(item), "int64"))]


def position(index: Size, size: Size, axis: int) -> Size:
    """An integer index counted from the front; IndexError if it is out of bounds."""
    if size_at_least(index, 0):
        if size_at_least(size, index + 1):
            return index
    elif size_at_least(size, -index):
        return size + index
    raise IndexError(
        f"index {hint_of(index)} is out of bounds for axis {axis} with size "
        f"{hint_of(size)}"
    )


def window(item: slice, size: Size) -> Window:
    """Python's rule for slices: negative bounds count from the end, all are clamped."""
    step = 1 if item.step is None else concrete_size(size_of(item.step))
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step > 0:
        start = _bound(item.start, size, 0, 0, size)
        stop = _bound(item.stop, size, size, 0, size)
        span = stop - start if size_at_least(stop, start) else 0
    else:
        start = _bound(item.start, size, size - 1, -1, size - 1)
        stop = _bound(item.stop, size, -1, -1, size - 1)
        span = start - stop if size_at_least(start, stop) else 0
    if span == 0:
        return Window(0, step, 0)
    stride = abs(step)
    longer = (
        span + (stride - 1) if isinstance(span, int) else Dim.of(span) + (stride - 1)
    )
    count = span if stride == 1 else longer // stride
    return Window(_plain(start), step, _plain(count))


def _bound(given: Any, size: Size, default: Size, low: Size, high: Size) -> Size:
    if given is None:
        return default
    bound = size_of(given)
    if not size_at_least(bound, 0):
        return size + bound if size_at_least(size, -bound) else low
    return bound if size_at_least(high, bound) else high


def _plain(size: Size) -> Size:
    """A number where it is one."""
    return size if isinstance(size, int) or size.value is None else size.value


# --- functions ---------------------------------------------------------------------


def along(x: Any, axis: int, item: Any) -> Any:
    """``x`` indexed along one axis, the others whole; sizes may be symbolic."""
    place = axis_of(axis, rank_of(x))
    entries: list[Entry] = [Window(0, 1, d) for d in dims(x)]
    size = dims(x)[place]
    if isinstance(item, slice):
        entries[place] = window(item, size)
    else:
        entries[place] = Position(position(_plain(item), size, place))
    return _sliced(x, entries)


def take(a: Any, indices: Any, axis: Any = None, *, mode: str = "raise") -> Any:
    """Elements at positions along an axis, or of all elements in order."""
    a = asarray(a)
    if axis is None:
        a, axis = ravel(a), 0
    place = axis_of(axis, rank_of(a))
    indices = astype(asarray(indices), "int64")
    size = number_of(traced_in([a, indices]), dims(a)[place])
    if mode == "wrap":
        indices = ew.remainder(indices, size)
    elif mode == "clip":
        indices = ew.minimum(ew.maximum(indices, 0), size - 1)
    return gather(a, indices, axes=(place,), position=place)


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    """Elements at positions along an axis, which differ along the other axes."""
    if axis is None:
        arr, axis = ravel(arr), 0
    place = axis_of(axis, rank_of(arr))
    indices = astype(asarray(indices), "int64")
    if rank_of(indices) != rank_of(arr):
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    rank = rank_of(arr)
    like = traced_in([arr, indices])
    numbers = [
        indices
        if k == place
        else with_new_axes(
            counting(like, dims(arr)[k]), tuple(j for j in range(rank) if j != k)
        )
        for k in range(rank)
    ]
    joined = broadcast_arrays(*numbers) if rank > 1 else numbers
    return gather(arr, *joined, axes=tuple(range(rank)), position=0)


def _data_dependent(name: str) -> Callable[..., Any]:
    def refused(*args: Any, **kwargs: Any) -> Any:
        raise refuse(
            f"{name} has a result whose shape depends on data.",
            "Use np.where with three arguments, or compute it outside.",
        )

    return refused


NUMPY: dict[Any, Callable[..., Any]] = {
    np.take: take,
    np.take_along_axis: take_along_axis,
    **{
        getattr(np, name): _data_dependent(f"numpy.{name}")
        for name in (
            "nonzero",
            "flatnonzero",
            "argwhere",
            "unique",
            "extract",
            "compress",
        )
    },
}
METHODS: dict[str, Callable[..., Any]] = {
    "take": take,
    "nonzero": _data_dependent("the method nonzero"),
    "compress": _data_dependent("the method compress"),
}
