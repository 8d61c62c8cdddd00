"""Reductions, running totals, sorting and statistics.

>>> std(np.array([1.0, 3.0]))
np.float64(1.0)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import size_at_least, size_equals
from tracegrad.numpy_api.arguments import (
    astype,
    axes_of,
    axis_of,
    boolean,
    count_of,
    floats,
    is_float,
    number_of,
    rank_of,
    refuse,
)
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.elementwise import isclose
from tracegrad.numpy_api.indexing import along, take_along_axis
from tracegrad.numpy_api.shapes import (
    broadcast_to,
    moveaxis,
    ravel,
    reshape,
    with_new_axes,
)
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import reductions as red
from tracegrad.primitives import structural
from tracegrad.primitives.structural import Axes, dims


def _reduce(primitive: Primitive, a: Any, axes: Axes, keepdims: Any) -> Any:
    """Reduce, and keep the reduced axes with length one if asked to."""
    result = primitive(a, axes=axes) if axes else a
    return with_new_axes(result, axes) if _given(keepdims) and axes else result


def _given(flag: Any) -> bool:
    return flag is not np._NoValue and bool(flag)


def _wide(a: Any) -> Any:
    """Small integers and booleans as int64, in which NumPy adds them up."""
    return a if is_float(a) else astype(a, "int64")


# --- sums and products -------------------------------------------------------------


def sum_(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False) -> Any:
    """The sum over axes."""
    a = asarray(a)
    a = _wide(a) if dtype is None else astype(a, dtype)
    return _reduce(structural.reduce_sum, a, axes_of(axis, rank_of(a)), keepdims)


def prod(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False) -> Any:
    """The product over axes; its gradient is exact where factors are zero."""
    a = asarray(a)
    a = _wide(a) if dtype is None else astype(a, dtype)
    return _reduce(red.reduce_prod, a, axes_of(axis, rank_of(a)), keepdims)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    """How many elements are not zero."""
    return sum_(boolean(asarray(a)), axis, keepdims=keepdims)


def mean(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False) -> Any:
    """The arithmetic mean."""
    a = _floats_of("mean", asarray(a), dtype)
    axes = axes_of(axis, rank_of(a))
    count = count_of([dims(a)[k] for k in axes])
    return sum_(a, axes, keepdims=keepdims) / number_of(a, count)


def _floats_of(name: str, a: Any, dtype: Any) -> Any:
    """What is averaged: NumPy cuts the quotient off where integers are asked for."""
    if dtype is None:
        return floats(a)
    if np.dtype(dtype).kind != "f":
        raise refuse(f"{name} as integers is not supported.", "Convert the result.")
    return astype(a, dtype)


def average(
    a: Any, axis: Any = None, weights: Any = None, *, keepdims: Any = False
) -> Any:
    """The mean with weights, which have the shape of ``a`` or of its one axis."""
    if weights is None:
        return mean(a, axis, keepdims=keepdims)
    a, weights = asarray(a), asarray(weights)
    if rank_of(weights) < rank_of(a):
        place = axis_of(axis, rank_of(a))
        others = tuple(k for k in range(rank_of(a)) if k != place)
        weights = broadcast_to(with_new_axes(weights, others), dims(a))
    total = sum_(weights, axis, keepdims=keepdims)
    return sum_(a * weights, axis, keepdims=keepdims) / total


def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    *,
    ddof: Any = 0,
    keepdims: Any = False,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """The variance, with ``ddof`` degrees of freedom taken off the count."""
    a = _floats_of("a variance", asarray(a), dtype)
    axes = axes_of(axis, rank_of(a))
    centre = mean_of(a, axes) if mean is None or mean is np._NoValue else mean
    deviation = a - centre
    count = number_of(a, count_of([dims(a)[k] for k in axes]))
    freed = ddof if correction is None or correction is np._NoValue else correction
    total = sum_(deviation * deviation, axes, keepdims=keepdims)
    return total / (count - freed)


def mean_of(a: Any, axes: Axes) -> Any:
    """The mean with axes kept, to subtract."""
    return mean(a, axes, keepdims=True)


def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    *,
    ddof: Any = 0,
    keepdims: Any = False,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """The standard deviation; as a norm, it has gradient 0 where it is 0."""
    variance = var(
        a, axis, dtype, ddof=ddof, keepdims=keepdims, mean=mean, correction=correction
    )
    return ew.length(variance)


# --- extremes ----------------------------------------------------------------------


def _extreme(
    primitive: Primitive, of_truths: Primitive, name: str
) -> Callable[..., Any]:
    def extreme(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        a = asarray(a)
        axes = axes_of(axis, rank_of(a))
        not_empty(a, axes, name)
        chosen = of_truths if a.dtype == np.bool_ else primitive
        return _reduce(chosen, a, axes, keepdims)

    extreme.__name__ = name
    extreme.__doc__ = f"The {name} over axes; ties share the gradient evenly."
    return extreme


def not_empty(a: Any, axes: Axes, name: str) -> None:
    """Refuse a reduction without identity over an axis of length zero."""
    if not all(size_at_least(dims(a)[k], 1) for k in axes):
        raise ValueError(
            f"zero-size array to reduction operation {name} which has no identity"
        )


max_ = _extreme(red.reduce_max, red.reduce_any, "maximum")
min_ = _extreme(red.reduce_min, red.reduce_all, "minimum")


def ptp(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    """The maximum minus the minimum."""
    return max_(a, axis, keepdims=keepdims) - min_(a, axis, keepdims=keepdims)


def _position(primitive: Primitive) -> Callable[..., Any]:
    def position(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        a = asarray(a)
        rank = rank_of(a)
        if axis is None:
            not_empty(a, tuple(range(rank)), primitive.name)
            found = primitive(ravel(a), axis=0)
            return (
                with_new_axes(found, tuple(range(rank))) if _given(keepdims) else found
            )
        place = axis_of(axis, rank)
        not_empty(a, (place,), primitive.name)
        found = primitive(a, axis=place)
        return with_new_axes(found, (place,)) if _given(keepdims) else found

    position.__name__ = primitive.name
    return position


argmax = _position(red.argmax)
argmin = _position(red.argmin)

# --- logic -------------------------------------------------------------------------


def any_(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    """Whether any element is true."""
    a = boolean(asarray(a))
    return _reduce(red.reduce_any, a, axes_of(axis, rank_of(a)), keepdims)


def all_(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    """Whether all elements are true."""
    a = boolean(asarray(a))
    return _reduce(red.reduce_all, a, axes_of(axis, rank_of(a)), keepdims)


# --- running totals and sorting ----------------------------------------------------


def _running(primitive: Primitive) -> Callable[..., Any]:
    def running(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        a = asarray(a)
        a = _wide(a) if dtype is None else astype(a, dtype)
        if axis is None:
            return primitive(ravel(a), axis=0, reverse=False)
        return primitive(a, axis=axis_of(axis, rank_of(a)), reverse=False)

    running.__name__ = primitive.name
    return running


cumsum = _running(red.cumsum)
cumprod = _running(red.cumprod)


def argsort(a: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """Positions in sorted order, by a stable sort whatever the kind."""
    a = asarray(a)
    if axis is None:
        return red.argsort(ravel(a), axis=0)
    return red.argsort(a, axis=axis_of(axis, rank_of(a)))


def sort(a: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """Sorted along an axis; each element carries its own gradient along."""
    a = asarray(a)
    if axis is None:
        return sort(ravel(a), 0)
    return take_along_axis(a, argsort(a, axis), axis)


def median(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    """The middle value, or the mean of the two middle ones."""
    a = floats(asarray(a))
    axes = axes_of(axis, rank_of(a))
    not_empty(a, axes, "median")
    kept = tuple(k for k in range(rank_of(a)) if k not in axes)
    last = moveaxis(a, kept, tuple(range(len(kept))))
    count = count_of([dims(a)[k] for k in axes])
    ordered = sort(reshape(last, (*(dims(a)[k] for k in kept), count)), -1)
    low, high = along(ordered, -1, (count - 1) // 2), along(ordered, -1, count // 2)
    largest = along(ordered, -1, count - 1)  # NaN sorts to the end
    result = cmp.select(cmp.isnan(largest), largest, (low + high) / 2)
    return with_new_axes(result, axes) if _given(keepdims) else result


# --- without NaN -------------------------------------------------------------------


def _ignoring_nan(reduce: Callable[..., Any], instead: float) -> Callable[..., Any]:
    def function(a: Any, axis: Any = None, **options: Any) -> Any:
        a = asarray(a)
        if is_float(a):
            a = cmp.select(cmp.isnan(a), instead, a)
        return reduce(a, axis, **options)

    return function


nansum = _ignoring_nan(sum_, 0.0)
nanprod = _ignoring_nan(prod, 1.0)
nancumsum = _ignoring_nan(cumsum, 0.0)
nancumprod = _ignoring_nan(cumprod, 1.0)


def nanmean(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    """The mean of what is not NaN."""
    a = floats(asarray(a))
    count = count_nonzero(cmp.logical_not(cmp.isnan(a)), axis, keepdims=keepdims)
    return nansum(a, axis, keepdims=keepdims) / astype(count, a.dtype)


def _nan_extreme(reduce: Callable[..., Any], worst: float) -> Callable[..., Any]:
    def function(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        a = asarray(a)
        if not is_float(a):
            return reduce(a, axis, keepdims=keepdims)
        found = reduce(cmp.select(cmp.isnan(a), worst, a), axis, keepdims=keepdims)
        missing = all_(cmp.isnan(a), axis, keepdims=keepdims)
        return cmp.select(missing, math.nan, found)

    return function


nanmax = _nan_extreme(max_, -math.inf)
nanmin = _nan_extreme(min_, math.inf)


def nanvar(a: Any, axis: Any = None, *, ddof: Any = 0, keepdims: Any = False) -> Any:
    """The variance of what is not NaN."""
    a = floats(asarray(a))
    missing = cmp.isnan(a)
    count = count_nonzero(cmp.logical_not(missing), axis, keepdims=True)
    centre = nansum(a, axis, keepdims=True) / count
    gaps = cmp.select(missing, 0.0, a - centre)
    total = sum_(gaps * gaps, axis, keepdims=True) / (count - ddof)
    if _given(keepdims):
        return total
    return structural.squeeze(total, axes=axes_of(axis, rank_of(a)))


def nanstd(a: Any, axis: Any = None, *, ddof: Any = 0, keepdims: Any = False) -> Any:
    """The standard deviation of what is not NaN."""
    return ew.length(nanvar(a, axis, ddof=ddof, keepdims=keepdims))


def allclose(
    a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether all elements agree within a tolerance."""
    return all_(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a1: Any, a2: Any) -> Any:
    """Whether two arrays have one shape and equal elements."""
    a1, a2 = asarray(a1), asarray(a2)
    if rank_of(a1) != rank_of(a2):
        return False
    pairs = zip(dims(a1), dims(a2), strict=True)
    if not all(size_equals(m, n) for m, n in pairs):
        return False
    return all_(cmp.equal(a1, a2))


