"""Covariances, polynomials and correlations of sequences.

>>> polyder(np.array([3.0, 2.0, 1.0]))
array([6., 2.])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.shapes import Dim, size_at_least
from tracegrad.numpy_api.arguments import (
    astype,
    axes_of,
    count_of,
    dtype_name,
    floats,
    is_traced,
    number_of,
    rank_of,
    refuse,
    size_of,
    traced_in,
)
from tracegrad.numpy_api.calculus import convolve
from tracegrad.numpy_api.creation import arange, asarray
from tracegrad.numpy_api.decompositions import lstsq
from tracegrad.numpy_api.indexing import along, take
from tracegrad.numpy_api.linalg import dot
from tracegrad.numpy_api.rearranging import concatenate, diagonal, flip, stack
from tracegrad.numpy_api.reductions import mean, not_empty, sort
from tracegrad.numpy_api.shapes import moveaxis, reshape, transpose, with_new_axes
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.structural import dims

# --- quantiles ---------------------------------------------------------------------


def quantile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: Any = False
) -> Any:
    """Values below which given shares of the elements lie, by linear interpolation."""
    if method != "linear":
        raise refuse(
            f"quantile with method={method!r} is not supported.", "Leave it out."
        )
    a, q = floats(asarray(a)), q if is_traced(q) else np.asarray(q, float)
    if rank_of(q) > 1:
        raise refuse("quantile of shares in a matrix is not supported.", "Ravel them.")
    if not is_traced(q) and not np.all((q >= 0) & (q <= 1)):
        raise ValueError("Quantiles must be in the range [0, 1]")
    axes = axes_of(axis, rank_of(a))
    not_empty(a, axes, "quantile")
    kept = tuple(k for k in range(rank_of(a)) if k not in axes)
    last = moveaxis(a, kept, tuple(range(len(kept))))
    count = count_of([dims(a)[k] for k in axes])
    ordered = sort(reshape(last, (*(dims(a)[k] for k in kept), count)), -1)
    if rank_of(q):
        parts = [_between(ordered, count, along(q, 0, k)) for k in range(len(q))]
    else:
        parts = [_between(ordered, count, q)]
    if keepdims:
        parts = [with_new_axes(part, axes) for part in parts]
    return astype(stack(parts), "float64") if rank_of(q) else parts[0]


def _between(ordered: Any, count: Any, share: Any) -> Any:
    """The value at a share of the way along the last axis, which is sorted."""
    like = traced_in([ordered, share])
    share = share if is_traced(share) else float(share)
    last = number_of(like, count) - 1
    place = share * last
    at = ew.floor(place)
    step = place - at
    if not is_traced(share):
        step = astype(step, dtype_name(ordered))
    low = astype(at, "int64")
    high = ew.minimum(low + 1, last)
    below, above = take(ordered, low, -1), take(ordered, high, -1)
    gap = above - below
    found = cmp.select(step < 0.5, below + gap * step, above - gap * (1.0 - step))
    largest = along(ordered, -1, -1)  # NaN sorts to the end
    return cmp.select(cmp.isnan(largest), largest, found)


def percentile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: Any = False
) -> Any:
    """Quantiles of shares in percent."""
    q = q if is_traced(q) else np.asarray(q, float)
    if not is_traced(q) and not np.all((q >= 0) & (q <= 100)):
        raise ValueError("Percentiles must be in the range [0, 100]")
    return quantile(a, q / 100, axis, method=method, keepdims=keepdims)


# --- covariance --------------------------------------------------------------------


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None
) -> Any:
    """The covariance matrix of variables, one per row (or column)."""
    m = _variables(m, rowvar)
    if y is not None:
        m = concatenate([m, _variables(y, rowvar)], 0)
    count = number_of(traced_in([m]), dims(m)[1])
    freed = (0 if bias else 1) if ddof is None else ddof
    centred = m - mean(m, 1, keepdims=True)
    found = dot(centred, transpose(centred)) / (count - freed)
    single = all(Dim.of(d).value == 1 for d in dims(found))
    return found[0, 0] if single else found


def _variables(m: Any, rowvar: bool) -> Any:
    m = floats(asarray(m))
    if rank_of(m) > 2:
        raise ValueError("m has more than 2 dimensions")
    if rank_of(m) < 2:
        return with_new_axes(m, tuple(range(2 - rank_of(m))))
    return m if rowvar else transpose(m)


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """The correlation matrix of variables, one per row (or column)."""
    covariance = cov(x, y, rowvar)
    if rank_of(covariance) == 0:
        return covariance / covariance
    size = ew.sqrt(diagonal(covariance))
    rows, columns = with_new_axes(size, (1,)), with_new_axes(size, (0,))
    found = covariance / rows / columns
    return ew.clip(found, -1.0, 1.0)


# --- polynomials -------------------------------------------------------------------


def polyder(p: Any, m: int = 1) -> Any:
    """The coefficients of a polynomial's derivative, highest power first."""
    p = asarray(p)
    for _ in range(m):
        powers = flip(arange(1, size_of_axis(p)))
        p = along(p, 0, slice(None, -1)) * powers
    return p


