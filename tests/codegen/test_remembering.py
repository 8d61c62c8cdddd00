"""Numba, asked each question once, answers as it does when asked again and again."""

import numpy as np
import pytest
from numba import njit

from codegen.remembering import remembering


def twice(function):
    """Compiled as kernels are, and as Numba does."""
    return njit(pipeline_class=remembering)(function), njit(function)


def same(function, *args):
    ours, numbas = (compiled(*args) for compiled in twice(function))
    for found, expected in zip(ours, numbas, strict=True):
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected)
        if isinstance(found, np.ndarray):
            assert found.dtype == expected.dtype
            assert found.flags.c_contiguous


def test_operators_of_several_types():
    def operators(i, x):
        a = i * i + x * x - i * x
        b = i // 2 + x // 2.0 + i % 3
        y = np.float32(x)
        return a, b, y * y, i * i, i / 2, -i, -x, i < 3, x < 3.0, max(i, 2), max(x, 2.0)

    same(operators, 7, 2.5)


def test_zeros_of_ranks_and_dtypes():
    def arrays(n):
        return (
            np.zeros(n),
            np.zeros((3, n)),
            np.zeros((n, 2, 0)),
            np.zeros(n, np.float32),
            np.zeros((n, 4), np.int64),
            np.zeros(n, np.bool_),
        )

    same(arrays, 5)


def test_empty_arrays_are_written():
    def arrays(n):
        a, b = np.empty((2, n)), np.empty(n, np.int32)
        for i in range(n):
            a[0, i], a[1, i], b[i] = i, -i, 2 * i
        return a, b

    same(arrays, 6)


@pytest.mark.parametrize("n", [-1, 2**21 + 1, 2**19])
def test_sizes_that_no_array_has(n):
    def size(n):
        return np.zeros((n, n, n)).size

    for compiled in twice(size):
        with pytest.raises((ValueError, MemoryError), match=r"negative|big|large"):
            compiled(n)
