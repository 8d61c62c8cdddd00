"""Logistic regression: two products with a matrix, and a cheap loop between them.

Reading the matrix once, block by block, was measured to gain nothing (2 %).
"""

import numpy as np
from numba import njit

from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    n, d = size
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    w = 0.3 * rng.standard_normal(d)
    y = np.where(X @ rng.standard_normal(d) + rng.standard_normal(n) > 0.0, 1.0, -1.0)
    return w, X, y


def objective(w, X, y):
    return np.mean(np.log1p(np.exp(-y * (X @ w))))


def hand(maths):
    exp, log1p, radd = maths.exp, maths.log1p, maths.radd

    @njit(error_model="numpy")
    def kernel(w, X, y, w_bar):
        n = X.shape[0]
        z = np.empty(n)
        np.dot(X, w, z)
        total = 0.0
        for i in range(n):
            e = exp(-y[i] * z[i])
            total = radd(total, log1p(e))
            z[i] = -y[i] * e / ((1.0 + e) * n)
        np.dot(X.T, z, w_bar)
        return total / n

    def value_and_grad(w, X, y):
        w_bar = np.empty(w.shape)
        return kernel(w, X, y, w_bar), (w_bar,)

    return value_and_grad


WORKLOAD = Workload(
    name="logistic regression",
    sizes={"1e4 × 100": (10_000, 100)},
    quick="1e4 × 100",
    tiny=(9, 3),
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0,),
    hand=hand,
)
