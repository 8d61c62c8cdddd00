"""The public transformations: what they return, how they compose and are called."""

import functools
import inspect
import logging
import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import tracegrad
from tracegrad import (
    check_grads,
    custom_jvp,
    custom_vjp,
    eager,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    linearize,
    stop_gradient,
    value_and_grad,
    vjp,
)
from tracegrad.errors import ArgumentError, DifferentiationError

X = np.array([0.5, -1.5, 2.0])
SCALE = 2.0
OFFSET = np.zeros(3)


class Pair(NamedTuple):
    first: np.ndarray
    second: float


@dataclass
class Params:
    weights: np.ndarray
    bias: float
    name: str = "net"


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def rosenbrock_grad(x):
    g = np.zeros_like(x)
    r = x[1:] - x[:-1] ** 2
    g[:-1] = -400.0 * x[:-1] * r - 2.0 * (1.0 - x[:-1])
    g[1:] += 200.0 * r
    return g


# --- forms -------------------------------------------------------------------------


def test_as_function_and_as_decorator():
    @grad
    def plain(x):
        return x**2

    @grad(argnums=1)
    def second(x, y):
        return x * y**2

    assert plain(3.0) == 6.0
    assert second(2.0, 3.0) == 12.0
    assert grad(lambda x: x**2)(3.0) == 6.0


def test_metadata_is_kept():
    def loss(x: float, k: float = 2.0) -> float:
        """A loss."""
        return k * x

    wrapped = grad(loss)
    assert wrapped.__name__ == "loss"
    assert wrapped.__doc__ == "A loss."
    assert wrapped.__wrapped__ is loss
    assert inspect.signature(wrapped) == inspect.signature(loss)
    assert repr(wrapped).startswith("<tracegrad loss_grad(x")


def test_as_method():
    class Model:
        def __init__(self, k):
            self.k = k

        @jit
        def energy(self, x):
            return self.k * np.sum(x**2)

        @functools.partial(grad, argnums=1)
        def force(self, x):
            return self.k * np.sum(x**2)

    soft, hard = Model(1.0), Model(10.0)
    assert soft.energy(X) == np.sum(X**2)
    assert np.allclose(soft.force(X), 2.0 * X)
    assert np.allclose(hard.force(X), 20.0 * X)
    hard.k = 5.0
    assert np.allclose(hard.force(X), 10.0 * X)


def test_defaults_and_keywords():
    def loss(x, k=2.0, *, power=2):
        return k * np.sum(x**power)

    f = grad(loss)
    assert np.allclose(f(X), 4.0 * X)
    assert np.allclose(f(X, 3.0), 6.0 * X)
    assert np.allclose(f(X, k=3.0, power=3), 9.0 * X**2)
    assert np.allclose(f(X, power=3), 6.0 * X**2)
    assert np.allclose(f(X), 4.0 * X)


def test_variadic_arguments():
    @grad(argnums=(0, 2))
    def loss(*xs, **options):
        return xs[0] * xs[1] * xs[2] * options["k"]

    assert loss(2.0, 3.0, 4.0, k=5.0) == (60.0, 30.0)


# --- which arguments ---------------------------------------------------------------


def product(x, y, z):
    return x * y * z


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 6.0),
        ({"argnums": 0}, 6.0),
        ({"argnums": 2}, 2.0),
        ({"argnums": -1}, 2.0),
        ({"argnums": (0, 2)}, (6.0, 2.0)),
        ({"argnums": [1]}, (3.0,)),
        ({"argnames": "y"}, 3.0),
        ({"argnames": ("z", "x")}, (2.0, 6.0)),
        ({"argnums": 0, "argnames": "z"}, (6.0, 2.0)),
    ],
)
def test_argnums_and_argnames(options, expected):
    assert grad(product, **options)(1.0, 2.0, 3.0) == expected
    value, gradient = value_and_grad(product, **options)(1.0, 2.0, 3.0)
    assert (value, gradient) == (6.0, expected)


def test_keyword_only_argument():
    def loss(x, *, k):
        return x * k**2

    assert grad(loss, argnames="k")(2.0, k=3.0) == 12.0


