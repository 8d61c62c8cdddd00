"""Arrays written in place: recurrences, stencils, factorisations, scratch space."""

import numpy as np

from tests.programs.record import (
    count,
    definite,
    fixed,
    indices,
    permutation,
    program,
    rate,
    single,
    square,
    vector,
    wide,
)


@program(vector, sizes=(1, 2, 5))
def recurrence(x):
    n = x.shape[0]
    y = np.zeros(n)
    y[0] = x[0]
    for i in range(1, n):
        y[i] = np.sin(y[i - 1]) * x[i]
    s = 0.0
    for i in range(n):
        s += y[i] * y[i]
    return s


@program(vector, sizes=(1, 2, 5))
def aliased(x):
    y = x.copy()
    z = y
    for i in range(1, x.shape[0]):
        z[i] = y[i - 1] * np.sin(z[i]) + x[i]
    return y[-1] * z[0]


@program(vector)
def bubble_sort(x):
    y = x.copy()
    n = len(y)
    for i in range(n):
        for j in range(n - 1 - i):
            if y[j] > y[j + 1]:
                y[j], y[j + 1] = y[j + 1], y[j]
    s = 0.0
    for i in range(n):
        s += y[i] * y[i] * (i + 1)
    return s


@program(vector)
def scratch(x):
    w = np.zeros(2)
    s = 0.0
    for i in range(x.shape[0]):
        w[0] = x[i] * x[i]
        w[1] = w[0] * np.sin(w[0])
        w[0] = w[1] * w[0]
        s += w[0] * w[1]
    return s


@program(vector, sizes=(2, 5))
def local_scratch(x):
    s = 0.0
    for i in range(x.shape[0] - 2):
        w = np.zeros(3)
        for k in range(3):
            w[k] = x[i + k] * (k + 1.0)
        for k in range(1, 3):
            w[k] += w[k - 1] * w[k]
        s += w[2] * w[1]
    return s


@program(vector, fixed(4))
def heat_in_place(u, steps):
    """The argument is written."""
    n = u.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            u[i] = u[i] + 0.2 * (u[i - 1] - 2.0 * u[i] + u[i + 1])
    return u.sum()


@program(vector, vector)
def output_argument(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] * x[i] + out[i] * x[0]


@program(vector, fixed(3), sizes=(3, 5))
def exchanged(x, steps):
    u = x.copy()
    v = np.zeros(x.shape[0])
    for _ in range(steps):
        for i in range(1, x.shape[0] - 1):
            v[i] = np.sin(u[i - 1]) + u[i] * u[i + 1]
        u, v = v, u
    return u[1] * v[2]


@program(vector, fixed(3), sizes=(3, 5))
def exchanged_deep(x, steps):
    """Exchanged in a loop inside another one."""
    u, v = x.copy(), x * 2.0
    for _ in range(steps):
        for _ in range(2):
            v[1] += u[0] * 0.1
            u[2] = v[1] - u[2]
            u, v = v, u
    return u.sum() - v[0]


@program(square)
def cholesky(A):
    n = A.shape[0]
    A = A @ A.T + n * np.eye(n)
    L = np.zeros((n, n))
    for j in range(n):
        s = A[j, j]
        for k in range(j):
            s -= L[j, k] * L[j, k]
        L[j, j] = np.sqrt(s)
        for i in range(j + 1, n):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            L[i, j] = s / L[j, j]
    return np.log(np.diagonal(L)).sum()


@program(definite)
def lu_in_place(A):
    n = A.shape[0]
    for k in range(n):
        for i in range(k + 1, n):
            A[i, k] = A[i, k] / A[k, k]
            for j in range(k + 1, n):
                A[i, j] -= A[i, k] * A[k, j]
    s = 0.0
    for i in range(n):
        s += np.log(abs(A[i, i]))
    return s


@program(square, fixed(2))
def seidel(A, steps):
    A = A.copy()
    n = A.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = (
                    A[i - 1, j] + A[i, j - 1] + A[i, j] + A[i + 1, j] + A[i, j + 1]
                ) / 5.0
    return (A * A).sum()


