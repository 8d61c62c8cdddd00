"""Kernels as they are met, and calls that jump: everything at once."""

import numpy as np

from tests.programs.record import program, square, vector


@program(vector, sizes=(3, 5))
def returns_inside_a_call(x):
    def clip(v):
        if v > 1:
            return 1.0
        if v < -1:
            return -1.0
        return v

    s = 0.0
    for v in x:
        s += clip(v * 2)
    return s


@program(vector, sizes=(4, 5))
def search_in_a_call(x):
    def find(a, t):
        for i in range(len(a)):
            if a[i] > t:
                return i
        return -1

    s = 0
    for t in range(3):
        s += find(x, t * 0.5) * x[t]
    return s


@program(vector, sizes=(4, 5))
def three_axes(x):
    A = np.zeros((3, 3, 3))
    for i in range(3):
        for j in range(3):
            A[i, j, (i + j) % 3] = x[i] * x[j]
            A[i, :, j] += 1
    return A


@program(vector, sizes=(3, 5))
def edit_distance(x):
    n = len(x)
    dp = np.full((n + 1, n + 1), np.inf)
    dp[0, 0] = 0
    for i in range(1, n + 1):
        for j in range(1, n + 1):
            c = abs(x[i - 1] - x[j - 1])
            dp[i, j] = c + min(dp[i - 1, j], dp[i, j - 1], dp[i - 1, j - 1])
    return dp[n, n]


@program(vector, sizes=(3, 5))
def continue_elif_break(x):
    s = 0.0
    for i in range(len(x)):
        if i == 2:
            continue
        elif i == 4:
            break
        s += x[i]
    return s


@program(vector, sizes=(4, 5))
def integer_branches(x):

    s = 0.0
    for i in range(len(x)):
        k = i % 3
        if k == 0:
            s += x[i]
        elif k == 1:
            s -= x[i]
        else:
            s *= 2
    return s


@program(vector, sizes=(3, 5))
def strided_triangle(x):
    s = 0.0
    for i in range(len(x) - 1, 0, -1):
        for j in range(i, len(x), 2):
            s += x[j - i] * x[j]
    return s


@program(vector, sizes=(3, 5))
def running_mean(x):
    v = np.zeros(len(x))
    for i in range(len(x)):
        v[i] = x[: i + 1].mean()
    return v


@program(square, sizes=(3, 5))
def argument_updated_everywhere(A):
    for i in range(len(A)):
        A[i, i] = 0.0
        A[i] /= 2.0
    A *= 3
    return None


@program(square, sizes=(3, 5))
def power_iteration(A):
    s = 0.0
    it = 0
    x = np.ones(len(A))
    while it < 4:
        y = A @ x
        nrm = np.sqrt((y * y).sum())
        x = y / nrm
        it += 1
    return x @ A @ x


@program(square, sizes=(3, 5))
def power_iteration_until(A):
    x = np.ones(len(A))
    lam = 0.0
    for _k in range(50):
        y = A @ x
        new = x @ y
        x = y / np.linalg.norm(y)
        if abs(new - lam) < 1e-6:
            break
        lam = new
    return lam


@program(vector, sizes=(3, 5))
def differences_zipped(x):
    out = np.empty(len(x) - 1)
    for i, (a, b) in enumerate(zip(x[:-1], x[1:])):
        out[i] = b - a
    return out


@program(vector, sizes=(3, 5))
def doubling_step(x):
    a = x.copy()
    n = len(a)
    step = 1
    while step < n:
        for i in range(step, n):
            a[i] += a[i - step] * 0.5
        step *= 2
    return a


@program(vector, sizes=(4, 5))
def asserted_sum(x):
    s = 0.0
    for i in range(3):
        s += x[i]
    assert s < 100, "big"
    return s


@program(vector, sizes=(3, 5))
def binary_search(x):
    lo, hi = 0, len(x) - 1
    xs = np.sort(x)
    t = 0.3
    while lo < hi:
        mid = (lo + hi) // 2
        if xs[mid] < t:
            lo = mid + 1
        else:
            hi = mid
    return xs[lo]


@program(vector, sizes=(3, 5))
def periodic_by_expression(x):
    s = 0.0
    n = len(x)
    for i in range(n):
        im = i - 1 if i > 0 else n - 1
        ip = i + 1 if i < n - 1 else 0
        s += x[im] * x[ip]
    return s


@program(vector, sizes=(3, 5))
def boundary_from_views(x):
    u = x.copy()
    un = np.empty_like(u)
    for _t in range(3):
        un[:] = u
        for i in range(1, len(x) - 1):
            u[i] = un[i] + 0.1 * (un[i + 1] - un[i - 1])
        u[0] = u[-2]
        u[-1] = u[1]
    return u


@program(vector, sizes=(3, 5))
def rows_of_a_new_array(x):
    y = np.zeros((2, len(x)))
    for k, row in enumerate(y):
        row[:] = x * k
    return y


@program(vector, sizes=(3, 5))
def loop_over_views(x):
    y = x.copy()
    for row in (y[:2], y[2:]):
        row *= 2
    return y


@program(vector, sizes=(3, 5))
def scratch_cleared(x):
    w = np.zeros(3)
    s = 0.0
    for i in range(len(x)):
        w[:] = 0
        w[i % 3] = x[i]
        s += (w * w).sum()
    return s, w


@program(vector, sizes=(3, 5))
def while_else_and(x):
    s = np.float64(0)
    i = 0
    while i < len(x) and s < 1:
        s += abs(x[i])
        i += 1
    else:
        s += 0.5
    return s * i


@program(vector, sizes=(3, 5))
def mirrored_swap(x):
    y = x.copy()
    s = 0.0
    for i in range(len(x)):
        y[i], y[-1 - i] = y[-1 - i], y[i]
        s += y[0]
    return y, s


@program(vector, sizes=(3, 5))
def flag_toggles(x):
    s = 0.0
    flag = False
    for v in x:
        if flag:
            s += v
        flag = not flag
    return s


@program(vector, sizes=(3, 5))
def for_else_binds(x):
    s = 1.0
    for i in range(len(x)):
        s *= x[i]
    else:
        t = s * 2
    return t


@program(vector, sizes=(3, 5))
def slices_and_masks(x):
    y = x.copy()
    y[1:-1] = (y[:-2] + y[2:]) / 2
    y[y > 0.5] = 0.5
    y[::2] += 1
    return y


@program(vector, sizes=(4, 5))
def traced_position(x):
    i = np.argmax(x)
    y = x.copy()
    y[i] = 0.0
    return y[i - 1] + y.sum(), x[i]
