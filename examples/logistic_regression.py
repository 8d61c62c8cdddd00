"""Logistic regression with our gradient and Hessian, against scikit-learn's solution.

The data are scikit-learn's 569 breast-cancer cases. The same regularised loss is
minimised three times: by SciPy's L-BFGS with our gradient, by SciPy's trust-exact with
our Hessian as well, and by scikit-learn. The program fails if the solutions differ.

    python examples/logistic_regression.py
"""

import sys
import time

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from tracegrad import hessian, value_and_grad

C = 1.0  # scikit-learn's inverse strength of regularisation
TOLERANCE = 1e-6


def loss(w, X, y):
    """Mean logistic loss; the last weight is the intercept, not regularised."""
    margin = y * (X @ w[:-1] + w[-1])
    penalty = 0.5 / C * np.sum(w[:-1] ** 2)
    return (np.sum(np.logaddexp(0.0, -margin)) + penalty) / y.size


def load() -> tuple[np.ndarray, np.ndarray]:
    """The cases, standardised, with labels -1 and 1."""
    X, target = load_breast_cancer(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), 2.0 * target - 1.0


def reference(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """scikit-learn's weights, at a tight tolerance."""
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=100)
    model.fit(X, y)
    return np.append(model.coef_[0], model.intercept_)


def median_time(call, repeats: int = 200) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> int:
    """Fit, compare, and show what computed the gradient."""
    X, y = load()
    start = np.zeros(X.shape[1] + 1)
    loss_and_grad = value_and_grad(loss)

    begin = time.perf_counter()
    loss_and_grad(start, X, y)
    first_call = time.perf_counter() - begin

    lbfgs = minimize(
        loss_and_grad,
        start,
        args=(X, y),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 0.0, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000},
    )
    newton = minimize(
        loss_and_grad,
        start,
        args=(X, y),
        jac=True,
        hess=hessian(loss),
        method="trust-exact",
        options={"gtol": 1e-12},
    )
    expected = reference(X, y)

    print("# the gradient, as tracegrad wrote it\n")
    print(loss_and_grad.source)
    print(f"first call {first_call:.2f} s, then", end=" ")
    print(f"{1e6 * median_time(lambda: loss_and_grad(start, X, y)):.1f} µs\n")

    print(f"{'':14} {'iterations':>10} {'loss':>20} {'max difference':>15}")
    agreed = True
    for name, result in (("L-BFGS", lbfgs), ("trust-exact", newton)):
        difference = float(np.max(np.abs(result.x - expected)))
        agreed &= difference < TOLERANCE
        print(f"{name:14} {result.nit:10} {result.fun:20.16f} {difference:15.1e}")
    print(f"{'scikit-learn':14} {'':10} {loss(expected, X, y):20.16f}\n")

    print(f"{'weight':>8} {'ours':>17} {'scikit-learn':>17}")
    for i in (0, 1, 2, start.size - 1):
        name = f"w[{i}]" if i < start.size - 1 else "bias"
        print(f"{name:>8} {newton.x[i]:17.12f} {expected[i]:17.12f}")
    print("agrees with scikit-learn" if agreed else "DISAGREES with scikit-learn")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
