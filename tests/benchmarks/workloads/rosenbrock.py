"""The Rosenbrock function of n variables: memory traffic and a stencil's adjoint."""

import numpy as np
from numba import njit

from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    return (np.random.default_rng(seed).uniform(-2.0, 2.0, size),)


def objective(x):
    a = x[1:] - x[:-1] ** 2
    b = 1.0 - x[:-1]
    return np.sum(100.0 * a**2 + b**2)


def objective_as_loop(x):
    total = 0.0
    for i in range(x.shape[0] - 1):
        a = x[i + 1] - x[i] * x[i]
        b = 1.0 - x[i]
        total += 100.0 * a * a + b * b
    return total


def hand(maths):
    radd = maths.radd

    @njit(error_model="numpy")
    def kernel(x, x_bar):
        n = x.shape[0]
        a = x[1] - x[0] * x[0]
        b = 1.0 - x[0]
        total = 100.0 * a * a + b * b
        x_bar[0] = -400.0 * a * x[0] - 2.0 * b
        for i in range(1, n - 1):  # each element gathers from both its neighbours
            x_i = x[i]
            x_im1 = x[i - 1]
            a = x[i + 1] - x_i * x_i
            b = 1.0 - x_i
            total = radd(total, 100.0 * a * a + b * b)
            x_bar[i] = 200.0 * (x_i - x_im1 * x_im1) - 400.0 * a * x_i - 2.0 * b
        x_bar[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2])
        return total

    def value_and_grad(x):
        x_bar = np.empty(x.shape)
        return kernel(x, x_bar), (x_bar,)

    return value_and_grad


WORKLOAD = Workload(
    name="Rosenbrock",
    sizes={"10": 10, "1e3": 1_000, "1e5": 100_000, "1e6": 1_000_000},
    quick="1e3",
    tiny=7,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0,),
    hand=hand,
    spellings={"loop": objective_as_loop},
)
