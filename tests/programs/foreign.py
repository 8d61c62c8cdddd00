"""Programs in the styles of public kernels, which once failed here."""

import math

import numpy as np

from tests.programs.record import count, definite, program, rate, square, vector, wide


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
