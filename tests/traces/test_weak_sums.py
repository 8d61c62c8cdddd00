"""Sums that start as Python's floats: their bodies are recorded once, if they may."""

import numpy as np
import pytest

from tracegrad import jit

X = np.array([1.0, 2.0, 4.0])
H = np.array([0.5, 0.25], dtype=np.float32)


def summed(x, h):
    total = 0.0
    for e in x:
        total += e
    return total * h


def twice(x, h):
    total = y = 0.0
    for e in x:
        y = total * 2.0
        total += e
    return y * h


def narrow(x, h):
    total = 0.0
    for e in x:
        h = h * total
        total += e
    return h


@pytest.mark.parametrize("program", [summed, twice, narrow])
def test_results_have_the_dtype_of_numpy(program):
    expected, found = program(X, H), jit(program)(X, H)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == expected.dtype
