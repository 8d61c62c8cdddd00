"""Attributes, items and unpacking of whatever traced code handles.

An object that the trace made is as it is; one from outside is read through ``Outside``,
which guards it or makes a hidden input of it, and is never written.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.ir.graph import Builder
from tracegrad.traces.scope import Frame, Machine, name_value
from tracegrad.traces.sequences import items, static_key
from tracegrad.traces.tracer import Tracer


def get_attribute(value: Any, name: str, frame: Frame) -> Any:
    """``value.name``; a property of the user's is interpreted."""
    machine = frame.machine
    if isinstance(value, Tracer):
        return _array_attribute(value, name, frame)
    getter = _property(value, name)
    if getter is not None:
        return machine.call(getter, value)
    return machine.outside.attribute(machine.builder, value, name)


def _array_attribute(value: Tracer, name: str, frame: Frame) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        if not hasattr(np.ndarray, name):
            raise
        raise frame.refused(
            f"the array attribute {name!r} is not supported in traced code.",
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
    if isinstance(value, (list, tuple, dict)):
        return machine.outside.item(machine.builder, value, static_key(index))
    if isinstance(value, np.ndarray) and _has_tracer(index):
        value = Tracer(machine.builder, machine.builder.capture(value))
    getter = getattr(type(value), "__getitem__", None)
    if isinstance(getter, FunctionType) and not isinstance(value, Tracer):
        return machine.call(getter, value, index)
    return value[index]


def _has_tracer(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(p, Tracer)
        or (isinstance(p, slice) and _has_tracer((p.start, p.stop, p.step)))
        for p in parts
    )


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


def set_attribute(owner: Any, name: str, value: Any, frame: Frame) -> None:
    """``owner.name = value`` on an object that the trace made."""
    machine = frame.machine
    machine.outside.refuse_write(machine.builder, owner, f"assigning .{name}")
    name_value(value, name)
    setattr(owner, name, value)


def set_item(container: Any, index: Any, value: Any, frame: Frame) -> None:
    """``container[index] = value`` on a list or dict that the trace made.

    Raises:
        TracingError: for arrays, and for containers from outside.
    """
    machine = frame.machine
    if isinstance(container, Tracer):
        raise in_place_refused(machine.builder)
    if isinstance(container, np.ndarray) and (
        isinstance(value, Tracer) or _has_tracer(index)
    ):
        raise in_place_refused(machine.builder)
    machine.outside.refuse_write(machine.builder, container, "assigning an item")
    container[static_key(index)] = value


def in_place_refused(builder: Builder) -> TracingError:
    """The error for writing to an array."""
    return TracingError(
        "an array is written in place.",
        builder.location,
        "Write y = y + ... for y += ..., and build arrays with np.where, np.stack or "
        "np.concatenate instead of assigning their elements.",
    )
