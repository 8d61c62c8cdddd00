"""break, continue, return and else in loops."""

import numpy as np

from tests.programs.record import (
    count,
    positive,
    program,
    rate,
    scalar,
    square,
    vector,
    wide,
)


@program(vector)
def breaks(x):
    s = 1.0
    for i in range(x.shape[0]):
        if s > 2.0:
            break
        s = s * (1.0 + x[i] * x[i])
    return s


@program(vector)
def continues(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] < 0:
            continue
        s += x[i] * i
        if s > 2:
            continue
        s *= 1.5
    return s


@program(wide)
def nested_jumps(A):
    s = 0.0
    for i in range(A.shape[0]):
        p = 1.0
        for j in range(A.shape[1]):
            if A[i, j] < -0.8:
                continue
            if p > 3.0:
                break
            p *= 1.0 + A[i, j] * A[i, j]
        s += p * p * (i + 1)
    return s


@program(vector)
def returns_from_inside(x):
    s = 0.0
    for i in range(x.shape[0]):
        for j in range(i):
            s += x[i] * x[j] * x[i]
            if s > 0.5:
                return s * x[j]
    return s * s


@program(vector)
def first_negative(x):
    for i in range(len(x)):
        if x[i] < 0:
            return x[i] * i
    return 0.0


@program(vector)
def with_else(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i]
        if s > 1.0:
            s *= 2.0
            break
    else:
        s -= 1.0
    return s


@program(scalar, scalar)
def while_with_else(a, b):
    k = 0.0
    while k < 5.0:
        k += 1.0
        if k * a > 2.0:
            break
    else:
        k = k + b
    return k * a


@program(vector)
def break_and_continue(x):
    s = 0.0
    for v in x:
        if v > 1.5:
            break
        if v < 0:
            if v < -1:
                s -= 1.0
                continue
            s += 0.5
        s += v * v
    return s


@program(rate)
def while_continue(a):
    s, k = 0.0, 0
    while k < 10:
        k += 1
        if k % 3 == 0:
            continue
        s += a / k
        if s > 2.5:
            break
    return s + k


@program(scalar)
def unrolled_break(a):
    """The loop is unrolled, its jumps are not."""
    s = a
    for k in (1.0, 2.0, 3.0):
        s = s * 1.5 + k
        if s > 4.0:
            break
        if s < 1.0:
            continue
        s -= 1.0
    else:
        s += 100.0
    return s


@program(scalar)
def unrolled_return(a):
    for k in [1, 2, 3]:
        if a * k > 1.0:
            return a * k
    return a


@program(vector, count)
def search(x, n):
    """A search that leaves both loops."""
    found = -1
    for i in range(n):
        for j in range(n):
            if x[i] * x[j] > 0.9:
                found = i * n + j
                break
        if found >= 0:
            break
    return found * x.sum()


@program(vector)
def returns_tuple(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i]
        if s > 1.0:
            return s, i
    return s, -1


@program(vector)
def return_in_else(x):
    for v in x:
        if v > 2.5:
            break
    else:
        return 2.0 * np.sum(x)
    return v


# Its result depends on a through comparisons alone, except for where it starts.
@program(rate, smooth=False)
def bisection(a):
    lo, hi = 0.0, 2.0
    for _ in range(60):
        mid = 0.5 * (lo + hi)
        if mid * mid > a:
            hi = mid
        else:
            lo = mid
        if hi - lo < 1e-9:
            break
    return 0.5 * (lo + hi) * a


@program(rate)
def newton_left_by_break(a):
    x = 1.0
    for _ in range(20):
        g, h = x**3 - a, 3.0 * x * x
        if abs(g) < 1e-12:
            break
        x = x - g / h
    return x


@program(positive, sizes=(1, 2))
def newton_damped(p):
    x, halvings = 1.0, 0
    for _ in range(20):
        g = x**3 - p[0]
        if abs(g) < 1e-12:
            break
        step, t = -g / (3.0 * x * x), 1.0
        while abs((x + t * step) ** 3 - p[0]) > (1.0 - 1e-4 * t) * abs(g):
            t *= 0.5
            halvings += 1
        x = x + t * step
    return x + 0.0 * halvings


@program(vector, rate, sizes=(1, 2, 5))
def raises_with_values_in_the_text(x, limit):
    s = 0.0
    for i in range(x.shape[0]):
        if x[i] > 1.5 * limit + 3.0:
            raise ValueError("x[%d] is %.3g, not %s" % (i, x[i], limit))  # noqa: UP031
        if x[i] < -4.0:
            raise ArithmeticError("{:.2f} at {}".format(x[i], i))  # noqa: UP032
        s += x[i] * x[i] * limit
    message = f"sum {s:8.2f} of " + ", ".join(f"{v:.1f}" for v in [s, limit])
    assert s < 500.0, message
    return s


@program(square)
def the_largest_below(a):
    largest = 0.0
    for i in range(len(a) - 1):
        for j in range(i + 1, len(a)):
            if abs(a[i, j]) >= largest:
                largest = abs(a[i, j])
                k, m = i, j
    return largest * a[m, k]


@program(vector)
def kept_by_a_loop(x):
    if x[0] > -100.0:
        v = x[1]
    for i in range(x.shape[0]):
        if x[i] > 1.0:
            v = x[i] * x[i]
    return v * x[0]


@program(vector)
def read_by_the_first_iteration(x):
    if x[0] > -100.0:
        v = x[1]
    total = 0.0
    for i in range(x.shape[0]):
        total += v * x[i]
        v = x[i]
    return total + v


@program(vector)
def kept_by_a_loop_that_does_not_run(x):
    if x[0] > -100.0:
        v = x[1]
    for i in range(x.shape[0]):
        if x[i] > 1.0:
            v = x[i] * x[i]
    for i in range(x.shape[0] - 100):
        if x[i] > 2.0:
            v = x[i]
    return v * x[0]
