"""Loops, branches and arrays in place as kernels, against the graph's evaluation.

The programs are those of the transforms' tests, and their gradients.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import call, compiled, in_python, source
from tests.transforms import benchmarks, programs
from tests.transforms.checking import gradient
from tests.transforms.staging import W, branch, copy_of, loop, trace, while_loop, zeros
from tests.transforms.test_programs import BENCHMARKS, CASES
from tracegrad.api import value_and_grad
from tracegrad.ir.shapes import Assumptions
from tracegrad.ir.verifier import verify
from tracegrad.lower.lower import lower
from tracegrad.primitives import control
from tracegrad.traces.evaluate import evaluate, sizes_of

PROGRAMS = {
    **{name: (getattr(programs, name), *case) for name, case in CASES.items()},
    **{name: (getattr(benchmarks, name), *case) for name, case in BENCHMARKS.items()},
}


def lowered(graph, arguments):
    assumptions = Assumptions(hints=sizes_of(graph, arguments))
    assumptions.signed = {p.name for p in graph.params if not p.type.ndim}
    kernel = lower(graph, assumptions, "f")
    verify(graph)  # what was lowered may be used again
    return kernel


def run(graph, arguments, on=in_python):
    kernel = lowered(graph, arguments)
    named = {
        p.name: np.asarray(x)[()] for p, x in zip(graph.params, arguments, strict=True)
    }
    return call(kernel, graph, named, on(kernel.kernel))


def check(graph, arguments, on=in_python):
    before = [np.array(x) for x in arguments]
    found = run(graph, arguments, on)
    expected = evaluate(graph, arguments)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, 1e-11, 1e-11)
    for x, y in zip(before, arguments, strict=True):
        np.testing.assert_array_equal(x, y)


def with_gradient(name):
    """The gradient's graph, parameters named apart, and arguments for it."""
    function, kinds, arguments, *rest = PROGRAMS[name]
    graph = trace(function, kinds)
    rng = np.random.default_rng(3)
    seeds = [
        rng.normal(size=np.shape(x))
        for x, r in zip(evaluate(graph, arguments), graph.results, strict=True)
        if r.type.differentiable
    ]
    graph = gradient(graph, rest[0] if rest else (0,), value=True)
    for k, param in enumerate(graph.params[len(arguments) :]):
        param.name = f"seed{k}"
    return graph, (*arguments, *seeds)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    function, kinds, arguments, *_ = PROGRAMS[name]
    check(trace(function, kinds), arguments)


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(name):
    check(*with_gradient(name))


@pytest.mark.parametrize(
    "name",
    [
        "rk4",
        "recurrence",
        "heat",
        "newtons",
        "cubics",
        "swapped_while",
        "windows",
        "lu",
    ],
)
def test_compiled_gradients(name):
    check(*with_gradient(name), compiled)


SIZED = ["rosenbrock", "absolute", "newtons", "overwrite", "shadow", "stopping"]


@pytest.mark.parametrize("size", [0, 1, 2])
@pytest.mark.parametrize("name", SIZED)
def test_small_sizes(name, size):
    function, kinds, *_ = PROGRAMS[name]
    if size == 0 and name in ("stopping",):
        pytest.skip("it reads the first element")
    check(trace(function, kinds), (np.linspace(0.5, 1.5, size),))


@pytest.mark.parametrize("trips", [-2, 0, 1, 2, 5])
def test_trips(trips):
    for name in ("swap", "swapped_buffers", "matrix_power", "windows", "rk4"):
        function, kinds, arguments, *_ = PROGRAMS[name]
        check(trace(function, kinds), (*arguments[:-1], trips))


