"""NumPy's functions called on tensors.

The table of ``numpy_api`` has them, as compositions of primitives. What NumPy can do
and the table can't, runs on the values if no gradient could flow through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.errors import DifferentiationError, TracingError
from tracegrad.numpy_api import einsum
from tracegrad.numpy_api import table as numpy_table
from tracegrad.primitives import comparisons as cmp
from tracegrad.tape.record import View, edge_of, value_of
from tracegrad.tape.value import Value, made

# Functions whose results depend on values, but have no derivative.
_WITHOUT_DERIVATIVE = {
    *(np.nonzero, np.flatnonzero, np.argwhere, np.searchsorted, np.digitize),
    *(np.argpartition, np.array_equal, np.allclose, np.isclose, np.isin),
    *(np.may_share_memory, np.shares_memory, np.result_type),
    *(np.array_repr, np.array_str, np.array2string),
}


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """``np.exp(tensor)`` and its like."""
    out = kwargs.pop("out", None)
    if out is not None:
        result = array_ufunc(self, ufunc, method, *inputs, **kwargs)
        return _into(out, result)
    if method != "__call__" or kwargs:
        return numpy_table.ufunc_method(ufunc, method, inputs, kwargs)
    implementation = numpy_table.find(ufunc)
    if implementation is None:
        return _on_values(self, ufunc, inputs, kwargs)
    return owned(implementation(*inputs), ufunc, inputs, {})


def array_function(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """``np.sum(tensor)`` and its like."""
    implementation = numpy_table.find(function)
    if function in _WITHOUT_DERIVATIVE or implementation is None:
        return _on_values(self, function, args, kwargs)
    result = implementation(*args, **kwargs)
    if function is np.einsum and einsum.is_view(*args):
        if not np.may_share_memory(result._memory(), args[1]._memory()):
            result._memory().flags.writeable = False  # it would have to write to both
        return result
    return owned(result, function, args, kwargs)


def owned(result: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """A result that shares memory only if NumPy's does: ``x.astype(float)`` copies."""
    if not isinstance(result, Value):
        return result
    if type(result._edge) is not View and not any(result is x for x in args):
        return result
    native = function(*_plain(args), **_plain(kwargs))
    if np.may_share_memory(native, result._array):
        return result
    return cmp.convert(result, dtype=str(result.dtype))


def _into(out: Sequence[Any], result: Any) -> Any:
    """``out=``: an array takes plain values, a tensor takes the history too."""
    (target,) = out
    carries = isinstance(result, Value) and edge_of(result) is not None
    if not isinstance(target, Value):
        if carries:
            raise DifferentiationError(
                "a NumPy array given as out= can't take a value that carries a "
                "gradient.",
                todo="Leave out out=, or give it a tensor.",
            )
        np.copyto(target, getattr(result, "_array", result))
        return target
    if carries or edge_of(target) is not None:
        raise RuntimeError(
            "functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    target._memory()[...] = result._array
    target._cell[0] += 1
    return target


def _on_values(
    self: Any, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """The function on plain arrays; refused if a gradient would be lost."""
    tensors = [x for x in _leaves((args, kwargs)) if isinstance(x, Value)]
    harmless = function in _WITHOUT_DERIVATIVE or all(
        edge_of(x) is None for x in tensors
    )
    if not harmless:
        try:
            numpy_table.lookup(function)
        except TracingError as error:
            raise DifferentiationError(
                f"{numpy_table.name_of(function)} has no derivative here.",
                todo=error.todo,
            ) from None
    found = function(*_plain(args), **_plain(kwargs))
    return _wrapped(self._result, found)


def _leaves(nest: Any) -> Any:
    if isinstance(nest, (tuple, list)):
        for inner in nest:
            yield from _leaves(inner)
    elif isinstance(nest, Mapping):
        yield from _leaves(tuple(nest.values()))
    else:
        yield nest


def _plain(nest: Any) -> Any:
    if isinstance(nest, Value):
        return value_of(nest, "a function without derivative")
    if isinstance(nest, (tuple, list)) and not hasattr(nest, "_fields"):
        return type(nest)(map(_plain, nest))
    if isinstance(nest, dict):
        return {key: _plain(value) for key, value in nest.items()}
    return nest


def _wrapped(cls: Any, found: Any) -> Any:
    if isinstance(found, (np.ndarray, np.generic)) and found.dtype.kind in "fib":
        return made(cls, found, None)
    if type(found) in (tuple, list):
        return type(found)(_wrapped(cls, x) for x in found)
    return found
