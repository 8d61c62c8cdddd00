"""Views: windows onto a Ref, or onto an immutable array in a loop.

A view is no value of the graph: it knows its base and, for each axis of the base, a
point or a window. Indexing it gives another view, and an element is one ``load``. Used
as an array, it is loaded: what was read stays what it was when the base changes.

What NumPy reshapes without copying is an ``Alias``: it reads its source anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracegrad.ir.graph import Operand, Value
from tracegrad.ir.shapes import Dim, Shape
from tracegrad.ir.types import ArrayType, RefType
from tracegrad.numpy_api import table as numpy_table
from tracegrad.numpy_api.shapes import with_new_axes
from tracegrad.primitives import refs, structural
from tracegrad.traces.memory import Memory, Part
from tracegrad.traces.tracer import Tracer, lift, size_tracer
from tracegrad.traces.words import STAND_IN

Number: TypeAlias = Any  # an int, or a tracer of one


@dataclass(frozen=True, slots=True)
class Point:
    """One cell of an axis of the base."""

    start: Number


@dataclass(frozen=True, slots=True)
class Span:
    """A window of an axis of the base."""

    start: Number
    size: Dim
    step: int


class View(Tracer):
    """Some cells of an array, without a copy.

    Attributes:
        memory: of the trace.
        base: the array: a Ref, or an immutable value.
        entries: one per axis of the base.
        axes: for each axis of the view, that of the base; None for a new one.
    """

    __slots__ = ("axes", "base", "entries", "memory")

    def __init__(
        self,
        memory: Memory,
        base: Value,
        entries: tuple[Point | Span, ...],
        axes: tuple[int | None, ...],
    ) -> None:
        self.builder = memory.builder
        self.weak = False
        self.origin = None
        self.memory = memory
        self.base = base
        self.entries = entries
        self.axes = axes

    @property
    def mutable(self) -> bool:
        """Whether its base is a Ref."""
        return isinstance(self.base.type, RefType)

    @property
    def whole(self) -> bool:
        """Whether it is all of its base, in order."""
        shape = self.base.type.shape
        return self.axes == tuple(range(len(shape))) and all(
            isinstance(e, Span) and type(e.start) is int and e == Span(0, d, 1)
            for e, d in zip(self.entries, shape, strict=True)
        )

    @property
    def dims(self) -> Shape:
        """Its shape as symbolic sizes."""
        return tuple(self._size(axis) for axis in self.axes)

    def _size(self, axis: int | None) -> Dim:
        if axis is None:
            return Dim.constant(1)
        entry = self.entries[axis]
        assert isinstance(entry, Span)
        return entry.size

    @property
    def type(self) -> ArrayType:
        """The type of what it shows."""
        return ArrayType(self.base.type.dtype, self.dims)

    @property
    def operand(self) -> Operand:  # type: ignore[override]
        """What it shows now."""
        if self.whole and not self.mutable:
            return self.base
        base = self.memory.usable(self.base)
        loaded = self.builder.emit1(refs.load, (base, *self.index), self.params)
        return _rearranged(self, loaded)

    @property
    def index(self) -> tuple[Operand, ...]:
        """The operands of a ``load`` or ``store``: where each entry starts."""
        return tuple(lift(self.builder, e.start, "int64") for e in self.entries)

    @property
    def params(self) -> dict[str, Any]:
        """The static part of the index."""
        return {
            "sizes": tuple(
                e.size if isinstance(e, Span) else None for e in self.entries
            ),
            "steps": tuple(e.step if isinstance(e, Span) else 1 for e in self.entries),
        }

    @property
    def T(self) -> Any:
        """The transpose, a view."""
        return self.with_axes(self.axes[::-1])

    def with_axes(self, axes: tuple[int | None, ...]) -> View:
        """The same cells with their axes in another order, or with new ones."""
        return View(self.memory, self.base, self.entries, axes)

    def __getitem__(self, index: Any) -> Any:
        return self.memory.item(self, index)

    def __getattr__(self, name: str) -> Any:
        if name not in numpy_table.METHODS:
            raise AttributeError(f"a traced array has no attribute {name!r}")
        return getattr(snapshot(self), name)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        values = [snapshot(x) for x in inputs]
        inner = Tracer.__array_ufunc__
        first = next(x for x in values if isinstance(x, Tracer))
        return inner(first, ufunc, method, *values, **kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        args, kwargs = snapshots(args), snapshots(kwargs)
        return numpy_table.lookup(function)(*args, **kwargs)

    def __repr__(self) -> str:
        name = self.base.name or "array"
        return f"{STAND_IN}{name}: {self.type}>"


class Alias(View):
    """A view with another shape: reading it reads its source anew."""

    __slots__ = ("_read", "_type", "source")

    def __init__(self, source: View, read: Callable[[Any], Any]) -> None:
        super().__init__(source.memory, source.base, (), ())
        self.source = source
        self._read = read
        self._type: ArrayType = read(snapshot(source)).type

    @property
    def type(self) -> ArrayType:
        """The type of what it shows."""
        return self._type

    @property
    def dims(self) -> Shape:
        """Its shape as symbolic sizes."""
        return self._type.shape

    @property
    def whole(self) -> bool:
        """It never is its base itself."""
        return False

    @property
    def operand(self) -> Operand:  # type: ignore[override]
        """What it shows now."""
        operand: Operand = self._read(snapshot(self.source)).operand
        return operand

    @property
    def T(self) -> Any:
        """The transpose, again an alias."""
        return Alias(self, lambda x: x.T)


def whole_view(memory: Memory, base: Value) -> View:
    """All of an array."""
    shape = base.type.shape
    entries = tuple(Span(0, d, 1) for d in shape)
    return View(memory, base, entries, tuple(range(len(shape))))


def viewed(memory: Memory, array: Tracer) -> View | None:
    """An array as a view, if it can be one."""
    if isinstance(array, Alias):
        return None
    if isinstance(array, View):
        return array
    operand = array.operand
    if not isinstance(operand, Value):
        return None
    view = whole_view(memory, operand)
    view.origin = Part(array)
    return view


def snapshot(x: Any) -> Any:
    """What a view shows now, as an immutable array; anything else as it is."""
    return Tracer(x.builder, x.operand) if isinstance(x, View) else x


def snapshots(value: Any) -> Any:
    """Snapshots of all views in nested containers."""
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(map(snapshots, value))
    if type(value) is dict:
        return {key: snapshots(x) for key, x in value.items()}
    return snapshot(value)


# --- from the base's axes to the view's, and back ----------------------------------


def _kept(view: View) -> list[int]:
    """The axes of the base that the view has, in the base's order."""
    return [k for k, e in enumerate(view.entries) if isinstance(e, Span)]


def _order(view: View) -> tuple[int, ...]:
    """For each axis of the view that is one of the base: its place among those."""
    kept = _kept(view)
    return tuple(kept.index(axis) for axis in view.axes if axis is not None)


def _rearranged(view: View, loaded: Operand) -> Operand:
    order = _order(view)
    value: Any = Tracer(view.builder, loaded)
    if order != tuple(range(len(order))):
        value = structural.transpose(value, perm=order)
    new = tuple(k for k, axis in enumerate(view.axes) if axis is None)
    operand: Operand = with_new_axes(value, new).operand if new else value.operand
    return operand


def as_stored(view: View, value: Any) -> Any:
    """A value of the view's shape in the shape that a ``store`` takes."""
    new = tuple(k for k, axis in enumerate(view.axes) if axis is None)
    if new:
        value = structural.squeeze(value, axes=new)
    order = _order(view)
    if order == tuple(range(len(order))):
        return value
    return structural.transpose(value, perm=tuple(np.argsort(order).tolist()))


def as_number(memory: Memory, size: Any) -> Number:
    """A size as a number to calculate with."""
    return size_tracer(memory.builder, Dim.of(size))
