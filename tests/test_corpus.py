"""Programs with loops, branches and arrays written in place, through the public API.

Each is compiled. Values, and what arguments hold in the end, agree with plain Python's;
exceptions are raised where Python raises them. Gradients agree with central differences
at two points, with random weights on the results; they leave their arguments as they
were, and a second call gives the same bits.
"""

import numpy as np
import pytest

from tests.programs import (
    applied,
    arrays,
    branches,
    combinations,
    foreign,
    fuzzed,
    jumps,
    kernels,
    models,
    objects,
    pixels,
    scalars,
    sequences,
    steppers,
    stretches,
    traps,
    triangles,
    tricky,
    views,
)
from tests.programs.record import programs_in
from tracegrad import grad, jit, jvp

PROGRAMS = programs_in(
    arrays,
    branches,
    jumps,
    kernels,
    scalars,
    sequences,
    views,
    tricky,
    combinations,
    foreign,
    fuzzed,
    models,
    objects,
    pixels,
    applied,
    steppers,
    stretches,
    traps,
    triangles,
)
SMOOTH = [p for p in PROGRAMS if p.smooth]


def copied(arguments):
    return [x.copy() if isinstance(x, np.ndarray) else x for x in arguments]


def leaves(result):
    if result is None:
        return []
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in leaves(part)]
    return [np.asarray(result, dtype=float)]


def outcome(function, arguments):
    """What a call on copies returns, or the exception that it raises."""
    return outcome_in_place(function, copied(arguments))


def outcome_in_place(function, arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return error


def weighted(function, weights):
    """The sum of a function's results, each element with its own weight."""

    def total(*arguments):
        result = function(*arguments)
        parts = result if isinstance(result, (tuple, list)) else (result,)
        whole = 0.0
        for weight, part in zip(weights, parts, strict=True):
            whole = whole + np.sum(weight * part)
        return whole

    return total


def doubled(x):
    """A single-precision array in double precision, for the differences."""
    if isinstance(x, np.ndarray) and x.dtype == np.float32:
        return x.astype(float)
    return x


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_value(program):
    compiled = jit(program.function)
    for size in program.sizes:
        arguments = program.arguments(3, size)
        expected = outcome(program.function, arguments)
        given = copied(arguments)
        found = outcome_in_place(compiled, given)
        if isinstance(expected, Exception):
            assert type(found) is type(expected), found
            continue
        assert not isinstance(found, Exception), found
        for x, y in zip(leaves(expected), leaves(found), strict=True):
            assert np.allclose(x, y, rtol=1e-10, atol=1e-12, equal_nan=True)
        written = copied(arguments)
        program.function(*written)
        for x, y in zip(given, written, strict=True):
            assert np.allclose(x, y, rtol=1e-10, atol=1e-12, equal_nan=True)


# Every second one: each takes a second to compile. All of them are differentiated in
# test_corpus_derivatives.
@pytest.mark.parametrize("program", SMOOTH[::2], ids=lambda p: p.name)
def test_gradient(program):
    compiled = None
    for seed in (1, 2):
        arguments = program.arguments(seed, max(program.sizes))
        expected = outcome(program.function, arguments)
        if isinstance(expected, Exception) or not leaves(expected):
            continue
        rng = np.random.default_rng(seed)
        floats = [k for k, x in enumerate(arguments) if np.asarray(x).dtype.kind == "f"]
        if compiled is None:
            weights = [rng.normal(size=x.shape) for x in leaves(expected)]
            total = weighted(program.function, weights)
            compiled = grad(total, argnums=tuple(floats))
        directions = {k: rng.normal(size=np.shape(arguments[k])) for k in floats}
        given = copied(arguments)
        first, second = compiled(*given), compiled(*given)
        for x, y in zip(given, arguments, strict=True):
            assert np.array_equal(x, y)
        # BLAS adds up in an order that depends on where its arrays happen to lie.
        exact = "np.dot(" not in compiled.source
        for x, y in zip(first, second, strict=True):
            if exact:
                assert np.array_equal(x, y, equal_nan=True)
            else:
                np.testing.assert_allclose(x, y, rtol=1e-13, atol=1e-14)
        found = sum(
            np.sum(slope * directions[k])
            for slope, k in zip(first, floats, strict=True)
        )
        single = any(np.asarray(x).dtype == np.float32 for x in arguments)
        tolerance = 2e-3 if single else 2e-5
        slope = difference(total, arguments, directions)
        assert found == pytest.approx(slope, rel=tolerance, abs=tolerance)


def difference(total, arguments, directions, step=1e-6):
    """The derivative along directions by a central difference, in plain Python."""

    def at(distance):
        moved = [doubled(x) for x in copied(arguments)]
        for k, direction in directions.items():
            moved[k] = moved[k] + distance * direction
            if np.ndim(arguments[k]) == 0:
                moved[k] = float(moved[k])
        return total(*moved)

    return (at(step) - at(-step)) / (2 * step)


def test_views_that_a_loop_carries_have_memory_of_their_own():
    """Sections of an array, equal in length to the carried ones by a guard only."""

    def sigmoid(z):
        return 1.0 / (1.0 + np.exp(-z))

    def loss(b):
        h, c = b[:4], b[4:8]
        for _ in range(4 * len(b) // 16):
            i, f, o, _g = np.split(b * h[0], 4)
            c = sigmoid(f) * c + sigmoid(i)
            h = sigmoid(o) * np.tanh(c)
        return np.sum(h)

    b, v = np.linspace(0.2, 1.7, 16), np.linspace(1.0, -1.0, 16)
    gradient = grad(loss)
    slopes = (gradient(b + 1e-6 * v) - gradient(b - 1e-6 * v)) / 2e-6
    assert np.allclose(jvp(gradient, (b,), (v,))[1], slopes, rtol=1e-6, atol=1e-8)
