"""Verification: what is right is proved or agrees, what is wrong is found."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.proof import models
from tracegrad import verify
from tracegrad.errors import ArgumentError

sys.path.append(str(Path(__file__).parents[2] / "examples"))
import lynx_hare

X = np.array([0.4, 0.9])
START = np.log([0.5, 0.03, 0.8, 0.03, 30.0, 4.0, 0.3, 0.3])


def by_method(report):
    """The verdicts by the part of the method after the comma."""
    return {check.method.split(", ")[-1]: check for check in report.checks}


def test_a_smooth_function_is_proved_in_every_way():
    report = verify(models.smooth, X, 2.0, order=2)
    assert report.verdict == "proved"
    assert report.ok
    assert {check.verdict for check in report.checks} == {"proved", "agreed"}
    checks = {check.method: check for check in report.checks}
    checks = {name.split(", ")[-1]: checks[name] for name in list(checks)[:6]}
    assert checks["by SymPy"].why.startswith("3 of 3 entries proved")
    assert "complex step" in checks["against values"].why
    assert checks["in 50 digits"].why.startswith("50 digits")
    assert "ulp" in checks["against the program"].why
    assert sum("order 2" in check.method for check in report.checks) == 6


def test_logistic_regression_of_any_size_is_proved():
    rng = np.random.default_rng(0)
    labels = np.where(rng.uniform(size=30) < 0.5, -1.0, 1.0)
    data = rng.normal(size=(30, 4)), labels
    report = verify(models.logistic, rng.normal(size=4), *data, argnums=0)
    assert report.verdict == "proved"
    sympy = by_method(report)["by SymPy"]
    assert sympy.partial  # at a small size; the identity is about all of it
    assert "for w[2], features[2, 2], labels[2]" in sympy.why


def test_black_scholes_is_proved():
    report = verify(models.call_price, 100.0, 95.0, 1.0, 0.05, 0.2)
    assert report.verdict == "proved"
    assert by_method(report)["by SymPy"].why.startswith("5 of 5 entries proved")


def test_every_branch_is_proved_at_a_small_size():
    report = verify(models.branches, np.array([0.2, 0.9]))
    assert report.verdict == "proved"
    assert "in up to 3 cases" in by_method(report)["by SymPy"].why


def test_a_loop_that_data_end_is_proved_along_its_path():
    report = verify(models.halved, 5.3)
    assert report.verdict == "agreed"
    why = by_method(report)["by SymPy"].why
    assert why.endswith("where x > 1, x/2 > 1, x/4 > 1, x/8 <= 1")


def test_arrays_of_results_get_weights():
    assert verify(models.rotated, X, 0.3).verdict == "proved"


def test_single_precision():
    report = verify(models.smooth, X.astype(np.float32), np.float32(2.0))
    assert report.verdict == "proved"


def test_two_steps_of_lynxes_and_hares_are_proved():
    data = lynx_hare.HARES[:2], lynx_hare.LYNXES[:2], 2
    report = verify(
        lynx_hare.negative_log_likelihood, START, *data, argnums=0, points=1
    )
    assert report.verdict == "proved"
    checks = by_method(report)
    assert "not attempted" in checks["by SymPy"].why  # it fills pages
    assert "wrong with probability" in checks["as an identity"].why


def test_a_thousand_steps_agree_numerically():
    data = lynx_hare.HARES, lynx_hare.LYNXES, 50
    report = verify(
        *(lynx_hare.negative_log_likelihood, START, *data),
        argnums=0,
        points=0,
        budget=30.0,
    )
    assert report.verdict == "agreed"
    assert report.ok


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (models.wrong_sign, (X,)),
        (models.missing_factor, (X,)),
        (models.wrong_branch, (np.array([0.4, -0.9]),)),
        (models.swapped_arguments, (0.7, 1.3)),
        (models.dropped_broadcast, (X, 2.0)),
        (models.wrong_tangent, (X,)),
    ],
)
def test_a_wrong_rule_is_caught_by_every_check(function, args):
    report = verify(function, *args)
    assert report.verdict == "differs"
    assert not report.ok
    assert not report  # for: assert verify(f, x)
    checks = by_method(report)
    assert checks["by SymPy"].verdict == "differs"
    assert checks["in 50 digits"].verdict == "differs"
    assert checks["against values"].verdict == "differs"
    assert checks["as an identity"].verdict == "unchecked"
    with pytest.raises(AssertionError, match=r"DIFFERS[\s\S]*is not"):
        report.raise_if_wrong()


def test_a_report_as_text_data_and_html():
    report = verify(models.missing_factor, X, points=0)
    assert "gradient of missing_factor(x: float64[2]): DIFFERS" in str(report)
    assert "✗ x[0]:" in str(report)
    data = json.loads(report.to_json())
    assert data["verdict"] == "differs"
    assert data["checks"][0]["entries"][0][0] == "x[0]"
    assert "<table>" in report._repr_html_()
    assert "<br>✗ x[0]: " in report._repr_html_()
    assert "\x1b[31m" in report.text(colour=True)


def test_a_kink_is_reported_and_no_failure():
    report = verify(lambda x: np.sum(np.abs(x)), np.array([0.0, 1.0]), points=1)
    assert report.ok
    assert "the given point lies on a kink" in report.notes


def test_a_jump_is_no_wrong_gradient():
    report = verify(lambda x: np.floor(x) * x, 1.0, points=1)
    assert report.ok
    checks = by_method(report)
    assert checks["in 50 digits"].verdict == "agreed"  # at the random point
    assert "the given point lies on a kink" in report.notes


def test_points_at_which_the_function_raises_are_left_out():
    report = verify(models.picky, 0.5, domain={"x": (-1.0, 1.0)}, points=3)
    assert report.ok
    assert by_method(report)["by SymPy"].why.endswith("where x >= 0")
    assert "it raises ValueError at some of the random points" in report.notes
    with pytest.raises(ValueError, match="must not be negative"):
        verify(models.picky, -0.5)


def test_a_small_budget_ends_soon():
    report = verify(models.branches, np.linspace(0.1, 1.0, 300), budget=0.2)
    assert report.verdict != "differs"
    assert report.checks[0].seconds < 5.0


def test_a_domain_bounds_the_proof():
    def root(x):
        return np.sqrt(x * x)

    assert verify(root, 2.0, domain={"x": (0.5, 3.0)}).verdict == "proved"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: verify(models.smooth, X, 2.0, domain={"z": (0, 1)}), "no argument"),
        (lambda: verify(lambda n: n * 2, 3), "no floating-point argument"),
        (lambda: verify(models.smooth, X, 2.0, order=0), "order 1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