def test_has_aux():
    def loss(x):
        y = x * 2.0
        return np.sum(y), {"y": y, "n": x.shape[0], "name": "aux"}

    gradient, aux = grad(loss, has_aux=True)(X)
    assert gradient.tolist() == [2.0, 2.0, 2.0]
    assert aux["y"].tolist() == (2.0 * X).tolist()
    assert (aux["n"], aux["name"]) == (3, "aux")
    (value, aux), gradient = value_and_grad(loss, has_aux=True)(X)
    assert value == np.sum(2.0 * X)
    assert gradient.tolist() == [2.0, 2.0, 2.0]


# --- nested arguments --------------------------------------------------------------


def test_nested_arguments():
    def loss(params, pair, x):
        z = params["layers"][0] @ x + params["bias"]
        return np.sum(z * pair.first) * pair.second

    params = {"layers": [np.ones((2, 3)), None], "bias": np.zeros(2)}
    pair = Pair(np.array([1.0, 2.0]), 3.0)
    grads = grad(loss, argnums=(0, 1))(params, pair, X)
    assert np.allclose(grads[0]["layers"][0], 3.0 * np.outer(pair.first, X))
    assert grads[0]["layers"][1] is None
    assert np.allclose(grads[0]["bias"], 3.0 * pair.first)
    assert isinstance(grads[1], Pair)
    assert np.allclose(grads[1].first, X.sum() * 3.0)
    again = grad(loss, argnums=(0, 1))
    for _ in range(3):
        assert np.allclose(again(params, pair, X)[1].second, 3.0 * X.sum())


def test_dataclasses():
    def loss(p, x):
        return np.sum(p.weights * x) + p.bias

    gradient = grad(loss)
    for _ in range(3):
        result = gradient(Params(np.ones(3), 1.0), X)
        assert isinstance(result, Params)
        assert result.weights.tolist() == X.tolist()
        assert (result.bias, result.name) == (1.0, None)


def test_changed_nesting_makes_another_specialisation():
    f = jit(lambda p: sum(p))
    assert f([1.0, 2.0]) == 3.0
    assert f([1.0, 2.0, 3.0]) == 6.0
    assert f((1.0, 2.0)) == 3.0
    assert f([1.0, 5.0]) == 6.0
    assert len(f.signatures) == 3


# --- composition -------------------------------------------------------------------


def test_gradients_of_gradients():
    def f(x):
        return x**4

    assert grad(grad(f))(2.0) == 48.0
    assert grad(grad(grad(f)))(2.0) == 48.0
    assert value_and_grad(grad(f))(2.0) == (32.0, 48.0)


def test_forward_over_reverse_and_the_other_ways():
    v = np.array([1.0, -2.0, 0.5])
    expected = hessian(rosenbrock)(X) @ v
    ways = [
        jvp(grad(rosenbrock), (X,), (v,))[1],
        grad(lambda x: np.sum(grad(rosenbrock)(x) * v))(X),
        grad(lambda x: jvp(rosenbrock, (x,), (v,))[1])(X),
        hvp(rosenbrock)(X, v),
        vjp(grad(rosenbrock), X)[1](v)[0],
        linearize(grad(rosenbrock), X)[1](v),
        jit(lambda x, u: vjp(grad(rosenbrock), x)[1](u)[0])(X, v),
        jit(grad(lambda x: jit(lambda y: jvp(rosenbrock, (y,), (v,))[1])(x)))(X),
    ]
    for way in ways:
        assert np.allclose(way, expected)


def test_no_perturbation_confusion():
    """ForwardDiff.jl#83: D(x → x · D(y → x + y, 1), 1) is 1."""

    def forward(f, x):
        return jvp(f, (x,), (1.0,))[1]

    def reverse(f, x):
        return grad(f)(x)

    def nested(outer, inner):
        return outer(lambda x: x * inner(lambda y: x + y, 1.0), 1.0)

    for outer in (forward, reverse):
        for inner in (forward, reverse):
            assert nested(outer, inner) == 1.0


def test_a_gradient_inside_a_traced_function():
    @jit
    def newton(x):
        for _ in range(5):
            x = x - grad(cube_root_of_two)(x) / grad(grad(cube_root_of_two))(x)
        return x

    assert np.isclose(newton(1.0), 2.0 ** (1.0 / 3.0))


def cube_root_of_two(x):
    return x**4 / 4.0 - 2.0 * x


