"""Loops of slices: what is stored is read, what is summed is summed before a write."""

import numpy as np

from tracegrad import check_grads, value_and_grad


def heat(u, c, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1] += c * (u[:-2] - 2.0 * u[1:-1] + u[2:])
    return np.sum(u * u)


def test_a_stencil_is_computed_once_and_needs_one_buffer():
    u = np.random.default_rng(3).normal(size=7)
    gradient = value_and_grad(heat, argnums=(0, 1))
    value, _ = gradient(u, 0.3, 4)
    np.testing.assert_allclose(value, heat(u, 0.3, 4), rtol=1e-14)
    check_grads(lambda u, c: heat(u, c, 4), (u, 0.3))
    code = [line.split("#")[0].strip() for line in gradient.source.splitlines()]
    assert sum("- 2.0 * u2[" in line for line in code) == 1
    assert "u2[j + 1] += c * t_kept[k, j]" in code
    # The cotangent of c is summed where its terms are made.
    at = code.index("total = radd(total, u_bar_j1 * t_kept[k, j])")
    assert at < code.index("u_bar[j + 2] += t1[j]")


def test_what_is_stored_is_not_read_after_a_write():
    def program(x, n):
        y = x.copy()
        s = 0.0
        for _ in range(n):
            y[1:] = np.sin(y[:-1]) * y[1:]
            s += np.sum(y[1:] * y[:-1])
            y[:-1] += 0.1 * y[1:] ** 2
        return s + np.sum(y)

    x = np.random.default_rng(4).normal(size=5)
    np.testing.assert_allclose(
        value_and_grad(program)(x, 3)[0], program(x, 3), rtol=1e-14
    )
    check_grads(lambda x: program(x, 3), (x,))
