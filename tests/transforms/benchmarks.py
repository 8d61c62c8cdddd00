"""The programs by which the residuals are judged, written like a user's loops."""

import numpy as np

from tests.transforms.staging import branch, loop, zeros


def rk4(p, u0, v0, h, n):
    a, b, c, d = p[0], p[1], p[2], p[3]

    def prey(u, v):
        return a * u - b * u * v

    def predator(u, v):
        return -c * v + d * u * v

    def step(k, u, v, s):
        k1, l1 = prey(u, v), predator(u, v)
        u2, v2 = u + 0.5 * h * k1, v + 0.5 * h * l1
        k2, l2 = prey(u2, v2), predator(u2, v2)
        u3, v3 = u + 0.5 * h * k2, v + 0.5 * h * l2
        k3, l3 = prey(u3, v3), predator(u3, v3)
        u4, v4 = u + h * k3, v + h * l3
        k4, l4 = prey(u4, v4), predator(u4, v4)
        u = u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        return u, v, s + u * u + v

    return loop(0, n, step, u0, v0, 0.0)[2]


def recurrence(x):
    n = x.shape[0]
    y = zeros(n)
    y[0] = x[0]

    def body(i):
        y[i] = np.sin(y[i - 1]) * x[i]

    loop(1, n, body)
    return loop(0, n, lambda i, s: s + y[i] * y[i], 0.0)


def lennard_jones(r):
    n = r.shape[0]

    def outer(i, e):
        def inner(j, e):
            dx, dy, dz = (r[i, k] - r[j, k] for k in range(3))
            r2 = dx * dx + dy * dy + dz * dz
            s = 1.0 / (r2 * r2 * r2)
            return e + 4.0 * (s * s - s)

        return loop(i + 1, n, inner, e)

    return loop(0, n, outer, 0.0)


def _in_place(update):
    def program(u, c, T):
        u, n = u.copy(), u.shape[0]

        def outer(t):
            def inner(i, prev):
                cur = u[i]
                u[i] = update(cur, prev, u[i + 1], c)
                return cur

            loop(1, n - 1, inner, u[0])

        loop(0, T, outer)
        return loop(0, n, lambda i, s: s + u[i] * u[i], 0.0)

    return program


heat = _in_place(lambda cur, prev, next, c: cur + c * (prev - 2.0 * cur + next))
heat.__name__ = "heat"
burgers = _in_place(
    lambda cur, prev, next, c: (
        cur - c * cur * (cur - prev) + c * (prev - 2.0 * cur + next)
    )
)
burgers.__name__ = "burgers"


def cholesky(A):
    A, n = A.copy(), A.shape[0]

    def column(j):
        def diagonal(k):
            A.add((j, j), -A[j, k] * A[j, k])

        def below(i):
            def term(k):
                A.add((i, j), -A[i, k] * A[j, k])

            loop(0, j, term)
            A[i, j] = A[i, j] / A[j, j]

        loop(0, j, diagonal)
        A[j, j] = np.sqrt(A[j, j])
        loop(j + 1, n, below)

    loop(0, n, column)
    return loop(0, n, lambda i, s: s + np.log(A[i, i]), 0.0)


def lu(A):
    A, n = A.copy(), A.shape[0]

    def pivot(k):
        def row(i):
            A[i, k] = A[i, k] / A[k, k]

            def column(j):
                A.add((i, j), -A[i, k] * A[k, j])

            loop(k + 1, n, column)

        loop(k + 1, n, row)

    loop(0, n, pivot)
    return loop(0, n, lambda i, s: s + np.log(abs(A[i, i])), 0.0)


def seidel(A, T):
    A, n = A.copy(), A.shape[0]

    def sweep(t):
        def row(i):
            def cell(j):
                total = sum(A[i + a, j + b] for a in (-1, 0, 1) for b in (-1, 0, 1))
                A[i, j] = total / 9.0

            loop(1, n - 1, cell)

        loop(1, n - 1, row)

    loop(0, T, sweep)
    return loop(
        0,
        n,
        lambda i, s: loop(0, n, lambda j, s: s + A[i, j] * A[i, j], s),
        0.0,
    )


def rosenbrock(x):
    def body(i, s):
        a, b = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        return s + 100.0 * a * a + b * b

    return loop(0, x.shape[0] - 1, body, 0.0)


def absolute(x):
    """A branch in a loop: the spring of the design's first page."""

    def body(i, e):
        d = x[i] - x[i - 1]
        d = branch(d > 1.0, lambda: 1.0 + np.log(d), lambda: d)
        return e + 0.5 * d * d

    return loop(1, x.shape[0], body, 0.0)
