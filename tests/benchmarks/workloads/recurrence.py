"""A recurrence written in place: each cell is a function of the one before it."""

import numpy as np
from numba import njit

from tests.benchmarks.scan import scan
from tests.benchmarks.scratch import Scratch
from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    return (np.random.default_rng(seed).uniform(-1.0, 1.0, size), 0.9)


def objective(x, w):
    n = x.shape[0]
    y = np.empty(n)
    y[0] = x[0]
    for i in range(1, n):
        y[i] = np.tanh(w * y[i - 1] + x[i])
    return np.sum(y * y)


def objective_by_scan(x, w):
    def step(carry, x_i):
        y, total = carry
        y = np.tanh(w * y + x_i)
        return (y, total + y * y), None

    (_, total), _ = scan(step, (x[0], x[0] * x[0]), x[1:], None)
    return total


def hand(maths):
    tanh, radd = maths.tanh, maths.radd

    @njit(error_model="numpy")
    def kernel(x, w, x_bar, y):
        n = x.shape[0]
        y[0] = x[0]
        before = x[0]
        for i in range(1, n):
            before = tanh(w * before + x[i])
            y[i] = before
        total = 0.0
        for i in range(n):
            total = radd(total, y[i] * y[i])
        w_bar = 0.0
        y_bar = 0.0
        for i in range(n - 1, 0, -1):
            y_i = y[i]
            z_bar = (y_bar + 2.0 * y_i) * (1.0 - y_i * y_i)
            x_bar[i] = z_bar
            w_bar += z_bar * y[i - 1]
            y_bar = w * z_bar
        x_bar[0] = y_bar + 2.0 * y[0]
        return total, w_bar

    scratch = Scratch()

    def value_and_grad(x, w):
        x_bar = np.empty(x.shape)
        total, w_bar = kernel(x, w, x_bar, *scratch(x.shape))
        return total, (x_bar, w_bar)

    return value_and_grad


WORKLOAD = Workload(
    name="recurrence in place",
    sizes={"1e5": 100_000},
    quick="1e5",
    tiny=9,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1),
    hand=hand,
    by_scan=objective_by_scan,
)
