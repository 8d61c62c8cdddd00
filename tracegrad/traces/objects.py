"""Attributes, items and unpacking of whatever traced code handles.

An object that the trace made is as it is; one from outside is read through ``Outside``,
which guards it or makes a hidden input of it, and is never written. Arrays are read and
written as ``indices`` and ``stores`` say.
"""

from __future__ import annotations

import ast
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.numpy_api.arguments import known_size
from tracegrad.numpy_api.creation import asarray
from tracegrad.traces import as_python, methods, stores
from tracegrad.traces.indices import UnknownLength, get, is_basic
from tracegrad.traces.masked import at_positions, is_mask, is_positions, selected
from tracegrad.traces.memory import Memory, Part, mark
from tracegrad.traces.protocols import lookup, own_method
from tracegrad.traces.scope import Frame, Machine, example, name_value
from tracegrad.traces.sequences import items, static_key
from tracegrad.traces.sliced import Put, gathered, holds_stretch, store, stretch
from tracegrad.traces.slots import is_number
from tracegrad.traces.stretches import Stretch
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.unsized import Unsized
from tracegrad.traces.views import View, snapshots, viewed
from tracegrad.traces.words import worded


def get_attribute(value: Any, name: str, machine: Machine) -> Any:
    """``value.name``; a property of the user's is interpreted."""
    if isinstance(value, Tracer):
        return _array_attribute(value, name, machine)
    getter = _property(value, name)
    if getter is not None:
        return machine.call(getter, value)
    return worded(machine.outside.attribute(machine.builder, value, name))


_AS_PYTHON = {"item": as_python.item, "tolist": as_python.tolist}


def _array_attribute(value: Tracer, name: str, machine: Machine) -> Any:
    if name == "__class__":
        return type(example(value))
    if name in _AS_PYTHON:
        return partial(_AS_PYTHON[name], machine, value)
    try:
        return methods.attribute(machine.memory, value, name)
    except AttributeError:
        if not hasattr(np.ndarray, name):
            raise
        raise TracingError(
            f"the array attribute {name!r} is not supported in traced code.",
            machine.builder.location,
            "Use a function of np that tracegrad knows.",
        ) from None


def _property(value: Any, name: str) -> Any:
    """The getter of a property that is written in Python."""
    for kind in type(value).__mro__:
        if name in vars(kind):
            found = vars(kind)[name]
            return found.fget if isinstance(found, property) else None
    return None


def get_item(value: Any, index: Any, frame: Frame) -> Any:
    """``value[index]``."""
    machine = frame.machine
    if isinstance(value, (list, tuple)) and _is_unknown(index):
        value = _table(value, machine)
    if isinstance(value, dict) and _is_unknown(index):
        raise frame.refused(
            "a dict is indexed by a traced value.", "Use a NumPy array, or if and elif."
        )
    if isinstance(value, (list, tuple, dict)):
        return machine.outside.item(machine.builder, value, static_key(index))
    if isinstance(value, (Tracer, np.ndarray)):
        index = _with_arrays(index)
        if is_mask(index):
            return selected(value, index)
        if is_positions(index):
            return at_positions(value, index)
        if holds_stretch(index):
            array = _as_tracer(value, machine)
            return gathered(array, index, machine.memory, _of_array)
    if isinstance(value, np.ndarray) and has_tracer(index):
        value = _as_tracer(value, machine)
    getter = lookup(type(value), "__getitem__")  # np.mgrid has one that is known, too
    if isinstance(getter, FunctionType) and not isinstance(value, Tracer):
        return machine.call(getter, value, index)
    if isinstance(value, Tracer):
        return _part_of(value, index, machine.memory)
    return value[index]


def _as_tracer(array: Any, machine: Machine) -> Tracer:
    if isinstance(array, Tracer):
        return array
    return Tracer(machine.builder, machine.builder.capture(array))


def _part_of(array: Tracer, index: Any, memory: Memory) -> Any:
    """``array[index]``, where the length of a slice may be unknown."""
    try:
        return _of_array(array, index, memory)
    except UnknownLength:
        found = stretch(array, index, memory, _of_array)
        if found is None:
            raise
        return found


def _with_arrays(index: Any) -> Any:
    """An index with arrays for lists that hold traced integers."""
    if isinstance(index, tuple):
        return tuple(map(_with_arrays, index))
    return asarray(index) if isinstance(index, list) and has_tracer(index) else index


def _of_array(array: Tracer, index: Any, memory: Memory) -> Any:
    """``array[index]``: in loops and branches only what it shows is ever touched."""
    basic = is_basic(index)
    if isinstance(array, View):
        return get(array, index)
    if basic and array.ndim and (memory.staged or _has_unknown_slice(index)):
        view = viewed(memory, array)
        if view is not None:
            return get(view, index)
    found = array[snapshots(index)]
    return mark(found, Part(array)) if basic else found


def _table(value: Any, machine: Machine) -> Any:
    """A list of numbers that is indexed by a traced integer, as an array.

    Raises:
        TracingError: if it holds anything else.
    """
    items = machine.outside.opened(machine.builder, value)
    if not items or not all(map(is_number, items)):
        raise _unknown_place(value, machine)
    return asarray(list(items))


