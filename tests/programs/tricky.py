"""Aliases, jumps and carried names in combinations that went wrong elsewhere."""

import operator

import numpy as np

from tests.programs.record import program, square, vector


@program(vector, sizes=(3, 5))
def reshaped_alias_in_a_loop(x):
    y = x.copy()
    r = y.reshape(-1)
    s = 0.0
    for i in range(len(x)):
        y[i] = y[i] * 2
        s += r[i]
    return s


@program(vector, sizes=(3, 5))
def rebound_from_an_alias(x):
    u = x.copy()
    v = u
    for _i in range(3):
        u = u * 2.0
        v[0] += 1.0
    return u, v


@program(vector, sizes=(3, 5))
def alias_carried(x):
    a = x * 1.0
    b = a
    for _i in range(3):
        b = a
        a = a + 1.0
    return a, b


@program(vector, sizes=(3, 5))
def alias_bound_in_the_loop(x):
    y = np.zeros(3)
    for i in range(len(x)):
        z = y
        z[0] += x[i]
    return y


@program(vector, sizes=(3, 5))
def row_carried(x):
    A = np.outer(x, x)
    row = A[0]
    s = 0.0
    for i in range(1, len(x)):
        s += row.sum()
        A[i] = row * 2
        row = A[i]
        A[i, 0] = 7.0
    return s


@program(vector, sizes=(4, 5))
def list_of_arrays(x):
    ys = [np.zeros(2), np.zeros(2)]
    for i in range(len(x)):
        ys[0][0] += x[i]
        ys[1][1] += ys[0][0]
    return ys


@program(vector, sizes=(3, 5))
def array_written_in_an_arm(x):
    y = x.copy()
    if x[0] > 0:
        y[1] = 5.0
        z = y
    else:
        z = x
    return z * 2


@program(vector, sizes=(3, 5))
def updated_by_a_function(x):
    def f(a):
        a += 1.0
        return a

    y = x * 1
    z = f(y)
    return y, z


@program(vector, sizes=(3, 5))
def slice_of_the_argument(x):
    y = x[1:]
    y += 1.0
    return x


@program(vector, sizes=(3, 5))
def asarray_is_the_argument(x):
    y = np.asarray(x)
    y[0] = 3.0
    return x


@program(vector, sizes=(3, 5))
def array_is_a_copy(x):
    y = np.array(x)
    y[0] = 3.0
    return x, y


@program(vector, sizes=(3, 5))
def copies_by_operators(x):
    y = +x
    y[0] = 1.0
    z = x.astype(float)
    z[1] = 2.0
    return x, y, z


@program(vector, vector, sizes=(3, 5))
def outputs_by_position(x, y):
    """``np.negative(q, q)``: what follows a ufunc's inputs is where it writes."""
    q = np.array(x)
    np.negative(q[1:], q[1:])
    total = np.empty(len(x))
    np.cumsum(q, 0, None, total)
    np.multiply(total, y, q)
    np.clip(y, -0.5, 0.5, total)
    return q, total


@program(vector, sizes=(3, 5))
def updated_by_functions(x):
    y = x.copy()
    z = operator.iadd(y, x[0])
    z[1] = operator.imul(x[1], 3.0)
    np.copyto(y, 2.0 * x, where=x > 0.0)
    return y


@program(vector, sizes=(3, 5))
def constants_copied_before_a_write(x):
    w = np.zeros(4)
    for i in range(2):
        w[i] = i
    v = w * 2
    w[2] = x[0]
    return w, v


