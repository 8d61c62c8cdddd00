"""The printed source of small kernels, word for word.

The printed Python is meant to be read, so a change of it is seen here and judged.
"""

import ast

import pytest

from codegen.layout import WIDTH
from codegen.printer import print_python
from tests.codegen import kernels

CORPUS = kernels.corpus()

GOLDEN = {
    "total": '''\
from numba import njit
from codegen.vector_math import radd


@njit(error_model="numpy", nogil=True)
def total(x):
    """The sum of an array."""
    n = x.shape[0]
    s = 0.0
    for i in range(n):
        s = radd(s, x[i])
    return s
''',
    "energy_grad": """\
from numba import njit
from codegen.errors import GuardFailed
from codegen.vector_math import log, radd


@njit(error_model="numpy", nogil=True)
def energy_grad(x, k, x_bar):
    n = x.shape[0]
    if x_bar.shape[0] != n:
        raise GuardFailed
    e = 0.0
    x_bar[:] = 0.0
    for i in range(1, n):
        # model.py:5: d = x[i] - x[i - 1]
        d = x[i] - x[i - 1]
        t = k * d
        if d > 1.0:
            # model.py:7: d = 1.0 + np.log(d) # soft
            t = t / d
            # model.py:7: d = 1.0 + np.log(d)
            d = 1.0 + log(d)
        # model.py:8: e
        e = radd(e, 0.5 * k * d * d)
        x_bar[i] += t
        x_bar[i - 1] -= t
    return e
""",
    "windows": """\
from numba import njit
from codegen.support import assume


@njit(error_model="numpy", nogil=True)
def windows(x, y):
    n = x.shape[0]
    y[:] = 0.0
    lo = min(1, n)
    for i in range(lo, n):
        assume(i >= 1)
        y[i] = x[i] - x[i - 1]
        y[i] += x[i - 1]
        y[i] += x[i - lo] if i > 2 else 0.0
    for i in range(n):
        p = n - 1 - i
        assume(p >= 0)
        y[i] *= x[p]
    for i in range(n - 1, -1, -1):
        assume(i >= 0)
        y[i] = x[i] if i == 0 else x[i - 1]
""",
    "gather": """\
from numba import njit
from codegen.support import checked


@njit(error_model="numpy", nogil=True)
def gather(x, index, y, z):
    m = index.shape[0]
    z[:] = 0.0
    for i in range(m):
        y[i] = x[checked(index[i], x.shape[0])] + x[-(i + 1)]
        z[checked(index[i], z.shape[0])] += x[checked(index[i], x.shape[0])]
""",
    "newton": """\
from numba import njit
from codegen.vector_math import radd


@njit(error_model="numpy", nogil=True)
def newton(a):
    x = a
    trips = 0
    while trips < 50:
        trips += 1
        step = (x * x - a) / (2.0 * x)
        x = radd(x, -step)
        if abs(step) < 1e-12:
            break
    s = 0.0
    for i in range(trips):
        if i % 2 == 0:
            continue
        else:
            # odd rounds
            pass
        s += float(i)
    while True:
        t = x
        break
    return x, trips, s, t
""",
    "scratch": """\
import numpy as np
from numba import njit
from codegen.support import assume, carve
from codegen.vector_math import maximum


@njit(error_model="numpy", nogil=True)
def scratch(x, y, workspace):
    n, m = x.shape
    h = carve(workspace, 0, (n, m), np.float64)
    taken = (n * m + 7) // 8 * 8
    single = carve(workspace, taken, m, np.float32)
    taken += (m + 15) // 16 * 8
    small = carve(workspace, taken, 3, np.int32)
    taken += 8
    flags = carve(workspace, taken, (n, 2), np.bool_)
    taken += (n * 2 + 63) // 64 * 8
    rows = carve(workspace, taken, n, np.int64)
    rows[:] = 0
    local = np.zeros(m)
    ints = np.empty(4, np.int32)
    ints[:] = np.int32(7)
    small[:] = np.int32(-2)
    for i in range(n):
        h[i, :] = 2.0
        flags[i, :] = i > 0
        rows[i] = i
        row = x[i]
        for j in range(m):
            single[j] = np.float32(row[j])
            h[i, j] *= np.float64(single[j])
            local[j] = maximum(local[j], h[i, j])
    flat = h.reshape(n * m)
    block = x[n - 1:n]
    corner = x[:1, 1:3]
    s = corner[0, 1] + block[0, 0]
    for i in range(n):
        t = float(rows[i]) if flags[i, 1] else s
        for j in range(m):
            assume(i * m + j >= 0)
            y[i, j] = flat[i * m + j] + local[j] + t
    q = np.int32(ints[1] * small[2])
    return s, q
""",
    "checks": """\
import numpy as np
from numba import njit
from codegen.errors import GuardFailed


@njit(error_model="numpy", nogil=True)
def checks(x, y, rows, limit):
    n = x.shape[0]
    m = y.shape[0]
    if m != n or n < 1 or (not 0.0 < limit) or np.isnan(limit):
        raise GuardFailed
    if rows >= n:
        raise IndexError("row 'rows' is out of range")
    # model.py:3: check(limit)
    if not 0.0 < limit:
        raise ValueError('limit must be positive')
    if not 0.0 < limit and (not np.isnan(limit)):
        raise np.linalg.LinAlgError('singular')
    return y[rows]
""",
    "products_float64": """\
import numpy as np
from numba import njit


@njit(error_model="numpy", nogil=True)
def products_float64(a, b, v, c, w, u, g):
    np.dot(a.T, np.ascontiguousarray(b), c)
    np.dot(a.T, v, w)
    np.dot(v, np.ascontiguousarray(b), u)
    np.dot(a, a.T, g)
    d = np.dot(v, v)
    return d
""",
    "products_float32": """\
import numpy as np
from numba import njit


@njit(error_model="numpy", nogil=True)
def products_float32(a, b, v, c, w, u, g):
    np.dot(a.T, np.ascontiguousarray(b), c)
    np.dot(a.T, v, w)
    np.dot(v, np.ascontiguousarray(b), u)
    np.dot(a, a.T, g)
    d = np.dot(v, v)
    return d
""",
    "factorisations": """\
from numba import njit
from codegen.dense import (
    cholesky_factor, linear_solve, log_determinant, matrix_determinant, matrix_inverse,
)
from codegen.vector_math import radd


@njit(error_model="numpy", nogil=True)
def factorisations(a, y, x, inverse, factor):
    k = a.shape[0]
    n = a.shape[1]
    s = 0.0
    for i in range(k):
        matrix = a[i]
        right = y[i]
        left = x[i]
        linear_solve(matrix.T, right, left)
        matrix_inverse(matrix, inverse)
        cholesky_factor(matrix, factor)
        sign, log_det = log_determinant(matrix)
        det = matrix_determinant(matrix)
        s = radd(s, sign * log_det + det)
    return s
""",
    "ordering": """\
from numba import njit
from codegen.dense import stable_argsort


@njit(error_model="numpy", nogil=True)
def ordering(x, order):
    stable_argsort(x, order)
""",
    "accumulations": """\
import numpy as np
from numba import njit
from codegen.vector_math import maximum, minimum, rmul


@njit(error_model="numpy", nogil=True)
def accumulations(x, y, flags):
    n = x.shape[0]
    most = -np.inf
    least = np.inf
    product = 1.0
    plain = -0.0
    some = False
    every = True
    y[:] = 1.0
    flags[:] = True
    for i in range(n):
        most = maximum(most, x[i])
        least = minimum(least, x[i])
        product = rmul(product, x[i])
        plain -= x[i]
        some = some or 0.0 < x[i]
        every = every and 0.0 < x[i]
        y[0] += x[i]
        y[1] *= x[i]
        y[2] = maximum(y[2], x[i])
        y[3] = minimum(y[3], x[i])
        flags[0] = flags[0] or 0.0 < x[i]
        flags[1] = flags[1] and 0.0 < x[i]
    return most, least, product, plain, some, every
""",
    "long_lines": """\
from numba import njit
from codegen.vector_math import maximum, minimum


@njit(error_model="numpy", nogil=True)
def long_lines(
    quantity_a,
    quantity_b,
    quantity_c,
    quantity_d,
    quantity_e,
    quantity_f,
    quantity_g,
    quantity_h,
):
    s = (
        quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
        + quantity_f / (quantity_g * quantity_h)
        - quantity_a
        + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
    )
    if (
        (
            (
                quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                + quantity_f / (quantity_g * quantity_h)
                - quantity_a
                + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
            )
            < quantity_a
        )
        and (
            quantity_b < quantity_c
            or (
                (
                    quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                    + quantity_f / (quantity_g * quantity_h)
                    - quantity_a
                    + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                )
                < quantity_d
            )
        )
    ):
        s += (
            -(
                quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                + quantity_f / (quantity_g * quantity_h)
                - quantity_a
                + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
            )
            if (
                (
                    (
                        (
                            quantity_a
                            * quantity_b
                            * (quantity_c - (quantity_d - quantity_e))
                        )
                        + quantity_f / (quantity_g * quantity_h)
                        - quantity_a
                        + (
                            quantity_a
                            * quantity_b
                            * (quantity_c - (quantity_d - quantity_e))
                        )
                    )
                    < quantity_a
                )
                and (
                    quantity_b < quantity_c
                    or (
                        (
                            (
                                quantity_a
                                * quantity_b
                                * (quantity_c - (quantity_d - quantity_e))
                            )
                            + quantity_f / (quantity_g * quantity_h)
                            - quantity_a
                            + (
                                quantity_a
                                * quantity_b
                                * (quantity_c - (quantity_d - quantity_e))
                            )
                        )
                        < quantity_d
                    )
                )
            )
            else maximum(
                (
                    quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                    + quantity_f / (quantity_g * quantity_h)
                    - quantity_a
                    + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                ),
                minimum(
                    (
                        (
                            quantity_a
                            * quantity_b
                            * (quantity_c - (quantity_d - quantity_e))
                        )
                        + quantity_f / (quantity_g * quantity_h)
                        - quantity_a
                        + (
                            quantity_a
                            * quantity_b
                            * (quantity_c - (quantity_d - quantity_e))
                        )
                        + quantity_b
                    ),
                    quantity_c,
                ),
            )
        )
    else:
        t = maximum(
            (
                quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                + quantity_f / (quantity_g * quantity_h)
                - quantity_a
                + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
            ),
            minimum(
                (
                    quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                    + quantity_f / (quantity_g * quantity_h)
                    - quantity_a
                    + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
                    + quantity_b
                ),
                quantity_c,
            ),
        )
    return (
        (
            quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
            + quantity_f / (quantity_g * quantity_h)
            - quantity_a
            + quantity_a * quantity_b * (quantity_c - (quantity_d - quantity_e))
        ),
        s,
    )
""",
    "conversions": """\
import numpy as np
from numba import njit


@njit(error_model="numpy", nogil=True)
def conversions(
    from_float64,
    from_float32,
    from_int64,
    from_int32,
    from_bool,
    to_float64,
    to_float32,
    to_int64,
    to_int32,
    to_bool,
):
    n = from_float64.shape[0]
    for i in range(n):
        to_float64[0, i] = from_float64[i]
        to_float64[1, i] = np.float64(from_float32[i])
        to_float64[2, i] = float(from_int64[i])
        to_float64[3, i] = float(from_int32[i])
        to_float64[4, i] = np.float64(from_bool[i])
        to_float32[0, i] = np.float32(from_float64[i])
        to_float32[1, i] = from_float32[i]
        to_float32[2, i] = np.float32(from_int64[i])
        to_float32[3, i] = np.float32(from_int32[i])
        to_float32[4, i] = np.float32(from_bool[i])
        to_int64[0, i] = int(from_float64[i])
        to_int64[1, i] = int(from_float32[i])
        to_int64[2, i] = from_int64[i]
        to_int64[3, i] = np.int64(from_int32[i])
        to_int64[4, i] = np.int64(from_bool[i])
        to_int32[0, i] = np.int32(from_float64[i])
        to_int32[1, i] = np.int32(from_float32[i])
        to_int32[2, i] = np.int32(from_int64[i])
        to_int32[3, i] = from_int32[i]
        to_int32[4, i] = np.int32(from_bool[i])
        to_bool[0, i] = from_float64[i] != 0.0
        to_bool[1, i] = from_float32[i] != np.float32(0.0)
        to_bool[2, i] = from_int64[i] != 0
        to_bool[3, i] = from_int32[i] != 0
        to_bool[4, i] = from_bool[i]
    single = np.float32(0.1) / np.float32(-3.0)
    small = np.int32(
        np.int32(np.int32(1073741824) * np.int32(3)) + np.int32(1073741824)
    )
    for i in range(n):
        single += from_float32[i]
        small = np.int32(small * np.int32(-5))
    return single, small
""",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_printed_source(name):
    assert print_python(CORPUS[name].kernel).module == GOLDEN[name]


@pytest.mark.parametrize("name", CORPUS)
def test_lines_fit_and_parse(name):
    source = print_python(CORPUS[name].kernel)
    tree = ast.parse(source.module)
    assert max(map(len, source.module.splitlines())) <= WIDTH
    bare = ast.parse(source.code).body[0]
    assert ast.unparse(bare.body[-1]) == ast.unparse(tree.body[-1].body[-1])