def _unknown_place(container: Any, machine: Machine) -> TracingError:
    return TracingError(
        f"a {type(container).__name__} is indexed by a traced integer.",
        machine.builder.location,
        "Use a NumPy array.",
    )


def _is_unknown(index: Any) -> bool:
    return isinstance(index, Tracer) and known_size(index) is None


def _has_unknown_slice(index: Any) -> bool:
    items = index if isinstance(index, tuple) else (index,)
    slices = [item for item in items if isinstance(item, slice)]
    return any(_is_unknown(b) for s in slices for b in (s.start, s.stop, s.step))


def has_tracer(index: Any) -> bool:
    """Whether part of an index, or of a list of values, is traced."""
    if isinstance(index, slice):
        return has_tracer((index.start, index.stop, index.step))
    if isinstance(index, (tuple, list)):
        return any(map(has_tracer, index))
    return isinstance(index, Tracer)


def unpack(starred: list[bool], value: Any, machine: Machine) -> list[Any]:
    """The value's items, one per target; a starred target gets a list."""
    count = len(starred)
    expected = None if any(starred) else count
    parts = list(items(machine, value, expected))
    if expected is not None:
        if len(parts) != count:
            few = "not enough" if len(parts) < count else "too many"
            raise ValueError(
                f"{few} values to unpack (expected {count}, got {len(parts)})"
            )
        return parts
    if len(parts) < count - 1:
        raise ValueError(
            f"not enough values to unpack (expected at least {count - 1}, got "
            f"{len(parts)})"
        )
    star = starred.index(True)
    tail = len(parts) - (count - star - 1)
    return [*parts[:star], parts[star:tail], *parts[tail:]]


def set_item(container: Any, index: Any, value: Any, frame: Frame) -> None:
    """``container[index] = value``.

    Raises:
        TracingError: for containers that are older than the trace or its region.
    """
    machine = frame.machine
    memory = machine.memory
    setter = own_method(container, "__setitem__")
    if setter is not None:
        machine.call(setter, container, index, value)
        return
    if isinstance(value, (list, tuple)) and has_tracer(value):
        value = _as_item(container, value)
    if isinstance(container, (Tracer, np.ndarray)):
        index = _with_arrays(index)
    if isinstance(container, Tracer):
        value = asarray(value) if isinstance(value, (list, tuple)) else value
        _write(container, snapshots(index), value, memory, _assigning(memory))
        return
    if isinstance(container, np.ndarray):
        if has_tracer(index) or isinstance(value, Tracer):
            memory.require_ref(container)
        memory.require_plain(container)
    elif _is_unknown(index):
        raise _unknown_place(container, machine)
    else:
        memory.refuse_change(container, "assigning an item")
    machine.outside.refuse_write(machine.builder, container, "assigning an item")
    container[static_key(index)] = value


def update_item(
    array: Tracer, index: Any, kind: type[ast.operator], value: Any, memory: Memory
) -> None:
    """``array[index] <op>= value``, where value was computed meanwhile."""
    _write(array, index, value, memory, _updating(kind, memory))


def _assigning(memory: Memory) -> Put:
    return lambda array, index, value: stores.set_item(memory, array, index, value)


def _updating(kind: type[ast.operator], memory: Memory) -> Put:
    return lambda array, index, value: stores.update_item(
        memory, array, index, kind, value
    )


def _write(array: Tracer, index: Any, value: Any, memory: Memory, put: Put) -> None:
    """Write to what an index shows, where the length of a slice may be unknown."""
    if holds_stretch(index):
        raise TracingError(
            "an assignment to positions whose number depends on a traced value is not "
            "supported.",
            memory.builder.location,
            "Write it as a loop over elements.",
        )
    try:
        put(array, index, value)
    except UnknownLength:
        view = stores.writable(memory, array)
        target = stretch(view, index, memory, _of_array)
        if target is None:
            raise
        store(target, value, put, view.base)


def _as_item(container: Any, value: Any) -> Any:
    return asarray(value) if isinstance(container, (Tracer, np.ndarray)) else value


def update_array(
    array: Any, kind: type[ast.operator], value: Any, machine: Machine
) -> bool:
    """``array <op>= value`` for arrays that the trace knows; whether it was one."""
    memory = machine.memory
    if isinstance(array, np.ndarray):
        if not has_tracer(value):
            memory.require_plain(array)
            return False
        memory.require_ref(array)
    if isinstance(array, Stretch):
        if array.source is None:
            raise array.refused("an update in place")
        base = stores.writable(memory, array.source[0]).base
        store(array, value, _updating(kind, memory), base)
        return True
    if not isinstance(array, Tracer) or not array.ndim:
        return False
    stores.update(stores.writable(memory, array), kind, value)
    return True


def set_attribute(owner: Any, name: str, value: Any, machine: Machine) -> None:
    """``owner.name = value`` on an object that the trace made."""
    if isinstance(owner, (Tracer, Unsized)):
        raise TracingError(
            f"the attribute .{name} of an array is assigned.",
            machine.builder.location,
            "Make a new array instead, as y = y.reshape(shape).",
        )
    machine.outside.refuse_write(machine.builder, owner, f"assigning .{name}")
    machine.memory.refuse_change(owner, f"assigning .{name}")
    name_value(value, name)
    setattr(owner, name, value)
