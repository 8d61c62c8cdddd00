"""Index arrays of which a part is used: what isn't looked up may hold anything."""

import numpy as np
import pytest

from tracegrad import check_grads, value_and_grad

X = np.arange(5.0) + 1.0


def first_two(x, at):
    return np.sum(x[at[:2]] ** 2)


def two_of_each_row(x, at):
    total = 0.0
    for i in range(at.shape[0]):
        total += np.sum(x[at[i, :2]] ** 2)
    return total


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (first_two, np.array([0, -1, 99])),
        (two_of_each_row, np.array([[0, 1, 99], [3, -1, 77]])),
    ],
)
def test_a_part_that_is_not_used_is_not_checked(function, at):
    value, _ = value_and_grad(function)(X, at)
    assert value == function(X, at)
    check_grads(lambda x: function(x, at), (X,))


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (first_two, np.array([0, 5, 1])),
        (two_of_each_row, np.array([[0, 1, 99], [3, -6, 77]])),
    ],
)
def test_a_part_that_is_used_is_checked(function, at):
    with pytest.raises(IndexError):
        function(X, at)
    with pytest.raises(IndexError, match="out of bounds"):
        value_and_grad(function)(X, at)
