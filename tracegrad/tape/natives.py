"""A user's function, run by Python itself, with NumPy's makers giving tape arrays.

``np.zeros(n)`` is a plain array, which can't take a value that carries a derivative;
``math.exp`` takes plain numbers. So the function runs as a copy whose globals show it a
``np`` and a ``math`` that do the right thing, and so do its helper functions.

>>> import math, numpy as np
>>> def f(x):
...     y = np.zeros(2)
...     y[0] = math.exp(x)
...     return y
>>> from tracegrad.tape.array import array
>>> converted(f)(array(0.0, tracked=True))
array([1., 0.])
"""

from __future__ import annotations

import dis
import functools
import math
import sysconfig
from collections.abc import Callable
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tracegrad.numpy_api import table as numpy_table
from tracegrad.numpy_api.arguments import traced_in
from tracegrad.tape.array import Array, array
from tracegrad.tape.record import value_of

_MAKERS = frozenset(
    {"zeros", "ones", "empty", "full", "array", "eye", "linspace", "fromiter"}
)
_LIKE = frozenset({"zeros_like", "ones_like", "empty_like", "full_like", "copy"})
_LIBRARIES = tuple(
    path
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_paths().get(name))
)


class _NumPy(ModuleType):
    """NumPy, whose new arrays of floats are on the tape."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name in _MAKERS or name in _LIKE:
            return _maker(found)
        if name.startswith("format_float_"):
            return lambda x, **options: found(_plain(x), **options)
        return found


class _Math(ModuleType):
    """``math``, whose functions take arrays on the tape."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(math, name)
        known = numpy_table.FUNCTIONS.get(found) if callable(found) else None
        if known is None:
            return found
        return lambda *args: found(*args) if traced_in(args) is None else known(*args)


def _plain(x: Any) -> Any:
    return value_of(x, "a text") if isinstance(x, Array) else x


@functools.lru_cache(maxsize=64)
def _maker(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        made = numpy_table.FUNCTIONS[function](*args, **kwargs)
        if isinstance(made, Array):
            return made.copy()
        floats = isinstance(made, np.ndarray) and made.dtype.kind == "f"
        return array(made) if floats and made.ndim else made

    return make


_NUMPY, _MATH = _NumPy("numpy"), _Math("math")


class _Globals(dict[str, Any]):
    """A function's globals as its copy sees them: looked up when they are used."""

    def __init__(self, own: dict[str, Any], known: dict[Any, Any]) -> None:
        super().__init__()
        self._own = own
        self._known = known

    def __getitem__(self, name: str) -> Any:
        return _seen(self._own[name], self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._own


def _seen(value: Any, known: dict[Any, Any]) -> Any:
    """What a copied function sees of a global or closed-over value."""
    if value is np:
        return _NUMPY
    if value is math:
        return _MATH
    if isinstance(value, FunctionType):
        return _converted(value, known)
    inner = getattr(value, "py_func", None)  # compiled by Numba
    return _converted(inner, known) if isinstance(inner, FunctionType) else value


def converted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a function that makes its arrays on the tape.

    What isn't a Python function, or is a library's, stays as it is.
    """
    if isinstance(function, MethodType):
        return MethodType(converted(function.__func__), function.__self__)
    made: Callable[..., Any] = _seen(function, {})
    return made


def _converted(function: FunctionType, known: dict[Any, Any]) -> FunctionType:
    if function in known:
        made: FunctionType = known[function]
        return made
    if not _is_users(function):
        return function
    cells = function.__closure__ or ()
    closure = tuple(CellType() if _changes(cell) else cell for cell in cells)
    copy = FunctionType(
        function.__code__,
        _Globals(function.__globals__, known),
        function.__name__,
        function.__defaults__,
        closure or None,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__dict__.update(function.__dict__)
    known[function] = copy
    for old, new in zip(cells, closure, strict=True):
        if new is not old:
            new.cell_contents = _seen(old.cell_contents, known)
    return copy


def _is_users(function: FunctionType) -> bool:
    """Whether to copy it: a library's functions, and what sets globals, stay."""
    code = function.__code__
    if code.co_filename.startswith(_LIBRARIES) or code.co_filename.startswith(
        "<frozen"
    ):
        return False
    return not any(i.opname == "STORE_GLOBAL" for i in dis.get_instructions(code))


def _changes(cell: CellType) -> bool:
    try:
        content = cell.cell_contents
    except ValueError:  # empty as yet
        return False
    if content is np or content is math:
        return True
    inner = getattr(content, "py_func", content)
    return isinstance(inner, FunctionType) and _is_users(inner)
