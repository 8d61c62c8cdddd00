"""Single constructs of lowering: edges, outputs, checks, reductions, dtypes."""

import numpy as np
import pytest

from codegen.errors import GuardFailed
from tests.lower.harness import call, gradient, in_python, record, run, source
from tracegrad.lower.lower import lower
from tracegrad.traces.evaluate import evaluate

RNG = np.random.default_rng(0)


def rosenbrock(x):
    a = x[1:] - x[:-1] ** 2
    b = 1.0 - x[:-1]
    return np.sum(100.0 * a**2 + b**2)


def stencil(u):
    return np.sum((u[2:] - 2.0 * u[1:-1] + u[:-2]) ** 2) + np.sum(u[::-1] * u)


def plane(u):
    inner = 4.0 * u[1:-1, 1:-1] - u[2:, 1:-1] - u[:-2, 1:-1] - u[1:-1, 2:]
    return np.sum(inner**2)


@pytest.mark.parametrize("function", [rosenbrock, stencil])
@pytest.mark.parametrize("size", [2, 3, 4, 5, 9])
def test_one_kernel_is_right_near_its_edges(function, size):
    graph, assumptions = record(function, {"x": RNG.normal(size=6)})
    graph = gradient(graph, assumptions, (0,))
    kernel = in_python(lower(graph, assumptions, "f").kernel)
    arguments = {"x": RNG.normal(size=size)}
    expected = evaluate(graph, list(arguments.values()))
    found = call(lower(graph, assumptions, "f"), graph, arguments, kernel)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-13)


def test_no_loop_is_empty_whatever_the_size():
    def function(x, y):
        return np.sum(np.concatenate([x, y]) ** 2)

    graph, assumptions = record(function, {"x": np.ones(3), "y": np.ones(4)})
    text = source(lower(gradient(graph, assumptions, (0, 1)), assumptions, "f"))
    assert "range(n, n)" not in text

    def halves(x):
        return np.sum(np.exp(x[:3]) * 2.0) + np.sum(x[3:] ** 2)

    graph, assumptions = record(halves, {"x": np.ones(6)})
    text = source(lower(gradient(graph, assumptions, (0,)), assumptions, "f"))
    assert "range(3, 3)" not in text
    assert "range(3, n)" in text


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (4, 5), (3, 3)])
def test_edges_of_a_plane(shape):
    graph, assumptions = record(plane, {"u": RNG.normal(size=(6, 7))})
    graph = gradient(graph, assumptions, (0,))
    lowered = lower(graph, assumptions, "f")
    arguments = {"u": RNG.normal(size=shape)}
    expected = evaluate(graph, list(arguments.values()))
    found = call(lowered, graph, arguments, in_python(lowered.kernel))
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


def test_a_broken_guard_stops_the_kernel():
    graph, assumptions = record(rosenbrock, {"x": RNG.normal(size=6)})
    lowered = lower(graph, assumptions, "f")
    with pytest.raises(GuardFailed):
        in_python(lowered.kernel)(np.empty(0))


def test_lengths_that_must_agree_are_tested():
    graph, assumptions = record(
        lambda x, y: np.sum(x * y), {"x": np.ones(3), "y": np.ones(3)}
    )
    kernel = in_python(lower(graph, assumptions, "f").kernel)
    assert kernel(np.ones(2), np.ones(2)) == 2.0
    with pytest.raises(GuardFailed):
        kernel(np.ones(2), np.ones(3))


def test_results_are_arrays_of_their_own():
    x = RNG.normal(size=4)
    found = run(lambda x: (x, x, np.sum(x), 2.0, x * 0.0 + 1.0), {"x": x})
    np.testing.assert_array_equal(found[0], x)
    np.testing.assert_array_equal(found[1], x)
    np.testing.assert_allclose(found[2], x.sum())
    assert found[3] == 2.0
    np.testing.assert_array_equal(found[4], np.ones(4))


