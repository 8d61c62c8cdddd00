"""Small models as published: statistics, finance, physics, dynamic programs."""

import math

import numpy as np

from tests.programs.record import (
    count,
    fixed,
    indices,
    positive,
    program,
    rate,
    square,
    vector,
    wide,
)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


@program(wide, lambda rng, n: rng.normal(size=(8, n + 3)), sizes=(3,))
def gated_unit(xs, W):
    h, c = np.zeros(2), np.zeros(2)
    for t in range(len(xs)):
        i, f, o, g = np.split(W @ np.hstack((xs[t], h)), 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


@program(wide, fixed(np.array([0.5, -1.0, 2.0])), sizes=(2,))
def constant_operands(A, w):
    up = np.array([0, 1, -1])
    out = np.zeros((9, A.shape[0]))
    h = np.ones(3)
    for t in range(9):
        out[t] = A @ h + np.einsum("j,ij->i", up, A)
        h = h * 0.5 + w
    return out


@program(vector, rate, rate, sizes=(2, 9))
def garch_likelihood(returns, alpha, beta):
    h = 1.0
    total = 0.0
    for t in range(1, len(returns)):
        h = 0.1 + 0.1 * alpha * returns[t - 1] ** 2 + 0.3 * beta * h
        total += 0.5 * (np.log(h) + returns[t] ** 2 / h)
    return total


@program(rate, sizes=(1,))
def implied_volatility(price):
    def call(sigma):
        d = (0.02 + 0.5 * sigma**2) / sigma
        cdf = 0.5 * (1.0 + math.erf(d / math.sqrt(2.0)))
        rest = 0.5 * (1.0 + math.erf((d - sigma) / math.sqrt(2.0)))
        vega = math.exp(-0.5 * d * d) / math.sqrt(2.0 * math.pi)
        return cdf - math.exp(-0.02) * rest, vega

    sigma = 0.3
    for _ in range(20):
        value, vega = call(sigma)
        if abs(value - 0.2 * price) < 1e-13:
            return sigma
        sigma -= (value - 0.2 * price) / vega
    return sigma


@program(rate, rate, sizes=(6, 9))
def american_put(S, K):
    N = 6
    u = np.exp(0.1)
    q = (np.exp(0.01) - 1 / u) / (u - 1 / u)
    v = np.zeros(N + 1)
    for j in range(N + 1):
        v[j] = max(K - S * u ** (2 * j - N), 0.0)
    for i in range(N - 1, -1, -1):
        for j in range(i + 1):
            hold = np.exp(-0.01) * (q * v[j + 1] + (1 - q) * v[j])
            v[j] = max(hold, K - S * u ** (2 * j - i))
    return v[0]


@program(vector, vector, sizes=(3, 5))
def time_warping(a, b):
    n, m = len(a), len(b)
    D = np.full((n + 1, m + 1), np.inf)
    D[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost = (a[i - 1] - b[j - 1]) ** 2
            D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
    return D[n, m]


@program(square, indices, sizes=(3, 4))
def hidden_chain(A, observed):
    A = np.exp(A)
    A = A / A.sum(axis=1, keepdims=True)
    alpha = np.ones(A.shape[0]) / A.shape[0]
    total = 0.0
    for t in range(len(observed)):
        c = alpha.sum()
        total += np.log(c)
        alpha = (alpha / c) @ A * A[:, observed[t]]
    return total + np.log(alpha.sum())


@program(vector, sizes=(4, 6))
def kalman_track(zs):
    F = np.array([[1.0, 0.1], [0.0, 1.0]])
    x, P = np.zeros((2, 1)), np.eye(2)
    score = 0.0
    for z in zs:
        x, P = F @ x, F @ P @ F.T + 0.1 * np.eye(2)
        S = P[0, 0] + 0.5
        gain = P[:, :1] / S
        score += 0.5 * (math.log(S) + (z - x[0, 0]) ** 2 / S)
        x, P = x + gain * (z - x[0, 0]), P - gain @ P[:1, :]
    return score, x


@program(rate, rate, sizes=(1,))
def kepler(e, M):
    e = 0.4 * e
    E = M
    while True:
        step = (E - e * math.sin(E) - M) / (1 - e * math.cos(E))
        E -= step
        if abs(step) < 1e-13:
            break
    return E


@program(positive, sizes=(4, 7))
def limited_transport(u):
    u = u.copy()
    n = u.size
    for _step in range(3):
        flux = np.zeros(n)
        for i in range(1, n - 1):
            a, b = u[i] - u[i - 1], u[i + 1] - u[i]
            slope = (a if abs(a) < abs(b) else b) if a * b > 0 else 0.0
            flux[i] = 0.3 * (u[i] + 0.35 * slope)
        u[2:-1] -= flux[2:-1] - flux[1:-2]
    return u


@program(wide, sizes=(3, 4))
def reaction_diffusion(u):
    v = 0.1 * u
    for _ in range(3):
        spread = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) - 3 * u
        both = u * v * v
        u = u + 0.1 * spread - both
        v = v + 0.5 * both - 0.1 * v
    return u, v


@program(wide, vector, sizes=(3, 4))
def pair_forces(pos, q):
    F = np.zeros_like(pos)
    for i in range(len(q)):
        for j in range(i):
            r = pos[i] - pos[j]
            f = q[i] * q[j] * r / (0.1 + r @ r) ** 1.5
            F[i] += f
            F[j] -= f
    return F


@program(positive, sizes=(5,))
def shortest_paths(w):
    source, target = np.array([0, 0, 1, 2, 1]), np.array([1, 2, 2, 3, 3])
    far = np.full(4, 1e9)
    far[0] = 0.0
    for _ in range(3):
        for e in range(len(w)):
            if far[source[e]] + w[e] < far[target[e]]:
                far[target[e]] = far[source[e]] + w[e]
    return far


@program(positive, count, sizes=(4,))
def knapsack(values, n):
    weights = np.array([2, 3, 4, 5])
    best = np.zeros(9)
    for i in range(n):
        for c in range(8, weights[i] - 1, -1):
            best[c] = max(best[c], best[c - weights[i]] + values[i])
    return best[8]


@program(wide, sizes=(4, 5))
def cheapest_seam(E):
    M = E.copy()
    h, w = E.shape
    for i in range(1, h):
        for j in range(w):
            if j == 0:
                M[i, j] += min(M[i - 1, j], M[i - 1, j + 1])
            elif j == w - 1:
                M[i, j] += min(M[i - 1, j - 1], M[i - 1, j])
            else:
                M[i, j] += min(M[i - 1, j - 1], M[i - 1, j], M[i - 1, j + 1])
    return M[-1].min()


@program(vector, sizes=(3, 6))
def second_order_filter(x):
    w = np.zeros(3)
    y = np.zeros(len(x))
    for n in range(len(x)):
        w[0] = x[n] - 0.2 * w[1] + 0.1 * w[2]
        y[n] = 0.5 * w[0] + 0.3 * w[1] - 0.2 * w[2]
        w[2] = w[1]
        w[1] = w[0]
    return y


@program(wide, sizes=(4, 5))
def bilinear_samples(img):
    h, w = img.shape
    out = np.zeros_like(img)
    for y in range(h):
        for x in range(w):
            sx, sy = x + 0.3 * y - 0.4, y - 0.2 * x + 0.1
            x0, y0 = int(np.floor(sx)), int(np.floor(sy))
            if 0 <= x0 < w - 1 and 0 <= y0 < h - 1:
                fx, fy = sx - x0, sy - y0
                top = (1 - fx) * img[y0, x0] + fx * img[y0, x0 + 1]
                low = (1 - fx) * img[y0 + 1, x0] + fx * img[y0 + 1, x0 + 1]
                out[y, x] = (1 - fy) * top + fy * low
    return out


@program(vector, sizes=(4, 8))
def in_place_transform(re):
    n = 4
    re, im = re[:4].copy(), np.zeros(4)
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j ^= bit
        if i < j:
            re[i], re[j] = re[j], re[i]
    length = 2
    while length <= n:
        for i in range(0, n, length):
            for k in range(length // 2):
                angle = -2 * math.pi * k / length
                c, s = math.cos(angle), math.sin(angle)
                a, b = i + k, i + k + length // 2
                tr, ti = re[b] * c - im[b] * s, re[b] * s + im[b] * c
                re[b], im[b] = re[a] - tr, im[a] - ti
                re[a] += tr
                im[a] += ti
        length <<= 1
    return re, im


@program(vector, sizes=(3,))
def helical_valley(x):
    if x[0] > 0:
        turn = math.atan(x[1] / x[0]) / (2 * math.pi)
    elif x[0] < 0:
        turn = math.atan(x[1] / x[0]) / (2 * math.pi) + 0.5
    else:
        turn = 0.25
    radius = math.hypot(x[0], x[1])
    return 100 * ((x[2] - 10 * turn) ** 2 + (radius - 1) ** 2) + x[2] ** 2
