"""Mirrors that run upwards: which ones do, and that results stay the same."""

import re

import numpy as np
import pytest

from tests.fuzz.kernels import running
from tests.numeric import slope
from tracegrad import value_and_grad


def diffused(u, c):
    u = u.copy()
    before = u[0]
    for i in range(1, u.shape[0] - 1):
        here = u[i]
        u[i] = here + c * (before - 2.0 * here + u[i + 1])
        before = here
    return u


def curve(b, t):
    """A Bézier curve, by de Casteljau."""
    b = b.copy()
    for k in range(b.shape[0] - 1, 0, -1):
        for j in range(k):
            b[j] = (1.0 - t) * b[j] + t * b[j + 1]
    return b[0]


def with_its_square(u, c):
    """What is handed on would be calculated three times."""
    u = u.copy()
    before = u[0]
    for i in range(1, u.shape[0] - 1):
        here = u[i]
        u[i] = here * np.sin(here * before) + c * u[i + 1]
        before = here
    return u


def with_what_is_new(u, c):
    """Each cell depends on all before it: the mirror has to run downwards."""
    u = u.copy()
    for i in range(1, u.shape[0]):
        u[i] = u[i] + c * u[i - 1]
    return u


def gradient(function, u, c):
    """The value, the gradient and its source, with weights on the results."""
    weights = np.linspace(0.5, 1.5, np.size(function(u, c)))

    def total(u, c):
        return np.sum(weights * function(u, c))

    compiled = value_and_grad(total, argnums=(0, 1), mode="compiled")
    with running("python"):
        value, bars = compiled(u, c)
    assert value == pytest.approx(total(u, c), rel=1e-14)
    directions = [np.random.default_rng(0).normal(size=u.shape), 1.3]
    numeric = slope(total, (u, c), directions, [1.0])
    along = bars[0] @ directions[0] + bars[1] * directions[1]
    assert along == pytest.approx(numeric, rel=1e-7, abs=1e-9)
    return compiled.source


@pytest.mark.parametrize("size", [4, 5, 6, 7, 13])
@pytest.mark.parametrize("function", [diffused, curve])
def test_what_looks_a_few_cells_back_runs_upwards(function, size):
    source = gradient(function, np.random.default_rng(size).normal(size=size), 0.37)
    if size > 5:
        assert not re.search(r"for [ij]\w* in range\(.*, -1\)", source)


@pytest.mark.parametrize("function", [with_what_is_new, with_its_square])
def test_what_is_remembered_or_dear_runs_downwards(function):
    source = gradient(function, np.random.default_rng(5).normal(size=6), 0.4)
    assert re.search(r"for i\w* in range\(.*, -1\)", source)


def test_short_sweeps_have_a_kernel_of_their_own():
    """Neither is the one for long sweeps asked for what it can't do, nor forgotten."""
    compiled = value_and_grad(lambda u: np.sum(diffused(u, 0.4) ** 2), mode="compiled")
    rng = np.random.default_rng(3)
    sources = {}
    with running("python"):
        for size in (12, 3, 4, 2, 30):
            u, d = rng.normal(size=(2, size))
            value, u_bar = compiled(u)
            assert value == pytest.approx(np.sum(diffused(u, 0.4) ** 2))
            numeric = slope(lambda u: np.sum(diffused(u, 0.4) ** 2), (u,), [d], [1.0])
            assert u_bar @ d == pytest.approx(numeric, rel=1e-7)
            sources[size] = compiled.source
    assert sources[12] == sources[4] == sources[30]
    assert sources[2] == sources[3] != sources[4]
