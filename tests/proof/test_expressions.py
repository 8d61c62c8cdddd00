"""Functions as SymPy expressions, and back."""

import numpy as np
import pytest
import sympy

from tests.proof.models import branches, halved, rotated
from tracegrad import from_sympy, grad, hessian, jacobian, symbolic
from tracegrad.errors import ArgumentError, TracegradError
from tracegrad.traces.symbols import constant

X, K = sympy.symbols("x k", real=True)


def test_a_function_its_gradient_and_hessian():
    f = symbolic(lambda x, k: k * np.sum(x**2), np.array([1.0, 2.0]), 3.0)
    x0, x1, k = sympy.symbols("x_0 x_1 k", real=True)
    assert f.value == k * (x0**2 + x1**2)
    assert f.gradient == (sympy.Array([2 * k * x0, 2 * k * x1]), x0**2 + x1**2)
    assert f.hessian == sympy.hessian(f.value, (x0, x1, k))
    assert r"x_{0}^{2}" in f._repr_latex_()
    assert list(f.arguments[0]) == [x0, x1]


def test_a_jacobian_and_branches_as_people_write_them():
    f = symbolic(rotated, np.array([1.0, 2.0]), 0.5)
    assert f.jacobian[0].shape == (2, 2)
    angle = sympy.Symbol("angle", real=True)
    x = f.arguments[0]
    assert f.value[0] == x[0] * sympy.cos(angle) - x[1] * sympy.sin(angle)
    shown = symbolic(branches, np.array([0.3])).value
    assert shown.has(sympy.Piecewise, sympy.Max)
    assert symbolic(lambda x: np.maximum(np.abs(x), 1.0), 2.0).value == sympy.Max(
        sympy.Abs(X), 1
    )


def test_constants_are_what_they_mean():
    f = symbolic(lambda x: 0.1 * x + np.log(2.0), 1.0)
    assert f.value == X / 10 + sympy.log(2)


def test_a_loop_that_data_end_has_no_expression():
    with pytest.raises(TracegradError, match="x > 1 is neither true nor false"):
        symbolic(halved, 5.0)


def test_an_expression_as_a_function():
    f = from_sympy(sympy.exp(-K * X) * sympy.sin(X) / (1 + X**2), [X, K])
    assert f(0.3, 2.0) == pytest.approx(np.exp(-0.6) * np.sin(0.3) / 1.09)
    exact = [sympy.diff(f.expressions, s).subs({X: 0.3, K: 2.0}) for s in (X, K)]
    gradient = grad(f, argnums=(0, 1))
    assert gradient(0.3, 2.0) == pytest.approx([float(e) for e in exact])
    assert "def expression_grad(x, k):" in gradient.source
    assert gradient.source.count("exp(") == 1  # common parts are computed once


def test_arrays_in_and_out():
    v = sympy.symbols("v:3")
    system = [v[0] * v[1], sympy.Piecewise((v[2] ** 2, v[2] > 0), (0, True)), 3]
    f = from_sympy(system, [list(v)], name="system")
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(f(x), [2.0, 9.0, 3.0])
    np.testing.assert_array_equal(jacobian(f)(x), [[2, 1, 0], [0, 0, 6], [0, 0, 0]])
    assert "(v)" in repr(f)


def test_elementwise_over_arrays():
    f = from_sympy(sympy.Max(sympy.erf(X), sympy.Rational(1, 3)) + sympy.pi, [X])
    x = np.array([0.0, 1.0])
    np.testing.assert_allclose(f(x), [1 / 3 + np.pi, 0.8427007929497149 + np.pi])


def test_there_and_back():
    f = symbolic(lambda x: x**3 - np.exp(2.0 * x) / 7.0, 1.0)
    again = from_sympy(f.value, [f.arguments[0]])
    assert hessian(again)(0.7) == pytest.approx(6 * 0.7 - 4 * np.exp(1.4) / 7)


@pytest.mark.parametrize(
    ("expression", "message"),
    [(X * K, "k is no argument"), (sympy.zeta(X), "zeta has no tracegrad function")],
)
def test_what_has_no_function_is_named(expression, message):
    with pytest.raises(ArgumentError, match=message):
        from_sympy(expression, [X])(1.0)


def test_gradients_by_sympy():
    def f(x, n):
        total = 0.0
        for k in range(n):
            total += np.sin(x[k]) * x[k - 1] ** 2
        return total

    x = np.array([0.3, 1.2, 0.5])
    gradient = grad(f, via="sympy")
    np.testing.assert_allclose(gradient(x, 3), grad(f)(x, 3), rtol=1e-14)
    np.testing.assert_allclose(gradient(x, 2), grad(f)(x, 2), rtol=1e-14)
    x = np.append(x, 0.1)
    np.testing.assert_allclose(gradient(x, 4), grad(f)(x, 4), rtol=1e-14)


@pytest.mark.parametrize("value", [1.2345678901234567e308, -1.797693134862315e308])
def test_a_huge_constant_means_itself(value):
    assert float(constant(value)) == value
