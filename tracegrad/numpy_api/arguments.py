"""What NumPy's arguments mean: axes, sizes, shapes and dtypes, symbolic or not.

>>> axes_of((-1, 0), 3), axes_of(None, 2)
((0, 2), (0, 1))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from tracegrad.errors import ControlFlowError, TracingError
from tracegrad.ir.graph import Operand
from tracegrad.ir.shapes import Dim, product
from tracegrad.ir.types import FLOATS, NARROW, DType, dtype_of
from tracegrad.primitives.comparisons import convert
from tracegrad.primitives.computed_sizes import computed_size
from tracegrad.primitives.identities import dim_of, size_value
from tracegrad.primitives.structural import Axes, Size, Sizes, dims


def rank_of(x: Any) -> int:
    """The number of axes."""
    return len(dims(x))


# --- axes --------------------------------------------------------------------------


def axis_of(axis: Any, rank: int) -> int:
    """An axis counted from the front."""
    number = operator.index(axis)
    if not -rank <= number < rank:
        raise np.exceptions.AxisError(number, rank)
    return number % rank


def axes_of(axis: Any, rank: int) -> Axes:
    """None (all axes), an axis or several, sorted and counted from the front."""
    if axis is None:
        return tuple(range(rank))
    several = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = sorted(axis_of(a, rank) for a in several)
    if len(set(found)) < len(found):
        raise ValueError("duplicate value in 'axis'")
    return tuple(found)


# --- traced values, sizes and shapes -----------------------------------------------


def is_traced(x: Any) -> bool:
    """Whether a value records what is done to it."""
    return hasattr(type(x), "__tracegrad_apply__")


def traced_in(x: Any) -> Any:
    """The first traced value in nested sequences, or None."""
    return next(_traced(x), None)


def _traced(x: Any) -> Iterator[Any]:
    if is_traced(x):
        yield x
    elif isinstance(x, (list, tuple)):
        for inner in x:
            yield from _traced(inner)


def size_of(x: Any) -> Size:
    """A size that the user gives: an integer, or a traced one that shapes determine."""
    if isinstance(x, Dim):
        return x if x.value is None else x.value
    known = needed_size(x)
    if known is not None:
        return known
    if is_traced(x):
        raise ControlFlowError(
            "a shape depends on a traced value.",
            todo="Derive it from shapes and integer arguments, or pass it as a static "
            "Python object.",
        )
    return operator.index(x)


def known_size(x: Any) -> Size | None:
    """A traced integer as a size, if shapes and integer arguments determine it."""
    return _size_by(dim_of, x)


def needed_size(x: Any) -> Size | None:
    """The same where a size must be known: what decides it may become a guard."""
    return _size_by(computed_size, x)


def _size_by(find: Callable[[Operand], Dim | None], x: Any) -> Size | None:
    operand = getattr(x, "operand", None)
    dim = None if operand is None else find(operand)
    return None if dim is None else dim if dim.value is None else dim.value


def sizes_of(shape: Any) -> Sizes:
    """A shape that the user gives: one size or several."""
    if isinstance(shape, (tuple, list, np.ndarray)):
        return tuple(size_of(s) for s in shape)
    return (size_of(shape),)


def count_of(sizes: Sequence[Size]) -> Size:
    """The number of elements."""
    total = product(Dim.of(s) for s in sizes)
    return total if total.value is None else total.value


def number_of(like: Any, size: Size) -> Any:
    """A size as a number to calculate with, recorded where ``like`` is."""
    if isinstance(size, int):
        return size
    if size.value is not None:
        return size.value
    return like.of(like.builder, size_value(like.builder, size), weak=True)


def recorded(like: Any, x: Any) -> Any:
    """A plain array as a hidden input, if ``like`` belongs to a graph."""
    builder = getattr(like, "builder", None)  # the tape takes arrays as they are
    if builder is None or is_traced(x):
        return x
    return like.of(builder, builder.capture(x))


# --- dtypes ------------------------------------------------------------------------


def dtype_name(x: Any) -> DType:
    """The dtype of an array, tracer or number."""
    if is_traced(x) and str(x.dtype) in NARROW:
        return cast("DType", str(x.dtype))
    return dtype_of(x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype)


def is_float(x: Any) -> bool:
    """Whether the elements are floating-point numbers."""
    return dtype_name(x) in FLOATS


def astype(x: Any, dtype: Any) -> Any:
    """With elements of another dtype."""
    name = dtype_of(dtype)
    return x if hasattr(x, "dtype") and x.dtype == name else convert(x, dtype=name)


def floats(x: Any) -> Any:
    """With floating-point elements: integers and booleans become float64."""
    return x if is_float(x) else astype(x, "float64")


def boolean(x: Any) -> Any:
    """With boolean elements: what is not zero is true."""
    return x if dtype_name(x) == "bool" else x != 0


def refuse(what: str, todo: str) -> TracingError:
    """An error for something that NumPy can do and a trace can't."""
    return TracingError(what, todo=todo)
