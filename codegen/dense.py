"""Dense routines in LAPACK and plain loops: what they do, NumPy's functions do too.

Numba's versions of these take one to four seconds to compile, each for every layout of
its operands; these take a tenth of that. LAPACK reads columns, NumPy writes rows: what
is symmetric in that is handed over as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

# The functions of LAPACK that Numba knows by these names, for either precision.
_gesv: Any = types.ExternalFunction(
    "numba_xgesv",
    types.intc(
        *(types.char, types.intp, types.intp, types.voidptr, types.intp),
        *(types.voidptr, types.voidptr, types.intp),
    ),
)
_getrf: Any = types.ExternalFunction(
    "numba_xxgetrf",
    types.intc(
        *(types.char, types.intp, types.intp, types.voidptr, types.intp),
        types.voidptr,
    ),
)
_potrf: Any = types.ExternalFunction(
    "numba_xxpotrf",
    types.intc(types.char, types.char, types.intp, types.voidptr, types.intp),
)


@njit(error_model="numpy")
def linear_solve(a: Any, b: Any, x: Any) -> None:
    """The solution of ``a @ x == b``, for a vector or the columns of a matrix."""
    n = a.shape[0]
    kind = 115 if a.itemsize == 4 else 100  # "s" or "d"
    columns, pivots = np.empty((n, n), a.dtype), np.empty(n, np.int32)
    for i in range(n):
        for j in range(n):
            columns[j, i] = a[i, j]
    failed = 0
    if b.ndim == 1:
        for i in range(n):
            x[i] = b[i]
        if n:
            failed = _gesv(
                *(kind, n, 1, columns.ctypes, n),
                *(pivots.ctypes, x.ctypes, n),
            )
    else:
        m = b.shape[1]
        sides = np.empty((m, n), a.dtype)
        for i in range(n):
            for j in range(m):
                sides[j, i] = b[i, j]
        if n and m:
            failed = _gesv(
                *(kind, n, m, columns.ctypes, n),
                *(pivots.ctypes, sides.ctypes, n),
            )
        for i in range(n):
            for j in range(m):
                x[i, j] = sides[j, i]
    # Its memory must live until LAPACK is done with it.
    if failed > 0 or columns.size + pivots.size < 0:
        raise np.linalg.LinAlgError("Singular matrix")


@njit(error_model="numpy")
def matrix_inverse(a: Any, x: Any) -> None:
    """The inverse of a matrix: that of its transpose, written in columns."""
    n = a.shape[0]
    rows, pivots = np.empty((n, n), a.dtype), np.empty(n, np.int32)
    for i in range(n):
        for j in range(n):
            rows[i, j] = a[i, j]
            x[i, j] = 1.0 if i == j else 0.0
    failed = 0
    if n:
        kind = 115 if a.itemsize == 4 else 100
        failed = _gesv(kind, n, n, rows.ctypes, n, pivots.ctypes, x.ctypes, n)
    if failed > 0 or rows.size + pivots.size < 0:
        raise np.linalg.LinAlgError("Singular matrix")


@njit(error_model="numpy")
def cholesky_factor(a: Any, lower: Any) -> None:
    """The lower factor of a positive definite matrix, of which it reads the lower half.

    Read in columns, that is the upper half, and the upper factor.
    """
    n = a.shape[0]
    for i in range(n):
        for j in range(n):
            lower[i, j] = a[i, j] if j <= i else 0.0
    failed = 0
    if n:
        kind = 115 if a.itemsize == 4 else 100
        failed = _potrf(kind, 85, n, lower.ctypes, n)  # "U"
    if failed > 0:
        raise np.linalg.LinAlgError("Matrix is not positive definite")


@njit(error_model="numpy")
def _factored(a: Any) -> Any:
    """The diagonal of a matrix's upper factor, and the sign of its pivoting."""
    n = a.shape[0]
    rows, pivots = np.empty((n, n), a.dtype), np.empty(n, np.int32)
    for i in range(n):
        for j in range(n):
            rows[i, j] = a[i, j]
    if n:
        kind = 115 if a.itemsize == 4 else 100
        _getrf(kind, n, n, rows.ctypes, n, pivots.ctypes)
    diagonal, sign = np.empty(n, a.dtype), 1.0
    for i in range(n):
        diagonal[i] = rows[i, i]
        if pivots[i] != i + 1:
            sign = -sign
    return diagonal, sign


@njit(error_model="numpy")
def matrix_determinant(a: Any) -> Any:
    """The determinant of a matrix."""
    diagonal, product = _factored(a)
    for value in diagonal:
        product = product * value
    return product


@njit(error_model="numpy")
def log_determinant(a: Any) -> Any:
    """The sign of a matrix's determinant, and the logarithm of its absolute value."""
    diagonal, sign = _factored(a)
    total = 0.0
    for value in diagonal:
        if value == 0.0:
            sign = 0.0
        elif value < 0.0:
            sign = -sign
        total += np.log(np.abs(value))
    return sign, total


@njit(error_model="numpy")
def stable_argsort(values: Any, order: Any) -> None:
    """The order of values: a merge sort, from runs of one upwards; NaN goes last."""
    n = values.shape[0]
    merged = np.empty(n, np.int64)
    for k in range(n):
        order[k] = k
    width = 1
    while width < n:
        for low in range(0, n, 2 * width):
            middle, high = min(low + width, n), min(low + 2 * width, n)
            left, right = low, middle
            for k in range(low, high):
                first = left < middle
                if first and right < high:
                    x, y = values[order[left]], values[order[right]]
                    first = not (y < x or (x != x and y == y))
                merged[k] = order[left if first else right]
                if first:
                    left += 1
                else:
                    right += 1
        for k in range(n):
            order[k] = merged[k]
        width *= 2


@njit(error_model="numpy")
def search_left(cells: Any, values: Any, places: Any) -> None:
    """Where each value belongs among sorted cells: before its equals."""
    for k in range(values.shape[0]):
        low, high, value = 0, cells.shape[0], values[k]
        while low < high:
            middle = (low + high) // 2
            cell = cells[middle]
            if cell < value or (value != value and cell == cell):
                low = middle + 1
            else:
                high = middle
        places[k] = low


@njit(error_model="numpy")
def search_right(cells: Any, values: Any, places: Any) -> None:
    """Where each value belongs among sorted cells: after its equals."""
    for k in range(values.shape[0]):
        low, high, value = 0, cells.shape[0], values[k]
        while low < high:
            middle = (low + high) // 2
            cell = cells[middle]
            if value < cell or (cell != cell and value == value):
                high = middle
            else:
                low = middle + 1
        places[k] = low
