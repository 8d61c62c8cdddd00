"""Models as scientists write them: filters, likelihoods, integrators of vectors."""

import numpy as np

from tests.programs.record import positive, program, rate, vector


@program(positive, vector, rate, sizes=(4,))
def kalman_filter(theta, y, dt):
    k, c, q, r = theta
    A = np.array([[1.0, dt], [-k * dt, 1.0 - c * dt]])
    Q = q**2 * np.eye(2) * dt
    H = np.array([1.0, 0.0])
    m = np.zeros(2)
    P = np.eye(2)
    out = 0.0
    for t in range(len(y)):
        m = A @ m
        P = A @ P @ A.T + Q
        S = H @ P @ H + r**2
        K = P @ H / S
        e = y[t] - H @ m
        m = m + K * e
        P = P - np.outer(K, H @ P)
        out += 0.5 * (np.log(2 * np.pi * S) + e * e / S)
    return out


@program(vector, positive, sizes=(0, 1, 3))
def shifted_outer(y, w):
    t = np.pad(y[:-1], (1, 0))
    u = 1.0 * np.sum(np.outer(t, w), axis=1)
    u[1:] = u[:-1] * 2.0
    return u
