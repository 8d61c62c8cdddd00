"""Nested loops of which the inner ones are as long as the outer ones say."""

import math

import numpy as np

from tests.programs.record import program, rate, scalar, square, vector

STEPS = 2


@program(vector, rate, sizes=(1, 2, 6))
def priced_by_a_tree(v, p):
    """An American option by a binomial tree, from its values at the end."""
    v = v.copy()
    pays = np.maximum(v, 0.3)
    for i in range(len(v) - 1, 0, -1):
        for j in range(i):
            v[j] = max(0.9 * (p * v[j + 1] + (1.0 - p) * v[j]), pays[j])
    return v[0]


@program(vector, square, sizes=(1, 2, 6))
def three_of_a_kind(x, a):
    y = x.copy()
    s = 0.0
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            for k in range(j + 1, len(x)):
                y[k] = math.sin(y[k] * y[i] + a[i, j]) + 0.1 * y[j]
                s += y[k] * y[j]
    return s, y


@program(vector, square, sizes=(1, 2, 5))
def swept_backwards(x, a):
    y = x.copy()
    for i in range(len(x) - 1, -1, -1):
        for j in range(i):
            for k in range(j + i, i - 1, -1):
                y[j] = math.sin(y[j] * y[i] + a[i, j]) + 0.1 * y[j] * y[k % len(x)]
    return y


@program(vector, square, sizes=(1, 2, 5))
def pairs_that_differ(x, a):
    y = x.copy()
    for _ in range(STEPS):
        for i in range(1, len(x)):
            for j in range(i):
                if y[j] > 0.2:
                    y[j] = 0.7 * y[j] * y[i] + a[i, j]
                else:
                    y[i] += math.cos(y[j])
    return y


@program(vector, square, sizes=(1, 2, 5))
def a_band(x, a):
    y = x.copy()
    for i in range(len(x)):
        for j in range(max(0, i - 2), min(len(x), i + 3)):
            y[i] += math.sin(y[j]) * a[i, j]
    return y


@program(vector, scalar, sizes=(1, 3, 6))
def rows_that_may_be_empty(x, c):
    y = x.copy()
    for i in range(len(x)):
        for j in range(i - 2):
            y[j] = math.sin(c * y[i] * y[j])
    return y


@program(vector, scalar, sizes=(1, 2, 6))
def rows_that_end_early(x, c):
    y = x.copy()
    for i in range(len(x)):
        for j in range(i):
            y[j] = math.sin(c * y[i] * y[j] + 1.0)
            if y[j] > 0.9:
                break
    return y