@program(vector, sizes=(3, 5))
def for_else_nested(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if j == i:
                continue
            if x[j] > 1:
                break
            s += x[i] * x[j]
        else:
            s += 10
    return s


@program(vector, sizes=(3, 5))
def endless_until_a_size(x):
    i = 0
    s = 0.0
    while True:
        if i >= len(x):
            break
        s += x[i]
        i += 1
    return s


@program(vector, sizes=(3, 5))
def shrinking_while(x):
    s = 0.0
    for i in range(len(x)):
        k = i
        while k > 0 and x[k] > x[k - 1]:
            k -= 1
            s += x[k]
    return s


@program(vector, sizes=(3, 5))
def insertion_sort(x):
    a = x.copy()
    for i in range(1, len(a)):
        key = a[i]
        j = i - 1
        while j >= 0 and a[j] > key:
            a[j + 1] = a[j]
            j -= 1
        a[j + 1] = key
    return a


@program(vector, sizes=(3, 5))
def symmetric(x):
    n = len(x)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = x[i] * x[j]
            out[j, i] = out[i, j]
    return out


@program(vector, sizes=(3, 5))
def rebinding_what_is_iterated(x):
    total = 0.0
    x = x * 2
    for v in x:
        x = x + v
        total += v
    return total, x


@program(vector, sizes=(3, 5))
def pointer_with_continue(x):

    p = 0
    s = 0.0
    while p < len(x):
        if x[p] < 0:
            p += 2
            continue
        s += x[p]
        p += 1
    return s, p


@program(vector, sizes=(3, 5))
def rows_and_columns(x):
    y = np.empty((2, len(x)))
    y[0] = x
    y[1, :] = x[::-1]
    y[:, 0] = 0
    return y.T


@program(vector, sizes=(3, 5))
def tuple_of_slices(x):
    y = x.copy()
    y[1:], y[0] = y[:-1] * 2, y[-1]
    return y


@program(vector, sizes=(3, 5))
def parity_buffer(x):
    u = np.zeros((3, len(x)))
    cur = 0
    u[0] = x
    for _t in range(3):
        nxt = 1 - cur
        for i in range(1, len(x) - 1):
            u[nxt, i] = u[cur, i - 1] + u[cur, i + 1]
        cur = nxt
    return u


@program(vector, sizes=(3, 5))
def exchanged_slices(x):
    old = x.copy()
    new = x.copy()
    for _t in range(3):
        new[1:-1] = 0.5 * (old[:-2] + old[2:])
        old, new = new, old
    return old


@program(vector, sizes=(3, 5))
def rebound_until_converged(x):
    old = x.copy()
    for _t in range(3):
        new = old.copy()
        new[1:-1] = 0.5 * (old[:-2] + old[2:])
        if np.max(np.abs(new - old)) < 1e-3:
            break
        old = new
    return old


@program(square, sizes=(3, 5))
def neighbourhood_with_bounds(A):
    n, m = A.shape
    out = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            acc = 0.0
            for di in range(-1, 2):
                for dj in range(-1, 2):
                    ii = i + di
                    jj = j + dj
                    if 0 <= ii < n and 0 <= jj < m:
                        acc += A[ii, jj]
            out[i, j] = acc
    return out


@program(square, sizes=(3, 5))
def gauss_with_pivoting(A):
    B = A.copy()
    for i in range(len(B)):
        p = i
        for r in range(i + 1, len(B)):
            if abs(B[r, i]) > abs(B[p, i]):
                p = r
        if p != i:
            for c in range(len(B)):
                B[i, c], B[p, c] = B[p, c], B[i, c]
        for r in range(i + 1, len(B)):
            f = B[r, i] / B[i, i]
            B[r] -= f * B[i]
    return B


@program(square, sizes=(4, 5))
def rows_exchanged(A):
    B = A.copy()
    for i in range(len(B)):
        p = np.argmax(np.abs(B[i:, i])) + i
        if p != i:
            tmp = B[i].copy()
            B[i] = B[p]
            B[p] = tmp
    return B


@program(square, sizes=(4, 5))
def rows_permuted(A):
    B = A.copy()
    B[[0, 2]] = B[[2, 0]]
    return B


@program(vector, sizes=(3, 5))
def zero_then_array(x):
    acc = 0
    for i in range(len(x)):
        acc = acc + x * i
    return acc


@program(vector, sizes=(3, 5))
def shifting_list(x):
    h = [0.0] * 3
    for i in range(len(x)):
        h = [h[1], h[2], x[i]]
    return h[0] + 2 * h[1]


@program(vector, sizes=(3, 5))
def strided_view(x):
    y = x.copy()
    v = y[::2]
    for i in range(len(v)):
        v[i] *= i
    return y


@program(vector, sizes=(3, 5))
def constant_array_updated(x):
    c = np.array([1.0, 2.0, 3.0])
    for i in range(len(x)):
        c[i % 3] += x[i]
    return c


@program(vector, sizes=(3, 5))
def raises_at_the_end(x):
    if x[0] > 0 or x[1] > 0:
        return x.sum()
    elif x[2] > 0:
        return 0.0
    raise ValueError("no")


@program(vector, sizes=(3, 5))
def parity_and_not(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i] if i % 2 else -x[i]
        if not x[i] > 0 and s < 0:
            s = -s
    return s


@program(vector, sizes=(3, 5))
def written_copies_and_views(x):
    y = x * 2.0
    first, second = y**1, +y
    first[0] = 1.0
    second[1] = y[0]
    y[-1], y[0] = y[0], y[-1]
    square = np.outer(y, y)
    same = np.linalg.matrix_power(square, 1)
    same[0] = x[0]
    return y, first, second, square, np.kron(x, np.ones(2)) @ np.kron(x, np.ones(2))
