"""Region programs: what loops, branches and arrays written in place have gone wrong on.

Each is a NumPy-style function in the language of ``staging``.
"""

import numpy as np

from tests.transforms.staging import W, branch, loop, while_loop, zeros


def alias(x):
    y = x.copy()
    z = y

    def body(i):
        z[i] = y[i - 1] * np.sin(z[i]) + x[i]

    loop(1, x.shape[0], body)
    return y[x.shape[0] - 1] * z[0]


def rowview(A):
    A = A.copy()

    def outer(i, s):
        def inner(j, s):
            A[i, j] = A[i, j] * A[i - 1, j] + np.cos(A[i - 1, j])
            return s + A[i, j] * A[i, j]

        return loop(0, A.shape[1], inner, s)

    return loop(1, A.shape[0], outer, 0.0)


def condwrite(x):
    y = x.copy()

    def body(i):
        def swap():
            t = y[i]
            y[i] = y[i + 1]
            y[i + 1] = t * 1.1

        branch(y[i] > y[i + 1], swap)

    n = x.shape[0]
    loop(0, n - 1, body)
    return y[0] * y[n - 1] + y[2] * y[2] * y[1]


def bubble(x):
    y, n = x.copy(), x.shape[0]

    def outer(i):
        def inner(j):
            def swap():
                a, b = y[j], y[j + 1]
                y[j] = b
                y[j + 1] = a

            branch(y[j] > y[j + 1], swap)

        loop(0, n - 1 - i, inner)

    loop(0, n, outer)
    return loop(0, n, lambda i, s: s + y[i] * y[i] * (i + 1), 0.0)


def overwrite(x):
    w = zeros(2)

    def body(i, s):
        w[0] = x[i] * x[i]
        w[1] = w[0] * np.sin(w[0])
        w[0] = w[1] * w[0]
        return s + w[0] * w[1]

    return loop(0, x.shape[0], body, 0.0)


def localtmp(x):
    def body(i, s):
        w = zeros(3)

        def fill(k):
            w[k] = x[i + k] * (k + 1.0)

        def mix(k):
            w.add(k, w[k - 1] * w[k])

        loop(0, 3, fill)
        loop(1, 3, mix)
        return s + w[2] * w[1]

    return loop(0, x.shape[0] - 2, body, 0.0)


def stopping(x):
    def body(i, s):
        t = s * (1.0 + x[i] * x[i])
        return t > 6.0, t

    return loop(0, x.shape[0], body, 1.0, stops=True) * x[0]


def stopping_backwards(x):
    y = x.copy()

    def body(i, s):
        t = s * (1.0 + y[i] * y[i])
        y[i] = t
        return t > 3.0, t

    n = x.shape[0]
    s = loop(0, n, body, 1.0, stops=True, reversed=True, step=2)
    return s * y[n - 1] + y[1]


def stopping_inside(A):
    def outer(i, s):
        def inner(j, p):
            p = branch(A[i, j] < -0.8, lambda: p, lambda: p * (1.0 + A[i, j] * A[i, j]))
            return p > 3.0, p

        p = loop(0, A.shape[1], inner, 1.0, stops=True)
        return s + p * p * (i + 1)

    return loop(0, A.shape[0], outer, 0.0)


def early(x):
    """The outer loop stops too, with what the inner one had found."""

    def outer(i, s, r):
        def inner(j, s, r):
            s = s + x[i] * x[j] * x[i]
            return s > 0.5, s, branch(s > 0.5, lambda: s * x[j], lambda: r)

        s, r = loop(0, i, inner, s, r, stops=True)
        return s > 0.5, s, r

    s, r = loop(0, x.shape[0], outer, 0.0, 0.0, stops=True)
    return branch(s > 0.5, lambda: r, lambda: s * s)


def postloop(x):
    a = x[0] * x[1]
    n = x.shape[0]
    b, last = loop(2, n, lambda i, b, last: (b * x[i] + a, i), a, 0)
    return b * a * x[last]