@pytest.mark.parametrize("index", [5, -5])
def test_an_index_out_of_bounds_raises(index):
    arguments = {"x": np.ones(4), "k": np.array([0, index])}
    graph, assumptions = record(lambda x, k: x[k], arguments)
    lowered = lower(graph, assumptions, "f")
    with pytest.raises(IndexError, match="out of bounds"):
        call(lowered, graph, arguments, in_python(lowered.kernel))


def test_negative_indices_wrap():
    arguments = {"x": RNG.normal(size=4), "k": np.array([0, -1, -4])}
    found = run(lambda x, k: x[k] * 2.0, arguments)
    np.testing.assert_array_equal(found[0], arguments["x"][arguments["k"]] * 2.0)


@pytest.mark.parametrize("reduction", [np.max, np.min, np.argmax])
def test_the_extreme_of_nothing_raises(reduction):
    graph, assumptions = record(
        lambda x: reduction(x[2:]), {"x": np.ones(4)}, exact=True
    )
    kernel = in_python(lower(graph, assumptions, "f").kernel)
    with pytest.raises((ValueError, GuardFailed)):
        kernel(np.ones(2))


def test_extremes_propagate_nan():
    x = np.array([1.0, np.nan, 3.0])
    largest, where = run(lambda x: (np.max(x), np.argmax(x)), {"x": x})
    assert np.isnan(largest)
    assert where == 1


def test_float32_stays_float32():
    x = RNG.normal(size=5).astype(np.float32)

    def function(x):
        return np.tanh(2.0 * x + 1.0) / 3.0, np.mean(x)

    found = run(function, {"x": x})
    assert [f.dtype for f in found] == [np.float32, np.float32]
    np.testing.assert_allclose(found[0], function(x)[0], rtol=1e-6)


def test_elementwise_primals_are_bitwise_those_of_numpy():
    def function(x, y):
        return (x * y + 3.0) / (y - x) - np.sqrt(np.abs(x)) * y, x[::-1] - y

    arguments = {"x": RNG.normal(size=50), "y": RNG.normal(size=50)}
    for found, expected in zip(
        run(function, arguments), function(**arguments), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_row_softmax_needs_no_matrix():
    def function(A):
        e = np.exp(A - np.max(A, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)

    graph, assumptions = record(function, {"A": RNG.normal(size=(4, 3))})
    text = source(lower(graph, assumptions, "softmax"))
    assert text.count("np.empty(m)") == 1
    assert "np.empty((" not in text


def test_sums_over_leading_and_trailing_axes_share_a_pass():
    def function(A):
        B = np.exp(A)
        return np.sum(B, axis=0), np.sum(B, axis=1), np.sum(B)

    graph, assumptions = record(function, {"A": RNG.normal(size=(4, 3))})
    assert source(lower(graph, assumptions, "f")).count("exp(") == 1


def test_a_loop_invariant_is_computed_outside():
    def function(x, s):
        return x * np.exp(s)

    arguments = {"x": np.ones(3), "s": np.asarray(1.0)}
    graph, assumptions = record(function, arguments)
    text = source(lower(graph, assumptions, "f"))
    assert text.index("exp(s)") < text.index("for i")


@pytest.mark.parametrize("offset", [0, 1, 2, -1])
def test_a_diagonal_is_read_and_written_where_it_lies(offset):
    def function(x):
        square = np.sin(x[:, None] * np.cumsum(x))
        return np.sum(np.diagonal(square, offset) ** 3)

    x = RNG.normal(size=5)
    graph, assumptions = record(function, {"x": x})
    graph = gradient(graph, assumptions, (0,))
    lowered = lower(graph, assumptions, "f")
    assert "IndexError" not in source(lowered)
    value, x_bar = call(lowered, graph, {"x": x}, in_python(lowered.kernel))
    np.testing.assert_allclose(value, function(x), rtol=1e-13)
    steps = 1e-30j * np.eye(5)
    expected = [function(x + step).imag / 1e-30 for step in steps]
    np.testing.assert_allclose(x_bar, expected, rtol=1e-11, atol=1e-14)
