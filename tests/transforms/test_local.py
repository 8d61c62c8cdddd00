"""Local Jacobians of loop bodies: tangents of few numbers, pushed all at once."""

import numpy as np
import pytest

from tests.transforms.checking import check, gradient
from tests.transforms.staging import branch, trace, while_loop
from tracegrad.primitives.control import while_
from tracegrad.traces.evaluate import evaluate


def root(b, a):
    """Newton's method as people write it: f is computed before and in the loop."""

    def cubic(y):
        return y * y * y + a * y - b

    def step(y, f):
        y = y - f / (3.0 * y * y + a)
        return y, cubic(y)

    y, _ = while_loop(lambda y, f: abs(f) > 1e-12, step, b, cubic(b))
    return y


def both(b, a):
    """What is derived is wanted too, and starts before another has its tangent."""

    def sine(y):
        return np.sin(y * a) / (2.0 + y * y)

    def step(k, f, y):
        y = y + f * b * np.exp(-y * y) / (1.0 + f * f)
        return k + 1, sine(y), y

    _, f, y = while_loop(lambda k, f, y: k < 4, step, 0, sine(a + b), a + b)
    return f * b, y


def reset(b, a):
    """The base of the derived one loses its derivative in the loop."""

    def step(k, f, y, z):
        z = z * f * f / (1.0 + z * z) + a * f * z / (2.0 + f * f)
        return k + 1, a * a * 0.7 * 0.7, 0.7, z

    y = b * 1.0
    out = while_loop(lambda k, f, y, z: k < 3, step, 0, a * a * y * y, y, b)
    return out[3] * out[1]


def exchanged(b, a):
    """Carried numbers change places, and one keeps what another was before."""

    def step(k, x, y, z):
        new = x * y * a / (1.0 + x * x * y * y) + b * np.sin(x * z) / (2.0 + y * y)
        return k + 1, y, new, x

    out = while_loop(lambda k, x, y, z: k < 5, step, 0, a, b, a * b)
    return out[1] * out[2] + out[3]


def lagging(b, a):
    """Alike, but not derived: it is a function of what the other was before."""

    def step(k, f, y):
        return k + 1, y * y * a, y + f * b * y / (1.0 + f * f * y * y)

    _, f, y = while_loop(lambda k, f, y: k < 3, step, 0, b * b * a, b)
    return f + y


def branching(b, a):
    """A branch has no local Jacobian."""

    def step(k, y):
        y = branch(y > 1.0, lambda: y * a / (1.0 + y), lambda: y * y * b + np.sin(a))
        return k + 1, y * np.cos(y)

    return while_loop(lambda k, y: k < 4, step, 0, a + b)[1]


PROGRAMS = [root, both, reset, exchanged, lagging, branching]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_gradients(program):
    check(program, ["f", "f"], (np.float64(1.7), np.float64(1.2)), (0, 1))


@pytest.mark.parametrize(("program", "count"), [(root, 4), (both, 5), (lagging, 7)])
def test_what_is_derived_has_no_tangent_in_the_loop(program, count):
    graph = gradient(trace(program, ["f", "f"]), (0, 1))
    (loop,) = [e for e in graph.walk() if e.primitive is while_]
    assert len(loop.outputs) - 1 == count


def test_a_zero_tangent_stays_zero_where_a_slope_is_infinite():
    def program(b, a):
        def step(k, y):
            return k + 1, np.sqrt(y) * a * b + np.sqrt(y) * np.sin(a * b)

        return while_loop(lambda k, y: k < 3, step, 0, 0.0)[1]

    graph = gradient(trace(program, ["f", "f"]), (0, 1))
    assert evaluate(graph, [np.float64(2.0), np.float64(3.0), 1.0]) == [0.0, 0.0]
