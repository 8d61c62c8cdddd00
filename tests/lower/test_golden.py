"""What kernels look like: the printed gradients of five models, kept as files.

Run with ``TRACEGRAD_GOLDEN=write`` to accept changes, and read the difference.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import gradient, record, source
from tracegrad.lower.lower import lower
from tracegrad.primitives.composite import logsumexp
from tracegrad.primitives.special import erf

HERE = Path(__file__).parent / "golden"


def logistic(w, X, y):
    return np.mean(np.log1p(np.exp(-y * np.dot(X, w))))


def rosenbrock(x):
    a = x[1:] - x[:-1] ** 2
    b = 1.0 - x[:-1]
    return np.sum(100.0 * a**2 + b**2)


def cross_entropy(S, Y):
    return -np.sum(Y * (S - logsumexp(S, axes=(1,))[:, None])) / 128.0


def black_scholes(S, K, T, v, r):
    spread = v * np.sqrt(T)
    d1 = (np.log(S / K) + (r + 0.5 * v * v) * T) / spread
    d2 = d1 - spread
    n1 = 0.5 * (1.0 + erf(0.7 * d1))
    n2 = 0.5 * (1.0 + erf(0.7 * d2))
    return np.sum(S * n1 - K * np.exp(-r * T) * n2)


def quadratics(L, x, b):
    y = np.einsum("kij,nkj->nki", L, x[:, None, :] - b)
    return np.sum(np.log(1.0 + np.sum(y**2, axis=2)))


MODELS = {
    "logistic": (logistic, {"w": (3,), "X": (5, 3), "y": (5,)}, (0,)),
    "rosenbrock": (rosenbrock, {"x": (6,)}, (0,)),
    "cross_entropy": (cross_entropy, {"S": (4, 3), "Y": (4, 3)}, (0,)),
    "black_scholes": (
        black_scholes,
        {"S": (5,), "K": (5,), "T": (5,), "v": (5,), "r": ()},
        (0, 1, 2, 3, 4),
    ),
    "quadratics": (
        quadratics,
        {"L": (2, 10, 10), "x": (1000, 10), "b": (2, 10)},
        (0,),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_golden(name):
    function, shapes, argnums = MODELS[name]
    arguments = {key: np.ones(shape) for key, shape in shapes.items()}
    graph, assumptions = record(function, arguments)
    lowered = lower(gradient(graph, assumptions, argnums), assumptions, f"{name}_grad")
    text = source(lowered) + "\n"
    path = HERE / f"{name}.py.txt"
    if os.environ.get("TRACEGRAD_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()
