"""Roots of n cubics by Newton's method, each with as many steps as it takes."""

import numpy as np
from numba import njit

from tests.benchmarks.scan import scan
from tests.benchmarks.workload import Workload

TOLERANCE = 1e-12
MOST = 12
"""More steps than any root takes, for those who can't ask."""


def make_inputs(size, seed):
    return np.random.default_rng(seed).uniform(0.5, 3.0, size), 1.3


def objective(b, a):
    """The sum of squares of the y with y³ + a y = b."""
    total = 0.0
    for i in range(b.shape[0]):
        y = b[i]
        f = y * y * y + a * y - b[i]
        while abs(f) > TOLERANCE:
            y -= f / (3.0 * y * y + a)
            f = y * y * y + a * y - b[i]
        total += y * y
    return total


def objective_of_arrays(b, a):
    """All roots at once; those that are found stay."""

    def step(y, _):
        f = y * y * y + a * y - b
        return np.where(abs(f) > TOLERANCE, y - f / (3.0 * y * y + a), y), None

    y, _ = scan(step, b, None, MOST)
    return np.sum(y * y)


def hand(maths):
    @njit(error_model="numpy")
    def kernel(b, a, b_bar):
        """The derivatives by both parameters are carried along, forwards."""
        total = 0.0
        a_bar = 0.0
        for i in range(b.shape[0]):
            b_i = b[i]
            y, y_b, y_a = b_i, 1.0, 0.0
            square = y * y
            f = y * square + a * y - b_i
            while abs(f) > TOLERANCE:
                slope = 3.0 * square + a
                inverse = 1.0 / slope
                ratio = f * inverse
                bend = ratio * 6.0 * y * inverse
                # y - f/slope: the slope by y is (f/slope) * slope'/slope
                y_b = bend * y_b + inverse
                y_a = bend * y_a + (ratio - y) * inverse
                y -= ratio
                square = y * y
                f = y * square + a * y - b_i
            total += y * y
            b_bar[i] = 2.0 * y * y_b
            a_bar += 2.0 * y * y_a
        return total, a_bar

    def value_and_grad(b, a):
        b_bar = np.empty(b.shape)
        total, a_bar = kernel(b, a, b_bar)
        return total, (b_bar, a_bar)

    return value_and_grad


WORKLOAD = Workload(
    name="Newton with while",
    sizes={"1e4": 10_000},
    quick="1e4",
    tiny=5,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1),
    hand=hand,
    without={"casadi": "its graph would have millions of scalars"},
    by_scan=objective_of_arrays,
    rtol=1e-8,
)
