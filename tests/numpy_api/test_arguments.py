"""Arguments that change what a function gives: none may be dropped."""

import numpy as np
import pytest

from tests.fuzz.kernels import running
from tracegrad import jit, tape, vjp
from tracegrad.errors import TracingError

RNG = np.random.default_rng(3)
A = RNG.normal(size=(4, 3))
X = RNG.normal(size=5)
GRID = np.sort(RNG.normal(size=6))
K = np.array([1, -2, 3, 0, 2])

SAME = {
    "gradient, axes": (lambda a: np.gradient(a, axis=(1, 0)), A),
    "gradient, steps": (lambda a: np.gradient(a, 0.5, 2.0, axis=(1, 0)), A),
    "gradient, one axis": (lambda a: np.gradient(a, axis=-1), A),
    "linspace of integers": (lambda x: np.linspace(-3, x[0], 5, dtype=int), X),
    "diff of integers": (lambda k: np.diff(k, prepend=1.5), K),
    "diff between": (lambda x: np.diff(x, prepend=1, append=[0.5]), X),
    "falling bins": (lambda g, x: np.digitize(x, g[::-1]), GRID, X),
    "falling, right": (lambda g, x: np.digitize(x, g[::-1], right=True), GRID, X),
    "falling constants": (lambda x: np.digitize(x, GRID[::-1].copy()), X),
    "rising bins": (lambda g, x: np.digitize(x, g), GRID, X),
    "on a bin": (lambda g: np.digitize(g, g[::-1]), GRID),
    "on a bin, right": (lambda g: np.digitize(g, g[::-1], True), GRID),
    "pad of integers": (lambda k: np.pad(k, 1, constant_values=1.7), K),
    "pad of float32": (lambda x: np.pad(x, 1, constant_values=0.1), X.astype("f4")),
    "nanmean of float32": (lambda x: np.nanmean(x), X.astype("f4")),
    "nanmean of rows": (lambda a: np.nanmean(a, 1), A.astype("f4")),
    "nanmax of integers": (lambda k: np.nanmax(k), K),
    "max of truths": (lambda a: np.max(a > 0.5, axis=0), A),
    "nanmin of truths": (lambda x: np.nanmin(x > 0), X),
    "one axis in any order": (lambda x: x.ravel("K"), X),
    "std as floats": (lambda a: np.std(a, dtype=np.float64), A),
}


@pytest.mark.parametrize("name", SAME)
def test_as_numpy(name):
    function, *arguments = SAME[name]
    with running():
        found, _ = vjp(function, *arguments)
    expected = function(*arguments)
    several = isinstance(expected, tuple)
    pairs = zip(found, expected, strict=True) if several else [(found, expected)]
    for ours, theirs in pairs:
        dtype = np.asarray(theirs).dtype
        assert np.asarray(ours).dtype == dtype
        close = 1e-6 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(ours, theirs, rtol=close)


REFUSED = {
    "mean as integers": lambda a: np.mean(a, dtype=int),
    "var as integers": lambda a: a.var(dtype=int),
    "as memory has it": lambda a: a.T.ravel("K"),
    "as an array has it": lambda a: np.reshape(a.T, (-1,), order="A"),
    "tens of integers": lambda a: np.round(np.arange(len(a)) * 11, -1) * a[0, 0],
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    with pytest.raises(TracingError):
        jit(REFUSED[name], mode="compiled")(A)


def test_bins_that_neither_rise_nor_fall():
    with pytest.raises(ValueError, match="monotonically"):
        jit(lambda x: np.digitize(x, [0.0, 2.0, 1.0]), mode="compiled")(X)


def test_weights_have_a_derivative_on_the_tape():
    weights = tape.tensor(X, requires_grad=True)
    counts = np.bincount(np.abs(K), weights)
    (counts * tape.tensor(np.arange(4.0))).sum().backward()
    np.testing.assert_array_equal(weights.grad.numpy(), np.abs(K))
