"""The line that makes a NaN, forward or backward."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tracegrad import debug_nans, grad, value_and_grad
from tracegrad.compiled import Compiled
from tracegrad.proof.nans import NotFinite


def forward(x):
    total = 0.0
    for i in range(x.shape[0]):
        shifted = x[i] - 1.0
        total += np.log(shifted)  # the line
    return total


def backward(x):
    squares = np.sum(x * x)
    return np.sqrt(squares)  # infinite slope at 0


BAD = np.array([2.0, 0.5])


def test_a_line_of_the_function():
    gradient = value_and_grad(forward)
    assert np.isnan(gradient(BAD)[0])  # nothing is checked outside
    with (
        debug_nans(),
        pytest.raises(
            NotFinite, match=r"log\(-0\.5\) made NaN, in the function itself"
        ),
    ):
        gradient(BAD)
    with debug_nans(), pytest.raises(FloatingPointError, match="the line"):
        gradient(BAD)
    with debug_nans():
        assert np.isfinite(gradient(BAD + 2.0)[0])


def test_a_line_of_the_derivative():
    with (
        debug_nans(),
        pytest.raises(
            NotFinite, match=r"an infinity, in the derivative[\s\S]*slope at"
        ),
    ):
        grad(backward)(np.zeros(2))


def test_an_argument_that_is_not_finite():
    with debug_nans(), pytest.raises(NotFinite, match="argument x is not finite"):
        grad(backward)(np.array([np.nan, 1.0]))


def test_afterwards_calls_are_as_fast_as_before():
    with debug_nans(), debug_nans():
        pass
    assert "__call__" not in vars(Compiled)
    grad(backward)(np.zeros(2))


def masked(x):
    safe = np.where(x > 0.0, np.log(x), x)  # the branch not taken is NaN
    return np.sum(np.sqrt(safe - 1.0))  # the line


def test_a_branch_that_is_not_taken_is_not_blamed():
    x = np.array([-0.5, 9.0, 2.0])
    with (
        debug_nans(),
        pytest.raises(NotFinite, match=r"sqrt\(-1\.5\) made NaN at \[0\]"),
    ):
        value_and_grad(masked)(x)
    with debug_nans(), pytest.raises(NotFinite, match=r"sqrt\(-0\.30\d*\).* at \[1\]"):
        value_and_grad(masked)(np.array([9.0, 2.0]))


def late(x):
    total = 0.0
    for i in range(x.shape[0]):
        root = np.sqrt(x[i])
        if i > 1:
            total += root
    return total


def test_of_many_the_one_that_is_used_is_named():
    with debug_nans(), pytest.raises(NotFinite, match=r"sqrt\(-3\) made NaN"):
        value_and_grad(late)(np.array([-1.0, -2.0, 4.0, -3.0, -5.0]))


def test_constants_are_taken_as_they_are():
    def log_density(x):
        return -np.inf if x < 0.0 else -x

    with debug_nans():
        assert value_and_grad(log_density)(-1.0)[0] == -np.inf


def test_other_threads_are_left_alone():
    gradient = value_and_grad(forward)
    with debug_nans(), ThreadPoolExecutor(1) as pool:
        assert np.isnan(pool.submit(gradient, BAD).result()[0])
        with pytest.raises(NotFinite):
            gradient(BAD)


def test_a_nan_of_infinities_is_named():
    def centred(x, mask):
        scores = np.where(mask, x, -np.inf)
        return np.sum(scores - np.max(scores))  # all are masked

    args = np.array([1.0, 2.0]), np.array([False, False])
    with debug_nans(), pytest.raises(NotFinite, match=r"subtract\(-inf, -inf\)"):
        value_and_grad(centred)(*args)


def test_what_ran_on_the_tape_says_so():
    def roots(x):
        parts = []
        for v in x[x > 0.0]:  # as many as there are
            parts.append(np.sqrt(v - 1.0))
        return sum(parts)

    gradient = value_and_grad(roots, mode="tape")
    with (
        debug_nans(),
        np.errstate(invalid="ignore"),
        pytest.raises(NotFinite, match="on the tape"),
    ):
        gradient(np.array([2.0, 0.5]))
