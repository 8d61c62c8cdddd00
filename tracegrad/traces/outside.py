"""What a traced function reads from outside: globals, closures, attributes, items.

Nothing of it is frozen silently. An array becomes a hidden input, read again at each
call. A number, a string, a function is static, under a guard that is tested at each
call. A container or object is known as *outside*, so that what is read from it, item
by item, is treated alike, and so that a write to it is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from enum import Enum
from inspect import signature
from types import MethodType, ModuleType
from typing import Any, Literal, TypeAlias

import numpy as np

from tracegrad.errors import TracegradError, TracingError
from tracegrad.ir.graph import Builder, Graph, Operand
from tracegrad.ir.shapes import shape_of
from tracegrad.ir.types import ArrayType, stored_dtype
from tracegrad.traces.inputs import Leaf, describe, identifier, input_tracer
from tracegrad.traces.literals import written_out
from tracegrad.traces.memory import Foreign, mark
from tracegrad.traces.tracer import Tracer

_ATOMS = (bool, int, float, complex, str, bytes, np.generic, np.dtype, Enum, range)
_CONTAINERS = (list, tuple, dict, set, frozenset)
TRUSTED = sys.stdlib_module_names | {"numpy", "scipy", "numba", "tracegrad", "codegen"}
"""Top-level modules whose contents are taken as constant and run natively."""

Kind: TypeAlias = Literal["global", "cell", "attribute", "item", "keys", "default"]
_GONE = object()
_FOREIGN = Foreign(
    "comes from outside the traced function.",
    "Pass it as an argument, or take a copy first: y = y.copy().",
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Place:
    """Somewhere outside that can be read again at each call."""

    kind: Kind
    owner: Any
    key: Any = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.key or ''}>"

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for the same place."""
        return (self.kind, id(self.owner), self.key)

    def read(self) -> Any:
        """What is there now; a value equal to nothing if it is gone."""
        try:
            match self.kind:
                case "global" | "item":
                    return self.owner[self.key]
                case "cell":
                    return self.owner.cell_contents
                case "attribute":
                    return getattr(self.owner, self.key)
                case "keys":
                    return _keys(self.owner)
                case "default":
                    return signature(self.owner).parameters[self.key].default
        except (LookupError, AttributeError, ValueError):
            return _GONE


@dataclass(frozen=True, slots=True)
class StateGuard:
    """What was found at a place while tracing must still be there at each call."""

    place: Place
    expected: Any

    def holds(self) -> bool:
        """Whether it is: the same object, or an equal number, string or tuple."""
        now = self.place.read()
        if now is self.expected:
            return True
        if not _atomic(self.expected) or type(now) is not type(self.expected):
            return False
        return bool(now == self.expected)


@dataclass(frozen=True, slots=True)
class Capture:
    """A hidden input: where its array is, or the array itself if it is a constant."""

    leaf: Leaf
    place: Place | None
    constant: np.ndarray[Any, Any] | None = None

    def read(self) -> Any:
        """The array to pass at a call."""
        return self.constant if self.place is None else self.place.read()


