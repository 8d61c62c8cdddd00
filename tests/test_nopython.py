"""Compiled functions called in the user's own ``@njit`` code."""

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from tracegrad import grad, jit, value_and_grad


@value_and_grad
def energy(x, k=2.0):
    e = 0.0
    for i in range(1, x.shape[0]):
        d = x[i] - x[i - 1]
        if d > 1.0:
            d = 1.0 + np.log(d)
        e += 0.5 * k * d * d
    return e


@numba.njit
def descend(x, steps):
    x = x.copy()
    value = 0.0
    for _ in range(steps):
        value, x_bar = energy(x)
        x -= 0.01 * x_bar
    return value, x


def test_a_descent_wholly_in_nopython_mode():
    x = 3.0 * np.random.default_rng(0).normal(size=7)
    value, found = descend(x, 20)
    expected, by_hand = 0.0, x.copy()
    for _ in range(20):
        expected, x_bar = energy(by_hand)
        by_hand -= 0.01 * x_bar
    assert value == expected
    np.testing.assert_array_equal(found, by_hand)


def test_parallel_loops():
    @numba.njit(parallel=True)
    def gradients(X, k):
        out = np.empty(X.shape)
        for i in numba.prange(X.shape[0]):
            out[i] = energy(X[i], k)[1]
        return out

    X = np.random.default_rng(1).normal(size=(6, 5))
    expected = [energy(x, 1.5)[1] for x in X]
    np.testing.assert_array_equal(gradients(X, 1.5), expected)


def test_as_an_argument_with_keywords_and_defaults():
    slope = grad(lambda a, b=3.0, twice=False: np.sin(a) * (2 * b if twice else b))

    @numba.njit
    def total(f, a):
        return f(a) + f(a, 2.0) + f(b=4.0, a=a) + f(a, 0.5, True)

    assert total(slope, 1.0) == pytest.approx(10.0 * np.cos(1.0))


def test_a_broken_guard_is_traced_anew():
    def powers(x):
        return np.sum(x**2) if x.shape[0] > 5 else np.sum(x**3)

    slope = grad(powers)

    @numba.njit
    def call(x):
        return slope(x)

    for size in (3, 8, 1):
        x = np.linspace(0.5, 1.0, size)
        expected = 2.0 * x if size > 5 else 3.0 * x**2
        np.testing.assert_allclose(call(x), expected)
    strided = np.linspace(0.5, 1.0, 12).reshape(4, 3)[:, 1]
    np.testing.assert_allclose(call(strided), 3.0 * strided**2)


def test_nested_arguments_and_results():
    def model(params, x):
        return params[0] * np.sum(x) + params[1][0] ** 2

    slopes = grad(model, argnums=(0, 1))

    @numba.njit
    def call(params, x):
        return slopes(params, x)

    (scale, (offset,)), x_bar = call((2.0, (3.0,)), np.ones(3))
    assert (scale, offset) == (3.0, 6.0)
    np.testing.assert_array_equal(x_bar, [2.0, 2.0, 2.0])


def test_arguments_that_are_written():
    def squares(x, out):
        for i in range(x.shape[0]):
            out[i] = x[i] ** 2

    compiled = jit(squares)

    @numba.njit
    def call(x, out):
        compiled(x, out)

    out = np.empty(4)
    call(np.arange(4.0), out)
    np.testing.assert_array_equal(out, [0.0, 1.0, 4.0, 9.0])
    table = np.zeros((4, 3))
    call(np.arange(4.0), table[:, 1])  # not contiguous: the kernel writes to a copy
    np.testing.assert_array_equal(table[:, 1], [0.0, 1.0, 4.0, 9.0])
    np.testing.assert_array_equal(table[:, ::2], 0.0)
    with pytest.raises(ValueError, match="share memory"):
        call(out[:3], out[1:])


def test_exceptions_of_the_function():
    @grad
    def root(x):
        if x < 0.0:
            raise ValueError("negative")
        return np.sqrt(x)

    @numba.njit
    def call(x):
        return root(x)

    assert call(4.0) == 0.25
    with pytest.raises(ValueError, match="negative"):
        call(-1.0)


def test_sizes_that_a_function_insists_on_are_found():
    @grad
    def fit(theta, y, w):
        a, b, c = theta[:3]
        matrix = theta[3:].reshape(2, 2)
        e = 0.0
        for i in range(2, len(y)):
            e += w[5] * (y[i] - a * y[i - 1] - b * y[i - 2] + c) ** 2
        return e + np.sum(matrix @ w[:2])

    @numba.njit
    def call(theta, y, w):
        return fit(theta, y, w)

    theta, y, w = np.arange(7.0), np.sin(np.arange(9.0)), np.arange(1.0, 7.0)
    np.testing.assert_array_equal(call(theta, y, w), fit(theta, y, w))


def test_a_function_that_takes_no_sizes_says_so():
    @grad
    def fit(x):
        (a,) = x[:2]
        return a

    @numba.njit
    def call(x):
        return fit(x)

    with pytest.raises(TypingError, match="no sizes were found"):
        call(np.ones(3))


REFUSED = {
    "a list": (grad(lambda x: x[0] ** 2), ([1.0],), "list"),
    "a bool": (grad(lambda x, s: x if s else -x), (1.0, True), "True or False itself"),
    "a dict": (jit(lambda x: {"a": x}), (1.0,), "returns a dict"),
    "an integer": (grad(lambda n: n**2), (3,), "dtype is int64"),
}


@pytest.mark.parametrize(("function", "args", "message"), REFUSED.values(), ids=REFUSED)
def test_what_nopython_code_can_not_do_is_refused(function, args, message):
    @numba.njit
    def call(*args):
        return function(*args)

    with pytest.raises(TypingError, match=message):
        call(*args)