def test_a_hessian_inside_a_traced_function():
    def penalty(x):
        return np.sum(hessian(rosenbrock)(x) ** 2)

    expected = np.sum(hessian(rosenbrock)(X) ** 2)
    assert np.isclose(jit(penalty)(X), expected)
    check_grads(penalty, (X,), order=1)


def test_closing_over_traced_values():
    def loss(x, k):
        inner = grad(lambda y: np.sum(k * y**3))
        return np.sum(inner(x) * x)

    assert np.allclose(grad(loss)(X, 2.0), 18.0 * X**2)
    assert np.isclose(grad(loss, argnums=1)(X, 2.0), 3.0 * np.sum(X**3))


# --- Jacobians ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["forward", "reverse", "auto"])
def test_jacobian(mode):
    def f(x, k):
        return np.outer(x, x)[:2] * k

    expected = np.zeros((2, 3, 3))
    for i in range(2):
        for j in range(3):
            expected[i, j, i] += X[j]
            expected[i, j, j] += X[i]
    assert np.allclose(jacobian(f, mode=mode)(X, 2.0), 2.0 * expected)
    wide = jacobian(f, argnums=(0, 1), mode=mode)(X, 2.0)
    assert np.allclose(wide[0], 2.0 * expected)
    assert np.allclose(wide[1], np.outer(X, X)[:2])


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_of_nests(mode):
    def f(p):
        return {"y": p["a"] * p["k"], "s": np.sum(p["a"])}

    result = jacobian(f, mode=mode)({"a": X, "k": 2.0})
    assert np.allclose(result["y"]["a"], 2.0 * np.eye(3))
    assert np.allclose(result["y"]["k"], X)
    assert np.allclose(result["s"]["a"], np.ones(3))
    assert result["s"]["k"] == 0.0


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_of_numbers_and_of_nothing(mode):
    assert jacobian(lambda x: x**2, mode=mode)(3.0) == 6.0
    assert jacobian(lambda x: x**2, mode=mode)(np.empty(0)).shape == (0, 0)
    single = np.float32([1.0, 2.0])
    result = jacobian(lambda x: x * 2.0, mode=mode)(single)
    assert result.dtype == np.float32
    assert result.tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_jacobian_of_many_columns_goes_by_rows():
    f = jacobian(lambda x: np.array([np.sum(x), np.sum(x**2)]))
    x = np.arange(50.0)
    assert np.allclose(f(x), [np.ones(50), 2.0 * x])
    assert "out[k, j]" in f.source


def test_jacobian_compiles_once_for_all_sizes():
    f = jacobian(lambda x: x**2)
    for n in (3, 5, 2):
        assert np.allclose(f(np.arange(float(n))), np.diag(2.0 * np.arange(n)))
    assert len(f.signatures) == 1


def test_hessian():
    def quadratic(x, A):
        return 0.5 * x @ A @ x

    A = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 4.0]])
    assert np.allclose(hessian(quadratic)(X, A), A)
    assert hessian(lambda x: x**3)(2.0) == 12.0


def test_hvp_calls_as_scipy_does():
    scipy_optimize = pytest.importorskip("scipy.optimize")
    result = scipy_optimize.minimize(
        lambda x, k: k * rosenbrock(x),
        np.zeros(3),
        args=(2.0,),
        jac=grad(lambda x, k: k * rosenbrock(x)),
        hessp=hvp(lambda x, k: k * rosenbrock(x)),
        method="Newton-CG",
        options={"xtol": 1e-10},
    )
    assert np.allclose(result.x, 1.0)


def test_hvp_of_several_arguments():
    def f(k, x, y):
        return k * np.sum(x**2 * y)

    vx, vy = np.ones(3), np.array([1.0, 2.0, 3.0])
    hx, hy = hvp(f, argnums=(1, 2))(2.0, X, X + 1.0, (vx, vy))
    assert np.allclose(hx, 4.0 * ((X + 1.0) * vx + X * vy))
    assert np.allclose(hy, 4.0 * X * vx)
    assert np.allclose(hvp(f, argnums=1)(2.0, X, vx, X), 4.0 * X)


# --- products ----------------------------------------------------------------------


