"""Nonlinear least squares against values certified by NIST.

Two problems of NIST's Statistical Reference Datasets are fitted from both of NIST's
starting points, by `scipy.optimize.least_squares` with the Jacobian from tracegrad.
Printed are fitted against certified values and how many digits agree; the program
fails if fewer than eight do.

    python examples/nist_misra1a.py
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from tracegrad import jacobian

DIGITS_REQUIRED = 8.0
DIGITS_CERTIFIED = 11.0


def misra1a(b, x, y):
    """Residuals of the monomolecular adsorption model."""
    return b[0] * (1.0 - np.exp(-b[1] * x)) - y


def rat43(b, x, y):
    """Residuals of Ratkowsky's sigmoidal growth model."""
    return b[0] / (1.0 + np.exp(b[1] - b[2] * x)) ** (1.0 / b[3]) - y


@dataclass(frozen=True)
class Problem:
    """A data set with its model and certified solution."""

    name: str
    residuals: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    x: np.ndarray
    y: np.ndarray
    starts: tuple[tuple[float, ...], ...]
    parameters: np.ndarray
    deviations: np.ndarray
    residual_sum: float


# fmt: off
PROBLEMS = (
    Problem(
        "Misra1a",
        misra1a,
        x=np.array([
            77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8,
            378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0,
        ]),
        y=np.array([
            10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02,
            44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78,
        ]),
        starts=((500.0, 0.0001), (250.0, 0.0005)),
        parameters=np.array([2.3894212918e02, 5.5015643181e-04]),
        deviations=np.array([2.7070075241e00, 7.2668688436e-06]),
        residual_sum=1.2455138894e-01,
    ),
    Problem(
        "Rat43",
        rat43,
        x=np.arange(1.0, 16.0),
        y=np.array([
            16.08, 33.83, 65.80, 97.20, 191.55, 326.20, 386.87, 520.53,
            590.03, 651.92, 724.93, 699.56, 689.96, 637.56, 717.41,
        ]),
        starts=((100.0, 10.0, 1.0, 1.0), (700.0, 5.0, 0.75, 1.3)),
        parameters=np.array(
            [6.9964151270e02, 5.2771253025e00, 7.5962938329e-01, 1.2792483859e00]
        ),
        deviations=np.array(
            [1.6302297817e01, 2.0828735829e00, 1.9566123451e-01, 6.8761936385e-01]
        ),
        residual_sum=8.7864049080e03,
    ),
)
# fmt: on


def digits(value: float, certified: float) -> float:
    """Significant digits in which a value agrees (NIST's log relative error)."""
    error = abs(value - certified) / abs(certified)
    return DIGITS_CERTIFIED if error == 0 else min(DIGITS_CERTIFIED, -np.log10(error))


def polish(b: np.ndarray, residuals, jac, steps: int = 5) -> np.ndarray:
    """Gauss–Newton steps from a solution.

    An optimiser stops when the sum of squares no longer falls, and rounding hides its
    fall when half of the parameters' digits are right. The Jacobian sees the rest.
    """
    for _ in range(steps):
        b = b - np.linalg.lstsq(jac(b), residuals(b))[0]
    return b


def fit(problem: Problem, start: tuple[float, ...]) -> float:
    """Fit from one start, print the comparison, return the fewest digits agreeing."""
    x, y = problem.x, problem.y
    jac = jacobian(problem.residuals)
    tolerances = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    result = least_squares(
        problem.residuals, start, jac=jac, args=(x, y), method="lm", **tolerances
    )
    b = polish(
        result.x,
        residuals=lambda b: problem.residuals(b, x, y),
        jac=lambda b: jac(b, x, y),
    )
    r, j = problem.residuals(b, x, y), jac(b, x, y)
    residual_sum = float(r @ r)
    variance = residual_sum / (x.size - b.size)
    deviations = np.sqrt(variance * np.diag(np.linalg.inv(j.T @ j)))

    print(f"{problem.name} from {start}: {result.nfev} evaluations")
    print(f"  {'':12} {'fitted':>17} {'certified':>17}  digits")
    rows = [("residual sum", residual_sum, problem.residual_sum)]
    for i, pair in enumerate(zip(b, problem.parameters, strict=True), 1):
        rows.append((f"b{i}", *pair))
    for i, pair in enumerate(zip(deviations, problem.deviations, strict=True), 1):
        rows.append((f"sd(b{i})", *pair))
    worst = DIGITS_CERTIFIED
    for name, fitted, certified in rows:
        agreed = digits(fitted, certified)
        worst = min(worst, agreed)
        print(f"  {name:12} {fitted:17.10e} {certified:17.10e}  {agreed:6.1f}")
    return worst


def main() -> int:
    """Fit every problem from each of its starts."""
    worst = min(fit(problem, start) for problem in PROBLEMS for start in problem.starts)
    agreed = worst >= DIGITS_REQUIRED
    verdict = "agrees" if agreed else "DISAGREES"
    print(f"{verdict} with NIST: {worst:.1f} digits at worst")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
