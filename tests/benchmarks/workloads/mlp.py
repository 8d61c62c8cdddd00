"""A perceptron with one hidden layer and softmax cross-entropy: BLAS decides."""

import numpy as np
from numba import njit
from scipy.special import logsumexp

from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    batch, inputs, hidden, classes = size
    rng = np.random.default_rng(seed)
    W1 = rng.standard_normal((inputs, hidden)) / np.sqrt(inputs)
    b1 = 0.1 * rng.standard_normal(hidden)
    W2 = rng.standard_normal((hidden, classes)) / np.sqrt(hidden)
    b2 = 0.1 * rng.standard_normal(classes)
    X = rng.standard_normal((batch, inputs))
    Y = np.eye(classes)[rng.integers(0, classes, batch)]
    return W1, b1, W2, b2, X, Y


def objective(W1, b1, W2, b2, X, Y):
    h = np.tanh(X @ W1 + b1)
    s = h @ W2 + b2
    log_p = s - logsumexp(s, axis=1, keepdims=True)
    return -np.sum(Y * log_p) / X.shape[0]


def hand(maths):
    exp, log, tanh, radd = maths.exp, maths.log, maths.tanh, maths.radd

    @njit(error_model="numpy")
    def kernel(W1, b1, W2, b2, X, Y, W1_bar, b1_bar, W2_bar, b2_bar):
        n, classes = Y.shape
        hidden = b1.shape[0]
        h = np.empty((n, hidden))
        h_bar = np.empty((n, hidden))
        s = np.empty((n, classes))
        np.dot(X, W1, h)
        for i in range(n):
            for j in range(hidden):
                h[i, j] = tanh(h[i, j] + b1[j])
        np.dot(h, W2, s)
        loss = 0.0
        b2_bar[:] = 0.0
        for i in range(n):
            peak = -np.inf
            for j in range(classes):
                s[i, j] += b2[j]
                peak = max(peak, s[i, j])
            mass = 0.0
            chosen = 0.0
            weight = 0.0
            for j in range(classes):
                e = s[i, j] - peak
                chosen = radd(chosen, Y[i, j] * e)
                weight = radd(weight, Y[i, j])
                s[i, j] = exp(e)
                mass = radd(mass, s[i, j])
            loss += weight * log(mass) - chosen
            scale = weight / (mass * n)
            for j in range(classes):
                s[i, j] = s[i, j] * scale - Y[i, j] / n
                b2_bar[j] += s[i, j]
        np.dot(h.T, s, W2_bar)
        np.dot(s, W2.T, h_bar)
        b1_bar[:] = 0.0
        for i in range(n):
            for j in range(hidden):
                h_bar[i, j] *= 1.0 - h[i, j] * h[i, j]
                b1_bar[j] += h_bar[i, j]
        np.dot(X.T, h_bar, W1_bar)
        return loss / n

    def value_and_grad(W1, b1, W2, b2, X, Y):
        bars = tuple(np.empty(p.shape) for p in (W1, b1, W2, b2))
        return kernel(W1, b1, W2, b2, X, Y, *bars), bars

    return value_and_grad


WORKLOAD = Workload(
    name="MLP, batch 128",
    sizes={"784-128-10": (128, 784, 128, 10)},
    quick="784-128-10",
    tiny=(3, 4, 3, 2),
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1, 2, 3),
    hand=hand,
    without={"casadi": "its arrays do not broadcast"},
)