def test_vjp_of_nests_and_reuse():
    def f(p, k):
        return {"a": p[0] * k, "b": np.sum(p[1])}

    out, pull = vjp(f, (X, np.ones(2)), 3.0)
    assert out["a"].tolist() == (3.0 * X).tolist()
    (p_bar, k_bar) = pull({"a": np.ones(3), "b": 2.0})
    assert p_bar[0].tolist() == [3.0, 3.0, 3.0]
    assert p_bar[1].tolist() == [2.0, 2.0]
    assert np.isclose(k_bar, X.sum())
    assert pull({"a": np.zeros(3), "b": 1.0})[0][1].tolist() == [1.0, 1.0]
    kernel = pull.kernel
    assert vjp(f, (X, np.ones(2)), 4.0)[1].kernel is kernel
    assert len(kernel.signatures) == 1


def test_vjp_has_no_cotangent_for_what_is_no_float():
    _, pull = vjp(lambda x, i, flag: x[i] if flag else x[0], X, 1, True)
    x_bar, i_bar, flag_bar = pull(2.0)
    assert x_bar.tolist() == [0.0, 2.0, 0.0]
    assert i_bar is None
    assert flag_bar is None


def test_jvp_and_linearize():
    def f(x, k):
        return np.sin(x) * k, k**2

    out, dots = jvp(f, (X, 2.0), (np.ones(3), 1.0))
    assert np.allclose(out[0], np.sin(X) * 2.0)
    assert np.allclose(dots[0], np.cos(X) * 2.0 + np.sin(X))
    assert dots[1] == 4.0
    _, push = linearize(f, X, 2.0)
    assert np.allclose(push(np.ones(3), 1.0)[0], dots[0])
    assert push(np.zeros(3), 0.0)[1] == 0.0


# --- rules of the user's -----------------------------------------------------------


def test_custom_vjp_serves_every_mode():
    @custom_vjp
    def f(x, k):
        return np.sin(x) * k

    f.defvjp(
        lambda x, k: (f(x, k), (x, k)),
        lambda saved, bar: (10.0 * bar * np.cos(saved[0]) * saved[1], None),
    )
    assert np.isclose(f(1.0, 2.0), 2.0 * np.sin(1.0))
    assert np.allclose(grad(lambda x: np.sum(f(x, 2.0)))(X), 20.0 * np.cos(X))
    assert np.allclose(jvp(lambda x: f(x, 2.0), (X,), (X,))[1], 20.0 * np.cos(X) * X)
    second = grad(lambda x: np.sum(grad(lambda y: np.sum(f(y, 2.0)))(x)))(X)
    assert np.allclose(second, -20.0 * np.sin(X))
    assert np.allclose(jit(f)(X, 2.0), 2.0 * np.sin(X))


def test_custom_jvp_serves_every_mode():
    @custom_jvp
    def f(x, k):
        return x**2 * k

    @f.defjvp
    def rule(primals, tangents):
        (x, k), (x_dot, k_dot) = primals, tangents
        return f(x, k), 7.0 * x * k * x_dot + x**2 * k_dot

    assert grad(f)(3.0, 2.0) == 42.0
    assert grad(f, argnums=1)(3.0, 2.0) == 9.0
    assert jvp(f, (3.0, 2.0), (1.0, 1.0))[1] == 51.0
    assert grad(grad(f))(3.0, 2.0) == 14.0
    assert np.allclose(hessian(lambda x: np.sum(f(x, 2.0)))(X), 14.0 * np.eye(3))


def test_defaults_have_no_directions():
    """What vjp, jvp and linearize are given and give belongs to the primals."""

    def f(x, shift=0.5, *, scale=2.0):
        return scale * x * x + shift

    assert vjp(f, 3.0)[1](1.0) == (12.0,)
    assert jvp(f, (3.0,), (1.0,)) == (18.5, 12.0)
    assert linearize(f, 3.0)[1](1.0) == 12.0
    assert jvp(f, (3.0, 1.0), (1.0, 1.0)) == (19.0, 13.0)
    assert jit(lambda x: vjp(f, x)[1](1.0))(3.0) == (12.0,)
    assert eager.pushforward(f)((3.0,), (1.0,)) == (18.5, 12.0)
    assert eager.pullback(f)((3.0,), 1.0) == (18.5, (12.0,))


