"""Loops to be marked: what they carry, write and read, each in its own way.

Each takes ``(x, n, mark)``; ``mark`` is ``checkpoint``, or leaves steps as they are.
"""

import numpy as np


def scalars(x, n, mark):
    u, v = x[0], x[1]
    for _ in mark(range(n)):
        u, v = u + 0.1 * np.sin(v) * u, v - 0.2 * u * x[2] * v
    return u * v


def backwards_in_steps(x, n, mark):
    u = x[0]
    for i in mark(range(3 * n, 0, -3)):
        u = np.sin(u) * x[1] + 0.01 * i * u * u
    for i in mark(reversed(range(n))):
        u = np.cos(u) * x[2] + 0.01 * i * u
    return u


def branches(x, n, mark):
    u = x[0]
    count = 0
    for i in mark(range(n)):
        if u > 0.3:
            u = u * x[1] * np.cos(u)
            count += 1
        elif i % 3 == 0:
            continue
        else:
            u = u + 0.5 * count
    return u * u


def in_place(x, n, mark):
    u = x.copy()
    for k in mark(range(n)):
        for i in range(1, u.shape[0]):
            u[i] = np.sin(u[i] + 0.5 * u[i - 1]) + 0.01 * k
    return np.sum(u * u)


def swapped(x, n, mark):
    u, v = x * 1.0, np.zeros_like(x)
    for _ in mark(range(n)):
        for i in range(1, u.shape[0] - 1):
            v[i] = u[i] + 0.1 * (u[i - 1] - 2.0 * u[i] + u[i + 1]) * u[i]
        u, v = v, u
    return np.sum(u**2) + v[1]


def array_state(x, n, mark):
    u = x
    for _ in mark(range(n)):
        u = np.tanh(u[::-1] * x + 0.3)
    return np.sum(u)


def history(x, n, mark):
    out = np.zeros(n + 1)
    u = x[0]
    for i in mark(range(n)):
        u = np.sin(u) * x[1]
        out[i] += u * u
    return np.sum(out) * out[0]


def read_then_written(x, n, mark):
    table = x.copy()
    u = 0.5
    for i in mark(range(n)):
        u = np.sin(u * table[i % 3]) + table[0]
    table[0] = u
    table[1] = 7.0
    return np.sum(table**2)


def local_storage(x, n, mark):
    """The body has loops that store for themselves, one of unknown length."""
    u = x[0]
    for i in mark(range(n)):
        t = np.zeros(3)
        level = u
        for j in range(3):
            level = np.sin(level * x[j]) + t[j - 1]
            t[j] = level * level
        while np.abs(level) > 0.2:
            level = level * np.cos(level) * 0.7
        u = u + level * t[1] + 0.1 * i
    return u


def rows(x, n, mark):
    table = np.outer(np.arange(n) * 0.1, x)
    u = 0.1
    for i, row in mark(enumerate(table)):
        u = np.sin(u + row[1]) * row[0] + i * 0.01
    return u


def two_loops(x, n, mark):
    u = x[0]
    w = np.zeros(3)
    for i in mark(range(n)):
        u = np.sin(u) + x[1]
        w[i % 3] = w[i % 3] * u + 1.0
    for i in mark(range(n)):
        u = u * np.cos(w[i % 3]) + x[2]
    return u


def inside_a_loop(x, n, mark):
    total = 0.0
    for k in range(3):
        u = x[k]
        for _ in mark(range(n)):
            u = np.sin(u) + 0.3 * u * x[0]
        total += u
    return total


ALL = [
    *(scalars, backwards_in_steps, branches, in_place, swapped, array_state),
    *(history, read_then_written, local_storage, rows, two_loops, inside_a_loop),
]