class Outside:
    """What one trace has read.

    Args:
        graph: where hidden inputs become parameters.
        taken: names of the graph's other parameters.
    """

    def __init__(self, graph: Graph, taken: Iterable[str]) -> None:
        self._graph = graph
        self._names = set(taken)
        self._objects: dict[int, tuple[Any, str]] = {}
        self._arrays: dict[tuple[Any, ...], Any] = {}
        self._guards: dict[tuple[Any, ...], StateGuard] = {}
        self.captures: list[Capture] = []

    @property
    def guards(self) -> list[StateGuard]:
        """What must still hold at a call, in the order in which it was read."""
        return list(self._guards.values())

    def owns(self, value: object) -> bool:
        """Whether an object came from outside the trace."""
        return id(value) in self._objects

    def label(self, value: object) -> str:
        """What to call what is read from an object."""
        known = self._objects.get(id(value))
        return known[1] if known else type(value).__name__

    def enter(self, value: object, label: str) -> None:
        """Take note of an object from outside: an argument, or something read."""
        if not isinstance(value, (Tracer, *_ATOMS)) and value is not None:
            self._objects.setdefault(id(value), (value, label))

    def read(self, builder: Builder, place: Place, value: Any, label: str) -> Any:
        """What traced code sees of a value found at a place."""
        if isinstance(value, Tracer):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind not in "OSUVMm":
            return self._capture(builder, place, value, label)
        if isinstance(value, ModuleType) and is_trusted(value):
            return value
        self._guards.setdefault(place.identity, StateGuard(place, value))
        self.enter(value, label)
        return value

    def guard(self, place: Place) -> None:
        """Assume that a place keeps what it holds now."""
        self._guards.setdefault(place.identity, StateGuard(place, place.read()))

    def attribute(self, builder: Builder, value: Any, name: str) -> Any:
        """``value.name``, where value may be from outside."""
        found = getattr(value, name)
        if not self.owns(value) or isinstance(found, MethodType):
            return found
        if getattr(found, "__self__", None) is value:
            return found  # a bound method of a built-in object
        label = name if isinstance(value, ModuleType) else f"{self.label(value)}_{name}"
        return self.read(builder, Place("attribute", value, name), found, label)

    def item(self, builder: Builder, container: Any, key: Any) -> Any:
        """``container[key]`` of a list, tuple or dict that may be from outside."""
        if not self.owns(container):
            return container[key]
        if isinstance(key, slice):
            return self.opened(builder, container)[key]
        label = f"{self.label(container)}_{key}"
        place = Place("item", container, key)
        return self.read(builder, place, container[key], label)

    def opened(self, builder: Builder, value: Any) -> Any:
        """A container from outside as one of the trace's own, its items read.

        Whatever else it is, the value as it is.
        """
        if not self.owns(value) or not isinstance(value, _CONTAINERS):
            return value
        self.guard(Place("keys", value))
        if isinstance(value, (set, frozenset)):
            return value
        items = {
            key: self.opened(builder, self.item(builder, value, key))
            for key in _keys(value)
        }
        if isinstance(value, dict):
            own = copy(value)
            own.update(items)
            return own
        if hasattr(value, "_make"):
            return value._make(items.values())
        return (tuple if isinstance(value, tuple) else list)(items.values())

    def constant(self, builder: Builder, array: Any) -> Operand:
        """An array that the trace itself computed: written out, or a hidden input."""
        content = np.array(array, order="C")
        written = written_out(builder, content)
        if written is not None:
            return written
        dtype = stored_dtype(content.dtype)
        key = ("constant", dtype, content.shape, content.tobytes())
        if key not in self._arrays:
            name = identifier("constant", self._names)
            self._names.add(name)
            type_ = ArrayType(dtype, shape_of(content.shape))
            value = self._graph.add_param(type_, name)
            self._arrays[key] = Tracer(builder, value)
            leaf = Leaf(name, dtype, content.shape)
            self.captures.append(Capture(leaf, None, content))
        operand: Operand = self._arrays[key].operand
        return operand

    def _capture(self, builder: Builder, place: Place, array: Any, label: str) -> Any:
        known = self._arrays.get(place.identity)
        if known is not None:
            return known
        name = identifier(label, self._names)
        try:
            leaf = describe(array, name)
        except TracegradError as error:
            raise error.located(builder.location) from None
        self._names.add(name)
        self.captures.append(Capture(leaf, place))
        tracer = mark(input_tracer(builder, self._graph, leaf), _FOREIGN)
        self._arrays[place.identity] = tracer
        return tracer

    def refuse_write(self, builder: Builder, target: object, action: str) -> None:
        """Refuse to change an object that outlives the trace.

        Raises:
            TracingError: if it came from outside.
        """
        if self.owns(target) or isinstance(target, ModuleType):
            raise TracingError(
                f"{action} changes an object from outside the traced function.",
                builder.location,
                "It would happen once, while tracing. Return the new value instead.",
            )


def is_trusted(value: object) -> bool:
    """Whether it belongs to the standard library, NumPy, SciPy, Numba or us."""
    name = value.__name__ if isinstance(value, ModuleType) else module_of(value)
    return name.split(".")[0] in TRUSTED


def module_of(function: object) -> str:
    """The module that a function or class says it is from."""
    return getattr(function, "__module__", None) or ""


def _atomic(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_atomic, value))
    return value is None or isinstance(value, _ATOMS)


def _keys(container: Any) -> tuple[Any, ...]:
    indexed = isinstance(container, (list, tuple))
    return tuple(range(len(container)) if indexed else container)