@pytest.mark.parametrize("step", [1, 2, 3, -1, -2, -3])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("stops", [False, True])
def test_every_range(step, backwards, stops):
    """The order of the indices, and how many there are."""

    def f(x, lo, hi):
        y = copy_of(x.tracer)

        def body(i, k):
            y[k] = y[k] + i * 1.0
            return (k >= 5, k + 1) if stops else k + 1

        count = loop(lo, hi, body, 0, step=step, reversed=backwards, stops=stops)
        return y, count

    for lo, hi in [(0, 0), (0, 7), (2, 9), (7, 0), (9, 2), (3, 4), (4, 3), (-3, 3)]:
        check(trace(f, ["f1", "i", "i"]), (np.zeros(12), lo, hi))


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("step", [1, 3, -2])
def test_trip_counts(step, stops):
    def f(x, lo, hi):
        def body(i, s):
            s = s + x[0] * i
            return (s > 9.0, s) if stops else s

        return loop(lo, hi, body, 0.0, step=step, stops=stops)

    graph = trace(f, ["f1", "i", "i"])
    (made,) = [e for e in graph.equations if e.primitive is control.for_]
    graph.results.append(made.outputs[-1])
    for lo, hi in [(0, 0), (0, 7), (7, 0), (2, 3), (9, -4)]:
        check(graph, (np.ones(1), lo, hi))


def test_parallel_copies():
    """Carried values that go round, and names that are read by others' next values."""

    def f(x, T):
        def body(t, a, b, c, d):
            return b, a + b, d, c

        return loop(0, T, body, x[0], x[1], 1.0, 2.0)

    for trips in (0, 1, 2, 5):
        check(trace(f, ["f1", "i"]), (np.array([0.3, 0.7]), trips))


def test_initial_values_that_live_on():
    def f(x):
        a = x[0] * 2.0
        b = loop(0, 3, lambda i, b: b * a + x[i], a)
        c = loop(0, 3, lambda i, c: c + b, b)
        return a + b * c

    check(trace(f, ["f1"]), (np.array([0.3, 0.7, 0.2]),))


def test_reads_before_writes():
    """A value read of an array that is written before the value is used."""

    def f(x):
        y, n = x.copy(), x.shape[0]
        old = y[W(0, n)]
        first = y[0]
        loop(0, n, lambda i: y.__setitem__(i, y[i] * 2.0))
        again = y[W(0, n)] * old
        y[0] = first
        return (again * y[W(0, n)]).sum() + first, y

    check(trace(f, ["f1"]), (np.array([0.3, 0.7, 0.2]),))


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_overlapping_windows(shift):
    """The value is complete before any of it is stored."""

    def f(x):
        y, n = x.copy(), x.shape[0]
        y[W(1 + shift, n - 2)] = y[W(1, n - 2)] * 2.0
        y.add(W(1, n - 2), y[W(1 + shift, n - 2)])
        y[W(0, n)] = y[W(0, n)] / y[W(0, n)].sum()
        return y

    check(trace(f, ["f1"]), (np.arange(1.0, 8.0),))


def test_rows_and_columns():
    def f(A):
        B, n, m = A.copy(), *A.shape

        def row(i, s):
            r = B[i, W(0, m)]
            B[i, W(0, m)] = r / (1.0 + (r * r).sum())
            B.add((W(0, n), 0), B[W(0, n), m - 1] * 0.1)
            return s + B[i, W(m - 1, m, -1)].sum()

        return loop(1, n, row, 0.0), B

    check(trace(f, ["f2"]), (np.arange(1.0, 13.0).reshape(4, 3),))


def test_arrays_sized_by_the_loop():
    def f(x):
        def body(i, s):
            y = zeros("i", 2)

            def fill(j, t):
                y[j, 0] = x[j] * t
                y[j, 1] = x[i]
                return t + y[j, 0]

            t = loop(0, i, fill, 1.0)
            return s + t + y[W(0, "i"), W(0, 2)].sum()

        return loop(0, x.shape[0], body, 0.0)

    check(trace(f, ["f1"]), (np.linspace(0.1, 1.0, 5),))


def test_numbers_in_memory():
    """Refs without axes are variables."""

    def f(x):
        s = zeros()
        loop(0, x.shape[0], lambda i: s.add((), x[i] * s[()] + 1.0))
        return s, s[()] * 2.0

    check(trace(f, ["f1"]), (np.linspace(0.1, 1.0, 5),))


