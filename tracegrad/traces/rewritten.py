"""Calls that are traced as one of our ``programs``: which, and with what arguments.

Numba's objects are read by their attributes, without importing Numba.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.traces import programs
from tracegrad.traces.finder import find
from tracegrad.traces.tracer import Tracer

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Rewrite = Callable[[Any, tuple[Any, ...], dict[str, Any]], Call]


def rewriter(function: Any) -> Rewrite | None:
    """What rewrites calls of a function, if they are."""
    if isinstance(function, np.vectorize):
        return _vectorize
    if type(function).__module__.startswith("numba."):
        return _NUMBA.get(type(function).__name__)
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        running = owner in _RUNNING and function.__name__ == "accumulate"
        return _accumulate if running else None
    return _NUMPY.get(id(function))


_RUNNING = (np.maximum, np.minimum, np.subtract, np.divide, np.fmax, np.fmin)


def _accumulate(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    if set(kwargs) - {"axis"}:
        raise _refuse(f"{function.__name__} with out= or dtype=", "Leave it out.")
    return programs.accumulate, (function.__self__, *args), kwargs


def _plain(program: Callable[..., Any]) -> Rewrite:
    return lambda function, args, kwargs: (program, args, kwargs)


def _refuse(what: str, todo: str) -> TracingError:
    return TracingError(f"{what} is not supported.", todo=todo)


# --- functions of numbers ------------------------------------------------------------


def _vectorize(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    if kwargs or function.excluded or function.signature or not args:
        raise _refuse(
            "np.vectorize with keywords, excluded= or signature=",
            "Pass its arguments by position, and let it close over the others.",
        )
    return programs.vectorized, (function.pyfunc, *args), {}


def _elementwise(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    if kwargs or len(args) != function.nin:
        raise _refuse(
            f"{function.__name__}, a vectorized function, with out= or keywords",
            "Assign its result instead: y[:] = f(x).",
        )
    return programs.vectorized, (function.__wrapped__, *args), {}


# --- numba.guvectorize ---------------------------------------------------------------


def _generalised(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    name = function.__name__
    inputs, outputs = _axes(function.signature)
    given = args[len(inputs) :]
    if kwargs or len(args) < len(inputs) or len(given) not in (0, len(outputs)):
        raise _refuse(
            f"{name}, a guvectorized function, with keywords",
            "Pass its arguments, and arrays for its results, by position.",
        )
    arrays = [
        x if isinstance(x, Tracer) else np.asarray(x) for x in args[: len(inputs)]
    ]
    boxed, dtypes = _declared(function, arrays, len(inputs), len(given) > 0)
    return (
        programs.guvectorized_call,
        (function.__wrapped__, inputs, outputs, boxed, dtypes, arrays, given),
        {},
    )


def _axes(signature: str) -> tuple[list[list[str]], list[list[str]]]:
    """``(n),(m,n)->(m)`` as the names of axes of inputs and results."""
    sides = []
    for side in signature.split("->"):
        groups = re.findall(r"\(([^)]*)\)", side)
        sides.append([[n.strip() for n in g.split(",") if n.strip()] for g in groups])
    return sides[0], sides[1]


def _declared(
    function: Any, arrays: list[Any], count: int, given: bool
) -> tuple[list[bool], list[Any]]:
    """Which inputs a kernel declares as arrays, and the dtypes of its results."""
    found = [str(a.dtype) for a in arrays]
    declared = list(function.gufunc_builder._sigs)
    for types in (signature.args for signature in declared):
        boxes = [hasattr(t, "dtype") for t in types]
        names = [str(getattr(t, "dtype", t)) for t in types]
        if names[:count] == found:
            return boxes[:count], [np.dtype(n) for n in names[count:]]
    if declared or not given:
        raise _refuse(
            f"{function.__name__}, a guvectorized function, of {', '.join(found)}",
            "Convert its arguments to the types that it declares.",
        )
    return [False] * count, []


# --- numba.stencil -------------------------------------------------------------------


def _stencil(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    out = kwargs.get("out")
    if set(kwargs) - {"out"} or function.mode != "constant":
        raise _refuse("a stencil with keywords other than out=", "Leave them out.")
    kernel = function.kernel_ir.func_id.func
    names = kernel.__code__.co_varnames
    absolute = function.options.get("standard_indexing", ())
    relative = [
        np.ndim(a) > 0 and name not in absolute
        for a, name in zip(args, names, strict=False)
    ]
    moving = {name for name, r in zip(names, relative, strict=False) if r}
    around = function.neighborhood or _neighbourhood(kernel, moving)
    border = function.options.get("cval")
    call = (kernel, relative, around, args, out, border)
    return programs.stencil_call, call, {}


def _neighbourhood(kernel: Any, moving: set[str]) -> list[tuple[int, int]]:
    """The least and largest offset along each axis, from the kernel's own text."""
    source = find(kernel.__code__)
    if source is None:
        raise _refuse("a stencil whose source can't be found", "Define it in a file.")
    offsets = list(_offsets(source.node, moving))
    return [(min(0, *along), max(0, *along)) for along in zip(*offsets, strict=True)]


def _offsets(node: ast.AST, moving: set[str]) -> Iterator[tuple[int, ...]]:
    for found in ast.walk(node):
        match found:
            case ast.Subscript(value=ast.Name(id=name)) if name in moving:
                try:
                    index = ast.literal_eval(found.slice)
                except ValueError:
                    raise _refuse(
                        "a stencil with an offset that isn't a constant",
                        "Give it neighborhood=.",
                    ) from None
                yield index if isinstance(index, tuple) else (index,)


_NUMPY: dict[int, Rewrite] = {
    id(np.apply_along_axis): _plain(programs.apply_along_axis),
    id(np.piecewise): _plain(programs.piecewise),
}
_NUMBA: dict[str, Rewrite] = {
    "DUFunc": _elementwise,
    "GUFunc": _generalised,
    "StencilFunc": _stencil,
}