@program(wide, sizes=(1, 2, 5))
def dynamic_program(C):
    n, m = C.shape
    D = np.zeros((n, m))
    D[0, 0] = C[0, 0]
    for i in range(1, n):
        D[i, 0] = D[i - 1, 0] + C[i, 0]
    for j in range(1, m):
        D[0, j] = D[0, j - 1] + C[0, j]
    for i in range(1, n):
        for j in range(1, m):
            D[i, j] = C[i, j] ** 2 + min(D[i - 1, j - 1], D[i - 1, j], D[i, j - 1])
    return D[-1, -1]


@program(square, square)
def matrix_product(A, B):
    n, m, p = A.shape[0], B.shape[1], A.shape[1]
    C = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            for k in range(p):
                C[i, j] += A[i, k] * B[k, j]
    return C


@program(vector)
def accumulated_cell(x):
    w = np.ones(1)
    for i in range(x.shape[0]):
        w[0] += w[0] * x[i] * 0.1
    return w[0] * w[0]


@program(vector)
def histogram(x):
    """Counts in an integer array."""
    bins = np.zeros(4, dtype=np.int64)
    for v in x:
        k = int(np.floor(v)) + 2
        if 0 <= k < 4:
            bins[k] += 1
    return (bins * bins).sum() * x.sum()


@program(vector)
def every_update(x):
    y = np.ones(x.shape[0])
    for i in range(len(x)):
        y[i] += x[i]
        y[i] -= 0.5 * x[i]
        y[i] *= 2.0
        y[i] /= 1.0 + x[i] * x[i]
        y[i] **= 2
    return y


@program(single)
def single_precision_array(x):
    y = np.empty_like(x)
    for i in range(len(x)):
        y[i] = x[i] * 2
        y[i] += 0.25
    return y


@program(vector)
def integer_array_truncates(x):
    k = np.zeros(len(x), dtype=np.int64)
    for i in range(len(x)):
        k[i] = 3.0 * x[i]
    return k.sum() * x.sum()


@program(vector)
def unwritten_copy(x):
    """Copied at each step, and only the original is written."""
    u = x.copy()
    for _ in range(3):
        un = u.copy()
        for i in range(1, len(x)):
            u[i] = un[i] - 0.1 * (un[i] - un[i - 1])
    return u


@program(vector, count)
def vector_state(x, steps):
    """A new array at each step."""
    y = x
    for _ in range(steps):
        k = -y * y
        y = y + 0.1 * k
    return y.sum()


@program(vector, fixed(3))
def new_array_each_step(x, steps):
    u = x * 1.0
    for _ in range(steps):
        new = np.zeros(len(x))
        for i in range(1, len(x)):
            new[i] = 0.5 * (u[i] + u[i - 1])
        u = new
    return u


@program(vector)
def straight_line(x):
    """No loop: only writes."""
    y = np.sin(x)
    y *= 2.0
    y += x
    z = y
    z -= 1.0
    return y * x


@program(vector, sizes=(1, 2, 5))
def constant_array(x):
    """A plain array until a traced value is written."""
    w = np.zeros(3)
    w[0] = 2.0
    w[1] = x[0]
    w[2] = w[0] + w[1]
    return w


@program(vector)
def counted_in_a_loop(x):
    """A plain array, but written in a loop."""
    w = np.zeros(2)
    for i in range(len(x)):
        w[0] += 1.0
        w[1] += x[i]
    return w[1] / (w[0] + 1.0)


@program(vector, permutation)
def permuted(x, p):
    y = x.copy()
    s = 0.0
    for i in range(p.shape[0]):
        y[p[i]] = y[p[i]] * x[i] + 0.5
        s += y[p[i]] * y[i]
    return s


@program(vector, indices)
def scattered(x, k):
    y = np.zeros(x.shape[0])
    for i in range(len(k)):
        y[k[i]] += x[i]
    return y


@program(vector, rate)
def conditional_writes(x, limit):
    y = x.copy()
    for i in range(len(x)):
        if y[i] > limit:
            y[i] = limit
        elif y[i] < -limit:
            y[i] = -limit
    return y


@program(vector, sizes=(2, 5))
def returned_parts(x):
    y = x.copy()
    y[0] = y[1] * 2.0
    return y, y[1:], x
