"""The heat equation on a line, stepped in place."""

import numpy as np
from numba import njit

from tests.benchmarks.scan import scan
from tests.benchmarks.scratch import Scratch
from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    n, steps = size
    return np.random.default_rng(seed).uniform(0.0, 1.0, n), 0.2, steps


def objective(u, c, steps):
    u = u.copy()
    n = u.shape[0]
    for _ in range(steps):
        before = u[0]
        for i in range(1, n - 1):
            here = u[i]
            u[i] = here + c * (before - 2.0 * here + u[i + 1])
            before = here
    return np.sum(u * u)


def objective_of_slices(u, c, steps):
    """The same as NumPy programs say it."""
    u = u.copy()
    for _ in range(steps):
        u[1:-1] += c * (u[:-2] - 2.0 * u[1:-1] + u[2:])
    return np.sum(u * u)


def objective_of_buffers(u, c, steps):
    """The same with two buffers that swap."""
    u = u.copy()
    new = u.copy()
    n = u.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            new[i] = u[i] + c * (u[i - 1] - 2.0 * u[i] + u[i + 1])
        u, new = new, u
    return np.sum(u * u)


def objective_by_scan(u, c, steps):
    def step(u, _):
        inner = u[1:-1] + c * (u[:-2] - 2.0 * u[1:-1] + u[2:])
        return np.concatenate([u[:1], inner, u[-1:]]), None

    u, _ = scan(step, u, None, steps)
    return np.sum(u * u)


def hand(maths):
    radd = maths.radd

    @njit(error_model="numpy")
    def kernel(u_0, c, steps, u_bar, kept, bars):
        """Each state is written into the history; the adjoint steps like the primal.

        Only at the ends, which never change, it differs: they only collect.
        """
        n = u_0.shape[0]
        for i in range(n):
            kept[0, i] = u_0[i]
        for t in range(steps):
            u, new = kept[t], kept[t + 1]
            new[0], new[n - 1] = u[0], u[n - 1]
            for i in range(1, n - 1):
                new[i] = u[i] + c * (u[i - 1] - 2.0 * u[i] + u[i + 1])
        total = 0.0
        u, bar = kept[steps], bars[0]
        for i in range(n):
            total = radd(total, u[i] * u[i])
            bar[i] = 2.0 * u[i]

        c_bar = 0.0
        first, last = bar[0], bar[n - 1]
        bar[0] = bar[n - 1] = bars[1, 0] = bars[1, n - 1] = 0.0
        for t in range(steps - 1, -1, -1):
            u, bar, new = kept[t], bars[(steps - 1 - t) % 2], bars[(steps - t) % 2]
            first += c * bar[1]
            last += c * bar[n - 2]
            for i in range(1, n - 1):
                c_bar = radd(c_bar, bar[i] * (u[i - 1] - 2.0 * u[i] + u[i + 1]))
                new[i] = bar[i] + c * (bar[i - 1] - 2.0 * bar[i] + bar[i + 1])
        bar = bars[steps % 2]
        for i in range(n):
            u_bar[i] = bar[i]
        u_bar[0], u_bar[n - 1] = first, last
        return total, c_bar

    scratch = Scratch()

    def value_and_grad(u, c, steps):
        n = u.shape[0]
        u_bar = np.empty(n)
        total, c_bar = kernel(u, c, steps, u_bar, *scratch((steps + 1, n), (2, n)))
        return total, (u_bar, c_bar)

    return value_and_grad


WORKLOAD = Workload(
    name="heat in place",
    sizes={"1000 × 500": (1000, 500)},
    quick="1000 × 500",
    tiny=(9, 7),
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1),
    hand=hand,
    spellings={"slices": objective_of_slices, "buffers": objective_of_buffers},
    without={"casadi": "its graph would have millions of scalars"},
    by_scan=objective_by_scan,
)
