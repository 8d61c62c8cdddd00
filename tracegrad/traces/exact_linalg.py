"""Linear algebra on elements of any kind: object arrays of symbols or of many digits.

Small determinants are expanded by minors, which keeps symbols polynomial; larger
systems are eliminated, with pivots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Pivot = Callable[[Any], int]
_BY_MINORS = 3


def over_matrices(function: Callable[..., Any], *stacks: Any) -> Any:
    """A function of matrices (and right-hand sides) for each in a batch."""
    batch = stacks[0].shape[:-2]
    if not batch:
        return function(*stacks)
    parts = [function(*(s[index] for s in stacks)) for index in np.ndindex(*batch)]
    first = np.asarray(parts[0], object)
    out = np.empty((*batch, *first.shape), object)
    for index, part in zip(np.ndindex(*batch), parts, strict=True):
        out[index] = part
    return out


def determinant(a: Any, pivot: Pivot) -> Any:
    """Of one square matrix."""
    n = len(a)
    if n <= _BY_MINORS:
        return _minors(a)
    sign, rows = _eliminated(a, np.empty((n, 0), object), pivot)
    total = sign
    for k in range(n):
        total = total * rows[k, k]
    return total


def _minors(a: Any) -> Any:
    if not len(a):
        return 1
    if len(a) == 1:
        return a[0, 0]
    total: Any = 0
    for k in range(len(a)):
        rest = np.delete(a[1:], k, axis=1)
        total = total + (-1) ** k * a[0, k] * _minors(rest)
    return total


def solve(a: Any, b: Any, pivot: Pivot) -> Any:
    """The solution of ``a x = b`` for one matrix; b is a vector or columns."""
    right = b[:, None] if b.ndim == 1 else b
    n = len(a)
    if n <= _BY_MINORS:
        x = np.dot(_adjugate(a), right) / _minors(a)
    else:
        x = _back(_eliminated(a, right, pivot)[1], n)
    return x[:, 0] if b.ndim == 1 else x


def inverse(a: Any, one: Any, pivot: Pivot) -> Any:
    """Of one matrix."""
    unit = np.full(a.shape, one * 0, object)
    np.fill_diagonal(unit, one)
    return solve(a, unit, pivot)


def _adjugate(a: Any) -> Any:
    n = len(a)
    out = np.empty((n, n), object)
    for i in range(n):
        for j in range(n):
            rest = np.delete(np.delete(a, i, axis=0), j, axis=1)
            out[j, i] = (-1) ** (i + j) * _minors(rest)
    return out


def _eliminated(a: Any, b: Any, pivot: Pivot) -> tuple[int, Any]:
    """The sign of the row exchanges, and the rows in echelon form."""
    rows = np.concatenate([a, b], axis=1)
    sign = 1
    for k in range(len(a)):
        chosen = k + pivot(rows[k:, k])
        if chosen != k:
            rows[[k, chosen]] = rows[[chosen, k]]
            sign = -sign
        for i in range(k + 1, len(a)):
            rows[i] = rows[i] - rows[k] * (rows[i, k] / rows[k, k])
    return sign, rows


def _back(rows: Any, n: int) -> Any:
    x = rows[:, n:].copy()
    for k in reversed(range(n)):
        for j in range(k + 1, n):
            x[k] = x[k] - rows[k, j] * x[j]
        x[k] = x[k] / rows[k, k]
    return x


def cholesky(a: Any, sqrt: Callable[[Any], Any]) -> Any:
    """The lower factor of one matrix, of which only the lower triangle is read."""
    n = len(a)
    low = np.full((n, n), a[0, 0] * 0 if n else 0, object)
    for j in range(n):
        low[j, j] = sqrt(a[j, j] - sum(low[j, k] * low[j, k] for k in range(j)))
        for i in range(j + 1, n):
            rest = a[i, j] - sum(low[i, k] * low[j, k] for k in range(j))
            low[i, j] = rest / low[j, j]
    return low
