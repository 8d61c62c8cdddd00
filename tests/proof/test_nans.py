"""The line that makes a NaN, forward or backward."""

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
