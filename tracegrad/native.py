"""Load a compiled library and call its functions: no Numba, no compiler, no tracing.

Loading a library runs its code, so it is asked for by an absolute path, and its
description beside it (``model.json`` for ``libmodel.so``) must say exactly this file,
this platform, this calling convention. That tells a mixed-up pair, not a forged one:
load only what you would import.
"""

from __future__ import annotations

import builtins
import ctypes
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.errors import ArgumentError, LibraryError
from tracegrad.native_values import Parameter, builder, spread

ABI = 1
"""The version of the calling convention that this loader speaks."""

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
        for title, function in self._functions.items():
            vars(self).setdefault(title, function)

    def __getattr__(self, name: str) -> NativeFunction:
        """A function by its name: of those there are, each is an attribute."""
        raise AttributeError(f"the library has no function {name!r}")

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
        # Inputs, then sizes, outputs, and the workspace: C takes them in this order.
        self._parameters = [Parameter(p) for p in about["parameters"]]
        self._inputs = [p for p in self._parameters if p.kind == "input"]
        names = [p.name for p in self._inputs]
        plain = [{"name": name, "nest": k} for k, name in enumerate(names)]
        self._arguments = about.get("arguments", plain)
        self.parameters = tuple(a["name"] for a in self._arguments)
        nests = [argument["nest"] for argument in self._arguments]
        self._plain = nests == list(range(len(self._inputs)))
        self._lengths = [
            p.name for p in self._parameters if p.kind in ("size", "capacity")
        ]
        self._outputs = [p for p in self._parameters if p.kind == "output"]
        self._takes = [p.taker() for p in self._inputs]
        self._makers = [(p.name, p.maker(), p.place) for p in self._outputs]
        nest = {"tuple": [p.name for p in self._outputs]}
        numbers = {p.name: p.ctype for p in self._outputs if p.shape is None}
        self._result = builder(about.get("results", nest), numbers)
        self._exclusive = about.get("exclusive", [])
        self._written = about.get("written", [])
        self._call = getattr(library, about["symbol"])
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
        if self._plain and not kwargs and len(args) == len(self._inputs):
            leaves: Sequence[Any] = args
        else:
            leaves = self._leaves(args, kwargs)
        if self._exclusive:
            self._refuse_shared(leaves)
        sizes: dict[str, Any] = {}
        inputs = []
        for take, leaf in zip(self._takes, leaves, strict=True):
            inputs.append(take(leaf, sizes))
        capacity = self.capacity
        while True:
            status, outputs = self._run(inputs, sizes, capacity)
            if not status:
                break
            if self._statuses[status - 1]["kind"] != "capacity":
                raise _error(self._statuses[status - 1])
            capacity *= 2
        for leaf, output in self._written:  # as the function itself would have done
            np.copyto(leaves[leaf], outputs[output])
        return self._result(outputs)

    # --- arguments -----------------------------------------------------------------

    def _leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        """A value for each input."""
        given = self._bound(args, kwargs)
        if self._plain:
            return given
        leaves: list[Any] = [None] * len(self._inputs)
        for argument, value in zip(self._arguments, given, strict=True):
            spread(argument["nest"], value, leaves, argument["name"])
        return leaves

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

    def _refuse_shared(self, leaves: Sequence[Any]) -> None:
        """Refuse arrays that overlap one that is written."""
        values = {
            p.name: np.asarray(x) for p, x in zip(self._inputs, leaves, strict=True)
        }
        for first, second in self._exclusive:
            if np.may_share_memory(values[first], values[second]):
                raise ArgumentError(
                    f"{first} and {second} share memory, and {first} is written.",
                    todo="Pass copies.",
                )

    # --- the call ------------------------------------------------------------------

    def _run(
        self, inputs: list[Any], sizes: Mapping[str, Any], capacity: int
    ) -> tuple[int, dict[str, Any]]:
        """Call it; its status, and the outputs by name.

        What C is given are ctypes objects of the right kind already: to have ctypes
        convert numbers by ``argtypes`` costs as much as the rest of its call.
        """
        arguments = inputs.copy()
        for name in self._lengths:
            arguments.append(ctypes.c_int64(sizes.get(name, capacity)))
        outputs: dict[str, Any] = {}
        for name, make, place in self._makers:
            output = outputs[name] = make(sizes)
            arguments.append(place(output))
        if self._work_size is None:
            return self._call(*arguments), outputs
        counts = [sizes.get(name, capacity) for name in self._counts]
        arena = _take_arena(self._work_size(*counts))
        status: int = self._call(*arguments, arena)
        _ARENAS.free.append(arena)
        return status, outputs


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
