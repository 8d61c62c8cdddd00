"""The likelihood of a hidden Markov model: the forward pass, scaled at each step."""

import numpy as np
from numba import njit

from tests.benchmarks.scan import scan
from tests.benchmarks.scratch import Scratch
from tests.benchmarks.workload import Workload

SYMBOLS = 16


def make_inputs(size, seed):
    states, length = size
    rng = np.random.default_rng(seed)
    A = rng.uniform(0.1, 1.0, (states, states))
    B = rng.uniform(0.1, 1.0, (SYMBOLS, states))
    start = rng.uniform(0.1, 1.0, states)
    seen = rng.integers(0, SYMBOLS, length)
    A /= A.sum(axis=1, keepdims=True)
    return A, B / B.sum(axis=0), start / start.sum(), seen


def objective(A, B, start, seen):
    states = A.shape[0]
    alpha = start.copy()
    moved = np.empty(states)
    total = 0.0
    for t in range(seen.shape[0]):
        o = seen[t]
        for j in range(states):
            moved[j] = 0.0
        for i in range(states):
            for j in range(states):
                moved[j] += alpha[i] * A[i, j]
        norm = 0.0
        for j in range(states):
            moved[j] *= B[o, j]
            norm += moved[j]
        for j in range(states):
            alpha[j] = moved[j] / norm
        total += np.log(norm)
    return total


def objective_of_products(A, B, start, seen):
    """The same with array expressions inside the loop."""
    alpha = start
    total = 0.0
    for t in range(seen.shape[0]):
        alpha = (alpha @ A) * B[seen[t]]
        norm = np.sum(alpha)
        alpha = alpha / norm
        total += np.log(norm)
    return total


def objective_by_scan(A, B, start, seen):
    def step(carry, b):
        alpha, total = carry
        alpha = (alpha @ A) * b
        norm = np.sum(alpha)
        return (alpha / norm, total + np.log(norm)), None

    (_, total), _ = scan(step, (start, 0.0), B[seen], None)
    return total


def hand(maths):
    radd = maths.radd

    @njit(error_model="numpy")
    def kernel(A, B, start, seen, kept, norms, pulled, A_bar, B_bar, alpha_bar):
        """The adjoint of A is a sum of outer products: one product of matrices."""
        states, length = A.shape[0], seen.shape[0]
        for j in range(states):
            kept[0, j] = start[j]
            alpha_bar[j] = 0.0
            for o in range(B.shape[0]):
                B_bar[o, j] = 0.0
        total = 0.0
        for t in range(length):
            alpha, moved, b = kept[t], kept[t + 1], B[seen[t]]
            for j in range(states):
                moved[j] = 0.0
            for i in range(states):
                alpha_i, A_i = alpha[i], A[i]
                for j in range(states):
                    moved[j] += alpha_i * A_i[j]
            norm = 0.0
            for j in range(states):
                norm = radd(norm, moved[j] * b[j])
            inverse = 1.0 / norm
            norms[t] = inverse
            for j in range(states):
                moved[j] *= b[j] * inverse
            total += np.log(norm)

        for t in range(length - 1, -1, -1):
            moved, bar, b = kept[t + 1], pulled[t], B[seen[t]]
            inner = 0.0
            for j in range(states):
                inner = radd(inner, alpha_bar[j] * moved[j])
            inverse, b_bar = norms[t], B_bar[seen[t]]
            for j in range(states):
                y_bar = alpha_bar[j] + 1.0 - inner
                b_bar[j] += y_bar * moved[j] / b[j]
                bar[j] = y_bar * inverse * b[j]
            for i in range(states):
                s = 0.0
                A_i = A[i]
                for j in range(states):
                    s = radd(s, A_i[j] * bar[j])
                alpha_bar[i] = s
        np.dot(kept[:length].T, pulled, A_bar)
        return total

    scratch = Scratch()

    def value_and_grad(A, B, start, seen):
        bars = np.empty(A.shape), np.empty(B.shape), np.empty(start.shape)
        length, states = seen.shape[0], start.shape[0]
        kept = scratch((length + 1, states), length, (length, states))
        return kernel(A, B, start, seen, *kept, *bars), bars

    return value_and_grad


WORKLOAD = Workload(
    name="HMM forward",
    sizes={"S=32 T=1000": (32, 1000)},
    quick="S=32 T=1000",
    tiny=(3, 6),
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1, 2),
    hand=hand,
    spellings={"products": objective_of_products},
    by_scan=objective_by_scan,
    without={"casadi": "it has no gather by an array"},
)
