"""Derivatives in unusual places: other dtypes, missing seeds, traces inside loops."""

import numpy as np
import pytest

from tests.transforms import staging
from tests.transforms.checking import check, gradient, tangent
from tests.transforms.staging import Array, W, loop, trace, zeros
from tracegrad.ir.graph import Builder, Graph, Literal
from tracegrad.ir.shapes import Assumptions
from tracegrad.ir.types import ArrayType
from tracegrad.ir.verifier import verify
from tracegrad.primitives import control
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.evaluate import evaluate
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms.vjp import vjp

rng = np.random.default_rng(11)


def test_float32_stays_float32():
    def program(x):
        y = x.copy()
        n = x.shape[0]

        def step(i, s):
            y[i] = y[i - 1] * np.sin(x[i]) * s
            return s + y[i] * y[i]

        return loop(1, n, step, x[0])

    graph = trace(program, ["g1"])
    x = rng.normal(size=5).astype("float32")
    (bar,) = evaluate(gradient(graph, (0,)), [x, np.float32(1.0)])
    (dot,) = evaluate(tangent(graph, (0,)), [x, np.ones(5, "float32")])
    assert bar.dtype == dot.dtype == np.float32
    np.testing.assert_allclose(bar.sum(), dot, 1e-5)


def test_a_ref_returned_twice_takes_both_cotangents():
    def program(x):
        y = x.copy()
        loop(0, x.shape[0], lambda i: y.add(i, x[i] * x[i]))
        return y, y

    check(program, ["f1"], (rng.normal(size=4),))


def test_an_absent_cotangent_is_zero():
    def program(x):
        s = loop(0, x.shape[0], lambda i, s: s + x[i] * x[i], 0.0)
        return s, s * s

    graph = trace(program, ["f1"])
    b = Builder(Graph("f"), Assumptions(), simplify)
    x = b.graph.add_param(graph.params[0].type, "x")
    _, bars = vjp(b, graph, [x], [0], [Literal(1.0, "float64"), None])
    b.graph.results = list(bars)
    given = rng.normal(size=3)
    np.testing.assert_allclose(evaluate(verify(b.graph), [given])[0], 2 * given)
    _, bars = vjp(b, graph, [x], [0], [None, None])
    assert bars == [None]


def test_a_gradient_inside_a_loop_is_differentiated_again():
    """The sum over i of d/dx sin(x * c_i)^2, written with a loop inside as well."""

    def program(c, x):
        def outer(i, s):
            b = staging._builder.get()
            inner = Graph("inner")
            param = inner.add_param(ArrayType("float64"), "z")
            with b.region(inner):

                def power(k, p):
                    return p * np.sin(Tracer(b, param) * c[i])

                inner.results = [loop(0, 2, power, 1.0).operand]
            seed = Literal(1.0, "float64")
            _, (bar,) = vjp(b, inner, [x.operand], [0], [seed])
            return s + Tracer(b, bar)

        return loop(0, c.shape[0], outer, 0.0)

    c, x = rng.normal(size=4), 0.3
    graph = verify(trace(program, ["f1", "f"]))
    np.testing.assert_allclose(
        evaluate(graph, [c, x])[0], (2 * np.sin(x * c) * np.cos(x * c) * c).sum()
    )
    check(program, ["f1", "f"], (c, x), (0, 1))


def test_a_failing_check_fails_in_the_gradient_too():
    def program(x):
        def step(i, s):
            b = staging._builder.get()
            holds = (x[i] > 0.0).operand
            b.emit(control.check, [holds], {"kind": "ValueError", "message": "no"})
            return s + x[i] * x[i]

        return loop(0, x.shape[0], step, 0.0)

    reverse = gradient(trace(program, ["f1"]), (0,))
    np.testing.assert_allclose(evaluate(reverse, [np.ones(2), 1.0])[0], 2.0)
    with pytest.raises(ValueError, match="no"):
        evaluate(reverse, [np.array([1.0, -1.0]), 1.0])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_short_arrays(n):
    def program(x):
        y = x.copy()

        def step(i, s):
            y[i] = y[i] * s + y[i - 1]
            return s + np.sin(y[i])

        s = loop(1, x.shape[0], step, 1.0)
        return s + y.tracer_of().sum()

    check(program, ["f1"], (rng.normal(size=n),))


def test_an_unselected_branch_never_poisons_the_gradient():
    def program(x):
        def step(i, s):
            d = x[i] * 1.0
            t = staging.branch(d > 0.0, lambda: np.sqrt(d), lambda: d * 0.0)
            return s + t

        return loop(0, x.shape[0], step, 0.0)

    reverse = gradient(trace(program, ["f1"]), (0,))
    (bar,) = evaluate(reverse, [np.array([4.0, 0.0, -1.0]), 1.0])
    np.testing.assert_array_equal(bar, [0.25, 0.0, 0.0])


def test_a_static_slice_in_a_branch_adds_its_window_in_place():
    """The cotangent of a slice of an outer array is never a padded array."""
    from tracegrad.ir.shapes import Dim
    from tracegrad.primitives import structural

    def program(x):
        n = x.shape[0]

        def step(i, s):
            def some():
                part = structural.slice_(
                    x.tracer,
                    starts=(Dim.constant(1),),
                    steps=(1,),
                    sizes=(Dim.constant(2),),
                )
                return (part * part).sum() * s

            return s + staging.branch(x[i] > 0.0, some, lambda: s * 0.5)

        return loop(0, n, step, 1.0)

    reverse = check(program, ["f1"], (rng.normal(size=5),))
    assert not any(e.primitive is structural.pad for e in reverse.walk())


def test_a_window_with_a_step():
    def program(x):
        y = zeros(x.shape[0])

        def step(t):
            y[W(0, 3, 2)] = np.sin(x[W(1, 3, 2)] + y[W(5, 3, -2)])

        loop(0, 3, step)
        return y

    check(program, ["f1"], (rng.normal(size=6),))


def test_an_array_carried_by_a_while():
    def program(x):
        def step(k, v):
            return k + 1, np.sin(v) * Array(v.operand)[k] + x.tracer

        return staging.while_loop(lambda k, v: k < 3, step, 0, x.tracer)[1]

    check(program, ["f1"], (rng.normal(size=4),))


@pytest.mark.parametrize("position", [0, 1])
def test_a_gather_in_a_loop_adds_in_place(position):
    """One row of indices per iteration: the work is that of the rows, not of x."""
    from tracegrad.primitives.indexing import gather, scatter_add

    def program(x, p):
        def step(i, s):
            row = p[i, W(0, p.shape[1])]
            part = gather(x.tracer, row, axes=(position,), position=position)
            return s * 0.5 + np.sin(part * s).sum()

        return loop(0, p.shape[0], step, 1.0)

    p = np.array([[0, 2], [2, 2], [-1, 1]])
    reverse = check(program, ["f2", "i2"], (rng.normal(size=(3, 3)), p))
    assert not any(e.primitive is scatter_add for e in reverse.walk())
