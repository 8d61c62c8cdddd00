"""The dense routines against NumPy's, which plain Python runs in their place."""

import numpy as np
import pytest

from codegen import dense
from codegen import plain_instructions as plain

SIZES = (0, 1, 2, 7)
DTYPES = (np.float64, np.float32)
rng = np.random.default_rng(8)


def matrices(n, dtype):
    """One in rows and one in columns, both positive definite."""
    a = rng.normal(size=(n, n))
    a = (a @ a.T + n * np.eye(n)).astype(dtype)
    return a, np.asfortranarray(a + np.triu(a))


def agree(routine, *operands, shape=None):
    """The same result as NumPy's, from operands left as they were."""
    copies = [operand.copy() for operand in operands]
    if shape is None:
        found = getattr(dense, routine)(*operands)
        expected = getattr(plain, routine)(*operands)
    else:
        found, expected = np.empty((2, *shape), operands[0].dtype)
        getattr(dense, routine)(*operands, found)
        getattr(plain, routine)(*operands, expected)
    tolerance = 1e-4 if operands[0].dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, tolerance, tolerance)
    for operand, copy in zip(operands, copies, strict=True):
        np.testing.assert_array_equal(operand, copy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_matrices(n, dtype):
    rows, columns = matrices(n, dtype)
    sides = rng.normal(size=(n, 3)).astype(dtype)
    for a in (rows, columns.T):
        agree("linear_solve", a, sides[:, 0].copy(), shape=(n,))
        agree("linear_solve", a, sides, shape=(n, 3))
        agree("linear_solve", a, np.asfortranarray(sides), shape=(n, 3))
    agree("matrix_inverse", rows, shape=(n, n))
    agree("cholesky_factor", rows, shape=(n, n))
    for a in (rows, -rows, rows[::-1].copy()):
        agree("matrix_determinant", a)
        agree("log_determinant", a)


def test_only_the_lower_half_is_read_for_a_cholesky_factor():
    rows, _ = matrices(4, np.float64)
    agree("cholesky_factor", np.tril(rows), shape=(4, 4))


def test_singular_matrices():
    zeros, side, out = np.zeros((2, 2)), np.ones(2), np.empty((2, 2))
    agree("matrix_determinant", zeros)
    agree("log_determinant", zeros)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        dense.linear_solve(zeros, side, np.empty(2))
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        dense.matrix_inverse(zeros, out)
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        dense.cholesky_factor(-np.eye(2), out)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 101])
def test_a_stable_order_with_nan_last(n):
    values = rng.integers(0, 9, n).astype(float)
    values[1::5] = np.nan
    values[2::7] = -np.inf
    found, expected = np.empty((2, n), np.int64)
    dense.stable_argsort(values, found)
    plain.stable_argsort(values, expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("routine", ["search_left", "search_right"])
@pytest.mark.parametrize("n", [0, 1, 2, 65])
def test_places_among_sorted_cells(routine, n):
    cells = np.sort(rng.integers(0, 9, n).astype(float))
    cells[n - n // 5 :] = np.nan
    values = np.array([*cells, -1.0, 4.5, 99.0, np.inf, np.nan])
    found, expected = np.empty((2, values.size), np.int64)
    getattr(dense, routine)(cells, values, found)
    getattr(plain, routine)(cells, values, expected)
    np.testing.assert_array_equal(found, expected)
