"""Reductions, running totals and statistics against NumPy."""

from __future__ import annotations

import numpy
import pytest

from tests.numpy_api.agreement import check
from tests.tracing import pullback, record

AXES = (None, 0, -1, (0,), (0, 1), (-1, 0), ())
REDUCTIONS = ("sum", "prod", "mean", "max", "min")


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", [*REDUCTIONS, "var", "std", "ptp", "median"])
def test_along_axes(name, axis, keepdims):
    if axis == () and name in ("var", "std", "ptp", "mean", "median"):
        pytest.skip("NumPy's degenerate case")
    check(lambda np, x: getattr(np, name)(x, axis=axis, keepdims=keepdims), "n,m")


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), (2, 0, 1)])
@pytest.mark.parametrize("name", [*REDUCTIONS, "std", "median"])
def test_of_three_axes(name, axis):
    check(lambda np, x: getattr(np, name)(x, axis), "n,m,k")


FUNCTIONS = {
    "sum dtype": lambda np, x: np.sum(x, 0, np.float64),
    "sum positional": lambda np, x: np.sum(x, 0, None, None, True),
    "sum method": lambda np, x: x.sum(axis=1),
    "mean method": lambda np, x: x.mean(0, keepdims=True),
    "max method": lambda np, x: x.max(),
    "prod method": lambda np, x: x.prod(-1),
    "std ddof": lambda np, x: np.std(x, axis=0, ddof=1),
    "var ddof positional": lambda np, x: np.var(x, 0, None, None, 1),
    "var correction": lambda np, x: np.var(x, axis=0, correction=1),
    "average": lambda np, x: np.average(x, axis=0),
    "average weights": lambda np, x: np.average(x, 1, weights=np.abs(x[0])),
    "average full weights": lambda np, x: np.average(x, weights=x * x),
    "cumsum": lambda np, x: np.cumsum(x, axis=1),
    "cumsum flat": lambda np, x: np.cumsum(x),
    "cumsum method": lambda np, x: x.cumsum(0),
    "cumprod": lambda np, x: np.cumprod(x, axis=0),
    "cumprod flat": lambda np, x: np.cumprod(x),
    "add.reduce": lambda np, x: numpy.add.reduce(x),
    "add.reduce all": lambda np, x: numpy.add.reduce(x, axis=None),
    "multiply.reduce": lambda np, x: numpy.multiply.reduce(x, axis=1, keepdims=True),
    "maximum.reduce": lambda np, x: numpy.maximum.reduce(x, axis=1),
    "add.accumulate": lambda np, x: numpy.add.accumulate(x, axis=1),
    "multiply.outer": lambda np, x: numpy.multiply.outer(x, x[0]),
    "sort": lambda np, x: np.sort(x, axis=0),
    "sort flat": lambda np, x: np.sort(x, axis=None),
    "nancumsum": lambda np, x: np.nancumsum(np.where(x > 0, x, np.nan), axis=0),
    "nancumprod": lambda np, x: np.nancumprod(np.where(x > 0, x, np.nan)),
    "nansum": lambda np, x: np.nansum(np.where(x > 0, x, np.nan), axis=0),
    "nanmean": lambda np, x: np.nanmean(np.where(x > -9, x, np.nan), axis=0),
    "trapezoid": lambda np, x: np.trapezoid(x, dx=0.5),
    "trapezoid over x": lambda np, x: np.trapezoid(x, np.cumsum(x * x, 1), axis=1),
    "trapezoid along 0": lambda np, x: np.trapezoid(x, x[:, 0], axis=0),
    "sum of a list": lambda np, x: np.sum([x[0, 0], x[1, 1]]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    check(FUNCTIONS[name], "n,m")


WITHOUT_GRADIENT = {
    "argmax": lambda np, x: np.argmax(x),
    "argmax axis": lambda np, x: np.argmax(x, axis=1),
    "argmin keepdims": lambda np, x: np.argmin(x, axis=0, keepdims=True),
    "argsort": lambda np, x: np.argsort(x, axis=1),
    "argsort stable": lambda np, x: np.argsort(x, 0, "stable"),
    "any": lambda np, x: np.any(x > 1.5, axis=0),
    "all": lambda np, x: np.all(x > -1.5),
    "any of numbers": lambda np, x: (x > 0).any(axis=1, keepdims=True),
    "count_nonzero": lambda np, x: np.count_nonzero(x > 0, axis=0),
    "sum of truths": lambda np, x: np.sum(x > 0),
    "mean of truths": lambda np, x: np.mean(x > 0),
}


@pytest.mark.parametrize("name", WITHOUT_GRADIENT)
def test_function_without_gradient(name):
    check(WITHOUT_GRADIENT[name], "n,m", gradient=False)


def test_small_integers_add_up_in_int64():
    x = numpy.array([2**30, 2**30, 2**30], dtype=numpy.int32)
    recorded = record(lambda v: v.sum(), x)
    assert recorded(x) == 3 * 2**30


def test_float32_stays():
    x = numpy.ones(5, numpy.float32)
    for function in (
        numpy.mean,
        numpy.std,
        numpy.prod,
        numpy.median,
        numpy.linalg.norm,
    ):
        recorded = record(function, x)
        assert recorded.types[0].dtype == "float32"
        assert pullback(recorded, [1.0]).types[0].dtype == "float32"


@pytest.mark.parametrize("name", ["max", "min", "argmax", "median"])
def test_an_empty_array_has_no_extreme(name):
    with pytest.raises(ValueError, match=r"zero-size|empty"):
        record(getattr(numpy, name), numpy.zeros(0))


def test_a_kernel_for_a_maximum_needs_an_element():
    recorded = record(numpy.max, numpy.ones(3))
    assert recorded.holds(numpy.ones(1))
    assert not recorded.holds(numpy.ones(0))


def test_median_of_odd_and_even_counts_and_nan():
    recorded = record(numpy.median, numpy.ones(4))
    for x in ([3.0, 1.0, 2.0], [4.0, 1.0, 2.0, 3.0], [1.0, numpy.nan, 2.0]):
        numpy.testing.assert_equal(recorded(numpy.array(x)), numpy.median(x))


def test_axis_errors_are_numpys():
    with pytest.raises(numpy.exceptions.AxisError):
        record(lambda x: numpy.sum(x, axis=2), numpy.ones((2, 2)))
    with pytest.raises(ValueError, match="duplicate"):
        record(lambda x: numpy.sum(x, axis=(0, 0)), numpy.ones((2, 2)))
