"""Load a compiled library and call its functions: no Numba, no compiler, no tracing.

Loading a library runs its code, so it is asked for by an absolute path, and its
description beside it (``model.json`` for ``libmodel.so``) must say exactly this file,
this platform, this calling convention. That tells a mixed-up pair, not a forged one:
load only what you would import.
"""

from __future__ import annotations

import builtins
import collections
import ctypes
import hashlib
import json
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tracegrad.errors import ArgumentError, LibraryError

ABI = 1
"""The version of the calling convention that this loader speaks."""

Nest: TypeAlias = Any
_CTYPES: dict[str, Any] = {
    "float64": ctypes.c_double,
    "float32": ctypes.c_float,
    "int64": ctypes.c_int64,
    "int32": ctypes.c_int32,
    "bool": ctypes.c_bool,
}
_SCALARS = {kind: np.dtype(name).type for name, kind in _CTYPES.items()}
_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "float64": float,
    "float32": float,
    "int64": operator.index,
    "int32": operator.index,
    "bool": bool,
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
_ERRORS = {"LinAlgError": np.linalg.LinAlgError}


def platform_name() -> str:
    """What a library can run on: the system and the processor's architecture."""
    if hasattr(os, "uname"):
        return f"{sys.platform} {os.uname().machine}"
    return f"{sys.platform} {os.environ.get('PROCESSOR_ARCHITECTURE', '')}"


def load_library(path: str | os.PathLike[str]) -> Library:
    """Load a library that ``export_c`` compiled.

    Args:
        path: of the shared library, absolute; its description lies beside it. Loading
            runs its code: give only a path that you trust.

    Returns:
        The library; its functions are its attributes and take the arguments of those
        they were made from.

    Raises:
        LibraryError: if the path is relative, if the description is missing or speaks
            of another file, platform or calling convention.

    Example: ``load_library("/opt/model/libmodel.so").energy_grad(x, 2.0)``.
    """
    file = os.fspath(path)
    if not os.path.isabs(file):
        raise LibraryError(
            f"{file} is not an absolute path.",
            todo="What a relative path names depends on where the program runs.",
        )
    description = _description(file)
    try:
        library = ctypes.CDLL(file)
    except OSError as error:
        raise LibraryError(f"{file} can't be loaded: {error}") from None
    return Library(file, description, library)


def description_path(library: str) -> str:
    """Where the description of a library is.

    >>> description_path("/opt/libmodel.so")
    '/opt/model.json'
    """
    folder, name = os.path.split(library)
    stem = os.path.splitext(name)[0].removeprefix("lib")
    return os.path.join(folder, f"{stem}.json")


