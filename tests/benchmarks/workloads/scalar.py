"""A scalar function of fifteen operations: what a call costs."""

import numpy as np
from numba import njit

from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    rng = np.random.default_rng(seed)
    return tuple(float(v) for v in rng.uniform(0.5, 1.5, 2))


def objective(x, y):
    a = np.sin(x) * y
    b = np.exp(-0.5 * a * a)
    c = np.sqrt(x * x + y * y)
    d = b * c + a / c
    return np.log(1.0 + d * d)


def hand(maths):
    sin, cos, exp, log = maths.sin, maths.cos, maths.exp, maths.log

    @njit(error_model="numpy")
    def kernel(x, y):
        s = sin(x)
        a = s * y
        b = exp(-0.5 * a * a)
        c = np.sqrt(x * x + y * y)
        q = a / c
        d = b * c + q
        e = 1.0 + d * d
        d_bar = 2.0 * d / e
        q_bar = d_bar / c
        c_bar = (d_bar * b - q_bar * q) / c
        a_bar = q_bar - d_bar * c * b * a
        return log(e), (a_bar * y * cos(x) + c_bar * x, a_bar * s + c_bar * y)

    return kernel


WORKLOAD = Workload(
    name="scalar, 15 operations",
    sizes={"2 scalars": None},
    quick="2 scalars",
    tiny=None,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1),
    hand=hand,
)
