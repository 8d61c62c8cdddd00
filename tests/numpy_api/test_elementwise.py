"""Elementwise functions and scipy.special against their originals."""

from __future__ import annotations

import numpy
import pytest
import scipy.linalg
import scipy.special

from tests.numpy_api.agreement import check
from tests.tracing import pullback, record
from tracegrad.errors import TracingError
from tracegrad.numpy_api.table import FUNCTIONS, find, lookup

UNARY = {
    name: (lambda np, x, name=name: getattr(np, name)(x))
    for name in (
        *("negative", "positive", "absolute", "fabs", "sign", "square", "reciprocal"),
        *(
            "exp",
            "exp2",
            "expm1",
            "cbrt",
            "sin",
            "cos",
            "tan",
            "arctan",
            "sinh",
            "cosh",
        ),
        *("tanh", "arcsinh", "degrees", "radians", "deg2rad", "rad2deg", "sinc"),
        *("floor", "ceil", "trunc", "rint", "fix", "round", "nan_to_num", "real"),
        *("conjugate", "imag"),
    )
}
POSITIVE = {
    name: (lambda np, x, name=name: getattr(np, name)(numpy.abs(x) + 1.0))
    for name in ("sqrt", "log", "log2", "log10", "log1p", "arccosh")
}
INSIDE = {
    name: (lambda np, x, name=name: getattr(np, name)(x * 0.4))
    for name in ("arcsin", "arccos", "arctanh")
}


@pytest.mark.parametrize("name", [*UNARY, *POSITIVE, *INSIDE])
def test_unary(name):
    check({**UNARY, **POSITIVE, **INSIDE}[name], "n,m")


BINARY = {
    name: (lambda np, x, y, name=name: getattr(np, name)(x, y))
    for name in (
        *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "mod"),
        *("fmod", "maximum", "minimum", "fmax", "fmin", "hypot", "arctan2", "copysign"),
        *("logaddexp", "logaddexp2", "true_divide", "divmod", "heaviside"),
    )
}


@pytest.mark.parametrize("shapes", ["n,m n,m", "n,m m", "n,1 m", "n,m -"])
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, shapes):
    check(BINARY[name], shapes)


OTHER = {
    "power": lambda np, x: (np.power(abs(x), 1.5), np.power(x, 2), np.power(2.0, x)),
    "float_power": lambda np, x: np.float_power(abs(x), 2),
    "clip": lambda np, x: (np.clip(x, -1.0, 1.0), np.clip(x, None, 0.5), x.clip(0.1)),
    "clip keywords": lambda np, x: np.clip(x, min=-0.5, max=x[0]),
    "where": lambda np, x: np.where(x > 0, x, x * x),
    "where numbers": lambda np, x: np.where(x, 1.0, x),
    "select": lambda np, x: np.select([x > 1, x > 0], [x, 2 * x], default=-x),
    "list operand": lambda np, x: np.sin([x[0, 0], x[1, 1], 1.0]),
    "operators": lambda np, x: (-x + 2 * x - x / 3.0, abs(x) ** 0.5, x**3, 1.0 / x),
    "conj": lambda np, x: x.conj() * np.real(x),
}


@pytest.mark.parametrize("name", OTHER)
def test_other(name):
    check(OTHER[name], "n,m")


TRUTHS = {
    "comparisons": lambda np, x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y),
    "functions": lambda np, x, y: (np.less(x, y), np.equal(x, x), np.not_equal(x, 1)),
    "logic": lambda np, x, y: (
        np.logical_and(x > 0, y > 0),
        np.logical_or(x > 0, y > 0),
        np.logical_not(x > 0),
        np.logical_xor(x > 0, y > 0),
    ),
    "operators": lambda np, x, y: ((x > 0) & (y > 0), (x > 0) | (y > 0), ~(x > 0)),
    "tests": lambda np, x, y: (np.isnan(x), np.isinf(x), np.isfinite(x), np.signbit(x)),
    "infinities": lambda np, x, y: (np.isposinf(x), np.isneginf(x)),
    "isclose": lambda np, x, y: (np.isclose(x, x + 1e-9), np.isclose(x, y)),
}


def test_rounding_to_decimals():
    recorded = check(
        lambda np, x: (np.round(x, 1), np.round(10 * x, -1), x.round(2)),
        "n,m",
        gradient=False,
    )
    x = numpy.ones((4, 3))
    assert not numpy.any(pullback(recorded, [x, x, x])(x))


@pytest.mark.parametrize("name", TRUTHS)
def test_truths(name):
    check(TRUTHS[name], "n,m n,m", gradient=False)


def special(name, transform=lambda x: x):
    return lambda np, x: lookup_or_call(np, getattr(scipy.special, name), transform(x))


def lookup_or_call(np, function, *arguments):
    """The original on NumPy, ours otherwise."""
    return (function if np is numpy else lookup(function))(*arguments)


