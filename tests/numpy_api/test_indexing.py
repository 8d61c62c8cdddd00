"""Indexing against NumPy: every kind of index, and kinds mixed."""

from __future__ import annotations

import numpy
import pytest

from tests.numpy_api.agreement import check
from tests.tracing import pullback, record
from tracegrad.errors import TracingError

IDX = numpy.array([2, 0, -1, 2])
GRID = numpy.array([[0, 1], [2, -1]])

BASIC = {
    "int": lambda x: x[1],
    "negative int": lambda x: x[-2],
    "np int": lambda x: x[numpy.int32(2)],
    "two ints": lambda x: x[1, -1],
    "slice": lambda x: x[1:3],
    "open slices": lambda x: (x[1:], x[:-1], x[:2], x[-2:]),
    "inside": lambda x: x[1:-1],
    "whole": lambda x: x[:],
    "steps": lambda x: (x[::2], x[1::2], x[::3]),
    "reversed": lambda x: x[::-1],
    "negative steps": lambda x: (x[::-2], x[3:0:-1], x[-1:0:-2], x[:0:-1], x[-2::-1]),
    "far bounds": lambda x: (x[-100:100], x[100:], x[:-100], x[100::-1]),
    "empty": lambda x: (x[2:1], x[0:0], x[1:3:-1]),
    "columns": lambda x: x[:, 1],
    "both": lambda x: x[1:, ::-1],
    "ellipsis": lambda x: (x[...], x[..., 0], x[0, ...], x[..., 1:]),
    "newaxis": lambda x: (x[None], x[:, None], x[:, None, :], x[..., None], x[None, 1]),
    "int and newaxis": lambda x: (x[1, None], x[None, :, None, 0]),
    "traced sizes": lambda x: (x[: x.shape[1]], x[x.shape[0] - 1], x[x.shape[1] - 4 :]),
    "half": lambda x: x[: x.shape[0] // 2],
}
ADVANCED = {
    "array": lambda x: x[IDX],
    "list": lambda x: x[[0, 2, 2]],
    "tuple of lists": lambda x: x[[0, 1], [1, 1]],
    "empty list": lambda x: x[[]],
    "grid": lambda x: x[GRID],
    "columns": lambda x: x[:, numpy.array([0, 0, 2])],
    "pairs": lambda x: x[IDX, numpy.array([0, 1, 1, 0])],
    "broadcast": lambda x: x[IDX[:, None], numpy.array([0, 2])],
    "with slice": lambda x: (x[1:, [0, 2]], x[[1, 0], ::-1]),
    "with int": lambda x: (x[0, IDX % 3], x[IDX, 1]),
    "with newaxis": lambda x: (x[None, IDX], x[IDX, None], x[:, None, [0, 1]]),
    "0-d array": lambda x: x[numpy.array(1)],
    "int32": lambda x: x[IDX.astype(numpy.int32)],
    "ix_": lambda x: x[numpy.ix_([0, 2], [1, 0])],
}


@pytest.mark.parametrize("name", BASIC)
def test_basic(name):
    check(lambda np, x: BASIC[name](x), "n,m")


@pytest.mark.parametrize("name", ADVANCED)
def test_advanced(name):
    check(lambda np, x: ADVANCED[name](x), "n,m")


PLACEMENT = {
    "neighbours stay": lambda x: x[:, [0, 1], [1, 1]],
    "apart go first": lambda x: x[[0, 1], :, [1, 1]],
    "int apart goes first": lambda x: x[0, :, [1, 0, 1]],
    "int beside stays": lambda x: x[:, 0, [1, 0, 1]],
    "newaxis separates": lambda x: x[[0, 1], None, :, [1, 1]],
    "grid in the middle": lambda x: x[:, GRID % 2],
    "grid and vector": lambda x: x[GRID, :, [1, 0]],
    "ellipsis between": lambda x: x[[0, 1], ..., [1, 0]],
}


@pytest.mark.parametrize("name", PLACEMENT)
def test_numpys_placement_rule(name):
    check(lambda np, x: PLACEMENT[name](x), "n,m,k")


def test_duplicate_indices_add_up():
    x = numpy.arange(3.0)
    recorded = record(lambda v: v[numpy.array([1, 1, 1, 0])], x)
    gradient = pullback(recorded, [numpy.array([1.0, 2.0, 3.0, 4.0])])(x)
    numpy.testing.assert_array_equal(gradient, [4.0, 6.0, 0.0])


def test_static_masks():
    mask = numpy.array([True, False, True, True])
    check(lambda np, x: x[mask], "4,m")
    check(lambda np, x: x[mask, :2], "4,m")
    check(lambda np, x: x[numpy.arange(12).reshape(4, 3) % 2 == 0], "4,3")


def test_a_mask_of_another_length_is_an_index_error():
    with pytest.raises(IndexError, match="boolean index did not match"):
        record(lambda x: x[numpy.array([True, False])], numpy.ones(3))


def test_traced_masks_are_refused_with_advice():
    with pytest.raises(TracingError, match=r"np\.where"):
        record(lambda x: x[x > 0], numpy.ones(3))


def test_positions_that_depend_on_data():
    check(lambda np, x: x[np.argmax(x[:, 0])], "n,m")
    check(lambda np, x: x[np.argsort(x[:, 0])], "n,m")
    check(lambda np, x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1), "n,m")


