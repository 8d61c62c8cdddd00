"""Bugs that other automatic differentiation systems had, each a test of ours.

References are public issue threads, repository#number. Those that need a loop are
programs of the corpus, each differentiated in both modes and to second order; most are
in ``tests/programs/traps.py``:

- scratch arrays under two names, Enzyme.jl#3124, #1340: ``scratch_of_the_caller``,
  ``scratch``, ``aliased``
- a loop of no iterations, jax#994: ``no_iterations``
- indices that repeat, pytorch#1528, #473: ``repeated_reads_in_a_loop``,
  ``last_writer_in_a_loop``, ``stored_by_indices``, ``updated_by_indices``
- what a loop overwrites, warp#174: ``before_during_after``, ``recurrence``
- ``continue``, warp#1552; ``break``, clad#1019: ``while_continue``, ``nested_jumps``
- a value from before the loop, warp#1694: ``before_during_after``, ``used_after``
- trips counted inside, warp#140: ``limit_that_its_loop_moves``, ``shrinking_while``
- a bound that is differentiated, clad#474: ``active_bound``,
  ``active_bounds_of_a_nest``
- pushing where a pop belongs, divisors inside, clad#1865: ``pushed_in_a_branch``,
  ``divisors_inside``
- vectors that a loop carries, quadrants#797: ``vector_state``
- stores in traced code, HIPS/autograd#177: ``dynamic_program``, ``seidel``
"""

import numpy as np
import pytest

from tests.fuzz.kernels import running
from tracegrad import custom_vjp, grad, hessian, jit, jvp, value_and_grad, vjp
from tracegrad.errors import (
    ArgumentError,
    DifferentiationError,
    DTypeError,
)


def central(f, x, h=1e-6):
    """The gradient of a scalar function by central differences."""
    x = np.asarray(x, dtype=float)
    slope = np.zeros_like(x)
    for k in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[k] += h
        down[k] -= h
        slope[k] = (f(up) - f(down)) / (2 * h)
    return slope


def test_sqrt_at_zero_is_infinite_and_guarded_by_where():
    """stan-dev/math#3031."""
    assert grad(lambda x: np.sqrt(x))(0.0) == np.inf
    guarded = grad(lambda x: np.where(x > 0.0, np.sqrt(x), 0.0))
    assert guarded(0.0) == 0.0
    assert guarded(4.0) == 0.25


def test_norm_at_zero():
    """pytorch#2421, jax#21723."""
    gradient = grad(lambda x: np.linalg.norm(x))
    assert np.array_equal(gradient(np.zeros(3)), np.zeros(3))
    assert np.allclose(gradient(np.array([3.0, 4.0])), [0.6, 0.8])


@pytest.mark.parametrize(
    ("f", "dead", "expected"),
    [
        (lambda x: np.where(x > 0, np.log(x), 3.0 * x), 0.0, 3.0),
        (lambda x: np.where(x > 0, x**0.5, x), 0.0, 1.0),
        (lambda x: np.where(x == 0, 1.0, np.sin(x) / x), 0.0, 0.0),
        (lambda x: np.where(x > 30, x, np.log1p(np.exp(x))), 1000.0, 1.0),
        (lambda x: np.where(x != 0, 1.0 / x, x), 0.0, 1.0),
    ],
)
def test_a_dead_branch_never_poisons(f, dead, expected):
    """jax#5798, jax#1052, tinygrad#12409."""
    assert grad(f)(dead) == expected
    assert jvp(f, (dead,), (1.0,))[1] == expected


@pytest.mark.parametrize(
    ("f", "dead", "expected"),
    [
        (lambda x: np.where(x > 0, 1.0 / np.sqrt(x), x * x), -1.0, 2.0),
        (lambda x: np.where(x > 0, 1.0 / np.sqrt(x), x * x), 0.0, 2.0),
        (lambda x: np.where(x > 0, np.log(x), x * x), 0.0, 2.0),
        (lambda x: np.where(x == 0, x * x, np.sin(x) / x), 0.0, 2.0),
        (lambda x: np.where(x > 30, x, np.log1p(np.exp(x))), 1000.0, 0.0),
    ],
)
def test_a_dead_branch_never_poisons_higher_orders(f, dead, expected):
    slope = grad(f)
    with running():
        assert jvp(slope, (dead,), (1.0,))[1] == expected
        assert grad(slope)(dead) == expected
        assert grad(lambda x: jvp(f, (x,), (1.0,))[1])(dead) == expected
        assert jvp(grad(slope), (dead,), (1.0,))[1] == 0.0


