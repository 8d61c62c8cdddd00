"""What happens where a derivative jumps, is infinite, or meets a zero, NaN or infinity.

Each convention is stated by the record's ``kink``; each test was a bug somewhere once.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.tracing import pullback, pushforward, record
from tracegrad.primitives import TABLE

NAN, INF = np.nan, np.inf


def gradient(name, *operands, weight=None, **params):
    """Of one primitive's sum, by each operand."""
    operands = [np.asarray(x, dtype=float) for x in operands]
    recorded = record(lambda *xs: TABLE[name](*xs, **params), *operands)
    value = recorded(*operands)
    weight = np.ones(np.shape(value)) if weight is None else np.asarray(weight, float)
    return pullback(recorded, [weight])(*operands)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("absolute", 0.0, 0.0),
        ("sign", 0.0, 0.0),
        ("floor", 1.0, 0.0),
        ("sqrt", 0.0, INF),
        ("length", 0.0, 0.0),
        ("log", 0.0, INF),
        ("cbrt", 0.0, INF),
        ("arcsin", 1.0, INF),
        ("arctanh", 1.0, INF),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_elementwise(name, x, expected):
    assert gradient(name, x) == expected


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_a_tie_of_two_is_split(name):
    assert gradient(name, 1.0, 1.0) == (0.5, 0.5)


@pytest.mark.parametrize(("x", "expected"), [(-1, 0), (0, 1), (1, 0), (0.5, 1), (2, 0)])
def test_clip_at_and_beyond_its_bounds(x, expected):
    by_x, _, _ = gradient("clip", x, -1.0, 1.0)
    assert by_x == expected


@pytest.mark.parametrize("name", ["reduce_max", "reduce_min"])
def test_ties_of_a_reduction_share_evenly(name):
    sign = 1.0 if name == "reduce_max" else -1.0
    x = sign * np.array([2.0, 1.0, 2.0, 2.0])
    np.testing.assert_allclose(gradient(name, x, axes=(0,)), [1 / 3, 0, 1 / 3, 1 / 3])


def test_a_maximum_of_nan_shows_in_the_gradient_unless_nobody_asks():
    x = np.array([1.0, NAN])
    with np.errstate(all="ignore"):
        assert not np.all(np.isfinite(gradient("reduce_max", x, axes=(0,))))
    unused = gradient("reduce_max", x, weight=0.0, axes=(0,))
    np.testing.assert_array_equal(unused, [0.0, 0.0])


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2.0, 3.0, 4.0], [12.0, 8.0, 6.0]),
        ([0.0, 3.0, 4.0], [12.0, 0.0, 0.0]),
        ([0.0, 0.0, 4.0], [0.0, 0.0, 0.0]),
        ([5.0], [1.0]),
        ([0.0], [1.0]),
    ],
)
def test_products_with_zeros_are_exact(x, expected):
    np.testing.assert_array_equal(gradient("reduce_prod", x, axes=(0,)), expected)


def hessian(name, x, **params):
    x = np.asarray(x, dtype=float)
    first = pullback(record(lambda v: TABLE[name](v, **params), x), [1.0])
    rows = []
    for direction in np.eye(x.size):
        forward = pushforward(first, [direction])(x)
        np.testing.assert_array_equal(pullback(first, [direction])(x), forward)
        rows.append(forward)
    return np.array(rows)


def test_second_order_of_products_with_zeros():
    expected = [[0.0, 4.0, 0.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    np.testing.assert_array_equal(
        hessian("reduce_prod", [0.0, 0.0, 4.0], axes=(0,)), expected
    )


def test_third_order_of_a_product_of_zeros():
    x = np.zeros(3)
    recorded = record(lambda v: TABLE["reduce_prod"](v, axes=(0,)), x)
    first = pullback(recorded, [1.0])
    second = pullback(first, [np.array([1.0, 0.0, 0.0])])
    third = pullback(second, [np.array([0.0, 1.0, 0.0])])
    np.testing.assert_array_equal(third(x), [0.0, 0.0, 1.0])


def test_running_products_with_zeros_are_exact():
    x = np.array([2.0, 0.0, 3.0])
    got = gradient("cumprod", x, axis=0, reverse=False)
    np.testing.assert_array_equal(got, [1.0, 2.0 + 6.0, 0.0])


def test_logsumexp_of_nothing_has_no_gradient_and_no_nan():
    x = np.array([-INF, -INF])
    np.testing.assert_array_equal(gradient("logsumexp", x, axes=(0,)), [0.0, 0.0])
    x = np.array([-INF, 1.0])
    np.testing.assert_array_equal(gradient("logsumexp", x, axes=(0,)), [0.0, 1.0])


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_large_numbers_do_not_overflow(name):
    x = np.array([1000.0, 1001.0, -1000.0])
    assert np.all(np.isfinite(TABLE[name](x, axes=(0,))))
    assert np.all(np.isfinite(gradient(name, x, axes=(0,))))


@pytest.mark.parametrize("name", ["log", "sqrt", "cbrt", "log1p", "arcsin", "exp"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_zero_cotangent_stays_zero_at_a_pole(name):
    x = {"log1p": -1.0, "arcsin": 1.0, "exp": 1000.0}.get(name, 0.0)
    assert gradient(name, x, weight=0.0) == 0.0


def test_power_at_base_zero():
    assert gradient("power", 0.0, 2.0) == (0.0, 0.0)
    assert gradient("power", 0.0, 1.0) == (1.0, 0.0)
    assert gradient("power", 0.0, 0.0)[0] == 0.0
    assert gradient("power", -2.0, 3.0)[0] == 12.0


def test_duplicate_indices_add_up_and_scatter_reads_back():
    index = np.array([1, 1, -2])
    x = np.arange(3.0)
    recorded = record(lambda v: TABLE["gather"](v, index, axes=(0,), position=0), x)
    pulled = pullback(recorded, [np.array([1.0, 2.0, 4.0])])(x)
    np.testing.assert_array_equal(pulled, [0.0, 7.0, 0.0])


def test_empty_arrays():
    empty = np.zeros((0, 3))
    for name, params in {
        "reduce_sum": {"axes": (0,)},
        "reduce_prod": {"axes": (0,)},
        "cumprod": {"axis": 0, "reverse": True},
        "cumsum": {"axis": 1, "reverse": False},
    }.items():
        assert np.shape(gradient(name, empty, **params)) == (0, 3)


def test_a_decomposition_without_full_rank_has_no_derivative_and_raises_nothing():
    x = np.array([[1.0, 2.0], [0.0, 0.0]])
    recorded = record(lambda v: TABLE["qr"](v), x)
    assert np.all(np.isfinite(np.concatenate(recorded(x))))
    eye = np.eye(2)
    assert np.any(np.isnan(pullback(recorded, [eye, eye])(x)))
    assert np.any(np.isnan(pushforward(recorded, [eye])(x)))
