"""What a function of a loaded library takes and gives, as C has it and as Python has.

Made of its description: arguments become pointers and numbers, with every size checked;
outputs are allocated, and nested as the original function nests them.
"""

from __future__ import annotations

import collections
import ctypes
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tracegrad.errors import ArgumentError


def _integer(dtype: str) -> Callable[[Any], int]:
    """Takes integers that C has room for, where ctypes would drop what is too much."""
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

    def convert(value: Any) -> int:
        number = operator.index(value)
        if not least <= number <= most:
            raise OverflowError(f"{number}, for which {dtype} has no room.")
        return number

    return convert


Nest: TypeAlias = Any
_CTYPES: dict[str, Any] = {
    "float64": ctypes.c_double,
    "float32": ctypes.c_float,
    "int64": ctypes.c_int64,
    "int32": ctypes.c_int32,
    "bool": ctypes.c_bool,
    "int8": ctypes.c_int8,
    "int16": ctypes.c_int16,
    "uint8": ctypes.c_uint8,
    "uint16": ctypes.c_uint16,
    "uint32": ctypes.c_uint32,
}
_SCALARS = {kind: np.dtype(name).type for name, kind in _CTYPES.items()}
_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "float64": float,
    "float32": float,
    "bool": bool,
    **{name: _integer(name) for name in _CTYPES if "int" in name},
}
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "maximum": max,
    "minimum": min,
}
# NumPy's flags of an array that is C-contiguous and aligned.
_READABLE = 0x0101
_from_buffer: Callable[[Any], Any] = ctypes.c_char.from_buffer


class Parameter:
    """A parameter of a C function, and what it makes of a value."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.kind: str = about["kind"]
        self.name: str = about["name"]
        self.shape: list[Any] | None = about["shape"]
        self._title: str = about["dtype"]
        self._dtype = np.dtype(self._title)
        by_value = self.shape is None and self.kind not in ("output", "workspace")
        self.ctype = _CTYPES[self._title]
        self._convert = _NUMBERS[self._title]
        self._axes: list[Any] = self.shape or []
        self.counts = by_value and self._title == "int64"

    @property
    def place(self) -> Callable[[Any], Any]:
        """Tells C where an output of it is."""
        return ctypes.byref if self.shape is None else pointer

    def taker(self) -> Callable[[Any, dict[str, Any]], Any]:
        """Makes of an input what C takes; what it says of sizes joins the others."""
        return self._number if self.shape is None else self._array

    def _number(self, value: Any, sizes: dict[str, Any]) -> Any:
        try:
            number = sizes[self.name] = self._convert(value)
        except TypeError:
            kind = type(value).__name__
            raise ArgumentError(
                f"{self.name} is a {kind}, where a {self._title} is needed."
            ) from None
        except OverflowError as error:
            raise ArgumentError(f"{self.name} is {error}") from None
        return self.ctype(number)

    def _array(self, value: Any, sizes: dict[str, Any]) -> Any:
        array = self._readable(value)
        shape = array.shape
        if len(shape) != len(self._axes):
            raise ArgumentError(
                f"{self.name} has {array.ndim} axes, and needs {len(self._axes)}."
            )
        for axis, size in enumerate(self._axes):
            found = shape[axis]
            if isinstance(size, str):
                known = sizes.setdefault(size, found)
            else:
                known = evaluated(size, sizes)
            if known != found:
                raise ArgumentError(
                    f"{self.name}.shape[{axis}] is {found}, where {known} is needed."
                )
        return pointer(array)

    def _readable(self, value: Any) -> Any:
        """An array that C can read: contiguous, aligned, of exactly this dtype."""
        if isinstance(value, np.ndarray):
            if value.dtype != self._dtype:
                raise ArgumentError(
                    f"{self.name} is {value.dtype}, and the library was built for "
                    f"{self._title}.",
                    todo=f"Pass {self.name}.astype({self._title!r}).",
                )
            if value.flags.num & _READABLE == _READABLE and value.dtype.isnative:
                return value
        return np.require(value, self._dtype, ("C", "A"))

    def maker(self) -> Callable[[Mapping[str, Any]], Any]:
        """Makes a new output for given sizes: an array, or a place for one number."""
        shape, dtype, kind = self.shape, self._dtype, self.ctype
        match shape:
            case None:
                return lambda sizes: kind()
            case [size]:
                return lambda sizes: np.empty(evaluated(size, sizes), dtype)
            case _:
                return lambda sizes: np.empty(
                    [evaluated(n, sizes) for n in shape], dtype
                )


def evaluated(size: Any, sizes: Mapping[str, Any]) -> int:
    """A length: a number, a name, or ``[operation, left, right]``."""
    if isinstance(size, int):
        return size
    if isinstance(size, str):
        length: int = sizes[size]
        return length
    return _ARITHMETIC[size[0]](*(evaluated(item, sizes) for item in size[1:]))


def pointer(array: Any) -> Any:
    """Where an array is."""
    try:  # three times faster than array.ctypes
        return ctypes.byref(_from_buffer(array))
    except (TypeError, ValueError):  # it is read-only or empty
        return ctypes.c_void_p(array.ctypes.data)


# --- nests -------------------------------------------------------------------------


def spread(nest: Nest, value: Any, leaves: list[Any], name: str) -> None:
    """Put the leaves of a nested argument in their places."""
    if nest is None:
        return
    if isinstance(nest, int):
        leaves[nest] = value
        return
    if "tuple" in nest or "list" in nest:
        parts = nest.get("tuple", nest.get("list"))
        if len(value) != len(parts):
            raise ArgumentError(f"{name} has {len(value)} items, not {len(parts)}.")
        for k, (part, item) in enumerate(zip(parts, value, strict=True)):
            spread(part, item, leaves, f"{name}[{k}]")
    elif "dict" in nest:
        for key, part in nest["dict"]:
            spread(part, value[key], leaves, f"{name}[{key!r}]")
    elif "record" in nest:
        for field, part in nest["fields"]:
            spread(part, getattr(value, field), leaves, f"{name}.{field}")


Build: TypeAlias = Callable[[Mapping[str, Any]], Any]


def builder(nest: Nest, numbers: Mapping[str, Any]) -> Build:
    """Builds the results, nested as the original function returns them, from outputs.

    numbers: the C types of the outputs that are numbers.
    """
    match nest:
        case None:
            return lambda outputs: None
        case str() if nest in numbers:
            return lambda outputs: outputs[nest].value
        case str():
            return operator.itemgetter(nest)
        case {"scalar": name}:  # a NumPy number, where the original returns one
            number = _SCALARS[numbers[name]]
            return lambda outputs: number(outputs[name].value)
        case {"copy": name}:
            return lambda outputs: outputs[name].copy()
        case {"value": value}:
            return lambda outputs: value
        case {"tuple": parts}:
            build = [builder(part, numbers) for part in parts]
            return lambda outputs: tuple([part(outputs) for part in build])
        case {"list": parts}:
            build = [builder(part, numbers) for part in parts]
            return lambda outputs: [part(outputs) for part in build]
        case {"dict": items}:
            named = [(key, builder(part, numbers)) for key, part in items]
            return lambda outputs: {key: part(outputs) for key, part in named}
        case _:
            fields = [(f, builder(part, numbers)) for f, part in nest["fields"]]
            make: Any = collections.namedtuple
            record = make(nest["record"], [field for field, _ in fields])
            return lambda outputs: record(*(part(outputs) for _, part in fields))