def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The coefficients of a polynomial's integral, its constants given by ``k``."""
    p = floats(asarray(p))
    constants = [0.0] * m if k is None else [*np.atleast_1d(k)]
    for constant in constants[:m] if len(constants) >= m else constants * m:
        powers = flip(arange(1, size_of_axis(p) + 1))
        p = concatenate([p / powers, asarray([constant])], 0)
    return p


def size_of_axis(p: Any) -> Any:
    """The length of a vector, as a number to calculate with."""
    return number_of(traced_in([p]), dims(p)[0])


def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """Powers of each element, one column per power."""
    x = asarray(x)
    count = size_of(len(x) if N is None else N)
    powers = arange(number_of(traced_in([x]), count))
    powers = powers if increasing else flip(powers)
    return with_new_axes(x, (1,)) ** powers


def polyfit(x: Any, y: Any, deg: Any) -> Any:
    """The polynomial of a degree that fits points best, highest power first."""
    columns = [asarray(x) ** k for k in range(int(deg), -1, -1)]
    matrix = concatenate([with_new_axes(c, (1,)) for c in columns], 1)
    return lstsq(matrix, y)[0]


def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of polynomials."""
    return _aligned(a1, a2, 1)


def polysub(a1: Any, a2: Any) -> Any:
    """The difference of polynomials."""
    return _aligned(a1, a2, -1)


def _aligned(a1: Any, a2: Any, sign: int) -> Any:
    a1, a2 = asarray(a1), asarray(a2) * sign
    if not size_at_least(dims(a1)[0], dims(a2)[0]):
        a1, a2 = a2, a1
    head = along(a1, 0, slice(None, size_of_axis(a1) - size_of_axis(a2)))
    tail = along(a1, 0, slice(size_of_axis(a1) - size_of_axis(a2), None))
    return concatenate([head, tail + a2], 0)


# --- correlation -------------------------------------------------------------------


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """The cross-correlation of two vectors, the longer one first."""
    a, v = asarray(a), asarray(v)
    if not size_at_least(dims(a)[0], dims(v)[0]):
        raise refuse(
            "correlate with a shorter vector first is not supported.",
            "Put the longer one first, and reverse the result.",
        )
    return convolve(a, flip(v), mode)


NUMPY: dict[Any, Callable[..., Any]] = {
    np.quantile: quantile,
    np.percentile: percentile,
    np.cov: cov,
    np.corrcoef: corrcoef,
    np.polyder: polyder,
    np.polyint: polyint,
    np.polyfit: polyfit,
    np.polyadd: polyadd,
    np.polysub: polysub,
    np.polymul: lambda a1, a2: convolve(a1, a2),
    np.vander: vander,
    np.correlate: correlate,
}
METHODS: dict[str, Callable[..., Any]] = {}
