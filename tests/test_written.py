"""Functions that write their results into arguments, as Numba's kernels do.

They are differentiated as if they returned, after their own result, the arguments that
they write. Each kernel here has a twin that says so in Python; their values agree, and
gradients agree with differences of the twin, along random directions and at two points.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tracegrad import grad, jacobian, jit, jvp, linearize, vjp
from tracegrad.errors import ArgumentError


@dataclass(frozen=True)
class Kernel:
    """A function, and the names of the arguments that count as returned after it."""

    function: Callable
    written: tuple[int, ...]
    sizes: tuple  # of float arrays; a number is an argument itself

    def arguments(self, seed):
        rng = np.random.default_rng(seed)
        return [
            rng.normal(size=size) if isinstance(size, tuple) else size
            for size in self.sizes
        ]

    def twin(self, *arguments):
        """What the function is differentiated as."""
        own = [copied(x) for x in arguments]
        returned = self.function(*own)
        results = [own[k] for k in self.written]
        if returned is not None and not any(returned is x for x in results):
            results = [returned, *results]
        return results[0] if len(results) == 1 else tuple(results)


def copied(x):
    return x.copy() if isinstance(x, np.ndarray) else x


def step(u, out, k):
    """A partial write: the ends stay what they were."""
    for i in range(1, u.shape[0] - 1):
        out[i] = u[i] + k * (u[i - 1] - 2.0 * u[i] + u[i + 1]) * u[i]


def sweep(u):
    """The argument is read and written."""
    for t in range(2):
        for i in range(1, u.shape[0] - 1):
            u[i] = np.sin(u[i - 1] * u[i]) + 0.5 * u[i + 1] * t


def grid(a):
    """Rows by views, and a slice."""
    for i in range(1, a.shape[0]):
        row = a[i]
        row[1:] += a[i - 1][:-1] * row[1:]
        row[0] = np.cos(row[1])


def several(x, y, out):
    for i in range(x.shape[0]):
        y[i] *= x[i]
        out[i] = y[i] * y[i - 1]


def returns_too(x, out):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * out[i]
        out[i] = total
    return total


def returns_what_it_writes(x, out):
    for i in range(x.shape[0]):
        out[i] += np.exp(x[i]) * out[0]
    return out


def sometimes(x, out):
    """Written on one path only."""
    if x[0] > 0.0:
        for i in range(x.shape[0]):
            out[i] = x[i] * x[i]
            if out[i] > 1.0:
                break


def whole(x, out):
    out[:] = np.cumsum(x) * out
    np.multiply(out, x, out=out)


def exchanged(u, v, steps):
    """Which array holds the last step depends on how many there are."""
    for _ in range(steps):
        for i in range(1, u.shape[0] - 1):
            v[i] = u[i] * u[i] + 0.3 * (u[i - 1] - u[i + 1])
        u, v = v, u


def around(u, v, w, steps):
    for _ in range(steps):
        for i in range(u.shape[0]):
            w[i] = np.sin(u[i]) * v[i]
        u, v, w = w, u, v


def by_a_helper(x, out):
    step(x, out, 0.25)
    sweep(out)


def solve(a, b):
    """Gaussian elimination in place: the matrix is scratch space."""
    n = b.shape[0]
    for k in range(n):
        a[k, k] += 3.0
    for k in range(n):
        for i in range(k + 1, n):
            f = a[i, k] / a[k, k]
            for j in range(k + 1, n):
                a[i, j] -= f * a[k, j]
            b[i] -= f * b[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            b[k] -= a[k, j] * b[j]
        b[k] /= a[k, k]


V = (5,)
KERNELS = [
    Kernel(step, (1,), (V, V, 0.3)),
    Kernel(sweep, (0,), (V,)),
    Kernel(grid, (0,), ((3, 4),)),
    Kernel(several, (1, 2), (V, V, V)),
    Kernel(returns_too, (1,), (V, V)),
    Kernel(returns_what_it_writes, (1,), (V, V)),
    Kernel(sometimes, (1,), (V, V)),
    Kernel(whole, (1,), (V, V)),
    Kernel(exchanged, (0, 1), (V, V, 3)),
    Kernel(around, (0, 1, 2), (V, V, V, 4)),
    Kernel(by_a_helper, (1,), (V, V)),
    Kernel(solve, (0, 1), ((3, 3), (3,))),
]
FEW = [k for k in KERNELS if k.function in (step, sweep, several, exchanged)]


def leaves(nest):
    return list(nest) if isinstance(nest, tuple) else [nest]


def inner(a, b):
    pairs = zip(leaves(a), leaves(b), strict=True)
    return sum(float(np.sum(np.multiply(x, y))) for x, y in pairs if y is not None)


def random_like(nest, rng):
    """A direction, as floats; None for an integer."""
    found = [
        None if isinstance(x, int) else rng.normal(size=np.shape(x))[()]
        for x in leaves(nest)
    ]
    return tuple(found) if isinstance(nest, tuple) else found[0]


def moved(arguments, direction, step):
    return [
        x if d is None else x + step * d
        for x, d in zip(arguments, direction, strict=True)
    ]


def slope(function, arguments, direction, weights, h=1e-6):
    up = function(*moved(arguments, direction, h))
    down = function(*moved(arguments, direction, -h))
    return (inner(weights, up) - inner(weights, down)) / (2 * h)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.function.__name__)
def test_products(kernel):
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        arguments = kernel.arguments(seed)
        before = [copied(x) for x in arguments]
        expected = kernel.twin(*arguments)
        weights = random_like(expected, rng)
        direction = random_like(tuple(arguments), rng)
        value, pull = vjp(kernel.function, *arguments)
        pushed, tangent = jvp(kernel.function, tuple(arguments), direction)
        bars = pull(weights)
        for found in (value, pushed):
            assert len(leaves(found)) == len(leaves(expected))
            for x, y in zip(leaves(found), leaves(expected), strict=True):
                assert np.allclose(x, y, rtol=1e-12)
        difference = slope(kernel.twin, arguments, direction, weights)
        assert inner(direction, bars) == pytest.approx(difference, rel=1e-6)
        assert inner(weights, tangent) == pytest.approx(difference, rel=1e-6)
        again = pull(weights)
        assert all(np.array_equal(x, y) for x, y in zip(bars, again, strict=True))
        assert all(np.array_equal(x, y) for x, y in zip(arguments, before, strict=True))


@pytest.mark.parametrize("kernel", KERNELS[6:11], ids=lambda k: k.function.__name__)
def test_compiled_functions_write_as_the_function_does(kernel):
    arguments, given = kernel.arguments(3), kernel.arguments(3)
    expected, found = kernel.function(*arguments), jit(kernel.function)(*given)
    assert (found is None) == (expected is None)
    for x, y in zip(given, arguments, strict=True):
        assert np.allclose(x, y, rtol=1e-12)


@pytest.mark.parametrize("kernel", FEW, ids=lambda k: k.function.__name__)
def test_second_order_in_a_traced_function(kernel):
    """The gradient of the square of a pullback, which is applied while tracing."""

    def squared(*arguments):
        value, pull = vjp(kernel.function, *arguments)
        bar = pull(value)[0]
        return np.sum(bar * bar)

    arguments = kernel.arguments(5)
    direction = random_like(tuple(arguments), np.random.default_rng(5))
    floats = tuple(k for k, d in enumerate(direction) if d is not None)
    bars = grad(squared, argnums=floats)(*arguments)
    found = inner(tuple(direction[k] for k in floats), bars)
    expected = slope(squared, arguments, direction, 1.0)
    assert found == pytest.approx(expected, rel=1e-5)
    _, dot = jvp(squared, tuple(arguments), direction)
    assert dot == pytest.approx(found, rel=1e-9)


def test_jacobian_and_linearize():
    u, out = np.array([0.2, 0.5, -0.3, 0.4]), np.ones(4)
    by_rows = jacobian(step, argnums=(0, 1), mode="reverse")(u, out, 0.3)
    by_columns = jacobian(step, argnums=(0, 1))(u, out, 0.3)
    assert np.allclose(by_rows, by_columns)
    assert np.array_equal(by_rows[1], np.diag([1.0, 0.0, 0.0, 1.0]))
    value, push = linearize(step, u, out, 0.3)
    assert value[0] == 1.0
    assert np.allclose(push(np.ones(4), None, 0.0), by_rows[0].sum(1))


def test_none_stands_for_zero():
    x, y, out = np.arange(3.0), np.ones(3), np.zeros(3)
    weights = np.array([1.0, 2.0, 3.0])
    _, pull = vjp(several, x, y, out)
    for some, full in [
        (pull((weights, None)), pull((weights, np.zeros(3)))),
        (pull((None, weights)), pull((np.zeros(3), weights))),
    ]:
        assert all(np.array_equal(a, b) for a, b in zip(some, full, strict=True))
    primals = (x, y, out)
    some = jvp(several, primals, (weights, None, None))[1]
    full = jvp(several, primals, (weights, np.zeros(3), np.zeros(3)))[1]
    assert np.array_equal(some, full)


def written_closed_over(x):
    def inner(out):
        out[0] = 2.0 * x[1]

    return np.sum(vjp(inner, x)[0])


def written_twice(x):
    return np.sum(vjp(several, x, x * 1.0, x[::-1])[0][1])


def written_local(x):
    y = x * 2.0
    return np.sum(vjp(several, x, y[1:], y[:-1])[0][1])


@pytest.mark.parametrize(
    "function", [written_closed_over, written_twice, written_local]
)
def test_overlaps_in_a_trace_are_refused(function):
    with pytest.raises(ArgumentError, match="memory"):
        jit(function)(np.arange(4.0))


def test_overlaps_are_refused_where_something_is_written_and_only_there():
    x, y = np.arange(4.0), np.ones(4)
    with pytest.raises(ArgumentError, match="y and out share memory, and y is written"):
        vjp(several, x, y, y[::-1])
    with pytest.raises(ArgumentError, match="share memory"):
        jvp(step, (x, x, 0.1), (y, y, 0.0))
    _, pull = vjp(returns_too, x, y)
    assert np.allclose(pull((1.0, x))[1], pull((1.0, x.copy()))[1])  # directions may
    read_twice = jit(lambda a, b, out: several(a, out, b * a))
    read_twice(x, x, y)  # both are only read
    assert np.array_equal(y, x)


TABLE = np.arange(4.0)


def adds_table(out):
    for i in range(out.shape[0]):
        out[i] += TABLE[i] * out[i - 1]


def test_a_written_argument_that_is_a_global_too_is_refused():
    with pytest.raises(ArgumentError, match="out and TABLE share memory"):
        jit(adds_table)(TABLE)
    assert np.array_equal(TABLE, np.arange(4.0))
    out, _ = vjp(adds_table, np.ones(4))
    assert np.array_equal(out, [1.0, 2.0, 5.0, 16.0])


@pytest.mark.filterwarnings("ignore::tracegrad.errors.TapeWarning")
@pytest.mark.parametrize("result", [None, "sum"])
def test_on_the_tape(result):
    """Where a kernel runs on the tape, what it writes are results all the same."""

    def kernel(x, out):
        kept = [v for v in x if v > 0.0]  # too dynamic to compile
        for k in range(len(kept)):
            out[k] = kept[k] ** 2
        return None if result is None else out[0] + out[1]

    x, out = np.array([3.0, -1.0, 2.0]), np.array([1.0, 5.0, 7.0])
    before = x.copy(), out.copy()
    found, pull = vjp(kernel, x, out)
    bar = np.array([1.0, 10.0, 100.0])
    x_bar, out_bar = pull(bar if result is None else (2.0, bar))
    written = found if result is None else found[1]
    assert written.tolist() == [9.0, 4.0, 7.0]
    assert out_bar.tolist() == [0.0, 0.0, 100.0]
    weights = bar if result is None else bar + np.array([2.0, 2.0, 0.0])
    assert x_bar.tolist() == [6.0 * weights[0], 0.0, 4.0 * weights[1]]
    pushed, dots = jvp(kernel, (x, out), (np.ones(3), np.ones(3)))
    dots = dots if result is None else dots[1]
    assert dots.tolist() == [6.0, 4.0, 1.0]
    assert (pushed if result is None else pushed[1]).tolist() == [9.0, 4.0, 7.0]
    assert np.array_equal((x, out), before)
