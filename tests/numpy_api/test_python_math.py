"""``math``, ``max`` and ``min`` of numbers against themselves: as Python has them."""

import math

import numpy as np
import pytest

from tests.fuzz.kernels import running
from tests.tracing import pullback, record
from tracegrad import jit, value_and_grad
from tracegrad.numpy_api.table import lookup

MATH = {
    "sqrt": lambda m, x: m.sqrt(x + 1.0),
    "log base": lambda m, x: m.log(x + 1.0, 2.0),
    "pow": lambda m, x: m.pow(x, 3),
    "hypot": lambda m, x: m.hypot(x, 2.0, x),
    "atan2": lambda m, x: m.atan2(x, 2.0),
    "fabs": lambda m, x: m.fabs(x),
    "lgamma": lambda m, x: m.lgamma(x),
    "erf": lambda m, x: m.erf(x),
    "degrees": lambda m, x: m.degrees(x),
    "dist": lambda m, x: m.dist((x, 1.0), (0.0, 2 * x)),
    "prod": lambda m, x: m.prod([x, 2.0, x]),
}


class OurMath:
    def __getattr__(self, name):
        return lookup(getattr(math, name))


@pytest.mark.parametrize("name", MATH)
def test_math(name):
    x = np.asarray(0.7)
    recorded = record(lambda v: MATH[name](OurMath(), v), x)
    np.testing.assert_allclose(recorded(x), MATH[name](math, 0.7), rtol=1e-14)
    step = 1e-6
    numeric = (MATH[name](math, 0.7 + step) - MATH[name](math, 0.7 - step)) / (2 * step)
    np.testing.assert_allclose(pullback(recorded, [1.0])(x), numeric, rtol=1e-7)


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc"])
def test_math_rounding_gives_integers(name):
    recorded = record(lambda v: getattr(OurMath(), name)(v), np.asarray(-1.5))
    assert recorded.types[0].dtype == "int64"
    assert recorded(np.asarray(-1.5)) == getattr(math, name)(-1.5)


NARROW = np.array([0.3, 1.7], np.float32)
GIVEN = {
    "a float": lambda x: math.cos(x[0]),
    "full": lambda x: np.full(3, math.exp(x[0])),
    "array": lambda x: np.array([math.cos(x[1]), 1.0]),
    "with an array": lambda x: math.sqrt(x[0]) * x,
    "with an element": lambda x: math.sqrt(x[0]) * x[1],
    "two arguments": lambda x: math.atan2(x[0], np.float32(0.7)),
    "pow of integers": lambda x: math.pow(int(2.0 * x[1]), 2),
    "floor": lambda x: math.floor(x[1]) / 7,
    "not a number": lambda x: ~math.isnan(x[0]),
    "a truth, negated": lambda x: -(math.fabs(x[0]) > 0.1),
    "a truth, inverted": lambda x: ~bool(x[0]),
    "a truth, as it is": lambda x: +(float(x[0]) > 0.1),
    "truth of one element": lambda x: bool(x[:1]),
    "close": lambda x: math.isclose(x[0], 0.3, rel_tol=1e-6),
    "dist": lambda x: math.dist(x, [1.0, 2.0]),
    "prod": lambda x: math.prod(x, start=0.5),
    "largest, a NaN second": lambda x: max(x[0], math.nan * x[1], x[1]),
    "largest, a NaN first": lambda x: max(math.nan * x[1], x[0]),
    "smallest, a NaN second": lambda x: min(x[1], np.float32(math.nan) * x[1], x[0]),
    "largest of rising": lambda x: max(x[0], 2.0 * x[0], x[1] * x[1]),
    "prod of arrays": lambda x: math.prod([x, x, 2.0]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_dtypes_and_values_are_pythons(name):
    expected = GIVEN[name](NARROW)
    with running():
        found = jit(GIVEN[name], mode="compiled")(NARROW)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    close = 1e-6 if np.asarray(expected).dtype == np.float32 else 1e-15
    np.testing.assert_allclose(found, expected, rtol=close)


@pytest.mark.parametrize("mode", ["compiled", "tape"])
@pytest.mark.parametrize("function", [math.sin, math.floor, bool])
def test_arrays_are_no_numbers(function, mode):
    with pytest.raises((TypeError, ValueError)):
        jit(function if mode == "tape" else lambda x: function(x), mode=mode)(NARROW)


def test_product_of_arrays_has_a_derivative():
    def f(x):
        return (math.prod([x, x, 2.0]) * np.array([1.0, -3.0])).sum()

    with running():
        value, slope = value_and_grad(f)(np.array([0.5, 2.0]))
    assert value == 0.5 - 24.0
    np.testing.assert_allclose(slope, [2.0, -24.0])


def test_ties_and_nan_of_max_and_min():
    def f(x):
        return max(x[0], x[1]) + 3.0 * min(x[0], x[2]) + 10.0 * max(x[1], x[3])

    with running():
        slope = value_and_grad(f)(np.array([0.5, 0.5, 0.2, math.nan]))[1]
    np.testing.assert_array_equal(slope, [0.5, 10.5, 3.0, 0.0])
