"""Black–Scholes call prices, summed: special functions, five inputs.

The hand-written gradient uses the closed form of the Greeks, in which the two normal
densities are one, as S·φ(d1) = K·exp(-rT)·φ(d2). No adjoint can know that.
"""

import math

import numpy as np
from numba import njit
from scipy.special import erf

from tests.benchmarks.workload import Workload

SQRT_HALF = math.sqrt(0.5)
DENSITY = 1.0 / math.sqrt(2.0 * math.pi)


def make_inputs(size, seed):
    rng = np.random.default_rng(seed)
    S = rng.uniform(50.0, 150.0, size)
    K = rng.uniform(50.0, 150.0, size)
    T = rng.uniform(0.1, 2.0, size)
    v = rng.uniform(0.1, 0.5, size)
    return S, K, T, v, 0.03


def objective(S, K, T, v, r):
    spread = v * np.sqrt(T)
    d1 = (np.log(S / K) + (r + 0.5 * v * v) * T) / spread
    d2 = d1 - spread
    N1 = 0.5 * (1.0 + erf(SQRT_HALF * d1))
    N2 = 0.5 * (1.0 + erf(SQRT_HALF * d2))
    return np.sum(S * N1 - K * np.exp(-r * T) * N2)


def hand(maths):
    exp, log, erf, radd = maths.exp, maths.log, maths.erf, maths.radd

    @njit(error_model="numpy")
    def kernel(S, K, T, v, r, S_bar, K_bar, T_bar, v_bar):
        total = 0.0
        r_bar = 0.0
        for i in range(S.shape[0]):
            S_i, K_i, T_i, v_i = S[i], K[i], T[i], v[i]
            root = np.sqrt(T_i)
            spread = v_i * root
            d1 = (log(S_i / K_i) + (r + 0.5 * v_i * v_i) * T_i) / spread
            N1 = 0.5 * (1.0 + erf(SQRT_HALF * d1))
            N2 = 0.5 * (1.0 + erf(SQRT_HALF * (d1 - spread)))
            discount = exp(-r * T_i)
            density = S_i * DENSITY * exp(-0.5 * d1 * d1)
            owed = K_i * discount * N2
            total = radd(total, S_i * N1 - owed)
            r_bar = radd(r_bar, T_i * owed)
            S_bar[i] = N1
            K_bar[i] = -discount * N2
            T_bar[i] = 0.5 * v_i * density / root + r * owed
            v_bar[i] = root * density
        return total, r_bar

    def value_and_grad(S, K, T, v, r):
        S_bar, K_bar = np.empty(S.shape), np.empty(K.shape)
        T_bar, v_bar = np.empty(T.shape), np.empty(v.shape)
        value, r_bar = kernel(S, K, T, v, r, S_bar, K_bar, T_bar, v_bar)
        return value, (S_bar, K_bar, T_bar, v_bar, r_bar)

    return value_and_grad


WORKLOAD = Workload(
    name="Black–Scholes",
    sizes={"1e6": 1_000_000},
    quick="1e6",
    tiny=5,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1, 2, 3, 4),
    hand=hand,
)