def test_a_nan_that_is_overwritten_never_poisons_the_second_order():
    def last_root(x, y):
        for e in x:
            y[0] = np.sqrt(e)
        return y[0]

    x, v, zero = np.array([-1.0, 4.0]), np.array([1.0, 1.0]), np.zeros(1)
    slope = grad(last_root)
    with running():
        curved = jvp(slope, (x, zero), (v, zero))[1]
        again = grad(lambda x: np.sum(slope(x, zero) * v))(x)
    np.testing.assert_allclose(curved, [0.0, -0.25 / 8], rtol=1e-15)
    np.testing.assert_allclose(again, [0.0, -0.25 / 8], rtol=1e-15)


def test_ties():
    """pytorch#184572: four spellings of max(x, 0) at 0."""
    assert grad(lambda x: np.maximum(x, 0.0))(0.0) == 0.5
    assert grad(lambda x: np.minimum(x, 0.0))(0.0) == 0.5
    assert grad(lambda x: np.clip(x, 0.0, 1.0))(0.0) == 0.0
    assert grad(lambda x: np.abs(x))(0.0) == 0.0
    peak = grad(lambda x: np.max(x))(np.array([1.0, 3.0, 3.0, 2.0]))
    assert np.array_equal(peak, [0.0, 0.5, 0.5, 0.0])


def test_powers_of_zero_to_second_order():
    """pytorch#27134, pytorch#95180, ChainRules.jl PR#513."""
    assert grad(lambda x: x**2.0)(0.0) == 0.0
    assert grad(grad(lambda x: x**2.0))(0.0) == 2.0
    assert grad(grad(lambda x: x**3))(0.0) == 0.0
    assert grad(lambda x, p: x**p)(0.0, 2.0) == 0.0
    assert grad(lambda x, p: x**p)(0.0, 1.0) == 1.0
    assert grad(lambda x, p: x**p, argnums=1)(0.0, 2.0) == 0.0
    assert grad(grad(lambda x, p: x**p))(0.0, 2.0) == 2.0


def test_broadcasting_is_undone():
    """pytorch#1787, HIPS/autograd#376."""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 1)), rng.normal(size=4), rng.normal(size=())
    w = rng.normal(size=(3, 4))
    f = lambda a, b, c: np.sum(w * np.sin(a * b + c))
    ga, gb, gc = grad(f, argnums=(0, 1, 2))(a, b, c)
    assert (ga.shape, gb.shape, np.shape(gc)) == ((3, 1), (4,), ())
    assert np.allclose(ga, central(lambda v: f(v, b, c), a))
    assert np.allclose(gb, central(lambda v: f(a, v, c), b))
    assert np.allclose(gc, central(lambda v: f(a, b, v), c))
    e = lambda b: np.einsum("ij,j->", w, b)
    assert np.allclose(grad(e)(b), w.sum(0))


def test_an_integer_argument_is_refused():
    """tinygrad#10460, Theano#2210: not a silent zero."""
    with pytest.raises(DTypeError, match="int"):
        grad(lambda x: x * x)(3)
    with pytest.raises(DTypeError, match="int"):
        grad(lambda x: np.sum(x * x))(np.arange(3))
    assert grad(lambda x, n: n * x)(2.0, 3) == 3.0
    assert grad(lambda n, x: n * x * x, argnums=1)(3, 2.0) == 12.0


def test_single_precision_stays():
    """HIPS/autograd PR#199."""
    x = np.linspace(0.1, 1.0, 5, dtype=np.float32)
    f = lambda x: np.sum(0.5 * np.sin(x) ** 2 / (1.0 + x)) / x.shape[0]
    value, slope = value_and_grad(f)(x)
    assert np.asarray(value).dtype == np.float32
    assert slope.dtype == np.float32
    assert np.allclose(slope, central(f, x.astype(float)), rtol=1e-4)


def test_the_same_array_twice():
    """Enzyme.jl#3408: each slot is a separate input."""
    x = np.array([1.0, 2.0])
    f = lambda a, b: np.sum(a * a * b)
    ga, gb = grad(f, argnums=(0, 1))(x, x)
    assert np.array_equal(ga, 2 * x * x)
    assert np.array_equal(gb, x * x)


SCALE = np.array([1.0, 2.0])
FACTOR = 2.0