def test_results_more_than_once():
    def f(x, T):
        y = x.copy()
        y[0] = 3.0
        z = loop(0, T, lambda t, u: u * 2.0, x.tracer)
        return y, y, x, z, z, x.tracer * 2.0

    check(trace(f, ["f1", "i"]), (np.linspace(0.1, 1.0, 3), 2))


def test_branches_with_arrays_and_writes():
    def f(x, c):
        y = x.copy()

        def body(i, s):
            def then():
                y[i] = s
                return np.sin(y.tracer_of()), s * 2.0

            def otherwise():
                return x.tracer, s

            z, s = branch(x[i] > c, then, otherwise)
            return s + z.sum()

        return loop(0, x.shape[0], body, 1.0), y

    for c in (-1.0, 0.5, 2.0):
        check(trace(f, ["f1", "f"]), (np.linspace(0.1, 1.0, 5), c))


def test_while_with_a_test_of_many_statements():
    def f(x):
        def test(k, s):
            t = s * s + x[0]
            return (t * t + t < 50.0) & (k < 100)

        return while_loop(test, lambda k, s: (k + 1, s + x[1]), 0, 0.0)

    check(trace(f, ["f1"]), (np.array([0.3, 0.7]),))


def test_checks_raise():
    """The user's exception, with its message."""

    def f(x):
        from tests.transforms.staging import _builder

        def body(i, s):
            params = {"kind": "ValueError", "message": "negative"}
            _builder.get().emit(control.check, ((x[i] >= 0.0).operand,), params)
            return s + x[i]

        return loop(0, x.shape[0], body, 0.0)

    graph = trace(f, ["f1"])
    check(graph, (np.array([1.0, 2.0]),))
    with pytest.raises(ValueError, match="negative"):
        run(graph, (np.array([1.0, -2.0]),))
    with pytest.raises(ValueError, match="negative"):
        run(graph, (np.array([1.0, -2.0]),), compiled)


def test_composites_in_regions():
    def f(A, T):
        from tracegrad.primitives import composite

        def body(t, B):
            return composite.softmax(B * 2.0, axes=(1,))

        return loop(0, T, body, A.tracer)

    check(trace(f, ["f2", "i"]), (np.linspace(0.1, 1.0, 6).reshape(2, 3), 2))


HERE = Path(__file__).parent / "golden"
GOLDEN = {
    "recurrence_loop": ("recurrence", True),
    "rk4_loop": ("rk4", True),
    "lu_loop": ("lu", True),
    "heat_loop": ("heat", True),
    "swapped_buffers": ("swapped_buffers", False),
    "newton_while": ("newton", True),
    "growing_stack": ("cubics", True),
    "early_exit": ("early", False),
    "window_stencil": ("windows", False),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    """What loops look like; accept changes with ``TRACEGRAD_GOLDEN=write``."""
    program, differentiated = GOLDEN[name]
    function, kinds, arguments, *_ = PROGRAMS[program]
    graph = trace(function, kinds)
    if differentiated:
        graph, arguments = with_gradient(program)
    text = source(lowered(graph, arguments))
    file = HERE / f"{name}.py.txt"
    if os.environ.get("TRACEGRAD_GOLDEN") == "write":
        file.write_text(text + "\n", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text + "\n"


def test_a_factor_that_is_used_before_and_after_a_loop_is_computed_once():
    def likelihood(theta, y):
        n = y.shape[0]
        K = np.empty((n, n))
        for i in range(n):
            for j in range(n):
                K[i, j] = theta[0] * np.exp(-((y[i] - y[j]) ** 2))
        L = np.linalg.cholesky(K)
        return np.sum(np.log(np.diag(L)))

    both = value_and_grad(likelihood)
    theta, y = np.array([1.3]), np.array([0.1, 2.0, 4.0])
    value, theta_bar = both(theta, y)
    assert value == pytest.approx(likelihood(theta, y), rel=1e-13)
    # The determinant of a multiple: its logarithm grows by n/2 per unit of log(theta).
    np.testing.assert_allclose(theta_bar, 1.5 / theta, rtol=1e-12)
    assert both.source.count("cholesky_factor(") == 1
