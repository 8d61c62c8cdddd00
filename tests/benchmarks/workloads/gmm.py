"""ADBench's Gaussian mixture objective, with its Wishart prior.

Component k has mean μ_k and inverse covariance QᵀQ, with Q lower triangular:
exp(icf[k, :d]) is its diagonal, icf[k, d:] is what is below it, column after column.

By hand, the points are taken in blocks and are the innermost loop, of a length that
the compiler knows, so that everything vectorises over them; a last, short block is
filled up with points of weight zero. What happens to one point is written out for its
d coordinates, as a C++ template would, so that it stays in registers, and only for the
triangle. The adjoint of a mean is a sum over points of products with Qᵀ: the sum is
taken first.
"""

import math

import numpy as np
from numba import njit
from scipy.special import gammaln, logsumexp

from tests.benchmarks.workload import Workload

BLOCK = 128


def make_inputs(size, seed):
    d, k, n = size
    rng = np.random.default_rng(seed)
    alphas = rng.standard_normal(k)
    means = rng.uniform(size=(k, d))
    icf = 0.5 * rng.standard_normal((k, d + d * (d - 1) // 2))
    x = rng.standard_normal((n, d))
    positions = np.zeros((d, d), dtype=np.int64)
    positions.T[np.triu_indices(d, 1)] = np.arange(d, icf.shape[1])
    lower = np.tril(np.ones((d, d)), -1)
    return alphas, means, icf, x, 1.0, 0.0, positions, lower


def log_posterior(alphas, icf, q, y, gamma, m):
    """From each point's y = Q (x - mu), for each component, to the objective."""
    n, k, d = y.shape
    sum_q = np.sum(icf[:, :d], axis=1)
    inner = alphas + sum_q - 0.5 * np.sum(y**2, axis=2)
    mixture = np.sum(logsumexp(inner, axis=1)) - n * logsumexp(alphas, axis=0)
    likelihood = mixture - 0.5 * n * d * math.log(2.0 * math.pi)

    freedom = d + m + 1.0
    squares = np.sum(q**2) + np.sum(icf[:, d:] ** 2)
    log_gammas = np.sum(gammaln(0.5 * (freedom - np.arange(d))))
    log_norm = (
        freedom * d * (np.log(gamma) - 0.5 * math.log(2.0))
        - 0.25 * d * (d - 1) * math.log(math.pi)
        - log_gammas
    )
    prior = 0.5 * gamma**2 * squares - m * np.sum(sum_q) - k * log_norm
    return likelihood + prior


def objective(alphas, means, icf, x, gamma, m, positions, lower):
    d = x.shape[1]
    q = np.exp(icf[:, :d])
    L = icf[:, positions] * lower
    xc = x[:, None, :] - means
    y = q * xc + np.einsum("kij,nkj->nki", L, xc)
    return log_posterior(alphas, icf, q, y, gamma, m)


def objective_by_products(alphas, means, icf, x, gamma, m, positions, lower):
    """The same with Q (x - mu) as one product of matrices, Q x, less Q mu."""
    n, d = x.shape
    k = alphas.shape[0]
    q = np.exp(icf[:, :d])
    Q = icf[:, positions] * lower + q[:, :, None] * np.eye(d)
    shift = np.einsum("kij,kj->ki", Q, means)
    y = (x @ Q.reshape((k * d, d)).T).reshape((n, k, d)) - shift
    return log_posterior(alphas, icf, q, y, gamma, m)


def write_forward(d):
    """A component's y = Q (x - mu) and log density, for a block of points."""
    lines = ["def forward(Q, mu, base, x, y, inner):"]
    for i in range(d):
        lines.append(f"    mu{i} = mu[{i}]")
        lines += [f"    q{i}_{j} = Q[{i}, {j}]" for j in range(i + 1)]
    lines.append(f"    for b in range({BLOCK}):")
    for i in range(d):
        lines.append(f"        x{i} = x[{i * BLOCK} + b] - mu{i}")
        terms = (f"q{i}_{j} * x{j}" for j in range(i + 1))
        lines.append(f"        y{i} = {' + '.join(terms)}")
        lines.append(f"        y[{i * BLOCK} + b] = y{i}")
    squares = " + ".join(f"y{i} * y{i}" for i in range(d))
    lines.append(f"        inner[b] = base - 0.5 * ({squares})")
    return "\n".join(lines)


def write_backward(d):
    """Adds a block's part of the adjoints of Q (x - mu) by Q and by mu."""
    lines = ["def backward(x, y, weight, Q_bar, y_bar):"]
    for i in range(d):
        lines.append("    total = 0.0")
        lines += [f"    q_bar{j} = 0.0" for j in range(i + 1)]
        lines.append(f"    for b in range({BLOCK}):")
        lines.append(f"        v = weight[b] * y[{i * BLOCK} + b]")
        lines.append("        total = radd(total, v)")
        for j in range(i + 1):
            term = f"v * x[{j * BLOCK} + b]"
            lines.append(f"        q_bar{j} = radd(q_bar{j}, {term})")
        lines.append(f"    y_bar[{i}] -= total")
        lines += [f"    Q_bar[{i}, {j}] -= q_bar{j}" for j in range(i + 1)]
    return "\n".join(lines)


def hand(maths):
    kernels = {}

    def value_and_grad(alphas, means, icf, x, gamma, m, positions, lower):
        d = x.shape[1]
        if d not in kernels:
            kernels[d] = build(maths, d)
        bars = np.empty(alphas.shape), np.empty(means.shape), np.empty(icf.shape)
        return kernels[d](alphas, means, icf, x, gamma, m, *bars), bars

    return value_and_grad


def build(maths, d):
    exp, log, radd = maths.exp, maths.log, maths.radd
    written = {"radd": radd}
    exec(f"{write_forward(d)}\n\n{write_backward(d)}", written)
    forward = njit(error_model="numpy")(written["forward"])
    backward = njit(error_model="numpy")(written["backward"])

    @njit(error_model="numpy")
    def kernel(alphas, means, icf, x, gamma, m, alphas_bar, means_bar, icf_bar):
        n = x.shape[0]
        k = alphas.shape[0]
        Q = np.zeros((k, d, d))
        base = np.empty(k)
        squares = 0.0
        sum_q = 0.0
        for c in range(k):
            base[c] = alphas[c]
            p = d
            for j in range(d):
                Q[c, j, j] = exp(icf[c, j])
                base[c] += icf[c, j]
                sum_q += icf[c, j]
                squares += Q[c, j, j] * Q[c, j, j]
                for i in range(j + 1, d):
                    Q[c, i, j] = icf[c, p]
                    squares += icf[c, p] * icf[c, p]
                    p += 1

        x_b = np.empty(d * BLOCK)
        y = np.empty((k, d * BLOCK))
        inner = np.empty((k, BLOCK))
        peak = np.empty(BLOCK)
        mass = np.empty(BLOCK)
        Q_bar = np.zeros((k, d, d))
        y_bar = np.zeros((k, d))
        alphas_bar[:] = 0.0
        slse = 0.0
        for start in range(0, n, BLOCK):
            points = min(BLOCK, n - start)
            for b in range(BLOCK):
                from_b = start + min(b, points - 1)
                for j in range(d):
                    x_b[j * BLOCK + b] = x[from_b, j]
            peak[:] = -np.inf
            for c in range(k):
                forward(Q[c], means[c], base[c], x_b, y[c], inner[c])
                inner_c = inner[c]
                for b in range(BLOCK):
                    peak[b] = max(peak[b], inner_c[b])
            mass[:] = 0.0
            for c in range(k):
                for b in range(BLOCK):
                    e = exp(inner[c, b] - peak[b])
                    inner[c, b] = e
                    mass[b] += e
            for b in range(points):
                slse += log(mass[b]) + peak[b]
            for b in range(BLOCK):
                mass[b] = 1.0 / mass[b] if b < points else 0.0
            for c in range(k):
                weight = inner[c]
                total = 0.0
                for b in range(BLOCK):
                    weight[b] *= mass[b]
                    total = radd(total, weight[b])
                alphas_bar[c] += total
                backward(x_b, y[c], weight, Q_bar[c], y_bar[c])

        top = -np.inf
        for c in range(k):
            top = max(top, alphas[c])
        total = 0.0
        for c in range(k):
            total += exp(alphas[c] - top)
        lse = top + log(total)
        for c in range(k):
            weight_c = alphas_bar[c]
            alphas_bar[c] -= n * exp(alphas[c] - lse)
            p = d
            for j in range(d):
                mu = means[c, j]
                mu_bar = 0.0
                for i in range(j, d):
                    mu_bar -= Q[c, i, j] * y_bar[c, i]
                means_bar[c, j] = mu_bar
                q = Q[c, j, j]
                q_bar = Q_bar[c, j, j] - mu * y_bar[c, j] + gamma * gamma * q
                icf_bar[c, j] = weight_c + q_bar * q - m
                for i in range(j + 1, d):
                    q_bar = Q_bar[c, i, j] - mu * y_bar[c, i]
                    icf_bar[c, p] = q_bar + gamma * gamma * Q[c, i, j]
                    p += 1

        freedom = d + m + 1.0
        log_norm = freedom * d * (log(gamma) - 0.5 * math.log(2.0))
        log_norm -= 0.25 * d * (d - 1) * math.log(math.pi)
        for j in range(d):
            log_norm -= math.lgamma(0.5 * (freedom - j))
        prior = 0.5 * gamma * gamma * squares - m * sum_q - k * log_norm
        return slse - n * lse - 0.5 * n * d * math.log(2.0 * math.pi) + prior

    return kernel


WORKLOAD = Workload(
    name="Gaussian mixture",
    sizes={"d=10 k=25 n=1e3": (10, 25, 1000)},
    quick="d=10 k=25 n=1e3",
    tiny=(3, 2, 5),
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1, 2),
    hand=hand,
    tuned={"jax": objective_by_products},
    without={"casadi": "its arrays have two dimensions"},
)
