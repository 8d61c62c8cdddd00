"""Published derivatives: SciPy's Rosenbrock, the Greeks, Moré–Garbow–Hillstrom."""

import numpy as np
import pytest
from scipy.optimize import least_squares, rosen, rosen_der, rosen_hess
from scipy.stats import norm

from tests.problems.mgh import PROBLEMS
from tests.proof.models import call_price
from tracegrad import grad, hessian
from tracegrad.proof.inputs import small_sizes
from tracegrad.proof.job import Started, job_of
from tracegrad.proof.program import subject
from tracegrad.proof.worker import prove


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_rosenbrock_and_its_hessian_as_scipy_has_them():
    gradient, curvature = grad(rosenbrock), hessian(rosenbrock)
    rng = np.random.default_rng(0)
    for n in (2, 7):
        x = rng.normal(size=n)
        np.testing.assert_allclose(rosenbrock(x), rosen(x), rtol=1e-14)
        np.testing.assert_allclose(gradient(x), rosen_der(x), rtol=1e-13)
        np.testing.assert_allclose(curvature(x), rosen_hess(x), rtol=1e-13)


def test_the_greeks_in_closed_form():
    greeks = grad(call_price, argnums=(0, 1, 2, 3, 4))
    for s, k, t, r, v in ((100.0, 95.0, 1.0, 0.05, 0.2), (30.0, 45.0, 0.3, 0.01, 0.5)):
        d1 = (np.log(s / k) + (r + 0.5 * v * v) * t) / (v * np.sqrt(t))
        d2 = d1 - v * np.sqrt(t)
        discount = np.exp(-r * t)
        vega = s * norm.pdf(d1) * np.sqrt(t)
        expected = (
            norm.cdf(d1),
            -discount * norm.cdf(d2),
            0.5 * vega * v / t + r * k * discount * norm.cdf(d2),
            k * t * discount * norm.cdf(d2),
            vega,
        )
        np.testing.assert_allclose(greeks(s, k, t, r, v), expected, rtol=1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_jacobian_is_proved_by_sympy(name):
    problem = PROBLEMS[name]
    own = subject(problem.residuals, (problem.x0,), None)
    messages = list(prove(job_of(own, {}, small_sizes(own), 60.0)))
    assert isinstance(messages[0], Started), messages
    assert len(messages) == messages[0].entries + 1
    for entry in messages[1:]:
        assert entry.verdict == "proved", entry


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_problem_is_the_published_one(name):
    problem = PROBLEMS[name]
    if problem.minima:
        found = 2.0 * least_squares(problem.residuals, problem.x0, xtol=1e-15).cost
        best = min(problem.minima, key=lambda f: abs(f - found))
        np.testing.assert_allclose(found, best, rtol=2e-5, atol=1e-10)
