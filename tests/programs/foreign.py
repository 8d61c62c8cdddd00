"""Programs in the styles of public kernels, which once failed here."""

import math

import numpy as np

from tests.programs.record import (
    count,
    definite,
    permutation,
    program,
    rate,
    square,
    vector,
    wide,
)


@program(wide, sizes=(3, 4))
def householder(A):
    R = A.T.copy()
    m, n = R.shape
    Q = np.eye(m)
    for k in range(n):
        x = R[k:, k]
        e = np.zeros_like(x)
        e[0] = np.linalg.norm(x) * (1.0 if x[0] >= 0 else -1.0)
        v = x + e
        v = v / np.linalg.norm(v)
        R[k:, :] -= 2.0 * np.outer(v, v @ R[k:, :])
        Q[:, k:] -= 2.0 * np.outer(Q[:, k:] @ v, v)
    return Q, R


@program(definite, vector, sizes=(3, 4))
def krylov_basis(A, b):
    Q = np.zeros((len(b), 4))
    Q[:, 0] = b / np.linalg.norm(b)
    for k in range(3):
        y = A @ Q[:, k]
        for j in range(k + 1):
            y = y - np.dot(Q[:, j], y) * Q[:, j]
        Q[:, k + 1] = y / (1.0 + np.linalg.norm(y))
    return Q


@program(square, vector, sizes=(3, 4))
def pivoted_elimination(A, b):
    M = np.hstack([A, b.reshape(-1, 1)])
    n = A.shape[0]
    for i in range(n):
        p = np.argmax(np.abs(M[i:, i])) + i
        if p != i:
            M[[i, p]] = M[[p, i]]
        M[i] = M[i] / M[i, i]
        for j in range(n):
            if j != i:
                M[j] = M[j] - M[j, i] * M[i]
    return M[:, -1]


@program(count, square, sizes=(2, 3))
def size_given_twice(n, A):
    rows = np.zeros((n, n, n))
    for i in range(2):
        rows[i] = A
    return np.reshape(np.reshape(rows, (n * n, n)) @ A, (n, n, n))


@program(vector, count, sizes=(0, 3, 5))
def chosen_by_membership(x, n):
    s = 0.0
    for i in range(n):
        if i in (0, 2, 3):
            s += x[i]
        elif i not in [1]:
            s -= x[i]
    return s


@program(vector, vector, rate, sizes=(3, 5))
def truncated_variance(z, w, v):
    s = 1.0
    for i in range(len(z)):
        positive = max(v - 1.5, 0.0)
        s = s * np.exp(0.1 * z[i] * np.sqrt(positive))
        v = v + 0.1 * (1.0 - positive) + 0.2 * w[i] * math.sqrt(positive)
    return s


@program(count, vector, sizes=(3, 4))
def bump_on_a_grid(n, p):
    y, x = np.mgrid[:n, 1 : n + 2]
    return np.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2)) * p[2]


@program(count, vector, sizes=(1, 3))
def made_by_its_constructor(n, x):
    out = np.ndarray((n, 2), dtype=x.dtype)
    for i in range(n):
        out[i, 0] = x[i]
        out[i, 1] = x[i] ** 2
    return out


@program(vector, sizes=(4, 5))
def piecewise_by_search(x):
    knots = np.sort(x)
    s = 0.0
    for k in range(3):
        at = 0.3 * k
        j = min(max(np.searchsorted(knots, at) - 1, 0), len(knots) - 2)
        t = (at - knots[j]) / (knots[j + 1] - knots[j])
        s += t * t
    return s


@program(vector, vector, sizes=(3, 10))
def weighted_by_a_mask(x, w):
    m = (x > -1.0) & (w < 1.0)
    return np.sum(w[m] * x[m]), x[m].max(), np.dot(x[m], w[m]), len(x[m]) * x[0]


@program(wide, sizes=(4, 6))
def rows_by_a_mask(X):
    m = X[:, 0] > -1.5
    spread = np.std(X[m, 1])
    return X[m].mean(axis=0), spread, np.linalg.norm(X[m]), (X[m] ** 2).sum(1).max()


@program(square, sizes=(3, 4))
def inverse_where_large(A):
    B = A**2
    B[B > 0.5] = B[B > 0.5] ** -1.5
    B[A**2 <= 0.5] *= 2.0
    return B


@program(vector, sizes=(0, 5, 8))
def stable_sigmoid(x):
    out = np.zeros_like(x)
    pos = x >= 0
    out[pos] = 1 / (1 + np.exp(-x[pos]))
    z = np.exp(x[~pos])
    out[~pos] = z / (1 + z)
    return out


@program(vector, sizes=(0, 5, 8))
def means_of_bins(x):
    out = np.zeros(12)
    for k in range(12):
        low = 0.4 * k - 2.4
        inside = x[np.logical_and(low <= x, x < low + 0.4)]
        if inside.size > 0:
            out[k] = inside.mean()
    return out


@program(vector, vector, sizes=(5, 8))
def positions_of_a_mask(x, y):
    k = np.where(x > 0)[0]
    i = np.flatnonzero(y < 1.0)
    return np.sum(x[k] * y[k]), len(k) * x[0], (y[i] ** 2).mean()


@program(vector, sizes=(0, 3))
def most_of_none(x):
    return x[x > 100.0].max()


