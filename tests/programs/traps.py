"""Programs of the kinds that other automatic differentiation systems got wrong.

References are public issue threads, repository#number.
"""

import numpy as np

from tests.programs.record import count, indices, program, rate, scalar, square, vector


@program(rate, vector, sizes=(1, 5))
def active_bound(a, x):
    """How often a loop runs depends on what is differentiated: clad#474."""
    s = a
    for i in range(int(3.0 * a) + 1):
        s = s * np.cos(a + x[i % x.shape[0]]) + a * i
    return s


@program(rate, vector, sizes=(5,))
def active_bounds_of_a_nest(a, x):
    """Both bounds, the inner one from what the outer loop has computed: clad#474."""
    s = 0.5 * a
    for i in range(int(2.0 * a), 5):
        for j in range(int(4.0 * np.abs(np.sin(s)))):
            s += 0.3 * x[j] * s * a
        x[i] = s
    return s


@program(vector, rate)
def limit_that_its_loop_moves(x, a):
    """warp#140, clad#474."""
    limit, t, k = 2.0, 0.0, 0
    while t < limit and k < x.shape[0]:
        t += a
        limit += 0.4 * np.sin(x[k]) * t
        k += 1
    return limit * t


@program(vector)
def pushed_in_a_branch(x):
    """What is kept for the way back is kept in some iterations only: clad#1865."""
    s, d = 1.0, 1.5
    for i in range(x.shape[0]):
        for j in range(i):
            if x[j] > 0.0:
                d = 1.0 + d * x[j] / (d + s * s)
                s = s / d
            s += x[i] / d
        d = d + s * s
    return s * d


@program(vector, scalar)
def divisors_inside(x, a):
    """Divisors that change in the middle of an expression: clad#1865."""
    s, d = a, 1.2
    for e in x:
        s = s / (d := 1.0 + np.sin(d) * e * e) - e / (d := d + s * s)
        s = (s + e) / (1.0 + d * d)
    return s + d


@program(vector, count, sizes=(3, 5))
def no_iterations(x, n):
    """Loops that never run, around what would divide by zero: jax#994."""
    s, y = x[0] * x[1], x.copy()
    for i in range(n, 3):
        s = s / (x[i % 3] - x[i % 3])
    for i in range(n, 2, 1):
        y[i] = s
        for j in range(i, n):
            y[j] *= s
    k = n
    while k < 0:
        s *= x[k]
        k += 1
    return s * y


@program(vector, vector, sizes=(1, 4))
def scratch_of_the_caller(x, work):
    """Scratch memory that is an argument, under two names: Enzyme.jl#3124, #1340."""
    other = work
    s = 0.0
    for i in range(x.shape[0]):
        work[0] = x[i] * x[i]
        other[-1] = other[0] * np.sin(work[0])
        s += work[-1] * other[0]
    return s


@program(vector, indices, sizes=(1, 4))
def last_writer_in_a_loop(x, p):
    """Of several stores to a place only the last has a gradient: pytorch#473."""
    y = np.zeros(x.shape[0])
    for i in range(x.shape[0]):
        y[p[i]] = x[i] * x[i]
        if x[i] < 0.0:
            y[p[i]] = x[i] * y[p[i] - 1]
    return y


@program(vector, indices, sizes=(1, 4))
def repeated_reads_in_a_loop(x, p):
    """Cotangents of places that are read again and again add up: pytorch#1528."""
    s = 1.0
    for i in p:
        for j in p:
            s += 0.1 * x[i] * x[p[j]] * s
    return s


@program(square, sizes=(2, 4))
def before_during_after(A):
    """Values from before a loop, of each iteration, and after it: warp#1694, #174."""
    t = A[0, 0] * A[1, 1]
    first = t
    for i in range(A.shape[0]):
        t = t * A[i, -1] + first
        for j in range(i):
            if A[i, j] < -1.0:
                continue
            if t > 20.0:
                break
            t = np.sin(t) + A[i, j] * first
        A[i, i] = t
    return first * t * A