SPECIAL = {
    **{n: special(n) for n in ("erf", "erfc", "expit", "log_expit", "ndtr", "psi")},
    **{
        n: special(n, lambda x: abs(x) + 0.1)
        for n in ("gammaln", "digamma", "loggamma")
    },
    "logit": special("logit", lambda x: 0.5 + 0.2 * x),
    "erfinv": special("erfinv", lambda x: 0.4 * x),
    "entr": special("entr", lambda x: abs(x)),
    "xlogy": lambda np, x: lookup_or_call(np, scipy.special.xlogy, x, abs(x)),
    "xlog1py": lambda np, x: lookup_or_call(np, scipy.special.xlog1py, x, abs(x)),
    "rel_entr": lambda np, x: lookup_or_call(
        np, scipy.special.rel_entr, abs(x), 1.0 + abs(x)
    ),
    "betaln": lambda np, x: lookup_or_call(
        np, scipy.special.betaln, abs(x), 1.0 + abs(x)
    ),
    "polygamma": lambda np, x: lookup_or_call(
        np, scipy.special.polygamma, 1, abs(x) + 1
    ),
}
AXES = {
    "logsumexp": lambda np, x: lookup_or_call(np, scipy.special.logsumexp, x),
    "logsumexp axis": lambda np, x: lookup_or_call(np, scipy.special.logsumexp, x, 1),
    "softmax": lambda np, x: lookup_or_call(np, scipy.special.softmax, x, 1),
    "softmax all": lambda np, x: lookup_or_call(np, scipy.special.softmax, x),
    "log_softmax": lambda np, x: lookup_or_call(np, scipy.special.log_softmax, x, 0),
}


@pytest.mark.parametrize("name", [*SPECIAL, *AXES])
def test_special(name):
    check({**SPECIAL, **AXES}[name], "n,m")


def test_sinc_is_smooth_at_zero():
    for x in (0.0, 1e-9, 1e-4, 0.3, 0.32, 1.0):
        point = numpy.asarray(x)
        first = pullback(record(numpy.sinc, point), [1.0])
        second = pullback(first, [1.0])
        a = numpy.pi * x
        exact = (
            -a * numpy.pi / 3
            if x < 1e-3
            else (numpy.pi * (numpy.cos(a) * a - numpy.sin(a)) / a**2)
        )
        numpy.testing.assert_allclose(first(point), exact, rtol=1e-6)
        if x < 1e-3:
            numpy.testing.assert_allclose(second(point), -(numpy.pi**2) / 3, rtol=1e-6)


def test_unselected_branches_never_poison():
    x = numpy.array([-1.0, 0.0, 4.0])
    for function in (
        lambda v: numpy.where(v > 0, numpy.log(numpy.where(v > 0, v, 1.0)), 0.0),
        lambda v: numpy.where(v > 0, numpy.sqrt(v), 0.0),
        lambda v: numpy.where(v > 0, v**0.5, 0.0),
        lambda v: numpy.where(v > 0, 1.0 / v, 0.0),
    ):
        gradient = pullback(record(function, x), [numpy.ones(3)])(x)
        assert numpy.all(numpy.isfinite(gradient))
        numpy.testing.assert_array_equal(gradient[:2], [0.0, 0.0])


def test_unknown_functions_are_refused_with_what_will_do_instead():
    with pytest.raises(TracingError) as error:
        record(numpy.fft.fft, numpy.ones(4))
    assert "numpy.fft.fft has no tracegrad rule." in str(error.value)
    with pytest.raises(TracingError, match=r"Use np\.argmax\(np\.where"):
        record(numpy.nanargmax, numpy.ones(4))
    with pytest.raises(TracingError, match="custom_vjp") as error:
        record(scipy.special.j0, numpy.ones(4))
    assert "Use" not in str(error.value)
    with pytest.raises(TracingError, match=r"Use numpy\.linalg\.det\. Or give"):
        lookup(scipy.linalg.det)
    with pytest.raises(TracingError, match=r"np\.concatenate\(\(x\[:k\], values"):
        record(lambda x: numpy.insert(x, 1, 2.0), numpy.ones(4))
    with pytest.raises(TracingError, match=r"np\.trunc\(x\)"):
        record(numpy.modf, numpy.ones(4))


def test_ufunc_methods_without_a_rule_are_refused():
    with pytest.raises(TracingError, match=r"add\.at has no tracegrad rule"):
        record(lambda x: numpy.add.at(x, [0, 1], 1.0), numpy.ones(4))
    with pytest.raises(TracingError, match=r"add\.reduceat has no tracegrad rule"):
        record(lambda x: numpy.add.reduceat(x, [0, 1]), numpy.ones(4))


def test_out_is_refused():
    with pytest.raises(TracingError, match="out="):
        record(lambda x: numpy.add(x, x, out=numpy.zeros(3)), numpy.ones(3))


def test_the_table_is_of_numpys_own_objects():
    assert find(numpy.sum) is FUNCTIONS[numpy.sum]
    assert find(numpy.fft.fft) is None
    assert find([]) is None
