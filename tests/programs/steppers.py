"""Grids that are stepped in time, with arrays that change places or are swept over."""

import numpy as np

from tests.programs.record import positive, program, rate, square, vector

STEPS = 3


@program(vector, rate, sizes=(0, 2, 6))
def burgers_with_buffers(u, c):
    u = u.copy()
    new = u.copy()
    for _ in range(STEPS):
        for i in range(1, len(u) - 1):
            drift = 0.1 * u[i] * (u[i] - u[i - 1])
            new[i] = u[i] - drift + c * (u[i - 1] - 2.0 * u[i] + u[i + 1])
        u, new = new, u
    return u


@program(vector, rate, sizes=(1, 2, 6))
def burgers_in_place(u, c):
    u = u.copy()
    for _ in range(STEPS):
        before = u[0]
        for i in range(1, len(u) - 1):
            here = u[i]
            drift = 0.1 * here * (here - before)
            u[i] = here - drift + c * (before - 2.0 * here + u[i + 1])
            before = here
    return u


@program(square, rate, sizes=(0, 2, 4))
def quenched_grid(u, c):
    u = u.copy()
    new = u.copy()
    n, m = u.shape
    for _ in range(STEPS):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                new[i, j] = u[i, j] + c * np.tanh(u[i, j] * (around - 4.0 * u[i, j]))
        u, new = new, u
    return u


@program(vector, rate, sizes=(1, 2, 6))
def wave_of_three_levels(u, c):
    before = u.copy()
    now = u.copy()
    after = np.zeros_like(u)
    for _ in range(STEPS):
        for i in range(1, len(u) - 1):
            force = np.sin(now[i]) + 0.1 * now[i - 1] * now[i + 1]
            after[i] = 2.0 * now[i] - before[i] + c * force
        before, now, after = now, after, before
    return now


@program(positive, rate, sizes=(1, 2, 6))
def two_species(u, c):
    v = 0.3 * u
    u = u.copy()
    new_u, new_v = u.copy(), v.copy()
    for _ in range(STEPS):
        for i in range(1, len(u) - 1):
            eaten = u[i] * v[i] * v[i]
            new_u[i] = u[i] + 0.1 * (u[i - 1] - 2.0 * u[i] + u[i + 1]) - c * eaten
            new_v[i] = v[i] + 0.05 * (v[i - 1] - 2.0 * v[i] + v[i + 1]) + c * eaten
        u, new_u = new_u, u
        v, new_v = new_v, v
    return u * v


@program(vector, rate, sizes=(1, 2, 7))
def swept_down_and_up(u, c):
    """What the second sweep reads, the first has written."""
    u = u.copy()
    n = len(u)
    for _ in range(STEPS):
        for i in range(n - 2, 0, -1):
            u[i] += 0.1 * c * u[i] * (u[i - 1] - u[i + 1])
        for i in range(1, n - 1):
            u[i] -= 0.1 * c * u[i] * (u[i - 1] - u[i + 1]) * u[n - 1 - i]
    return u


@program(vector, rate, sizes=(1, 3, 6))
def written_between_slices(u, c):
    u = u.copy()
    for _ in range(STEPS):
        left = np.sin(u[:-1]) * u[1:]
        u[1:] += c * left
        u[:-1] -= c * u[:-1] * u[1:] ** 2
    return u


@program(vector, rate, sizes=(1, 2, 6))
def full_history(u, c):
    n = len(u)
    history = np.zeros((STEPS + 1, n))
    history[0] = u
    for t in range(STEPS):
        for i in range(1, n - 1):
            drift = history[t, i] * (history[t, i] - history[t, i - 1])
            around = history[t, i - 1] - 2.0 * history[t, i] + history[t, i + 1]
            history[t + 1, i] = history[t, i] - 0.1 * drift + c * around
        history[t + 1, 0] = history[t, 0]
        history[t + 1, n - 1] = history[t, n - 1]
    return history[-1]


@program(positive, rate, sizes=(1, 2, 6))
def lattice_boltzmann(u, c):
    n = len(u)
    f = np.zeros((3, n))
    g = np.zeros((3, n))
    for i in range(n):
        f[0, i], f[1, i], f[2, i] = 0.6 * u[i], 0.25 * u[i], 0.15 * u[i]
    for _ in range(STEPS):
        for i in range(1, n - 1):
            density = f[0, i] + f[1, i] + f[2, i]
            m = (f[1, i] - f[2, i]) / density
            rest = density * (2.0 / 3.0) * (1.0 - 1.5 * m * m)
            right = density * (1.0 / 6.0) * (1.0 + 3.0 * m + 3.0 * m * m)
            left = density * (1.0 / 6.0) * (1.0 - 3.0 * m + 3.0 * m * m)
            g[0, i] = f[0, i] + c * (rest - f[0, i])
            g[1, i + 1] = f[1, i] + c * (right - f[1, i])
            g[2, i - 1] = f[2, i] + c * (left - f[2, i])
        f, g = g, f
    return f


@program(square, rate, sizes=(1, 2, 5))
def swept_by_rows(u, c):
    """Gauss-Seidel: each number waits for the one before it."""
    u = u.copy()
    n, m = u.shape
    for _ in range(STEPS):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                u[i, j] += c * np.tanh(u[i, j]) * (0.2 * around - u[i, j])
    return u


@program(vector, vector, vector, sizes=(4, 5))
def riemann_solver(rho, u, p):
    """Five steps of an HLL scheme for gas: a short loop that is long when unrolled."""
    rho, p = 1.5 + np.tanh(rho), 1.5 + np.tanh(p)
    Q = np.stack((rho, rho * u, 2.5 * p + 0.5 * rho * u * u))
    for _ in range(5):
        v = Q[1] / Q[0]
        pressure = 0.4 * (Q[2] - 0.5 * Q[0] * v**2)
        c = np.sqrt(1.4 * pressure / Q[0])
        F = np.stack((Q[1], Q[1] * v + pressure, v * (Q[2] + pressure)))
        left = np.minimum(v[:-1] - c[:-1], v[1:] - c[1:])
        right = np.maximum(v[:-1] + c[:-1], v[1:] + c[1:])
        mixed = right * F[:, :-1] - left * F[:, 1:] + left * right * np.diff(Q)
        inner = np.where(right < 0.0, F[:, 1:], mixed / (right - left))
        H = np.where(left > 0.0, F[:, :-1], inner)
        Q[:, 1:-1] -= 0.02 * np.diff(H)
    return Q