NUMPY: dict[Any, Callable[..., Any]] = {
    np.sum: sum_,
    np.prod: prod,
    np.mean: mean,
    np.average: average,
    np.var: var,
    np.std: std,
    np.max: max_,
    np.min: min_,
    np.ptp: ptp,
    np.argmax: argmax,
    np.argmin: argmin,
    np.any: any_,
    np.all: all_,
    np.count_nonzero: count_nonzero,
    np.cumsum: cumsum,
    np.cumprod: cumprod,
    np.argsort: argsort,
    np.sort: sort,
    np.median: median,
    np.nansum: nansum,
    np.nanprod: nanprod,
    np.nancumsum: nancumsum,
    np.nancumprod: nancumprod,
    np.nanmean: nanmean,
    np.nanmax: nanmax,
    np.nanmin: nanmin,
    np.nanvar: nanvar,
    np.nanstd: nanstd,
    np.allclose: allclose,
    np.array_equal: array_equal,
    np.amax: max_,
    np.amin: min_,
}
METHODS: dict[str, Callable[..., Any]] = {
    "sum": sum_,
    "prod": prod,
    "mean": mean,
    "var": var,
    "std": std,
    "max": max_,
    "min": min_,
    "ptp": ptp,
    "argmax": argmax,
    "argmin": argmin,
    "any": any_,
    "all": all_,
    "cumsum": cumsum,
    "cumprod": cumprod,
    "argsort": argsort,
}
