"""Function pointers: SciPy's C code calls our kernels."""

import ctypes

import numpy as np
import pytest
from scipy.integrate import nquad, quad
from scipy.ndimage import generic_filter, generic_filter1d, geometric_transform

from tracegrad import grad, jit, value_and_grad
from tracegrad.errors import ArgumentError


@jit
def wave(x, y, k):
    return np.exp(-x * x) * np.sin(k * y) + x * y


def test_a_pointer_is_called_as_c_calls_it():
    pointer = wave.cfunc("float64, float64, float64")
    assert pointer.ctypes(0.5, 0.25, 2.0) == wave(0.5, 0.25, 2.0)
    call = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * 3)(pointer.address)
    assert call(0.5, 0.25, 2.0) == wave(0.5, 0.25, 2.0)


@value_and_grad
def inner(A, x):
    return np.sum(A * x[:, None])


def test_arrays_are_a_pointer_and_their_lengths():
    A, x = np.arange(6.0).reshape(2, 3), np.array([2.0, 5.0])
    part = inner.cfunc("float64[2, 3], float64[2]", result=(1, 1, 0))
    address = A.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
    other = x.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
    assert part.ctypes(address, 2, 3, other, 2) == inner(A, x)[1][1, 0] == 5.0


def test_quad_and_nquad_call_the_gradient():
    slope = grad(lambda x, k: np.sin(k * x) * x)
    area = slope.low_level_callable("float64, float64", user_data=[3.0])
    for end in (0.5, 2.0):  # the integral of a derivative is the function
        found, _ = quad(area, 0.0, end)
        assert found == pytest.approx(np.sin(3.0 * end) * end, abs=1e-12)
    one = jit(lambda x: x * x).low_level_callable("float64")
    assert quad(one, 0.0, 3.0)[0] == pytest.approx(9.0)
    three = wave.low_level_callable("float64, float64, float64").function
    numbers = (ctypes.c_double * 3)(0.5, 0.25, 2.0)
    assert three(3, numbers) == wave(0.5, 0.25, 2.0)
    assert np.isnan(three(2, numbers))
    ranges = [(0.0, 1.0), (0.0, 2.0)]
    callback = wave.low_level_callable("float64, float64, float64", user_data=[2.0])
    expected, _ = nquad(lambda x, y: wave(x, y, 2.0), ranges)
    assert nquad(callback, ranges)[0] == pytest.approx(expected, rel=1e-12)


def test_an_integrand_may_take_a_vector_and_an_array_of_data():
    @grad
    def potential(x, weights):
        return 0.5 * np.sum(weights * x * x)

    callback = potential.low_level_callable(
        "float64[2], float64[2]", user_data=[2.0, 6.0], result=1
    )
    found, _ = nquad(callback, [(0.0, 1.0), (0.0, 3.0)])
    assert found == pytest.approx(6.0 * 0.5 * 9.0)


def test_what_raises_in_python_is_nan_in_c():
    @jit
    def picky(x):
        if x < 0.0:
            raise ValueError("x must not be negative")
        return np.sqrt(x)

    pointer = picky.cfunc("float64").ctypes
    assert pointer(4.0) == 2.0
    assert np.isnan(pointer(-1.0))


def test_ndimage_filters():
    image = np.random.default_rng(0).normal(size=(6, 7))
    spread = jit(lambda w: np.sqrt(np.mean((w - np.mean(w)) ** 2)))
    found = generic_filter(
        image, spread.low_level_callable("float64[:]", form="generic_filter"), size=3
    )
    np.testing.assert_allclose(found, generic_filter(image, np.std, size=3))

    # With a window of 3, a line comes with one more cell at each end.
    def smooth(line, w):
        return line[1:-1] + w * (line[2:] - line[:-2])

    callback = jit(smooth).low_level_callable(
        "float64[:], float64", form="generic_filter1d", user_data=[0.5]
    )

    def by_hand(line, out):
        out[:] = smooth(line, 0.5)

    np.testing.assert_array_equal(
        generic_filter1d(image, callback, 3), generic_filter1d(image, by_hand, 3)
    )


def test_ndimage_transforms():
    image = np.random.default_rng(0).normal(size=(6, 7))
    move = jit(lambda p, shift: p - shift)
    callback = move.low_level_callable(
        "float64[2], float64[2]", form="geometric_transform", user_data=[0.5, 1.0]
    )
    expected = geometric_transform(image, lambda p: (p[0] - 0.5, p[1] - 1.0))
    np.testing.assert_allclose(geometric_transform(image, callback), expected)


@pytest.mark.parametrize(
    ("signature", "options", "words"),
    [
        ("float64[:], float64[:]", {}, "an integrand takes float64 numbers"),
        ("int64", {}, "an integrand takes float64 numbers"),
        ("float64", {}, "1 types are not those of the arguments of wave: missing"),
        ("float64", {"form": "generic_filter"}, "a generic_filter takes one"),
        ("float64[:]", {"form": "blur"}, "form='blur' is none of integrand"),
        ("float64", {"user_data": [1.0, 2.0]}, "neither the last array nor"),
        ("float64, float64[:]", {"user_data": np.ones((2, 2))}, "has 2 axes"),
        ("float64", {"result": "x"}, "result= is the place"),
    ],
)
def test_what_does_not_fit_is_refused(signature, options, words):
    with pytest.raises(ArgumentError, match=words):
        wave.low_level_callable(signature, **options)
