"""Programs with functions that apply functions: NumPy's, and Numba's."""

import math

import numpy as np
from numba import guvectorize, njit, stencil, vectorize

from tests.programs.record import program, rate, vector, wide


@np.vectorize
def huber(x, limit):
    return 0.5 * x * x if abs(x) < limit else limit * (abs(x) - 0.5 * limit)


@vectorize(["float64(float64, float64)"])
def soft(x, t):
    if x > t:
        return x - t
    return x + t if x < -t else 0.0 * x


@program(wide, rate, sizes=(3, 4))
def vectorized_functions(x, t):
    bumps = np.vectorize(lambda v: math.exp(-v * v) if v > t else v)
    return huber(x, 1.0), soft(x, t), bumps(x[0]), huber(x[0, 0], t)


@program(wide, sizes=(3, 4))
def functions_along_axes(x):
    def size(row, power):
        return np.sum(np.abs(row) ** power) + row[0]

    units = np.apply_along_axis(lambda c: c / np.linalg.norm(c), 0, x)
    return units, np.apply_along_axis(size, -1, x, 1.5)


@program(vector, sizes=(5, 9))
def pieces(x):
    low = np.piecewise(x, [x < -0.5, x > 0.5], [lambda v: -v, lambda v: v**2, 0.25])
    return low, np.piecewise(x, x > 0, [lambda v: np.log(v)])


@stencil
def laplacian(a, w):
    return w * (a[-1, 0] + a[1, 0] + a[0, 1] + a[0, -1]) - a[0, 0]


@stencil(neighborhood=((-2, 1),), cval=1.5)
def smooth(a):
    total = 0.0
    for k in range(-2, 2):
        total += a[k]
    return total / 4


@stencil(standard_indexing=("w",))
def weighed(a, w):
    return a[-1] * w[0] + a[1] * w[1]


@njit
def relaxed(a, w):
    out = np.ones_like(a)
    laplacian(a, w, out=out)
    return laplacian(out, w)


@program(wide, vector, rate, sizes=(5, 6))
def stencils(a, x, w):
    return relaxed(a, w), smooth(x) ** 2, weighed(x, x[:2])


@guvectorize(["(float64[:], int64[:], float64[:])"], "(n),()->(n)")
def moving_mean(a, width, out):
    total = 0.0
    for i in range(len(a)):
        total += a[i]
        if i >= width[0]:
            total -= a[i - width[0]]
        out[i] = total / min(i + 1, width[0])


@guvectorize(["(float64[:,:], float64[:], float64[:])"], "(m,n),(n)->(m)")
def product(A, x, y):
    for i in range(A.shape[0]):
        y[i] = 0.0
        for j in range(A.shape[1]):
            y[i] += A[i, j] * x[j]


@guvectorize(["(float64[:], float64[:])"], "(n)->()")
def energy(x, out):
    out[0] = 0.0
    for v in x:
        out[0] += v * v


@program(wide, vector, sizes=(3, 4))
def generalised_functions(a, x):
    rows = np.stack((a, a * a))
    return moving_mean(a, 2), product(rows, a[0]), energy(a), energy(x) * 2.0


@program(wide, sizes=(3, 4))
def cells_of_grids(a):
    out = np.empty(a.shape)
    for i, j in np.ndindex(a.shape):
        out[i, j] = a[i, j] * (i + 1) - j
    for index in np.ndindex(*a.shape):
        out[index] += a[index] ** 2
    total = 0.0
    for (i, j), v in np.ndenumerate(a.T):
        total += v * (i - j)
    for v in out.flat:
        total += v if v > 0.0 else -0.5 * v
    return out, total + a.flat[1]


@program(vector, wide, sizes=(4, 6))
def drawdowns(x, a):
    price = np.cumsum(x)
    peak = np.maximum.accumulate(price)
    lows = np.minimum.accumulate(a, axis=1)
    return np.max(peak - price), lows, np.subtract.accumulate(x)