def test_captured_arrays_and_globals_are_never_stale():
    """Enzyme.jl#3124, numba PR#8359, #9304."""
    global SCALE, FACTOR
    gradient = grad(lambda x: FACTOR * np.sum(SCALE * x))
    x = np.ones(2)
    assert np.array_equal(gradient(x), [2.0, 4.0])
    SCALE[0] = 5.0
    assert np.array_equal(gradient(x), [10.0, 4.0])
    SCALE = np.array([0.0, 1.0])
    FACTOR = 3.0
    assert np.array_equal(gradient(x), [0.0, 3.0])
    SCALE, FACTOR = np.array([1.0, 2.0]), 2.0


class Model:
    """State that changes between calls."""

    def __init__(self):
        self.scale = 2.0
        self.weights = np.array([1.0, 2.0])
        self.options = {"powers": [1.0, 2.0]}

    def energy(self, x):
        return self.scale * np.sum(self.weights * x ** self.options["powers"][1])

    def __call__(self, x):
        return self.energy(x)


@pytest.mark.parametrize("as_method", [True, False])
def test_objects_are_never_stale(as_method):
    """A gradient of a bound method once kept the first value of its attributes."""
    model, x = Model(), np.ones(2)
    gradient = grad(model.energy if as_method else model)
    assert np.array_equal(gradient(x), [4.0, 8.0])
    model.scale = 3.0
    assert np.array_equal(gradient(x), [6.0, 12.0])
    model.weights[0] = 5.0
    assert np.array_equal(gradient(x), [30.0, 12.0])
    model.weights = np.ones(2)
    assert np.array_equal(gradient(x), [6.0, 6.0])
    model.options["powers"][1] = 1.0
    assert np.array_equal(gradient(x), [3.0, 3.0])


def test_strange_layouts():
    """pytorch#38586, pytorch#8649: stride 0, overlap, negative strides, read-only."""
    f = lambda x: np.sum(np.sin(x) * (1.0 + np.arange(x.size)).reshape(x.shape))
    base = np.linspace(0.1, 2.0, 24)
    inputs = [
        np.broadcast_to(np.float64(0.3), (4,)),
        np.lib.stride_tricks.sliding_window_view(base[:6], 3),
        base[::-2],
        base.reshape(4, 6).T,
        base[1:9:3],
    ]
    gradient = grad(f)
    for x in inputs:
        before = x.copy()
        expected = np.cos(x) * np.arange(1.0, 1.0 + x.size).reshape(x.shape)
        assert np.allclose(gradient(x), expected)
        assert np.array_equal(gradient(x), gradient(x))
        assert np.array_equal(x, before)
    frozen = base[:5].copy()
    frozen.flags.writeable = False
    assert gradient(frozen).flags.writeable


def test_empty_and_zero_dimensional():
    """ForwardDiff.jl#399, HIPS/autograd#78, ReverseDiff.jl#126."""
    f = lambda x: np.sum(np.exp(x) * x)
    assert grad(f)(np.zeros(0)).shape == (0,)
    assert grad(f)(np.zeros((3, 0))).shape == (3, 0)
    zero = np.array(0.5)
    assert np.shape(grad(f)(zero)) == ()
    assert np.allclose(grad(f)(zero), np.exp(0.5) * 1.5)


def test_duplicate_indices_add_up():
    """HIPS/autograd#39, pytorch#1528."""
    index = np.array([0, 2, 2, -1])
    f = lambda x: np.sum(np.array([1.0, 2.0, 4.0, 8.0]) * x[index])
    assert np.array_equal(grad(f)(np.zeros(4)), [1.0, 0.0, 6.0, 8.0])


def test_a_gather_out_of_bounds_raises():
    """numba#8028."""
    f = grad(lambda x, i: np.sum(x[i] ** 2))
    x = np.arange(3.0)
    assert np.array_equal(f(x, np.array([1])), [0.0, 2.0, 0.0])
    with pytest.raises(IndexError):
        f(x, np.array([3]))


def test_a_pullback_can_be_called_twice_and_leaves_its_input():
    """pytorch#81417, warp#1350."""
    x = np.array([1.0, 2.0])
    _, pullback = vjp(lambda x: np.sin(x) * x, x)
    ct = np.array([1.0, 0.5])
    (first,) = pullback(ct)
    (second,) = pullback(ct)
    assert np.array_equal(first, second)
    assert np.array_equal(ct, [1.0, 0.5])
    assert np.array_equal(x, [1.0, 2.0])


