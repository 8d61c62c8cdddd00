"""Loops over scalars: recurrences, integrators, iterations, sums."""

import math

import numpy as np

from tests.programs.record import (
    count,
    fixed,
    positive,
    program,
    rate,
    scalar,
    single,
    vector,
)


@program(vector)
def rosenbrock(x):
    s = 0.0
    for i in range(x.shape[0] - 1):
        s += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return s


@program(fixed(np.array([1.1, 0.4, 0.4, 0.1])), rate, rate, fixed(0.01), count)
def lotka_volterra(p, u0, v0, h, n):
    a, b, c, d = p[0], p[1], p[2], p[3]
    u, v, s = u0, v0, 0.0
    for _ in range(n):
        k1 = a * u - b * u * v
        l1 = -c * v + d * u * v
        u2 = u + 0.5 * h * k1
        v2 = v + 0.5 * h * l1
        u, v = u + h * (a * u2 - b * u2 * v2), v + h * (-c * v2 + d * u2 * v2)
        s += u * u + v
    return s


@program(vector, count)
def swapped_scalars(x, n):
    a, b = 0.3, 0.7
    for t in range(n):
        a, b = b * np.sin(a), a + 0.1 * b + t * x[0]
    return a * b


@program(vector)
def reassigned(x):
    s = 0.0
    for i in range(x.shape[0]):
        t = x[i]
        t = t * t
        t = np.sin(t) * t
        t = t + s * t
        s = s + t
    return s


@program(vector, sizes=(3, 5))
def used_after(x):
    """A value from before the loop, and the index, after it."""
    a = x[0] * x[1]
    b = a
    for i in range(2, x.shape[0]):
        b = b * x[i] + a
    return b * a * x[i]


@program(vector)
def bound_in_the_loop(x):
    """Python raises if there is no iteration."""
    for i in range(x.shape[0]):
        last = x[i] * i
    return last


@program(vector)
def the_previous_one(x):
    s = 0.0
    for i in range(len(x)):
        if i > 0:
            s += (x[i] - before) ** 2
        before = x[i]
    return s


@program(vector)
def backward(x):
    s, c = 0.0, 1.0
    for i in range(x.shape[0] - 1, -1, -2):
        c = c * np.cos(x[i]) + 0.3
        s += c * x[i]
    return s


@program(vector)
def by_three(x):
    s, c = 0.0, 1.0
    for i in range(1, len(x), 3):
        c = c * np.cos(x[i]) + 0.3
        s += c * x[-i]
    return s


@program(vector, count)
def perhaps_never(x, n):
    s = 1.0
    for i in range(3, n):
        s = s * x[i]
    return s


@program(scalar, count)
def integer_then_float(a, n):
    s = 0
    for i in range(n):
        s = s + a * i
    return s


@program(single)
def single_precision(x):
    s = 0.0
    for i in range(len(x)):
        s = s * 0.5 + x[i]
    return s


@program(vector)
def powers_and_signs(x):
    total = 0.0
    sign = 1
    for i in range(len(x)):
        total += sign * x[i] ** 3 / (2 * i + 1)
        sign = -sign
    return total


@program(vector, fixed(12))
def taylor(x, terms):
    """A factorial in floats, over a range of numbers."""
    total, term = 0.0, 1.0
    for k in range(terms):
        total += term
        term *= x.sum() / (k + 1)
    return total


@program(rate)
def literal_range(a):
    """More numbers than are unrolled."""
    s = 0.0
    for k in range(20):
        s += a**2 / (k + 1)
    return s


@program(rate)
def exact_factorial(a):
    """Beyond 64 bits, which Python's integers don't mind."""
    s, f = 0.0, 1
    for k in range(1, 26):
        f *= k
        s += a / f
    return s


@program(rate)
def short_range(a):
    for _ in range(3):
        a = np.sin(a)
    return a


@program(positive)
def newton_each(a):
    s = 0.0
    for i in range(a.shape[0]):
        x = 1.0
        while abs(x * x * x - a[i]) > 1e-10:
            x = x - (x * x * x - a[i]) / (3.0 * x * x)
        s += x * (i + 1)
    return s


@program(rate)
def newton(a):
    x = a
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x


@program(rate)
def endless_until(a):
    x, k = 1.0, 0
    while True:
        new = 0.5 * (x + a / x)
        k += 1
        if abs(new - x) < 1e-12:
            break
        x = new
    return new * k


@program(vector)
def while_over_sizes(x):
    i, s = 0, 0.0
    n = len(x)
    while i < n:
        s += x[i] * i
        i += 1
    return s


@program(vector)
def while_backward(x):
    i, s = len(x) - 1, 1.0
    while i >= 0:
        s = s * 0.5 + x[i]
        i -= 1
    return s


@program(vector)
def while_and(x):
    """The right side would be out of bounds."""
    i = 0
    while i < len(x) and x[i] < 1.0:
        i += 1
    return x[:1].sum() * i


@program(vector)
def collatz(x):
    s = 0.0
    for i in range(1, len(x)):
        n, p = i, x[i]
        while n != 1:
            if n % 2 == 0:
                n = n // 2
                p = p * 0.9 + 0.1 * np.sin(p)
            else:
                n = 3 * n + 1
                p = p * p * 0.5
        s += p
    return s


@program(positive)
def harmonic_while(x):
    total, k = 0.0, 1
    while total < 3.0:
        total += 1.0 / k
        k += 1
    return total * x.sum() + k


@program(vector)
def nested_triangle(x):
    e = 0.0
    n = x.shape[0]
    for i in range(n):
        for j in range(i + 1, n):
            d = x[i] - x[j]
            e += 1.0 / (1.0 + d * d)
    return e


@program(vector, sizes=(1, 2, 5))
def two_loops_share_names(x):
    s = 0.0
    for i in range(len(x)):
        t = x[i] * 2.0
        s += t
    for i in range(len(x)):
        t = i + 1
        s += t * x[i]
    return s + t


@program(positive)
def math_functions(x):
    s = 0.0
    for i in range(len(x)):
        s += math.sqrt(x[i]) + math.exp(-x[i]) + max(x[i], 1.0) + min(s, 2.0)
        s += float(int(3.7 * x[i])) + abs(s) + round(s, 1) * 0.0
    return s


@program(vector)
def tuple_state(x):
    state = (0.0, 1.0)
    for i in range(len(x)):
        state = (state[0] + x[i] * state[1], state[1] * 0.9)
    return state[0] + state[1]


@program(vector, count)
def integer_arithmetic(x, n):
    s = 0.0
    for i in range(n):
        k = (3 * i + 1) % n
        j = (i * i) // 2 % n
        m = (i ^ 1) & 3
        s += x[k] * x[j] + (m << 1) + (i >> 1)
    return s


@program(vector)
def welford(x):
    mean, m2, n = 0.0, 0.0, 0
    for v in x:
        n += 1
        delta = v - mean
        mean += delta / n
        m2 += delta * (v - mean)
    return m2
