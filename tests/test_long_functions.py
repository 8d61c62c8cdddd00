"""Functions of many lines: what equations generators write, and unrolled loops.

The compiler's own work goes with the length of a function: calls of Python functions
are counted, not seconds. Chains longer than Python's limit of recursion are no matter.
"""

import cProfile
import importlib.util
import sys

import numpy as np
import pytest

from tests.fuzz.kernels import running
from tracegrad import value_and_grad

POINTS = (np.array([0.7, 1.3]), np.array([-0.4, 0.9]))
LIMIT = 400  # of recursion: a low one, so that short functions show it
BEGIN = """
import numpy as np

def f(x):
    a, b, n, y = x[0], x[1], 0, x.copy()
"""
INSIDE = {
    "chain": "c{k} = a * {k}.5e-3 + b\n{t}a += np.sin(c{k})\n{t}b -= 1e-3 * c{k} * a",
    "terms": "a += {k}e-3 * b * np.cos(b * {k}e-3)",
    "updates": "a = a * b + {k}.0\n{t}a = a / (1.0 + abs(a))",
    "arrays": "y = y + 1e-3 * np.sin(y * {k}e-3)",
    "cells": "y[{k} % 2] = y[{k} % 2] + 1e-3 * np.cos(y[({k} + 1) % 2])",
    "branches": "if a > {k}e-3 * b:\n{t}    a *= 0.99\n{t}else:\n{t}    b *= 1.01",
    "integers": "n = (n + {k} % 3) % 2\n{t}a += x[n] * {k}e-3",
}
CASES = [(kind, looped) for kind in INSIDE for looped in (False, True)]


@pytest.fixture
def written(tmp_path):
    """Makes a function of many lines, in a file of its own."""

    def write(kind: str, count: int, *, looped: bool):
        tab = " " * (8 if looped else 4)
        lines = [INSIDE[kind].format(k=k, t=tab) for k in range(count)]
        loop = "    for _ in range(3):\n" if looped else ""
        text = BEGIN + loop + tab + f"\n{tab}".join(lines) + "\n"
        path = tmp_path / f"{kind}_{count}.py"
        path.write_text(text + "    return a * b + np.sum(y)\n")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.f

    return write


def calls(function) -> int:
    """How many functions Python calls for a first gradient."""
    profile = cProfile.Profile()
    with running(), profile:
        value_and_grad(function)(POINTS[0])
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize(("kind", "looped"), CASES)
def test_work_goes_with_the_length(written, kind, looped):
    calls(written(kind, 3, looped=looped))  # what is made once for all
    small, large = (calls(written(kind, n, looped=looped)) for n in (25, 50))
    assert large < 2.8 * small  # 4 if each line looked at all the others


@pytest.mark.parametrize(("kind", "looped"), CASES)
def test_chains_are_longer_than_the_limit_of_recursion(written, kind, looped):
    f = written(kind, LIMIT // 2, looped=looped)
    derivative = value_and_grad(f)
    ordinary = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(LIMIT)
        with running():
            found = [derivative(x) for x in POINTS]
    finally:
        sys.setrecursionlimit(ordinary)
    for x, (value, x_bar) in zip(POINTS, found, strict=True):
        assert value == pytest.approx(f(x), rel=1e-12)
        steps = 1e-6 * np.eye(2)
        slopes = [(f(x + step) - f(x - step)) / 2e-6 for step in steps]
        np.testing.assert_allclose(x_bar, slopes, rtol=1e-6, atol=1e-7)
