"""Nonlinear least-squares problems of Moré, Garbow and Hillstrom, written for NumPy.

Moré, Garbow, Hillstrom: Testing Unconstrained Optimization Software, ACM TOMS 7 (1981).
Each has residuals of one argument, the standard start, and the sum of squares at its
minimum (several where there are several), as far as the paper states it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Problem:
    """Residuals, a start, and the sums of squares at the minima."""

    residuals: Callable[[Any], Any]
    start: tuple[float, ...]
    minima: tuple[float, ...] = (0.0,)

    @property
    def x0(self):
        """The start as an array."""
        return np.array(self.start)

    def objective(self, x):
        """The sum of squares."""
        r = self.residuals(x)
        return np.sum(r * r)


def rosenbrock(x):
    return np.array([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])


def freudenstein_roth(x):
    return np.array(
        [
            -13.0 + x[0] + ((5.0 - x[1]) * x[1] - 2.0) * x[1],
            -29.0 + x[0] + ((x[1] + 1.0) * x[1] - 14.0) * x[1],
        ]
    )


def powell_badly_scaled(x):
    return np.array([1e4 * x[0] * x[1] - 1.0, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x):
    return np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2.0])


def beale(x):
    y = np.array([1.5, 2.25, 2.625])
    r = np.empty(3)
    power = 1.0
    for i in range(3):
        power *= x[1]
        r[i] = y[i] - x[0] * (1.0 - power)
    return r


def jennrich_sampson(x):
    i = np.arange(1.0, 11.0)
    return 2.0 + 2.0 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def helical_valley(x):
    angle = np.arctan(x[1] / x[0]) / (2.0 * np.pi)
    if x[0] < 0.0:
        angle += 0.5
    radius = np.sqrt(x[0] ** 2 + x[1] ** 2)
    return np.array([10.0 * (x[2] - 10.0 * angle), 10.0 * (radius - 1.0), x[2]])


BARD = np.array(
    [
        *(0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39),
        *(0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39),
    ]
)


def bard(x):
    u = np.arange(1.0, 16.0)
    v = 16.0 - u
    return BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


GAUSSIAN = np.array(
    [
        *(0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989),
        *(0.3521, 0.2420, 0.1295, 0.0540, 0.0175, 0.0044, 0.0009),
    ]
)


def gaussian(x):
    t = 0.5 * (8.0 - np.arange(1.0, 16.0))
    return x[0] * np.exp(-0.5 * x[1] * (t - x[2]) ** 2) - GAUSSIAN


def box(x):
    t = 0.1 * np.arange(1.0, 11.0)
    model = np.exp(-t * x[0]) - np.exp(-t * x[1])
    return model - x[2] * (np.exp(-t) - np.exp(-10.0 * t))


def powell_singular(x):
    return np.array(
        [
            x[0] + 10.0 * x[1],
            np.sqrt(5.0) * (x[2] - x[3]),
            (x[1] - 2.0 * x[2]) ** 2,
            np.sqrt(10.0) * (x[0] - x[3]) ** 2,
        ]
    )


def wood(x):
    return np.array(
        [
            10.0 * (x[1] - x[0] ** 2),
            1.0 - x[0],
            np.sqrt(90.0) * (x[3] - x[2] ** 2),
            1.0 - x[2],
            np.sqrt(10.0) * (x[1] + x[3] - 2.0),
            (x[1] - x[3]) / np.sqrt(10.0),
        ]
    )


KOWALIK_Y = np.array(
    [
        *(0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627),
        *(0.0456, 0.0342, 0.0323, 0.0235, 0.0246),
    ]
)
KOWALIK_U = np.array(
    [4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625]
)


def kowalik_osborne(x):
    u = KOWALIK_U
    return KOWALIK_Y - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3])


def brown_dennis(x):
    t = np.arange(1.0, 21.0) / 5.0
    first = x[0] + t * x[1] - np.exp(t)
    second = x[2] + x[3] * np.sin(t) - np.cos(t)
    return first**2 + second**2


def biggs(x):
    t = 0.1 * np.arange(1.0, 14.0)
    y = np.exp(-t) - 5.0 * np.exp(-10.0 * t) + 3.0 * np.exp(-4.0 * t)
    model = x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1])
    return model + x[5] * np.exp(-t * x[4]) - y


def watson(x):
    r = np.empty(31)
    for i in range(29):
        t = (i + 1.0) / 29.0
        slope, value, power = 0.0, 0.0, 1.0
        for j in range(x.shape[0]):
            if j > 0:
                slope += j * x[j] * power
                power *= t
            value += x[j] * power
        r[i] = slope - value * value - 1.0
    r[29] = x[0]
    r[30] = x[1] - x[0] ** 2 - 1.0
    return r


def trigonometric(x):
    n = x.shape[0]
    i = np.arange(1, n + 1)
    return n - np.sum(np.cos(x)) + i * (1.0 - np.cos(x)) - np.sin(x)


def variably_dimensioned(x):
    n = x.shape[0]
    total = np.sum(np.arange(1, n + 1) * (x - 1.0))
    return np.concatenate([x - 1.0, np.array([total, total**2])])


def penalty(x):
    last = np.array([np.sum(x * x) - 0.25])
    return np.concatenate([np.sqrt(1e-5) * (x - 1.0), last])


def broyden_tridiagonal(x):
    n = x.shape[0]
    r = np.empty(n)
    for i in range(n):
        r[i] = (3.0 - 2.0 * x[i]) * x[i] + 1.0
        if i > 0:
            r[i] -= x[i - 1]
        if i < n - 1:
            r[i] -= 2.0 * x[i + 1]
    return r


PROBLEMS: dict[str, Problem] = {
    "Rosenbrock": Problem(rosenbrock, (-1.2, 1.0)),
    "Freudenstein and Roth": Problem(freudenstein_roth, (0.5, -2.0), (0.0, 48.9842)),
    "Powell badly scaled": Problem(powell_badly_scaled, (0.0, 1.0)),
    "Brown badly scaled": Problem(brown_badly_scaled, (1.0, 1.0)),
    "Beale": Problem(beale, (1.0, 1.0)),
    "Jennrich and Sampson": Problem(jennrich_sampson, (0.3, 0.4), (124.362,)),
    "helical valley": Problem(helical_valley, (-1.0, 0.0, 0.0)),
    "Bard": Problem(bard, (1.0, 1.0, 1.0), (8.21487e-3, 17.4286)),
    "Gaussian": Problem(gaussian, (0.4, 1.0, 0.0), (1.12793e-8,)),
    "Box": Problem(box, (0.0, 10.0, 20.0)),
    "Powell singular": Problem(powell_singular, (3.0, -1.0, 0.0, 1.0)),
    "Wood": Problem(wood, (-3.0, -1.0, -3.0, -1.0)),
    "Kowalik and Osborne": Problem(
        kowalik_osborne, (0.25, 0.39, 0.415, 0.39), (3.07505e-4, 1.02734e-3)
    ),
    "Brown and Dennis": Problem(brown_dennis, (25.0, 5.0, -5.0, -1.0), (85822.2,)),
    "Biggs": Problem(biggs, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0), (0.0, 5.65565e-3)),
    "Watson": Problem(watson, (0.0,) * 6, (2.28767e-3,)),
    "trigonometric": Problem(trigonometric, (0.2,) * 5, ()),
    "variably dimensioned": Problem(variably_dimensioned, (0.75, 0.5, 0.25, 0.0)),
    "penalty": Problem(penalty, (1.0, 2.0, 3.0, 4.0), (2.24997e-5,)),
    "Broyden tridiagonal": Problem(broyden_tridiagonal, (-1.0,) * 5),
}
