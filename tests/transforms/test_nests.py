"""Nests that leave a loop, with the arrays they fill; and those that must not."""

import numpy as np
import pytest

from tests.transforms.staging import branch, loop, trace, while_loop, zeros
from tracegrad import grad, jacobian, jit
from tracegrad.ir.verifier import verify
from tracegrad.primitives.control import for_
from tracegrad.traces.evaluate import evaluate
from tracegrad.transforms.licm import licm

rng = np.random.default_rng(8)
X = rng.normal(size=4)


def moved(program, *kinds, at=(X, 3)):
    """The names of what is outside the last loop; values stay the same."""
    graph = verify(trace(program, kinds))
    result = verify(licm(graph))
    for a, b in zip(evaluate(graph, at), evaluate(result, at), strict=True):
        np.testing.assert_allclose(a, b, 1e-14)
    found = [e.primitive.name for e in result.equations]
    last = max(k for k, name in enumerate(found) if name == "for_")
    inner = [e for e in result.equations[last].regions[0].walk()]
    return found[:last], sum(e.primitive is for_ for e in inner)


def filled(x, factor=1.0):
    t = zeros(x.shape[0])
    loop(0, x.shape[0], lambda i: t.__setitem__(i, factor * np.sin(x[i])))
    return t


def test_a_nest_leaves_with_the_array_that_it_fills():
    def program(x, n):
        def body(k, s):
            t = filled(x)
            return s + loop(0, x.shape[0], lambda i, r: r + t[i] * k, 0.0)

        return loop(0, n, body, 0.0)

    before, inside = moved(program, "f1", "i")
    assert before.count("for_") == 1
    assert "alloc" in before
    assert inside == 1
    assert moved(program, "f1", "i", at=(X, 0))[1] == 1


def test_a_branch_and_what_depends_on_a_nest_leave():
    def program(x, n):
        def body(k, s):
            t = filled(x)
            branch(t[0] > 0.0, lambda: t.add(1, 1.0))
            return s + np.exp(t[1]) * k

        return loop(0, n, body, 0.0)

    # x may be shorter than 2: t[1] can only be read if there is an iteration.
    assert moved(program, "f1", "i")[0].count("for_") == 0

    def sure(x):
        return program(x, 3)

    before, inside = moved(sure, "f1", at=(X,))
    assert [n for n in before if n in ("for_", "cond", "exp")] == [
        "for_",
        "cond",
        "exp",
    ]
    assert inside == 0


def test_what_differs_or_is_written_later_stays():
    def varies(x, n):
        return loop(0, n, lambda k, s: s + filled(x, factor=s)[0], 1.0)

    def written_later(x, n):
        def body(k, s):
            t = filled(x)
            before = t[0]
            t[0] = k * 1.0
            return s + before + t[0]

        return loop(0, n, body, 0.0)

    def older(x, n):
        t = zeros(x.shape[0])

        def body(k, s):
            loop(0, x.shape[0], lambda i: t.add(i, x[i]))
            return s + t[0]

        return loop(0, n, body, 0.0)

    def reads_what_changes(x, n):
        t = zeros(x.shape[0])

        def body(k, s):
            r = loop(0, x.shape[0], lambda i, r: r + t[i], 0.0)
            t[0] = r + 1.0
            return s + r

        return loop(0, n, body, 0.0)

    for program in (varies, written_later, older, reads_what_changes):
        assert moved(program, "f1", "i")[1] == 1, program.__name__


def test_exchanged_arrays_stay():
    def program(x, n):
        def body(k, s):
            t, u = filled(x), zeros(x.shape[0])

            def swap(i, t, u):
                u[0] = t[0] + 1.0
                return u, t

            t, u = loop(0, 3, swap, t, u)
            u[0] = k * 1.0
            return s + t[0]

        return loop(0, n, body, 0.0)

    assert moved(program, "f1", "i")[1] == 2


def test_a_while_needs_an_iteration():
    def program(x, n):
        def body(k, s):
            halved = while_loop(lambda y: y > 0.1, lambda y: 0.5 * y, np.abs(x[0]))
            return s + halved * k

        return loop(0, n, body, 0.0)

    assert "while_" not in moved(program, "f1", "i")[0]

    def sure(x):
        return program(x, 3)

    assert "while_" in moved(sure, "f1", at=(X,))[0]


def test_exceptions_stay_where_they_are():
    def f(x, n):
        total = 0.0
        for k in range(n):
            t = np.zeros(3)
            for i in range(3):
                assert x[i] > 0.0
                t[i] = np.log(x[i])
            total += t[0] * k
        return total

    compiled = jit(f)
    assert compiled(-np.ones(3), 0) == 0.0
    assert compiled(np.full(3, 2.0), 3) == 3.0 * np.log(2.0)
    with pytest.raises(AssertionError):
        compiled(-np.ones(3), 1)


def test_the_forward_sweep_leaves_the_loop_over_rows():
    def last_two(p, n):
        u, v = 1.0, 0.5
        for _ in range(n):
            u, v = u + 0.01 * p[0] * u * v, v - 0.01 * p[1] * np.sin(u)
        return np.array([u, v])

    f = jacobian(last_two, mode="reverse")
    p = np.array([0.3, 0.8])
    assert np.allclose(f(p, 20), jacobian(last_two, mode="forward")(p, 20))
    forward, reverse = f.source.split("for k in range(2)")
    assert "t_kept[k] = " in forward
    assert "sin(" not in reverse

    def quadratic(x):
        total = 0.0
        for k in range(x.shape[0]):
            t = np.zeros(x.shape[0])
            for i in range(1, x.shape[0]):
                t[i] = t[i - 1] + np.sin(x[i])
            total += np.sum(t) * x[k]
        return total

    g = grad(quadratic)
    t = np.cumsum(np.sin(X) * (np.arange(4) > 0))
    weights = np.array([0.0, 3.0, 2.0, 1.0])
    expected = np.sum(t) + np.sum(X) * weights * np.cos(X)
    assert np.allclose(g(X), expected)