def shadow(x):
    def body(i, s):
        t = x[i]
        t = t * t
        t = np.sin(t) * t
        t = t + s * t
        return s + t

    return loop(0, x.shape[0], body, 0.0)


def collatz(x):
    def body(i, s):
        def step(n, p):
            return branch(
                n % 2 == 0,
                lambda: (n // 2, p * 0.9 + 0.1 * np.sin(p)),
                lambda: (3 * n + 1, p * p * 0.5),
            )

        _, p = while_loop(lambda n, p: n != 1, step, i, x[i])
        return s + p

    return loop(1, x.shape[0], body, 0.0)


def negative_step(x):
    def body(i, s, c):
        c = c * np.cos(x[i]) + 0.3
        return s + c * x[i], c

    return loop(x.shape[0] - 1, -1, body, 0.0, 1.0, step=-2)[0]


def positive_step(x):
    def body(i, s, c):
        c = c * np.cos(x[i]) + 0.3
        return s + c * x[i], c

    return loop(1, x.shape[0], body, 0.0, 1.0, step=3)[0]


def zero_trip(x, n):
    return loop(5, n, lambda i, s: s * x[i], x[0] * x[0])


def dynamic_program(C):
    n, m = C.shape
    D = zeros(n, m)
    D[0, 0] = C[0, 0]

    def down(i):
        D[i, 0] = D[i - 1, 0] + C[i, 0]

    def right(j):
        D[0, j] = D[0, j - 1] + C[0, j]

    def outer(i):
        def inner(j):
            b = D[i - 1, j - 1]
            b = branch(D[i - 1, j] < b, lambda: D[i - 1, j], lambda: b)
            b = branch(D[i, j - 1] < b, lambda: D[i, j - 1], lambda: b)
            D[i, j] = C[i, j] * C[i, j] + b

        loop(1, m, inner)

    loop(1, n, down)
    loop(1, m, right)
    loop(1, n, outer)
    return D[n - 1, m - 1]


def written_argument(x, out):
    out = out.copy()

    def body(i):
        out[i] = x[i] * x[i] + out[i] * x[0]

    loop(0, x.shape[0], body)
    return out


def windows(x, T):
    u, n = x.copy(), x.shape[0]

    def body(t):
        middle, right, left = u[W(1, n - 2)], u[W(2, n - 2)], u[W(0, n - 2)]
        u[W(1, n - 2)] = middle + 0.1 * (right - 2.0 * middle + left) * middle

    loop(0, T, body)
    return (u.tracer_of() * u.tracer_of()).sum()


def backward_window(x, T):
    """A store through a window that runs backwards."""
    u, n = x.copy(), x.shape[0]

    def body(t):
        u[W(n - 1, n, -1)] = np.sin(u[W(0, n)]) * x[W(0, n)]

    loop(0, T, body)
    return u


def gather(x, p):
    y = x.copy()

    def body(i, s):
        y[p[i]] = y[p[i]] * x[i] + 0.5
        return s + y[p[i]] * y[i]

    return loop(0, p.shape[0], body, 0.0)


def swap(x, T):
    a, b = loop(0, T, lambda t, a, b: (b * np.sin(a), a + 0.1 * b), x[0], x[1])
    return a * b


def cell_accumulation(x):
    w = zeros(1)
    w[0] = 1.0

    def body(i):
        w.add(0, w[0] * x[i] * 0.1)

    loop(0, x.shape[0], body)
    return w[0] * w[0]


def swapped_buffers(x, T):
    n = x.shape[0]

    def body(t, u, v):
        def inner(i):
            v[i] = np.sin(u[i - 1]) + u[i] * u[i + 1]

        loop(1, n - 1, inner)
        return v, u

    u, v = loop(0, T, body, x.copy(), zeros(n))
    return u[1] * v[2]


def matrix_power(A, v, T):
    """Array values are carried, and an outer array is captured."""
    A, n = A.tracer, v.shape[0]

    def body(t, u):
        return np.sin(A @ u) + u

    u = loop(0, T, body, v.tracer)
    return (u * u).sum() + n * 0.0


def nested_arrays(A, T):
    """An array made in an outer loop, read cell by cell and whole in an inner one."""
    n = A.shape[0]

    def outer(t, s):
        from tests.transforms.staging import Array

        B = np.tanh(A.tracer * s)
        cells = Array(B.operand)

        def inner(i, r):
            return r + cells[i, 0] * cells[0, i] + (B * B).sum() * 0.1

        return loop(0, n, inner, s * 0.5)

    return loop(0, T, outer, 1.0)


def branch_arrays(x, T):
    """Branches that give arrays, and capture one."""
    u = x.tracer

    def body(t, v):
        return branch(
            (v * v).sum() > 1.0, lambda: np.sin(v) * u, lambda: v + 0.3 * np.cos(u)
        )

    return loop(0, T, body, u)


def newton(a, x0):
    def step(x):
        return x - (x * x * x - a) / (3.0 * x * x)

    return while_loop(lambda x: abs(x * x * x - a) > 1e-12, step, x0)


def newtons(a):
    def body(i, s):
        def step(x):
            return x - (x * x * x - a[i]) / (3.0 * x * x)

        x = while_loop(lambda x: abs(x * x * x - a[i]) > 1e-10, step, 1.0)
        return s + x * (i + 1)

    return loop(0, a.shape[0], body, 0.0)


def grown_twice(a):
    """The second loop depends on what the first one came to."""

    def step(x):
        return x * x + np.sin(x)

    found = while_loop(lambda x: x < 5.0, step, a + 1.0)
    return while_loop(lambda x: x < 1000.0, step, found - 1.0)


def cubic(a, b, c):
    def step(x):
        f = ((x + b) * x + c) * x - a
        return x - f / ((3.0 * x + 2.0 * b) * x + c)

    def far(x):
        return abs(((x + b) * x + c) * x - a) > 1e-10

    return while_loop(far, step, 2.0)


def cubics(a, b, c):
    return loop(0, a.shape[0], lambda i, s: s + cubic(a[i], b, c) * (i + 1), 0.0)


def while_writes(x):
    """A while loop that writes an array and counts."""
    y = x.copy()
    n = x.shape[0]

    def step(k, s):
        y[k] = y[k] * s + np.sin(y[k])
        return k + 1, s * 0.9 + y[k] * 0.1

    _, s = while_loop(lambda k, s: (k < n) & (s < 4.0), step, 0, 1.0)
    return s * y[0] + y[n - 1]


def growing_slices(x):
    """Windows whose size is the loop's index: a lower triangular product."""
    n = x.shape[0]
    y = x.copy()

    def body(i, s):
        left = y[W(0, "i")] * x[W(0, "i")]
        t = np.sin(left * s).mean()
        y[i] = y[i] + t * 0.3
        return s * 0.9 + (left * left).sum() * 0.1

    return loop(1, n, body, 1.0) + y[n - 1]


def swapped_results(x, T):
    """Both buffers are returned, whichever is which in the end."""
    n = x.shape[0]

    def body(t, u, v):
        def inner(i):
            v[i] = np.sin(u[i - 1]) * x[i] + v[i]

        loop(1, n, inner)
        return v, u

    return loop(0, T, body, x.copy(), zeros(n))


def swapped_while(x):
    """Buffers are swapped until something has grown enough; three go round."""
    n = x.shape[0]

    def body(k, u, v, w):
        def inner(i):
            w[i] = np.cos(u[i]) * v[i - 1] + u[i]

        loop(1, n, inner)
        return k + 1, w, u, v

    found = while_loop(
        lambda k, u, v, w: (k < 5) & (u[1] < 2.0),
        body,
        0,
        x.copy(),
        x.copy(),
        zeros(n),
    )
    return found[1], found[3][1] * found[2][2]


def count_down(x):
    """Integers that loops change by an invariant, up, down and in a while."""
    n = x.shape[0]

    def outer(i, s, k):
        def inner(m, s):
            return m - 2, s + np.sin(x[m] * s)

        _, s = while_loop(lambda m, s: m > 0, inner, k, s)
        return s, k - 1

    return loop(0, n - 1, outer, 1.0, n - 1)[0]