def test_custom_rules_may_close_over_traced_values():
    """Jax PR#4008."""

    def loss(x, k):
        @custom_vjp
        def scaled(y):
            return y * k

        scaled.defvjp(lambda y: (y * k, None), lambda _, bar: (5.0 * k * bar,))
        return np.sum(grad(lambda y: np.sum(scaled(y) ** 2))(x))

    assert np.isclose(jit(loss)(X, 2.0), np.sum(2.0 * X * 2.0 * 5.0 * 2.0))


def test_custom_rules_must_not_close_over_what_is_differentiated():
    def loss(k):
        @custom_jvp
        def scaled(y):
            return y * k

        scaled.defjvp(lambda p, t: (p[0] * k, t[0] * k))
        return scaled(2.0 * k)

    with pytest.raises(DifferentiationError, match="closes over k"):
        grad(loss)(1.0)


def test_custom_rules_over_nests():
    @custom_vjp
    def f(p):
        return {"s": np.sum(p["a"]) * p["k"]}

    f.defvjp(
        lambda p: (f(p), p),
        lambda p, bar: ({"a": 3.0 * bar["s"] * np.ones(3), "k": bar["s"]},),
    )
    result = grad(lambda p: f(p)["s"])({"a": X, "k": 2.0})
    assert result["a"].tolist() == [3.0, 3.0, 3.0]
    assert result["k"] == 1.0


def test_stop_gradient():
    assert grad(lambda x: x * stop_gradient(x))(3.0) == 3.0
    nested = grad(lambda x: np.sum(x * stop_gradient({"a": x})["a"]))
    assert nested(X).tolist() == X.tolist()
    assert stop_gradient(3.0) == 3.0


# --- dtypes, shapes, layouts -------------------------------------------------------


def test_results_have_the_types_of_the_arguments():
    def f(x):
        return np.sum(x * 2.0)

    assert type(grad(lambda x: x * 2.0)(1.0)) is float
    assert type(grad(f)(np.float64(1.0))) is float
    assert type(grad(f)(np.array(1.0))) is float
    assert type(grad(f)(np.float32(1.0))) is np.float32
    single = np.float32([1.0, 2.0])
    value, gradient = value_and_grad(f)(single)
    assert type(value) is np.float32
    assert gradient.dtype == np.float32
    assert type(value_and_grad(lambda x: x * 2.0)(1.0)[0]) is float
    assert type(value_and_grad(f)(X)[0]) is float


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), (1, 1), (2, 1, 3)])
def test_shapes(shape):
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    gradient = grad(lambda x: np.sum(x**3))(x)
    assert gradient.shape == shape
    assert np.allclose(gradient, 3.0 * x**2)


def test_layouts():
    gradient = grad(lambda x: np.sum(np.sin(x)))
    base = np.arange(24.0).reshape(4, 6)
    swapped = base.astype(">f8")
    frozen = base.copy()
    frozen.flags.writeable = False
    views = [base.T, base[::2, ::-1], np.asfortranarray(base), swapped, frozen]
    views += [np.broadcast_to(base[0], (4, 6)), base[:, 1:]]
    for view in views:
        for _ in range(2):
            assert np.allclose(gradient(view), np.cos(view))
    assert len(gradient.signatures) == 1


def test_unaligned_arrays():
    raw = np.zeros(8 * 3 + 1, np.uint8)
    x = raw[1:].view(np.float64)
    x[:] = X
    assert np.allclose(grad(lambda x: np.sum(x**2))(x), 2.0 * X)


def test_an_array_in_two_slots_is_two_inputs():
    f = grad(lambda a, b: np.sum(a * b**2), argnums=(0, 1))
    a_bar, b_bar = f(X, X)
    assert np.allclose(a_bar, X**2)
    assert np.allclose(b_bar, 2.0 * X * X)


def test_inputs_stay_and_calls_repeat():
    x = X.copy()
    f = value_and_grad(rosenbrock)
    first, second = f(x), f(x)
    assert x.tobytes() == X.tobytes()
    assert first[0] == second[0]
    assert first[1].tobytes() == second[1].tobytes()


def test_results_are_arrays_of_their_own():
    f = jit(lambda x: (x, x, x[:], [x * 1.0]))
    a, b, c, (d,) = f(X)
    for one in (a, b, c, d):
        assert not np.shares_memory(one, X)
    assert not np.shares_memory(a, b)
    constant = jit(lambda x: (np.ones(3), x))
    constant(X)[0][:] = 5.0
    assert constant(X)[0].tolist() == [1.0, 1.0, 1.0]


