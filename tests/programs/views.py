"""Slices, views, masks and index arrays on either side of an assignment."""

import numpy as np

from tests.programs.record import (
    count,
    fixed,
    indices,
    permutation,
    program,
    square,
    vector,
    wide,
)


@program(wide)
def row_views(A):
    s = 0.0
    for i in range(1, A.shape[0]):
        row = A[i]
        above = A[i - 1]
        for j in range(A.shape[1]):
            row[j] = row[j] * above[j] + np.cos(above[j])
            s += row[j] * row[j]
    return s


@program(vector, fixed(3), sizes=(2, 5))
def stencil_by_slices(x, steps):
    u = x.copy()
    for _ in range(steps):
        u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2.0 * u[1:-1] + u[:-2]) * u[1:-1]
    return np.sum(u * u)


@program(vector, sizes=(1, 2, 5))
def overlapping(x):
    y = x.copy()
    y[1:] = y[:-1]
    y[:-1] += y[1:]
    y[::-1] = y * 2.0
    return y


@program(square)
def triangular_solve(L):
    """Slices that grow with the loop."""
    n = L.shape[0]
    b = np.ones(n)
    y = np.zeros(n)
    for i in range(n):
        y[i] = (b[i] - L[i, :i] @ y[:i]) / (2.0 + L[i, i] ** 2)
    return y


@program(square)
def backward_solve(U):
    n = U.shape[0]
    y = np.ones(n)
    for i in range(n - 1, -1, -1):
        y[i] = (y[i] - np.sum(U[i, i + 1 :] * y[i + 1 :])) / (2.0 + U[i, i] ** 2)
    return y


@program(square)
def elimination_by_rows(A):
    A = A.copy()
    n = A.shape[0]
    for k in range(n):
        for i in range(k + 1, n):
            factor = A[i, k] / (3.0 + A[k, k] ** 2)
            A[i, k:] -= factor * A[k, k:]
    return A


@program(vector, sizes=(2, 5))
def moving_window(x):
    n = len(x)
    y = np.zeros(n - 1)
    for i in range(n - 1):
        y[i] = np.mean(x[i : i + 2])
    return y


@program(wide)
def rows_stored(A):
    B = np.zeros_like(A)
    for i in range(A.shape[0]):
        B[i] = A[i] * 2.0
        B[i, 1:] += A[i, :-1]
        B[i, 0] = 7.0
    return B


@program(wide)
def columns(A):
    B = A.copy()
    for j in range(A.shape[1]):
        B[:, j] *= j
        column = B[:, j]
        column += 1.0
    return B


@program(square)
def transposed_view(A):
    B = A.copy()
    T = B.T
    for i in range(A.shape[0]):
        T[i] = T[i] + i
    return B


@program(square)
def view_of_a_view(A):
    B = A.copy()
    inner = B[1:, ::-1]
    for i in range(inner.shape[0]):
        inner[i, i] = inner[i, i] * 2.0 + B[0, i]
    return B


@program(vector)
def written_through_a_slice(x):
    y = np.zeros(len(x) + 2)
    inside = y[1:-1]
    inside[:] = x
    return y


@program(vector, sizes=(2, 5))
def reshaped_alias(x):
    """What reshape gives follows the array that it is a view of."""
    y = x.copy()
    r = y.reshape(-1, 1)
    y[0] = 5.0
    return r * 2.0


@program(vector)
def masked(x):
    y = x.copy()
    y[y < 0] = 0.0
    y[x > 1] *= 2.0
    return y


@program(wide)
def masked_rows(A):
    B = A.copy()
    B[A[:, 0] > 0] = 1.5
    return B


@program(vector, indices)
def stored_by_indices(x, k):
    """The last write wins."""
    y = np.zeros(len(x))
    y[k] = x
    return y


@program(vector, indices)
def updated_by_indices(x, k):
    """Not added up: NumPy buffers."""
    y = np.ones(len(x))
    y[k] += x
    return y


@program(vector, indices)
def added_at_indices(x, k):
    y = np.ones(len(x))
    np.add.at(y, k, x)
    return y


@program(square, permutation)
def rows_by_indices(A, p):
    B = np.zeros_like(A)
    B[p] = A
    B[p, 0] = A[:, 1:].sum(axis=1)
    B[:, p] -= 1.0
    return B


@program(vector, sizes=(4, 5))
def literal_indices(x):
    y = x.copy()
    y[[0, 2]] = 1.0
    y[np.array([True, False, False, True] + [False] * (len(x) - 4))] *= 3.0
    return y


@program(vector, sizes=(1, 2, 5))
def negative_indices(x):
    y = x.copy()
    for i in range(1, len(x) + 1):
        y[-i] = y[-1] * 0.5 + x[-i]
    return y


@program(vector, count)
def out_of_bounds(x, n):
    s = 0.0
    for i in range(n + 1):
        s += x[i]
    return s


@program(vector)
def neighbours_wrap(x):
    """The index before the first is the last."""
    s = 0.0
    for i in range(len(x)):
        s += x[i - 1] * x[(i + 1) % len(x)]
    return s


@program(vector, sizes=(1, 2, 5))
def clamped_neighbours(x):
    y = np.empty(len(x))
    n = len(x)
    for i in range(n):
        y[i] = x[max(i - 1, 0)] + x[min(i + 1, n - 1)]
    return y


@program(vector)
def filled_and_copied(x):
    y = np.empty(len(x))
    y.fill(2.0)
    z = y.copy()
    z[:] = x
    np.copyto(y, z * y)
    np.multiply(y, 2.0, out=z)
    return y, z


@program(wide)
def flat_index(A):
    n, m = A.shape
    flat = A.ravel()
    s = 0.0
    for i in range(n):
        for j in range(m):
            s += flat[i * m + j] * (i - j)
    return s


@program(square)
def reductions_in_a_loop(A):
    s = 0.0
    for i in range(len(A)):
        s += np.max(A[i]) * np.dot(A[i], A[:, i])
    return s


@program(vector, sizes=(2, 5))
def shifted_by_loop(x):
    """A window that moves, and one that shrinks."""
    y = np.zeros(len(x))
    for k in range(len(x)):
        y[k:] += x[: len(x) - k]
    return y


@program(wide)
def diagonal_filled(A):
    B = A.copy()
    np.fill_diagonal(B, 2.0)
    return B * A


@program(vector, sizes=(2, 5))
def new_axes(x):
    y = x.copy()
    y[0] *= 2.0
    return y[:, None] * y[None, :]
