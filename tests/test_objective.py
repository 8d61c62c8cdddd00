"""SciPy's solvers, fed with our derivatives."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import (
    NonlinearConstraint,
    least_squares,
    minimize,
    root,
    rosen,
    rosen_der,
    rosen_hess,
)

from tests.problems.mgh import PROBLEMS
from tracegrad import jacobian, scipy_objective, scipy_system
from tracegrad.errors import ArgumentError


def valley(x):
    total = 0.0
    for i in range(x.shape[0] - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def test_derivatives_are_those_of_scipys_own_rosenbrock():
    problem = scipy_objective(valley, np.array([-1.2, 1.0, 0.8, 1.1]))
    v = np.array([0.3, -0.2, 0.5, 1.0])
    for x in (problem.x0, problem.x0 + 0.1):
        value, gradient = problem.fun_and_jac(x)
        assert value == problem.fun(x) == pytest.approx(rosen(x), rel=1e-14)
        np.testing.assert_array_equal(gradient, problem.jac(x))
        np.testing.assert_allclose(gradient, rosen_der(x), rtol=1e-12)
        np.testing.assert_allclose(problem.hess(x), rosen_hess(x), rtol=1e-12)
        np.testing.assert_allclose(problem.hessp(x, v), rosen_hess(x) @ v, rtol=1e-11)


@pytest.mark.parametrize("method", ["trust-exact", "trust-ncg", "Newton-CG", "BFGS"])
def test_minimize(method):
    problem = scipy_objective(valley, np.array([-1.2, 1.0]))
    second = {
        "trust-exact": {"hess": problem.hess},
        "trust-ncg": {"hessp": problem.hessp},
        "Newton-CG": {"hess": problem.hess},
    }
    found = minimize(
        problem.fun,
        problem.x0,
        method=method,
        jac=problem.jac,
        **second.get(method, {}),
    )
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-4)


@pytest.mark.parametrize("title", PROBLEMS)
def test_minima_that_were_published(title):
    published = PROBLEMS[title]
    problem = scipy_objective(published.objective, published.x0)
    with np.errstate(all="ignore"):  # steps too far out overflow
        found = minimize(
            problem.fun_and_jac,
            problem.x0,
            method="trust-exact",
            jac=True,
            hess=problem.hess,
            options={"gtol": 1e-8, "maxiter": 2000},
        )
    # It stops where rounding hides what a step gains: there is no more to gain.
    assert found.success or "bad approximation" in found.message
    assert np.linalg.norm(found.jac) < 1e-6 * max(1.0, found.fun)
    minima = published.minima or (0.0,)
    assert any(found.fun == pytest.approx(f, rel=1e-5, abs=1e-10) for f in minima)


def test_nested_parameters_are_taken_apart_and_put_back():
    def residuals(p, t, y):
        decay = p["scale"] * np.exp(-p["rates"][0] * t)
        return decay + p["rates"][1] * t - y

    t = np.linspace(0.0, 2.0, 9)
    y = 3.0 * np.exp(-1.5 * t) + 0.25 * t
    start = {"rates": np.array([1.0, 0.0]), "scale": 1.0}
    problem = scipy_system(residuals, start)
    assert problem.x0.tolist() == [1.0, 0.0, 1.0]
    found = least_squares(problem.fun, problem.x0, problem.jac, args=(t, y))
    fitted = problem.restore(found.x)
    assert fitted["scale"] == pytest.approx(3.0)
    np.testing.assert_allclose(fitted["rates"], [1.5, 0.25], rtol=1e-7)


def test_constraints_take_the_weighted_hessian():
    problem = scipy_objective(valley, np.array([-1.2, 1.0]))
    disk = scipy_system(lambda x: np.stack([x[0] ** 2 + x[1] ** 2]), problem.x0)
    np.testing.assert_array_equal(disk.hess(problem.x0, [3.0]), 6.0 * np.eye(2))
    found = minimize(
        problem.fun,
        problem.x0,
        method="trust-constr",
        jac=problem.jac,
        hess=problem.hess,
        constraints=NonlinearConstraint(disk.fun, -np.inf, 1.5, disk.jac, disk.hess),
        options={"gtol": 1e-6},
    )
    # The gradient is normal to the circle there.
    assert found.x @ found.x == pytest.approx(1.5, rel=2e-3)  # from within
    normal = rosen_der(found.x)
    assert normal[0] * found.x[1] == pytest.approx(normal[1] * found.x[0], rel=1e-2)


def test_root():
    def powell(x):
        return np.stack(
            [1e4 * x[0] * x[1] - 1.0, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001]
        )

    problem = scipy_system(powell, np.array([0.0, 1.0]))
    found = root(problem.fun, problem.x0, jac=problem.jac, tol=1e-14)
    # Moré, Garbow and Hillstrom, problem 3.
    np.testing.assert_allclose(found.x, [1.098e-5, 9.106], rtol=1e-3)


def test_the_jacobian_of_a_stiff_equation():
    def van_der_pol(t, y, mu):
        return np.stack([y[1], mu * (1.0 - y[0] ** 2) * y[1] - y[0]])

    span, start = (0.0, 10.0), np.array([2.0, 0.0])
    jac = jacobian(van_der_pol, argnums=1)
    np.testing.assert_allclose(
        jac(0.0, np.array([2.0, 0.5]), 50.0), [[0, 1], [-101, -150]]
    )
    ours = solve_ivp(van_der_pol, span, start, "Radau", args=(50.0,), jac=jac)
    theirs = solve_ivp(van_der_pol, span, start, "Radau", args=(50.0,))
    assert ours.success
    np.testing.assert_allclose(ours.y[:, -1], theirs.y[:, -1], rtol=1e-6)


def test_what_is_no_float_is_no_parameter():
    with pytest.raises(ArgumentError, match="is 2: int, not floating-point"):
        scipy_objective(lambda p: p[0], (1.0, 2))