def test_mixed_dtypes_switch_back_and_forth():
    f = grad(lambda x: np.sum(x**2))
    for _ in range(2):
        assert f(X).dtype == np.float64
        assert f(X.astype(np.float32)).dtype == np.float32
    assert len(f.signatures) == 2


def test_a_float_passed_as_an_integer():
    f = grad(lambda x, k: np.sum(x) * k)
    assert f(X, 2.0).tolist() == [2.0, 2.0, 2.0]
    assert f(X, 3).tolist() == [3.0, 3.0, 3.0]
    assert f(X, True).tolist() == [1.0, 1.0, 1.0]


# --- specialisations ---------------------------------------------------------------


def test_other_sizes_compile_nothing():
    f = value_and_grad(lambda X, w: np.mean((X @ w) ** 2))
    for n, d in ((4, 2), (7, 3), (100, 10), (2, 2)):
        value, gradient = f(np.ones((n, d)), np.ones(d))
        assert value == d**2
        assert gradient.shape == (n, d)
    assert len(f.signatures) == 1


def test_a_broken_guard_makes_another_specialisation():
    f = jit(lambda a, b: a * b)
    assert f(X, X).shape == (3,)
    assert f(X, np.ones(1)).shape == (3,)
    assert f(np.ones(5), np.ones(5)).shape == (5,)
    assert f(np.ones((2, 1)), np.ones((1, 3))).shape == (2, 3)
    assert f(np.ones((4, 3)), np.ones((4, 3))).shape == (4, 3)
    with pytest.raises(ValueError, match="broadcast"):
        f(np.ones(3), np.ones(4))
    assert f(np.ones(6), np.ones(6)).shape == (6,)


def test_integers_that_python_needs_respecialise():
    @jit
    def power(x, n):
        result = 1.0
        for _ in range(n):
            result = result * x
        return result

    assert [power(2.0, n) for n in (3, 5, 3, 0, 5)] == [8.0, 32.0, 8.0, 1.0, 32.0]
    assert len(power.signatures) == 1  # a loop takes any number

    @jit
    def repeated(x, n):
        return sum([x] * n, 0.0)

    assert [repeated(2.0, n) for n in (3, 5, 3, 0, 5)] == [6.0, 10.0, 6.0, 0.0, 10.0]
    assert len(repeated.signatures) == 3


def test_static_arguments():
    @jit
    def f(x, kind, flag, function):
        y = function(x)
        return (y if kind == "sum" else -y) * (2.0 if flag else 1.0)

    assert np.allclose(f(X, "sum", True, np.sin), 2.0 * np.sin(X))
    assert np.allclose(f(X, "neg", False, np.cos), -np.cos(X))
    assert np.allclose(f(X, "sum", True, np.sin), 2.0 * np.sin(X))


def test_globals_are_never_stale(monkeypatch):
    f = grad(lambda x: SCALE * np.sum((x + OFFSET) ** 2))
    assert np.allclose(f(X), 4.0 * X)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert np.allclose(f(X), 6.0 * X)
    monkeypatch.setitem(globals(), "OFFSET", np.ones(3))
    assert np.allclose(f(X), 6.0 * (X + 1.0))
    OFFSET[:] = 2.0
    assert np.allclose(f(X), 6.0 * (X + 2.0))
    monkeypatch.setitem(globals(), "OFFSET", np.ones(1))
    assert np.allclose(f(X), 6.0 * (X + 1.0))
    monkeypatch.setitem(globals(), "OFFSET", 1.5)
    assert np.allclose(f(X), 6.0 * (X + 1.5))
    monkeypatch.undo()
    assert np.allclose(f(X), 4.0 * X)


def test_redefined_helpers_are_noticed():
    def make(k):
        def helper(x):
            return k * x

        return helper

    helper = make(2.0)
    f = grad(lambda x: helper(x))
    assert f(1.0) == 2.0
    helper = make(5.0)
    assert f(1.0) == 5.0


def test_out():
    f = grad(lambda x: np.sum(x**2))
    buffer = np.empty(3)
    assert f(X, out=buffer) is buffer
    assert np.allclose(buffer, 2.0 * X)
    both = value_and_grad(lambda x, y: np.sum(x * y), argnums=(0, 1))
    buffers = (np.empty(3), np.empty(3))
    value, grads = both(X, X + 1.0, out=buffers)
    assert grads[0] is buffers[0]
    assert np.allclose(buffers[1], X)
    assert np.isclose(value, np.sum(X * (X + 1.0)))


