"""Small arrays as numbers: what is split, what isn't, and that values stay the same."""

import numpy as np
import pytest

from tests.fuzz.kernels import running
from tracegrad import jit, value_and_grad


def source(function, *arguments):
    """The kernel's source, after its value was compared with that of the function."""
    with running("python"):
        compiled = jit(function, mode="compiled")
        np.testing.assert_allclose(compiled(*arguments), function(*arguments), 1e-15)
        return compiled.source


def has_arrays(text):
    """Whether a kernel makes arrays of its own."""
    return any(call in text for call in ("carve(", "empty(", "zeros("))


def swinging(angle, n):
    y = np.array([angle, 0.0])
    for _ in range(n):
        middle = y + 0.05 * np.array([y[1], -np.sin(y[0])])
        y = y + 0.1 * np.array([middle[1], -np.sin(middle[0])])
    return y[0]


def written_in_branches(x):
    s = np.zeros(3)
    for i in range(x.shape[0]):
        if x[i] > 0.0:
            s[0] += x[i]
            s[1:] = s[:2] * 0.5
        else:
            s[2] -= x[i]
    return s[0] * s[1] + s[2]


def read_by_a_condition(x):
    s = np.array([x[0], 1.0])
    while s[0] < 10.0 and s[1] < 8.0:
        s[0] *= 1.5
        s += 1.0
    return s[0] + s[1]


def rotated(x):
    c, s = np.cos(x[0]), np.sin(x[0])
    total = 0.0
    for _ in range(1, x.shape[0]):
        R = np.zeros((2, 2))
        R[0, 0] = R[1, 1] = c
        R[1, 0], R[0, 1] = s, -s
        row = (R @ R.T)[::-1, 0]
        total += np.sum(R * R[::-1]) + row[1]
    return total


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (swinging, (1.0, 4)),
        (swinging, (1.0, 0)),
        (written_in_branches, (np.array([1.0, -2.0, 3.0, 0.5]),)),
        (read_by_a_condition, (np.array([1.0]),)),
        (rotated, (np.array([0.3, 1.0, 2.0]),)),
    ],
)
def test_what_is_put_together_and_taken_apart_needs_no_memory(function, arguments):
    assert not has_arrays(source(function, *arguments))


def indexed_by_a_loop(x):
    s = np.zeros(3)
    s[0] = x[0]
    for i in range(1, x.shape[0]):
        s[i] = s[i - 1] * x[i]
    return s[0] + s[2]


def multiplied_by_a_large_one(A, x):
    s = np.array([x[0], x[1]])
    for _ in range(2):
        s = np.sin(s)
    return np.sum(A @ s)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (indexed_by_a_loop, (np.array([2.0, 3.0, 4.0]),)),
        (multiplied_by_a_large_one, (np.ones((5, 2)), np.array([1.0, 2.0]))),
    ],
)
def test_what_is_indexed_or_used_as_a_whole_stays_an_array(function, arguments):
    assert has_arrays(source(function, *arguments))


def test_a_gradient_is_stored_cell_by_cell():
    def residual(p):
        return p[0] * p[2] + p[0]

    def rows(P):
        J = np.empty((P.shape[0], 3))
        for i in range(P.shape[0]):
            _, J[i] = value_and_grad(residual)(P[i])
        return J

    P = np.arange(6.0).reshape(2, 3)
    with running("python"):
        compiled = jit(rows, mode="compiled")
        expected = np.stack([P[:, 2] + 1.0, np.zeros(2), P[:, 0]], 1)
        np.testing.assert_array_equal(compiled(P), expected)
        assert "J[i, 1] = 0.0" in compiled.source
        assert "P_bar" not in compiled.source
