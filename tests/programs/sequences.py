"""What loops run over, and calls of functions inside loops."""

import math

import numpy as np

from tests.programs.record import (
    count,
    fixed,
    program,
    rate,
    scalar,
    square,
    vector,
    wide,
)

COEFFICIENTS = np.array([1.0, -0.5, 0.25])


@program(vector)
def over_elements(x):
    s = 0.0
    for v in x:
        s = s * 0.5 + v * v
    return s


@program(wide)
def over_rows(A):
    s = 0.0
    for row in A:
        for v in row:
            s += np.sin(v)
        s *= row[0]
    return s


@program(wide)
def rows_unpacked(A):
    s = 0.0
    for row in A[:, :1]:
        (first,) = row
        s += first
    return s


@program(vector)
def enumerated(x):
    s = 0.0
    for i, v in enumerate(x):
        s += i * v
    for k, v in enumerate(x, 2):
        s -= k * v
    return s


@program(vector, vector)
def zipped(x, y):
    s = 0.0
    for a, b in zip(x, y):
        s += a * b
    for i, (a, b) in enumerate(zip(x, y[::-1])):
        s += a * i - b
    return s


@program(vector)
def zipped_unequal(x):
    s = 0.0
    for a, b, k in zip(x, x[1:], range(3)):
        s += a * b * k
    return s


@program(vector)
def reversed_loops(x):
    s = 0.0
    for i in reversed(range(len(x))):
        s = s * 0.5 + x[i]
    for v in reversed(x):
        s = s * 0.5 + v
    for i, v in reversed(list(enumerate(x))):
        s += i * v
    return s


@program(vector, count, fixed(2))
def bounds(x, n, first):
    s = 0.0
    for i in range(first, n):
        s += x[i]
    for i in range(n, first, -1):
        s -= x[i - 1] * i
    for i in range(-first, n - first):
        s += x[i + first]
    return s


@program(vector)
def lists_of_traced(x):
    """The list is static, what is in it isn't."""
    s = 0.0
    for i in range(len(x)):
        parts = [x[i], x[i] ** 2]
        parts.append(1.0)
        for p in parts:
            s += p
    return s


@program(vector)
def appended(x):
    """Unrolled, as lists can't grow in a loop that stays one."""
    parts = []
    for i in range(len(x)):
        parts.append(x[i] * i)
    return sum(parts)


@program(scalar, fixed(10))
def list_of_numbers(a, n):
    weights = [0.1 * k for k in range(10)]
    s = 0.0
    for k in range(n):
        s += weights[k] * a**2
    return s


@program(scalar)
def polynomial(a):
    total = 0.0
    for c in COEFFICIENTS[::-1]:
        total = total * a + c
    return total


def logistic(x, r):
    return r * x * (1.0 - x)


def clipped(x):
    if x > 1.0:
        return 1.0
    return x


@program(rate, count)
def calls_functions(r, n):
    x = 0.3
    for _ in range(n):
        x = logistic(x, r)
        x = clipped(x)
    return x


@program(vector)
def fills(x):
    def put(y, i, value):
        y[i] = value

    y = np.zeros(len(x))
    for i in range(len(x)):
        put(y, i, x[i] * 2.0)
    return y


@program(vector)
def closures(x):
    scale = x.sum()

    def scaled(v):
        return v * scale

    s = 0.0
    for v in x:
        s += scaled(v)
    return s + (lambda t: t * scale)(s)


def depth(x, k):
    if k == 0:
        return x
    return np.sin(depth(x, k - 1)) * x


@program(vector)
def recursion(x):
    s = 0.0
    for v in x:
        s += depth(v, 3)
    return s


class Oscillator:
    def __init__(self, stiffness):
        self.stiffness = stiffness

    def force(self, x):
        return -self.stiffness * x if x > -1.0 else 0.0


@program(rate, count)
def methods(k, n):
    system = Oscillator(k)
    x, v = 1.0, 0.0
    for _ in range(n):
        v += 0.1 * system.force(x)
        x += 0.1 * v
    return x


@program(square)
def loops_in_functions(A):
    def row_norm(row):
        s = 0.0
        for v in row:
            s += v * v
        return np.sqrt(s)

    total = 0.0
    for i in range(len(A)):
        total += row_norm(A[i])
    return total


@program(vector)
def integers_over_arrays(x):
    total = 0.0
    order = np.arange(len(x))
    for k in order:
        total += x[k] * k
    return total


@program(vector)
def nested_tuples(x):
    state = {"a": 0.0, "b": (1.0, x)}
    for v in x:
        a, (b, y) = state["a"], state["b"]
        state = {"a": a + b * v, "b": (b * 0.5, y + v)}
    return state["a"] + state["b"][1].sum()


@program(vector, sizes=(3, 4))
def array_from_a_generator(x):
    squares = np.fromiter((e * e for e in x), dtype=np.float64)
    weights = np.fromiter((0.5 * k for k in range(3)), float, 3)
    return squares, np.sum(weights * squares[:3])


# Comprehensions of which a function of arrays takes every item.


@program(vector, vector, sizes=(3, 12))
def sums_of_comprehensions(x, y):
    total = sum(math.sin(a) * b for a, b in zip(x, y))
    for i in range(len(x)):
        if x[i] > 0.0:
            total += x[i] * sum(x[j] * y[i] for j in range(i))
        else:
            total -= max([b * x[i] - a for a, b in zip(x, y)])
    return total * sum(x[k] for k in range(int(2.0 + math.sin(y[0]))))


@program(vector, sizes=(1, 4, 11))
def arrays_of_comprehensions(x):
    n = len(x)
    slopes = np.array([x[i] * x[i] - x[i - 1] for i in range(n)])
    slopes[0] = np.mean([math.exp(-v) for v in slopes])
    windows = np.array([sum(v * v for v in slopes[: i + 1]) for i in range(n)])
    return slopes * windows + np.cumsum([v * (i + 1) for i, v in enumerate(x)])


@program(vector, sizes=(2, 9))
def comprehensions_that_stay_lists(x):
    """Their items change something else, are arrays, integers, or differ in shape."""
    calls = []

    def counted(v):
        calls.append(v)
        return v * len(calls)

    ways = [np.sin, np.cos, np.tanh] * 3
    total = sum(counted(v) for v in x) + sum(i for i in range(len(x))) * x[0]
    total += sum(ways[i](x[i]) for i in range(len(x)))
    total += sum(v for v in x if v is not None)
    return total + np.array([x * v for v in x])[0] + sum([x * v for v in x])
