"""Fit the Lotka–Volterra equations to a century-old record of lynx and hares.

The Hudson's Bay Company counted the pelts of snowshoe hares and Canadian lynxes. The
model is a native Python loop: Runge–Kutta steps of the two equations, and a log-normal
likelihood of what was counted each year. tracegrad compiles its gradient and Hessian;
SciPy fits; the Hessian's inverse gives the standard errors.

    python examples/lynx_hare.py

Data: Hewitt (1921), as tabulated by Mahaffy and by Carpenter (2018).
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from tracegrad import hessian, jit, value_and_grad

YEARS = np.arange(1900, 1921)
HARES = np.fromstring(
    "30.0 47.2 70.2 77.4 36.3 20.6 18.1 21.4 22.0 25.4 27.1 "
    "40.3 57.0 76.6 52.3 19.5 11.2 7.6 14.6 16.2 24.7",
    sep=" ",
)
LYNXES = np.fromstring(
    "4.0 6.1 9.8 35.2 59.4 41.7 19.0 13.0 8.3 9.1 7.4 "
    "8.0 12.3 19.5 45.7 51.1 29.7 15.8 9.7 10.1 8.6",
    sep=" ",
)
NAMES = ["alpha", "beta", "gamma", "delta", "hares in 1900", "lynxes in 1900"]
NAMES += ["sigma of hares", "sigma of lynxes"]
STEPS = 50  # Runge–Kutta steps a year


def step(a, b, c, d, u, v, h):
    """One Runge–Kutta step of hares u and lynxes v."""
    k1 = a * u - b * u * v
    l1 = d * u * v - c * v
    u2 = u + 0.5 * h * k1
    v2 = v + 0.5 * h * l1
    k2 = a * u2 - b * u2 * v2
    l2 = d * u2 * v2 - c * v2
    u3 = u + 0.5 * h * k2
    v3 = v + 0.5 * h * l2
    k3 = a * u3 - b * u3 * v3
    l3 = d * u3 * v3 - c * v3
    u4 = u + h * k3
    v4 = v + h * l3
    k4 = a * u4 - b * u4 * v4
    l4 = d * u4 * v4 - c * v4
    u = u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
    return u, v


def simulate(p, years, steps):
    """The populations at every step of the years, one row each."""
    curve = np.empty(((years - 1) * steps + 1, 2))
    u, v = p[4], p[5]
    for k in range(curve.shape[0]):
        curve[k, 0] = u
        curve[k, 1] = v
        u, v = step(p[0], p[1], p[2], p[3], u, v, 1.0 / steps)
    return curve


def negative_log_likelihood(log_parameters, hares, lynxes, steps):
    """How unlikely the counts are, up to a constant.

    Hares grow at rate a and are eaten at rate b; lynxes die at rate c and grow at
    rate d. Counts are log-normal around the populations.
    """
    p = np.exp(log_parameters)
    a, b, c, d = p[0], p[1], p[2], p[3]
    u, v = p[4], p[5]
    h = 1.0 / steps
    total = 0.0
    for year in range(hares.shape[0]):
        if year > 0:
            for _ in range(steps):
                u, v = step(a, b, c, d, u, v, h)
        r = (np.log(hares[year]) - np.log(u)) / p[6]
        s = (np.log(lynxes[year]) - np.log(v)) / p[7]
        total += 0.5 * (r * r + s * s) + np.log(p[6]) + np.log(p[7])
    return total


def differences(function, x, *rest, step=1e-4):
    """The gradient by central differences of fourth order."""
    slope = np.empty_like(x)
    for k in range(x.size):
        at = []
        for factor in (-2, -1, 1, 2):
            moved = x.copy()
            moved[k] += factor * step
            at.append(function(moved, *rest))
        slope[k] = (at[0] - 8.0 * at[1] + 8.0 * at[2] - at[3]) / (12.0 * step)
    return slope


def median_time(call, repeats=100):
    """Median seconds of a call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def draw(p, path):
    """The counts and the fitted populations, where matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        return "matplotlib is not installed: no picture"
    matplotlib.use("Agg")
    from matplotlib import pyplot

    curve = simulate(p, YEARS.size, STEPS)
    times = 1900 + np.arange(curve.shape[0]) / STEPS
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for k, (name, counts) in enumerate((("hares", HARES), ("lynxes", LYNXES))):
        axes.plot(times, curve[:, k], color=f"C{k}", label=name)
        axes.plot(YEARS, counts, "o", color=f"C{k}")
    axes.set(xlabel="year", ylabel="pelts, thousands")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    return f"picture: {path}"


def main() -> int:
    """Fit, and compare the gradient with differences."""
    primal = jit(negative_log_likelihood)
    value_grad = value_and_grad(negative_log_likelihood)
    curvature = hessian(negative_log_likelihood)
    data = (HARES, LYNXES, STEPS)
    start = np.log([0.5, 0.03, 0.8, 0.03, 30.0, 4.0, 0.3, 0.3])

    begin = time.perf_counter()
    value_grad(start, *data)
    first = time.perf_counter() - begin
    fit = minimize(
        value_grad,
        start,
        args=data,
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"gtol": 1e-8},
    )
    errors = np.sqrt(np.diag(np.linalg.inv(curvature(fit.x, *data))))
    print(f"{fit.nit} iterations of trust-exact, -log likelihood {fit.fun:.6f}\n")
    for name, x, e in zip(NAMES, np.exp(fit.x), errors * np.exp(fit.x), strict=True):
        print(f"  {name:15} {x:9.4f} ± {e:.4f}")

    gradient = value_grad(start, *data)[1]
    reference = differences(primal, start, *data)
    error = np.max(np.abs(gradient - reference)) / np.max(np.abs(reference))
    plain = negative_log_likelihood(start, *data)
    once = median_time(lambda: primal(start, *data))
    both = median_time(lambda: value_grad(start, *data))
    slow = median_time(lambda: differences(primal, start, *data), 10)
    print(f"\ngradient against differences: {error:.1e} relative")
    print(
        f"compiled value against plain Python: {abs(primal(start, *data) - plain):.1e}"
    )
    print(f"first call {first:.2f} s, then {1e6 * both:.0f} µs for value and gradient:")
    print(f"  {both / once:.1f} × the value alone, 1/{slow / both:.0f} of differences")
    print(f"source of the gradient: {value_grad.path}")
    print(draw(np.exp(fit.x), Path(tempfile.gettempdir()) / "lynx_hare.png"))
    if not fit.success or error > 1e-8:
        print("the fit failed, or the gradient is wrong")
        return 1
    print("the compiled gradient fits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
