"""Positions of a grid, windows, and numbers spaced otherwise than evenly.

Positions in a triangle, whose number is no polynomial of the size with whole
coefficients, are known while tracing: the size is guarded.

>>> unravel_index(5, (2, 3))
(1, 2)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.numpy_api.arguments import (
    floats,
    is_traced,
    number_of,
    rank_of,
    refuse,
    size_of,
    traced_in,
)
from tracegrad.numpy_api.creation import arange, asarray, linspace
from tracegrad.numpy_api.shapes import broadcast_to, with_new_axes
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.structural import dims

# --- positions ---------------------------------------------------------------------


def _known(x: Any) -> Any:
    """A size as a Python int, under a guard if it is traced."""
    return None if x is None else operator.index(x)


def _triangle(positions: Callable[..., Any]) -> Callable[..., Any]:
    def function(n: Any, k: Any = 0, m: Any = None) -> Any:
        return positions(_known(n), _known(k), _known(m))

    return function


def _triangle_of(positions: Callable[..., Any]) -> Callable[..., Any]:
    def function(arr: Any, k: Any = 0) -> Any:
        rows, columns = (_guarded(arr, size) for size in dims(asarray(arr)))
        return positions(rows, _known(k), columns)

    return function


def _guarded(like: Any, size: Any) -> int:
    return operator.index(number_of(like, size))


def diag_indices(n: Any, ndim: int = 2) -> Any:
    """The positions of a matrix's diagonal."""
    return (arange(n),) * ndim


def diag_indices_from(arr: Any) -> Any:
    """The positions of an array's diagonal."""
    return diag_indices(number_of(arr, dims(arr)[0]), rank_of(arr))


def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """The position of each cell of a grid, along each axis."""
    if sparse or np.dtype(dtype) != np.int64:
        raise refuse(
            "indices with sparse= or dtype= is not supported.", "Use meshgrid."
        )
    shape = tuple(dimensions)
    sizes = tuple(size_of(n) for n in shape)
    found = []
    for axis, n in enumerate(shape):
        others = tuple(k for k in range(len(shape)) if k != axis)
        found.append(broadcast_to(with_new_axes(arange(n), others), sizes))
    return asarray(found)


def unravel_index(indices: Any, shape: Any) -> Any:
    """A position in an array taken as a vector, as one along each axis."""
    sizes = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    rest: Any = indices if is_traced(indices) or rank_of(indices) == 0 else None
    rest = asarray(indices) if rest is None else rest
    found = []
    for size in sizes[:0:-1]:
        found.append(rest % size)
        rest = rest // size
    return (rest, *found[::-1])


def ravel_multi_index(multi_index: Any, dims: Any) -> Any:
    """Positions along each axis as one in the array taken as a vector."""
    total = multi_index[0]
    for position, size in zip(multi_index[1:], dims[1:], strict=True):
        total = total * size + position
    return total


# --- numbers -----------------------------------------------------------------------


def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0
) -> Any:
    """Powers whose exponents are evenly spaced."""
    return base ** linspace(start, stop, num, endpoint)


def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True) -> Any:
    """Numbers of one sign with a constant ratio."""
    ratio = ew.log(floats(asarray(stop / start)))
    return start * ew.exp(ratio * linspace(0.0, 1.0, num, endpoint))


# --- windows -----------------------------------------------------------------------


def _window(shape: Callable[[Any], Any]) -> Callable[..., Any]:
    """A window of M points, from a formula over [-1, 1]."""

    def function(M: Any) -> Any:
        like = traced_in([M])
        odd = 2 * arange(M) + (1 - M)
        whole = ew.maximum(M - 1, 1) if like is not None else max(M - 1, 1)
        return shape(odd / whole)

    return function


def _cosines(*weights: float) -> Callable[[Any], Any]:
    def shape(x: Any) -> Any:
        return sum(w * ew.cos(math.pi * k * x) for k, w in enumerate(weights))

    return shape


NUMPY: dict[Any, Callable[..., Any]] = {
    np.triu_indices: _triangle(np.triu_indices),
    np.tril_indices: _triangle(np.tril_indices),
    np.triu_indices_from: _triangle_of(np.triu_indices),
    np.tril_indices_from: _triangle_of(np.tril_indices),
    np.diag_indices: diag_indices,
    np.diag_indices_from: diag_indices_from,
    np.indices: indices,
    np.unravel_index: unravel_index,
    np.ravel_multi_index: ravel_multi_index,
    np.logspace: logspace,
    np.geomspace: geomspace,
    np.hanning: _window(_cosines(0.5, 0.5)),
    np.hamming: _window(_cosines(0.54, 0.46)),
    np.blackman: _window(_cosines(0.42, 0.5, 0.08)),
    np.bartlett: _window(lambda x: 1.0 - ew.absolute(x)),
}
METHODS: dict[str, Callable[..., Any]] = {}
