"""Integers that are calculated from sizes, used as sizes: of arrays, slices, lists."""

import math

import numpy as np
import pytest

from tests.fuzz.kernels import running
from tracegrad import value_and_grad
from tracegrad.errors import ControlFlowError


def a_share(x):
    n = x.shape[0]
    k = int(0.4 * n)
    y = np.zeros(k)
    for i in range(k):
        y[i] = x[i] ** 2 + x[n - 1 - i]
    return np.sum(y * y)


def half_rounded_up(x):
    k = int(np.ceil(len(x) / 2))
    y = np.empty(k)
    for i in range(k):
        y[i] = x[2 * i if 2 * i < len(x) else 0]
    return np.dot(y, y)


def the_larger(x):
    a = x[:12].reshape(-1, 2)
    n, m = max(a.shape), min(a.shape)
    b = np.zeros((n, m))
    for i in range(m):
        b[i, i] = a[i, i] * n
    return np.sum(b**2)


def levels(x):
    y, total = x.copy(), 0.0
    for _ in range(int(np.log2(len(x)))):
        half = len(y) // 2
        y = y[:half] + 0.5 * y[half : 2 * half]
        total += np.sum(y**2)
    return total


def a_square_of_it(x):
    n = int(math.sqrt(len(x)))
    a = x[: n * n].reshape(n, n)
    return np.trace(a @ a)


def at_least_three(x):
    n = len(x)
    w = max(3, int(0.2 * n))
    y = np.zeros(n - w + 1)
    for i in range(n - w + 1):
        y[i] = np.mean(x[i : i + w])
    return np.sum(y**2)


def listed(x):
    return sum([x[i] ** 2 for i in range(int(len(x) * 0.5))])


def rolled(x):
    return np.sum(np.roll(x, int(0.3 * len(x))) * x)


def beside_an_array(x):
    n = int(len(x) * 0.5)
    return np.sum(np.exp(-np.linspace(0.0, 1.0, n)) * x[:n])


def counted(x):
    t = np.arange(int(len(x) / 2))
    return np.sum(t * x[t])


def in_a_branch(x):
    if x[0] > 0.0:
        y = np.zeros(int(0.3 * len(x)))
        for j in range(len(y)):
            y[j] = x[j] ** 2
        return np.sum(y)
    return x[1]


def convolved(x):
    k = max(len(x) // 10, 1)
    return np.sum(np.convolve(x, np.ones(k) / k, mode="valid") ** 2)


def a_loop_over_a_slice(x):
    k = int(0.4 * len(x))
    return np.sum(x[:k] ** 2) + np.sum(np.sin(x[k:]))


PROGRAMS = [
    a_share,
    half_rounded_up,
    the_larger,
    levels,
    a_square_of_it,
    at_least_three,
    listed,
    rolled,
    beside_an_array,
    counted,
    in_a_branch,
    convolved,
    a_loop_over_a_slice,
]


@pytest.mark.parametrize("f", PROGRAMS)
def test_gradients_at_several_sizes(f):
    derivative = value_and_grad(f, mode="compiled")
    for n in (16, 21, 16, 17):
        x = np.random.default_rng(n).normal(0.5, 1.0, n)
        with running():
            value, x_bar = derivative(x)
        steps = 1e-6 * np.eye(n)
        slopes = [(f(x + step) - f(x - step)) / 2e-6 for step in steps]
        assert value == pytest.approx(f(x), rel=1e-13)
        np.testing.assert_allclose(x_bar, slopes, rtol=1e-6, atol=1e-7)


def kernels(f, sizes):
    """The sources that gradients at some sizes come from."""
    derivative = value_and_grad(f, mode="compiled")
    found = set()
    for n in sizes:
        with running():
            derivative(np.linspace(0.5, 1.5, n))
        found.add(str(derivative.source))
    return found


def test_a_number_is_taken_only_where_an_array_has_that_size():
    assert len(kernels(a_loop_over_a_slice, (16, 21, 30))) == 1
    assert len(kernels(at_least_three, (16, 21, 16))) == 2


def test_data_decide_no_size():
    derivative = value_and_grad(lambda x: np.zeros(int(x[0])).sum(), mode="compiled")
    with pytest.raises(ControlFlowError, match="a shape depends on a traced value"):
        derivative(np.array([3.0]))