@program(definite, sizes=(3,))
def jacobi_rotations(A):
    A = A.copy()
    n = A.shape[0]
    for _sweep in range(3):
        for p in range(n - 1):
            for q in range(p + 1, n):
                if abs(A[p, q]) > 1e-12:
                    theta = (A[q, q] - A[p, p]) / (2 * A[p, q])
                    t = np.sign(theta) / (abs(theta) + np.sqrt(theta**2 + 1))
                    c = 1 / np.sqrt(t**2 + 1)
                    s = t * c
                    for k in range(n):
                        left, right = A[k, p], A[k, q]
                        A[k, p] = c * left - s * right
                        A[k, q] = s * left + c * right
                    for k in range(n):
                        left, right = A[p, k], A[q, k]
                        A[p, k] = c * left - s * right
                        A[q, k] = s * left + c * right
    return np.sort(np.diag(A))


@program(wide, sizes=(3, 4))
def pairs_by_a_mask(points):
    gaps = points[:, None, :] - points[None, :, :]
    d = np.triu(np.sqrt((gaps * gaps).sum(-1)))
    r = 1.0 / d[d > 1e-6]
    return (r**6 * r**6 - r**6).sum()


@program(vector, sizes=(3, 5))
def products_not_chosen(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        d = 1.0 / np.maximum(x, 0.0)
        return np.where(x > 0, d * d - d, x)


@program(vector, sizes=(0, 3))
def cell_through_a_view(x):
    out = np.zeros(())
    view = out[..., None]
    view[0] = 0.0
    for v in x:
        view[0] += v * v
    return out * 2.0


@program(vector, vector, sizes=(4, 6))
def arithmetic_of_booleans(x, y):
    inside = (x > -1.0) * (x < 1.0)
    either = inside + (y > 0)
    either *= y < 1.5
    all_above = True
    for v in y:
        all_above = all_above * (v > -5.0)
    count = 0
    for i in range(len(x)):
        count += (x[i] > 0) * (y[i] > 0)
    meet, apart = np.dot(inside, either), np.einsum("i,i->", x > 5, y > 0)
    sums = x[inside].sum() + y[either].sum()
    return sums, inside * x, all_above * x[0], meet, apart, count


@program(wide, sizes=(2, 4))
def resampled_particles(noise):
    x, likelihood = noise[:, 0].copy(), 0.0
    for t in range(1, noise.shape[1]):
        x = 0.7 * x + noise[:, t]
        weights = np.exp(-0.5 * (0.3 - x) ** 2)
        likelihood += np.log(np.mean(weights))
        shares = np.cumsum(weights) / weights.sum()
        places = (0.4 + np.arange(len(x))) / len(x)
        x = x[np.minimum(np.searchsorted(shares, places), len(x) - 1)]
    return likelihood


@program(wide, sizes=(2, 4))
def resampled_until_unlikely(noise):
    x, likelihood = noise[:, 0].copy(), 0.0
    for t in range(1, noise.shape[1]):
        x = 0.7 * x + noise[:, t]
        likelihood -= np.sum(x**2)
        shares = np.cumsum(np.exp(x))
        places = (0.4 + np.arange(len(x))) * shares[-1] / len(x)
        x = x[np.minimum(np.searchsorted(shares, places), len(x) - 1)]
        if likelihood < -0.5:
            break
    return likelihood


@program(square, vector, sizes=(2,))
def nest_of_ten_loops(A, x):
    n, out, t = len(x), np.zeros(len(x)), 0.0
    for a in range(n):
        for b in range(n):
            for c in range(n):
                for d in range(n):
                    for e in range(n):
                        for f in range(n):
                            for g in range(n):
                                for h in range(n):
                                    for i in range(n):
                                        for j in range(n):
                                            t = 0.5 * np.sin(t) + A[a, b] * x[c] * x[d]
                                            t -= A[e, f] * x[g] * A[h, i]
                                            out[j] += t * t
    return out / n**10


@program(rate, rate, sizes=(1, 2))
def series_until_small(x, a, tolerance=1e-12):
    if a > 10.0:
        return x
    total, k = 0, 0
    while True:
        before = total
        total += (a - 1 / (2 * k + 3)) * (x / (1.0 + x)) ** k
        k += 1
        if abs(total - before) < tolerance:
            return total


@program(vector, sizes=(0, 2, 3))
def square_roots_until_exact(v):
    def root(a):
        x = a
        while True:
            improved = 0.5 * (x + a / x)
            if abs(improved - x) < 1e-13:
                return improved
            x = improved

    return sum(root(1.0 + v[i] ** 2) for i in range(len(v)))


@program(wide, rate, sizes=(2, 4))
def filled_by_columns_and_rows(A, v):
    out, inside = A.copy(), A > 0.0
    for col in range(A.shape[1]):
        out[inside[:, col], col] = v
    for row in range(A.shape[0]):
        out[row, inside[row]] *= v + row
    out[~inside[0, :2], 1:] += v
    return out, len(out[inside[:, 0], 0]) * v


@program(vector, sizes=(1, 4, 6))
def nearest_on_the_simplex(v):
    falling = np.sort(v)[::-1]
    surplus = np.cumsum(falling) - 1.0
    number = np.arange(len(v)) + 1
    kept = falling - surplus / number > 0.0
    return np.maximum(v - surplus[kept][-1] / number[kept][-1], 0.0)


@program(wide, permutation, count, sizes=(3, 4))
def elements_of_what_a_mask_selects(A, order, k):
    far = np.linalg.norm(A[order > 0] - 2.0, axis=1)
    along = np.linalg.norm(A[order != 1], axis=0)
    chosen = A[A > np.min(A)]
    return far[0] * chosen[k] - chosen[-k], along, A[order > 0][k - 2]