def test_integer_arguments_as_index():
    x = numpy.arange(5.0)
    recorded = record(lambda v, i: v[i], x, 2)
    assert recorded(x, 4) == 4.0
    assert not recorded.holds(x, -1)
    assert not recorded.holds(x, 5)
    assert record(lambda v, i: v[i], x, -2)(x, -5) == 0.0


@pytest.mark.parametrize("index", [3, -4, (0, 2), (0, 0, 0)])
def test_out_of_bounds_is_numpys_error(index):
    x = numpy.ones((3, 2))
    with pytest.raises(IndexError) as expected:
        x[index]
    with pytest.raises(IndexError) as found:
        record(lambda v: v[index], x)
    assert str(found.value) == str(expected.value)


def test_out_of_bounds_gathers_raise_when_run():
    recorded = record(lambda v, i: v[i], numpy.ones(3), numpy.array([0, 1]))
    with pytest.raises(IndexError):
        recorded(numpy.ones(3), numpy.array([0, 3]))


@pytest.mark.parametrize("index", [1.0, "a"])
def test_other_objects_are_no_index(index):
    with pytest.raises((IndexError, TypeError)):
        record(lambda v: v[index], numpy.ones(3))


def test_neighbouring_slices_have_one_length():
    recorded = record(lambda x: x[1:] - x[:-1], numpy.ones(4))
    assert [str(g) for g in recorded.assumptions.guards] == ["x0.shape[0] >= 1"]


TAKE = {
    "axis": lambda np, x: np.take(x, [0, 2], axis=1),
    "flat": lambda np, x: np.take(x, [0, 5, -1]),
    "scalar": lambda np, x: np.take(x, 1, axis=0),
    "grid": lambda np, x: np.take(x, GRID, axis=0),
    "wrap": lambda np, x: np.take(x, [0, 100, -70], axis=0, mode="wrap"),
    "clip": lambda np, x: np.take(x, [0, 100, -70], axis=0, mode="clip"),
    "method": lambda np, x: x.take([1, 0], 1),
}


@pytest.mark.parametrize("name", TAKE)
def test_take(name):
    check(TAKE[name], "n,m")


@pytest.mark.parametrize("name", ["nonzero", "unique", "flatnonzero", "argwhere"])
def test_shapes_that_depend_on_data_are_refused(name):
    with pytest.raises(TracingError, match="depends on data"):
        record(getattr(numpy, name), numpy.ones(3))
