"""Where values fall in a sorted grid: positions, interpolation, bins.

Positions are integers and have no derivative; what is read at them does.

>>> interp(np.array([0.5, 3.0]), np.array([0.0, 1.0]), np.array([10.0, 20.0]))
array([15., 20.])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.shapes import size_at_least
from tracegrad.numpy_api.arguments import (
    astype,
    dtype_name,
    floats,
    is_traced,
    number_of,
    rank_of,
    refuse,
    size_of,
    traced_in,
)
from tracegrad.numpy_api.creation import asarray, linspace
from tracegrad.numpy_api.indexing import along, take
from tracegrad.numpy_api.reductions import max_, min_, sum_
from tracegrad.numpy_api.shapes import ravel, reshape
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import structural
from tracegrad.primitives.indexing import scatter_add
from tracegrad.primitives.reductions import searchsorted as search_left
from tracegrad.primitives.reductions import searchsorted_right as search_right
from tracegrad.primitives.structural import dims


def searchsorted(a: Any, v: Any, side: str = "left") -> Any:
    """Where elements belong in a sorted vector, before or after equal ones."""
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right' (got {side!r})")
    a, v = asarray(a), asarray(v)
    joint = np.result_type(np.dtype(dtype_name(a)), np.dtype(dtype_name(v)))
    search = search_left if side == "left" else search_right
    found = search(astype(a, joint), astype(reshape(v, (-1,)), joint))
    return reshape(found, dims(v))


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The bin of each element, of bins with increasing or decreasing edges."""
    bins = asarray(bins)
    count, side = dims(bins)[0], "left" if right else "right"
    if not is_traced(bins):
        steps = np.diff(bins)
        falling = bool(np.any(steps < 0))
        if falling and np.any(steps > 0):
            raise ValueError("bins must be monotonically increasing or decreasing")
    elif size_at_least(count, 2):
        falling = along(bins, 0, 0) > along(bins, 0, -1)
    else:
        falling = False
    if falling is False:
        return searchsorted(bins, x, side)
    reverse = along(bins, 0, slice(None, None, -1))
    from_the_end = number_of(bins, count) - searchsorted(reverse, x, side)
    if falling is True:
        return from_the_end
    return cmp.select(falling, from_the_end, searchsorted(bins, x, side))


def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """The piecewise linear function through given points, constant outside."""
    if period is not None:
        raise refuse(
            "interp with period= is not supported.",
            "Take x modulo the period, and repeat a point at each end.",
        )
    x, xp, fp = floats(asarray(x)), floats(asarray(xp)), floats(asarray(fp))
    count = dims(xp)[0]
    low, high = along(fp, 0, 0), along(fp, 0, -1)
    if size_at_least(count, 2):
        last = number_of(traced_in([x, xp, fp]), count) - 2
        at = searchsorted(xp, x, "right") - 1
        at = ew.minimum(ew.maximum(at, 0), last)
        start, below = take(xp, at), take(fp, at)
        slope = (take(fp, at + 1) - below) / (take(xp, at + 1) - start)
        inside = slope * (x - start) + below
    else:
        inside = low
    first, final = along(xp, 0, 0), along(xp, 0, -1)
    result = cmp.select(x < first, low if left is None else left, inside)
    # At the last point itself, too, its value is exact.
    result = cmp.select(x >= final, high, result)
    return result if right is None else cmp.select(x > final, right, result)


# --- counting ----------------------------------------------------------------------


def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    """How often, or with which total weight, each integer occurs.

    The result has ``minlength`` elements: a larger integer raises IndexError.
    """
    x = asarray(x)
    if not is_traced(x):
        longest = int(x.max()) + 1 if x.size else 0
        minlength = max(longest, minlength) if type(minlength) is int else minlength
    elif not is_traced(minlength) and not minlength:
        raise refuse(
            "bincount has a result whose length depends on data.",
            "Give minlength=, larger than every integer that occurs.",
        )
    return _totals(x, weights, size_of(minlength))


def _totals(at: Any, weights: Any, size: Any) -> Any:
    """The sum of weights (or ones) at each position."""
    like = traced_in([at, weights])
    if weights is None:
        weights = structural.filled(like, 1, dims(at), "int64")
    weights, at = asarray(weights), astype(at, "int64")
    totals = scatter_add(floats(weights), at, axes=(0,), position=0, shape=(size,))
    return astype(totals, "int64") if dtype_name(weights) == "int64" else totals


def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    """Counts, or total weights, in bins; and the edges of the bins."""
    a = ravel(asarray(a))
    like = traced_in([a, bins, range, weights])
    edges = _edges(a, bins, range)
    count = dims(edges)[0] - 1
    at = searchsorted(edges, a, "right") - 1
    last = along(edges, 0, -1)
    at = cmp.select(a == last, number_of(like, count) - 1, at)
    outside = cmp.logical_or(a < along(edges, 0, 0), a > last)
    if weights is None:
        share = astype(cmp.logical_not(outside), "int64")
    else:
        weights = ravel(asarray(weights))
        zero = np.zeros((), np.dtype(dtype_name(weights)))
        share = cmp.select(outside, zero[()], weights)
    totals = _totals(cmp.select(outside, 0, at), share, count)
    if density:
        widths = along(edges, 0, slice(1, None)) - along(edges, 0, slice(None, -1))
        totals = totals / widths / sum_(totals)
    return totals, edges


def _edges(a: Any, bins: Any, limits: Any) -> Any:
    if isinstance(bins, str):
        raise refuse(
            f"histogram with bins={bins!r} depends on data.", "Give a number of bins."
        )
    bins = asarray(bins)
    if rank_of(bins) == 1:
        return bins
    low, high = (min_(a), max_(a)) if limits is None else limits
    return linspace(low, high, size_of(bins) + 1)


NUMPY: dict[Any, Callable[..., Any]] = {
    np.searchsorted: searchsorted,
    np.digitize: digitize,
    np.interp: interp,
    np.bincount: bincount,
    np.histogram: histogram,
}
METHODS: dict[str, Callable[..., Any]] = {"searchsorted": searchsorted}
