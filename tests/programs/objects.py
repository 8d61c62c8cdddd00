"""Programs with classes of their own: their operators and items are functions."""

import math

import numpy as np

from tests.programs.record import program, rate, vector


class Vector:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other):
        return self + -other

    def __neg__(self):
        return Vector(-self.x, -self.y)

    def __mul__(self, other):
        if isinstance(other, Vector):
            return self.x * other.x + self.y * other.y
        return Vector(self.x * other, self.y * other)

    __rmul__ = __mul__

    def __iadd__(self, other):
        self.x += other.x
        self.y += other.y
        return self

    def __abs__(self):
        return math.sqrt(self * self)

    def __lt__(self, other):
        return abs(self) < abs(other)

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    def __bool__(self):
        return bool(self.x != 0.0 or self.y != 0.0)

    def __float__(self):
        return float(abs(self))


class Window:
    """The last values of a series, the sum of which is kept."""

    def __init__(self, n):
        self.values = np.zeros(n)
        self.sum = np.zeros(1)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, k):
        return self.values[k % len(self)]

    def __setitem__(self, k, value):
        self.sum[0] += value - self[k]
        self.values[k % len(self)] = value

    def __contains__(self, value):
        return np.any(self.values == value)


@program(vector, rate, sizes=(3, 5))
def reflected(x, t):
    normal = Vector(x[0], x[1])
    normal = normal * (1.0 / abs(normal))
    ray = Vector(x[2], t)
    return (ray - 2.0 * (ray * normal) * normal).y


@program(vector, sizes=(3, 5))
def compared(x):
    a, b = Vector(x[0], x[1]), Vector(x[1], x[2])
    s = 0.0
    if a < b:
        s += abs(a)
    if a > b:
        s += 2.0 * abs(b)
    if a == b or not a:
        s += 1.0
    if a != b:
        s += x[2] * float(a) if b else 1.0
    return s


@program(vector, sizes=(3, 5))
def totalled(x):
    parts = [Vector(v, 2.0 * v * v) for v in x]
    whole = sum(parts, Vector(0.0, x[0]))
    whole += parts[0]
    return abs(whole) * whole.x


@program(vector, rate, sizes=(3, 5))
def windowed(x, t):
    window = Window(3)
    s = 0.0
    for k in range(len(x)):
        window[k] = x[k] * t
        window[k + 1] += 0.5 * t
        if window.sum[0] > 0.3:
            s += window.sum[0] * window[k]
    if t in window:
        s += 1.0
    return s, window.values