def test_compile_ahead():
    f = grad(lambda x, k: k * np.sum(x**2)).compile(X, 2.0)
    assert len(f.signatures) == 1
    assert np.allclose(f(X, 3.0), 6.0 * X)
    assert len(f.signatures) == 1
    g = grad(lambda x, k: k * np.sum(x**2)).compile("float64[:], float64")
    assert np.allclose(g(np.ones(9), 3.0), 6.0)
    assert len(g.signatures) == 1
    assert "x_bar" in f.source
    assert "x_bar" in f.source_for(X, 1.0)


def test_looking_inside():
    f = value_and_grad(rosenbrock)
    f(X)
    assert "def rosenbrock_value_and_grad(x, x_bar)" in f.source
    assert f.graph.startswith("graph rosenbrock_value_and_grad(x: float64[x.shape[0]])")
    stages = f.stages()
    assert next(iter(stages)) == "rosenbrock, traced"
    assert list(stages)[-1] == "Python source"
    assert "Python source" in str(stages)
    assert str(f.stages(X)) == str(stages)


def test_events_are_logged(caplog):
    with caplog.at_level(logging.INFO, logger="tracegrad"):
        grad(lambda x: x**5)(2.0)
    text = caplog.text
    for verb in ("traced", "simplified", "lowered", "compiled"):
        assert f"{verb} f_grad in" in text
    assert "cache" in text


def test_threads_share_one_compilation():
    f = grad(lambda x: np.sum(np.exp(x) * x))
    results = []
    start = threading.Barrier(8)

    def work():
        start.wait()
        results.append(f(X))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(r, results[0]) for r in results)
    assert len(f.signatures) == 1


def test_values_that_leave_the_trace_are_refused():
    kept = []

    def leak(x):
        kept.append(x)
        return x

    with pytest.raises(tracegrad.errors.TracingError, match="from outside"):
        grad(leak, mode="compiled")(1.0)
    assert kept == []


# --- check_grads -------------------------------------------------------------------


def test_check_grads_as_jax_calls_it():
    check_grads(rosenbrock, (X,), 1, ["fwd", "rev"], 1e-5, 1e-5, 1e-3)
    waves = lambda x: np.sum(np.sin(3.0 * x))
    check_grads(waves, (X,), order=1, rtol=1e-7, atol=0.0)
    with pytest.raises(AssertionError, match=r"atol=0, rtol=1e-07"):
        check_grads(waves, (X,), order=1, rtol=1e-7, atol=0.0, eps=0.1)
    with pytest.raises(ArgumentError, match="mode 'both'"):
        check_grads(rosenbrock, (X,), modes=["both"])


def test_check_grads_passes_and_fails():
    check_grads(rosenbrock, (X,))
    check_grads(lambda p: {"y": p["a"] * p["k"]}, ({"a": X, "k": 2.0},))
    check_grads(lambda x: np.sum(x**2), (np.float32([1.0, 2.0]),), order=1)

    @custom_jvp
    def wrong(x):
        return x**2

    wrong.defjvp(lambda p, t: (p[0] ** 2, 3.0 * t[0]))
    with pytest.raises(AssertionError, match="finite differences") as caught:
        check_grads(wrong, (2.0,), order=1)
    assert "<--" in str(caught.value)
    assert "forward" in str(caught.value)


def test_check_grads_shows_the_entries_that_are_wrong():
    @custom_vjp
    def square(x):
        return x * x

    square.defvjp(
        lambda x: (x * x, x),
        lambda x, bar: (np.where(x > 1.0, 1.0, 2.0) * x * bar,),
    )

    def loss(p, n):
        return np.sum(square(p["a"]) * p["k"]) ** n

    args = {"a": np.array([0.5, 1.5, 0.7]), "k": 2.0}, 1
    with pytest.raises(AssertionError, match=r"reverse: 1 of 4 entries") as caught:
        check_grads(loss, args, modes=["reverse"])
    last = str(caught.value).splitlines()[-1].split()
    assert last[0] == "p_a[1]"
    assert float(last[2]) == pytest.approx(2.0 * float(last[1]))