def test_a_pullback_differentiates_where_its_input_was():
    """warp#1350: the input is overwritten before the pullback is called."""

    def product(x):
        s = 1.0
        for e in x:
            s = s * e
        return s

    x = np.array([1.0, 2.0, 3.0])
    with running():
        _, pullback = vjp(product, x)
        x[:] = 100.0
        assert np.array_equal(pullback(1.0)[0], [6.0, 3.0, 2.0])


def test_perturbations_are_not_confused():
    """ForwardDiff.jl#83, ReverseDiff.jl#45: D(x -> x * D(y -> x + y, 1), 1) is 1."""
    inner_reverse = lambda x: x * grad(lambda y: x + y)(1.0)
    inner_forward = lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1]
    for f in (inner_reverse, inner_forward):
        assert grad(f)(1.0) == 1.0
        assert jvp(f, (1.0,), (1.0,))[1] == 1.0


def test_a_custom_rule_does_not_hide_what_it_closes_over():
    """jax PR#4008: a rule says nothing of a differentiated value it closes over."""

    def outer(a, b):
        @custom_vjp
        def scaled(x):
            return b * x

        scaled.defvjp(lambda x: (b * x, None), lambda _, ct: (10.0 * b * ct,))
        return scaled(3.0 * a)

    assert grad(outer)(2.0, 5.0) == 10.0 * 5.0 * 3.0
    with pytest.raises(DifferentiationError, match="closes over b"):
        grad(outer, argnums=(0, 1))(2.0, 5.0)


def test_nan_checks_survive():
    """numba#2919: no fast-math."""
    f = grad(lambda x: np.sum(np.where(np.isnan(x), 0.0, x * x)))
    assert np.array_equal(f(np.array([np.nan, 2.0])), [0.0, 4.0])
    assert np.isnan(grad(lambda x: np.sum(0.0 * x * x))(np.array([np.nan]))).all()


def test_complex_is_refused():
    """One convention is as wrong as the other for half the world."""
    with pytest.raises(DTypeError, match="complex"):
        grad(lambda x: np.abs(x))(1.0 + 2.0j)


def test_a_max_of_nothing_raises_as_numpy_does():
    """Zero-size reductions without identity."""
    with pytest.raises(ValueError, match="zero-size"):
        grad(lambda x: np.max(x))(np.zeros(0))


def test_second_order_of_a_vector_function():
    """A value right to the bit with a wrong second derivative was once shipped."""
    x = np.array([0.3, 0.7, 1.1])
    f = lambda x: np.sum(np.exp(x[1:] * x[:-1])) + np.prod(x)
    h = hessian(f)(x)
    assert np.allclose(h, h.T)
    slope = grad(f)
    rows = [central(lambda v, k=k: slope(v)[k], x) for k in range(3)]
    assert np.allclose(h, rows, atol=1e-6)


def scale_into(y, x):
    y[:] = 2.0 * x + y


def test_a_written_argument_that_overlaps_another_is_refused():
    """Copies at entry would mean something else than the program does."""
    x = np.arange(4.0)
    kernel = jit(scale_into)
    y = np.ones(4)
    assert kernel(y, x) is None
    assert np.array_equal(y, 2.0 * x + 1.0)
    with pytest.raises(ArgumentError, match="share memory"):
        kernel(x[1:], x[:-1])
    assert np.array_equal(x, np.arange(4.0))


def test_a_gradient_leaves_the_arguments_that_its_function_writes():
    def total(y, x):
        scale_into(y, x)
        return np.sum(y * y)

    x, y = np.arange(3.0), np.ones(3)
    slope = grad(total, argnums=(0, 1))(y, x)
    assert np.array_equal(slope[0], 2.0 * (2.0 * x + 1.0))
    assert np.array_equal(slope[1], 4.0 * (2.0 * x + 1.0))
    assert np.array_equal(y, np.ones(3))
    with pytest.raises(ArgumentError, match="share memory"):
        grad(total)(x, x)


@pytest.mark.xfail(strict=True, reason="the root is calculated before the loop")
def test_what_a_loop_without_turns_would_calculate_has_no_part_in_the_gradient():
    def roots(c, n):
        s = c
        for _ in range(n):
            s = s + np.sin(np.sqrt(c))
        return s

    assert grad(roots)(-1.0, 0) == 1.0