def _description(file: str) -> dict[str, Any]:
    """The description beside a library, checked."""
    beside = description_path(file)
    try:
        with open(file, "rb") as binary_file:
            content = binary_file.read()
        with open(beside, encoding="utf-8") as text_file:
            description: dict[str, Any] = json.load(text_file)
    except OSError as error:
        raise LibraryError(
            f"{error.filename} can't be read: {error.strerror}."
        ) from None
    except ValueError as error:
        raise LibraryError(f"{beside} is no description: {error}") from None
    binary = description.get("binary", {})
    for what, found, expected in (
        ("speaks calling convention", description.get("abi"), ABI),
        ("is for", binary.get("platform"), platform_name()),
        ("belongs to a file with sha256", binary.get("sha256"), _digest(content)),
    ):
        if found != expected:
            raise LibraryError(
                f"{beside} {what} {found}, not {expected}.",
                todo="Export the library again, and keep its files together.",
            )
    return description


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Library:
    """A loaded library: its functions are its attributes.

    Attributes:
        path: of the file.
        description: what its functions are, as plain data.
    """

    def __init__(
        self, path: str, description: dict[str, Any], library: ctypes.CDLL
    ) -> None:
        self.path = path
        self.description = description
        statuses = description["statuses"]
        self._functions = {
            title: NativeFunction(title, about, library, statuses)
            for title, about in description["functions"].items()
        }

    def __getattr__(self, name: str) -> NativeFunction:
        """A function by its name."""
        try:
            return self.__dict__["_functions"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"the library has no function {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        """The names of the functions."""
        return iter(self._functions)

    def __dir__(self) -> list[str]:
        """Attributes and functions."""
        return [*super().__dir__(), *self._functions]

    def __repr__(self) -> str:
        return f"<tracegrad library {self.path}: {', '.join(self._functions)}>"


class NativeFunction:
    """A function of a loaded library, called as the one it was made from.

    Attributes:
        parameters: the names of its arguments.
        capacity: how many iterations a while loop is given room for, if it keeps
            something of each; twice as many each time that is not enough.
    """

    def __init__(
        self,
        title: str,
        about: Mapping[str, Any],
        library: ctypes.CDLL,
        statuses: Sequence[Mapping[str, Any]],
    ) -> None:
        self.__name__ = title
        self.__doc__ = about.get("doc")
        self.capacity = 1024
        self._statuses = statuses
        self._parameters = [_Parameter(p) for p in about["parameters"]]
        self._inputs = [p for p in self._parameters if p.kind == "input"]
        names = [p.name for p in self._inputs]
        plain = [{"name": name, "nest": k} for k, name in enumerate(names)]
        self._arguments = about.get("arguments", plain)
        self.parameters = tuple(a["name"] for a in self._arguments)
        self._outputs = [p for p in self._parameters if p.kind == "output"]
        nest = {"tuple": [p.name for p in self._outputs]}
        self._results = about.get("results", nest)
        self._exclusive = about.get("exclusive", [])
        self._written = about.get("written", [])
        self._call = getattr(library, about["symbol"])
        self._call.argtypes = [p.ctype for p in self._parameters]
        self._call.restype = ctypes.c_int
        self._work_size = None
        if about["workspace"]:
            self._work_size = getattr(library, about["symbol"] + "_work_size")
            self._counts = [p.name for p in self._parameters if p.counts]
            self._work_size.argtypes = [ctypes.c_int64] * len(self._counts)
            self._work_size.restype = ctypes.c_size_t

    def __repr__(self) -> str:
        return f"<native function {self.__name__}({', '.join(self.parameters)})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it.

        Args:
            args: of the original function.
            kwargs: of the original function.

        Raises:
            ArgumentError: if an argument doesn't fit.
            Exception: whatever the original function raises, with its line.
        """
        leaves: list[Any] = [None] * len(self._inputs)
        given = self._bound(args, kwargs)
        for argument, value in zip(self._arguments, given, strict=True):
            _take(argument["nest"], value, leaves, argument["name"])
        values = self._prepared(leaves)
        capacity = self.capacity
        while True:
            status, outputs = self._run(values, capacity)
            if not status:
                break
            if self._statuses[status - 1]["kind"] != "capacity":
                raise _error(self._statuses[status - 1])
            capacity *= 2
        for leaf, output in self._written:  # as the function itself would have done
            np.copyto(leaves[leaf], outputs[output])
        return _nested(self._results, outputs)

    # --- arguments -----------------------------------------------------------------

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        """A value for each argument."""
        names = self.parameters
        if not kwargs and len(args) == len(names):
            return args
        if len(args) > len(names):
            raise ArgumentError(
                f"{self.__name__} takes {len(names)} arguments, not {len(args)}."
            )
        given = dict(zip(names, args, strict=False))
        for name in kwargs:
            if name not in names or name in given:
                raise ArgumentError(f"{self.__name__} has no further argument {name}.")
        given.update(kwargs)
        for argument in self._arguments:
            if argument["name"] not in given:
                if "default" not in argument:
                    raise ArgumentError(f"{self.__name__} needs {argument['name']}.")
                given[argument["name"]] = argument["default"]
        return [given[name] for name in names]

    def _prepared(self, leaves: list[Any]) -> dict[str, Any]:
        """The inputs by name as C takes them, and the sizes they have."""
        values: dict[str, Any] = {}
        for parameter, leaf in zip(self._inputs, leaves, strict=True):
            if parameter.shape is None:
                values[parameter.name] = parameter.number(leaf)
            else:
                array = values[parameter.name] = parameter.array(leaf)
                parameter.measure(array, values)
        for first, second in self._exclusive:
            if np.may_share_memory(values[first], values[second]):
                raise ArgumentError(
                    f"{first} and {second} share memory, and {first} is written.",
                    todo="Pass copies.",
                )
        return values

    # --- the call ------------------------------------------------------------------

    def _run(
        self, values: Mapping[str, Any], capacity: int
    ) -> tuple[int, dict[str, Any]]:
        """Call it; its status, and the outputs by name."""
        outputs: dict[str, Any] = {}
        for parameter in self._outputs:
            outputs[parameter.name] = parameter.empty(values)
        arena = None
        if self._work_size is not None:
            counts = [values.get(name, capacity) for name in self._counts]
            arena = _take_arena(self._work_size(*counts))
        arguments: list[Any] = []
        for parameter in self._parameters:
            if parameter.kind == "workspace":
                arguments.append(arena)
            elif parameter.kind == "output":
                arguments.append(_pointer(outputs[parameter.name]))
            elif parameter.kind == "capacity":
                arguments.append(capacity)
            elif parameter.shape is None:
                arguments.append(values[parameter.name])
            else:
                arguments.append(_pointer(values[parameter.name]))
        status: int = self._call(*arguments)
        if arena is not None:
            _ARENAS.free.append(arena)
        return status, outputs


class _Parameter:
    """A parameter of a C function, and what it makes of a value."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.kind: str = about["kind"]
        self.name: str = about["name"]
        self.shape: list[Any] | None = about["shape"]
        self._title: str = about["dtype"]
        self._dtype = np.dtype(self._title)
        by_value = self.shape is None and self.kind not in ("output", "workspace")
        self.ctype = _CTYPES[self._title] if by_value else ctypes.c_void_p
        self.counts = by_value and self._title == "int64"

    def number(self, value: Any) -> Any:
        """A number that C takes by value."""
        try:
            return _NUMBERS[self._title](value)
        except TypeError:
            kind = type(value).__name__
            raise ArgumentError(
                f"{self.name} is a {kind}, where a {self._title} is needed."
            ) from None

    def array(self, value: Any) -> Any:
        """An array that C can read: contiguous, aligned, of exactly this dtype."""
        if isinstance(value, np.ndarray):
            if value.dtype != self._dtype:
                raise ArgumentError(
                    f"{self.name} is {value.dtype}, and the library was built for "
                    f"{self._title}.",
                    todo=f"Pass {self.name}.astype({self._title!r}).",
                )
            flags = value.flags
            if flags.c_contiguous and flags.aligned and value.dtype.isnative:
                return value
        return np.require(value, self._dtype, ("C", "A"))

    def measure(self, array: Any, sizes: dict[str, Any]) -> None:
        """Bind the sizes of an array's axes; what is bound already must agree."""
        wanted = self.shape or ()
        if array.ndim != len(wanted):
            raise ArgumentError(
                f"{self.name} has {array.ndim} axes, and needs {len(wanted)}."
            )
        for axis, (size, found) in enumerate(zip(wanted, array.shape, strict=True)):
            if isinstance(size, str):
                size = sizes.setdefault(size, found)
            elif isinstance(size, list):
                size = _evaluated(size, sizes)
            if size != found:
                raise ArgumentError(
                    f"{self.name}.shape[{axis}] is {found}, where {size} is needed."
                )

    def empty(self, sizes: Mapping[str, Any]) -> Any:
        """A new output: an array, or a place for one number."""
        if self.shape is None:
            return _CTYPES[self._title]()
        return np.empty([_evaluated(n, sizes) for n in self.shape], self._dtype)


def _evaluated(size: Any, sizes: Mapping[str, Any]) -> int:
    """A length: a number, a name, or ``[operation, left, right]``."""
    if isinstance(size, int):
        return size
    if isinstance(size, str):
        length: int = sizes[size]
        return length
    return _ARITHMETIC[size[0]](*(_evaluated(item, sizes) for item in size[1:]))


def _pointer(value: Any) -> Any:
    return value.ctypes.data if isinstance(value, np.ndarray) else ctypes.byref(value)


def _error(status: Mapping[str, Any]) -> Exception:
    """What the original function would have raised."""
    message = status["message"]
    if status["kind"] == "guard":
        return ArgumentError(
            f"the sizes don't fit: the library was built for {message}.",
            todo="Export it for these sizes, too.",
        )
    if status["file"]:
        message += f"\n  at {status['file']}:{status['line']}: {status['text']}"
    kind = _ERRORS.get(status["kind"]) or getattr(builtins, status["kind"])
    error: Exception = kind(message)
    return error


# --- nests -------------------------------------------------------------------------


def _take(nest: Nest, value: Any, leaves: list[Any], name: str) -> None:
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
            _take(part, item, leaves, f"{name}[{k}]")
    elif "dict" in nest:
        for key, part in nest["dict"]:
            _take(part, value[key], leaves, f"{name}[{key!r}]")
    elif "record" in nest:
        for field, part in nest["fields"]:
            _take(part, getattr(value, field), leaves, f"{name}.{field}")


def _nested(nest: Nest, outputs: Mapping[str, Any]) -> Any:
    """The results in the nest that the original function returns."""
    if nest is None:
        return None
    if isinstance(nest, str):
        value = outputs[nest]
        return value if isinstance(value, np.ndarray) else value.value
    if "scalar" in nest:  # a NumPy number, where the original returns one
        number = outputs[nest["scalar"]]
        return _SCALARS[type(number)](number.value)
    if "copy" in nest:
        return outputs[nest["copy"]].copy()
    if "value" in nest:
        return nest["value"]
    if "tuple" in nest:
        return tuple(_nested(part, outputs) for part in nest["tuple"])
    if "list" in nest:
        return [_nested(part, outputs) for part in nest["list"]]
    if "dict" in nest:
        return {key: _nested(part, outputs) for key, part in nest["dict"]}
    make: Any = collections.namedtuple
    record = make(nest["record"], [field for field, _ in nest["fields"]])
    return record(*(_nested(part, outputs) for _, part in nest["fields"]))


# --- workspaces: a thread keeps its own between calls, as fresh pages cost most ------


class _Arenas(threading.local):
    """The workspaces of one thread that no call is using."""

    def __init__(self) -> None:
        self.free: list[Any] = []


_ARENAS = _Arenas()


def _take_arena(size: int) -> Any:
    if _ARENAS.free:
        arena = _ARENAS.free.pop()
        if len(arena) >= size:
            return arena
    return ctypes.create_string_buffer(size + size // 2 + 64)
