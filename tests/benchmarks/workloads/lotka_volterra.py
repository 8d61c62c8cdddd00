"""The Lotka–Volterra equations by RK4: scalars carried through a long loop."""

import numpy as np
from numba import njit

from tests.benchmarks.scan import scan
from tests.benchmarks.scratch import Scratch
from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    p = np.array([0.55, 0.028, 0.80, 0.024])
    p *= np.random.default_rng(seed).uniform(0.9, 1.1, 4)
    return p, 30.0, 4.0, 20.0 / size, size


def prey(p, u, v):
    return p[0] * u - p[1] * u * v


def predator(p, u, v):
    return p[3] * u * v - p[2] * v


def objective(p, u, v, h, steps):
    total = 0.0
    for _ in range(steps):
        k1, l1 = prey(p, u, v), predator(p, u, v)
        u2, v2 = u + 0.5 * h * k1, v + 0.5 * h * l1
        k2, l2 = prey(p, u2, v2), predator(p, u2, v2)
        u3, v3 = u + 0.5 * h * k2, v + 0.5 * h * l2
        k3, l3 = prey(p, u3, v3), predator(p, u3, v3)
        u4, v4 = u + h * k3, v + h * l3
        k4, l4 = prey(p, u4, v4), predator(p, u4, v4)
        u = u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        total += h * (u + v * v)
    return total


def objective_of_vectors(p, u, v, h, steps):
    """The same with the state as a vector, as one writes it for any system."""

    def slope(y):
        return np.array([prey(p, y[0], y[1]), predator(p, y[0], y[1])])

    y = np.array([u, v])
    total = 0.0
    for _ in range(steps):
        k1 = slope(y)
        k2 = slope(y + 0.5 * h * k1)
        k3 = slope(y + 0.5 * h * k2)
        k4 = slope(y + h * k3)
        y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        total += h * (y[0] + y[1] * y[1])
    return total


def objective_by_scan(p, u, v, h, steps):
    def step(carry, _):
        u, v, total = carry
        k1, l1 = prey(p, u, v), predator(p, u, v)
        u2, v2 = u + 0.5 * h * k1, v + 0.5 * h * l1
        k2, l2 = prey(p, u2, v2), predator(p, u2, v2)
        u3, v3 = u + 0.5 * h * k2, v + 0.5 * h * l2
        k3, l3 = prey(p, u3, v3), predator(p, u3, v3)
        u4, v4 = u + h * k3, v + h * l3
        k4, l4 = prey(p, u4, v4), predator(p, u4, v4)
        u = u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        return (u, v, total + h * (u + v * v)), None

    (_, _, total), _ = scan(step, (u, v, 0.0 * h), None, steps)
    return total


def hand(maths):
    @njit(error_model="numpy")
    def kernel(p, u, v, h, steps, p_bar, u_kept, v_kept):
        a, b, c, d = p[0], p[1], p[2], p[3]
        half, sixth = 0.5 * h, h / 6.0
        total = 0.0
        for i in range(steps):
            u_kept[i] = u
            v_kept[i] = v
            w1 = u * v
            k1, l1 = a * u - b * w1, d * w1 - c * v
            u2, v2 = u + half * k1, v + half * l1
            w2 = u2 * v2
            k2, l2 = a * u2 - b * w2, d * w2 - c * v2
            u3, v3 = u + half * k2, v + half * l2
            w3 = u3 * v3
            k3, l3 = a * u3 - b * w3, d * w3 - c * v3
            u4, v4 = u + h * k3, v + h * l3
            w4 = u4 * v4
            k4, l4 = a * u4 - b * w4, d * w4 - c * v4
            u += sixth * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            v += sixth * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
            total += h * (u + v * v)

        a_bar = b_bar = c_bar = d_bar = u_bar = v_bar = 0.0
        for i in range(steps - 1, -1, -1):
            u_bar += h
            v_bar += 2.0 * h * v
            u, v = u_kept[i], v_kept[i]
            w1 = u * v
            k1, l1 = a * u - b * w1, d * w1 - c * v
            u2, v2 = u + half * k1, v + half * l1
            w2 = u2 * v2
            k2, l2 = a * u2 - b * w2, d * w2 - c * v2
            u3, v3 = u + half * k2, v + half * l2
            w3 = u3 * v3
            k3, l3 = a * u3 - b * w3, d * w3 - c * v3
            u4, v4 = u + h * k3, v + h * l3

            k4_bar, l4_bar = sixth * u_bar, sixth * v_bar
            w4_bar = d * l4_bar - b * k4_bar
            u4_bar = a * k4_bar + w4_bar * v4
            v4_bar = w4_bar * u4 - c * l4_bar
            k3_bar, l3_bar = 2.0 * k4_bar + h * u4_bar, 2.0 * l4_bar + h * v4_bar
            w3_bar = d * l3_bar - b * k3_bar
            u3_bar = a * k3_bar + w3_bar * v3
            v3_bar = w3_bar * u3 - c * l3_bar
            k2_bar, l2_bar = (
                2.0 * k4_bar + half * u3_bar,
                2.0 * l4_bar + half * v3_bar,
            )
            w2_bar = d * l2_bar - b * k2_bar
            u2_bar = a * k2_bar + w2_bar * v2
            v2_bar = w2_bar * u2 - c * l2_bar
            k1_bar, l1_bar = k4_bar + half * u2_bar, l4_bar + half * v2_bar
            w1_bar = d * l1_bar - b * k1_bar

            w4 = u4 * v4
            a_bar += k1_bar * u + k2_bar * u2 + k3_bar * u3 + k4_bar * u4
            b_bar -= k1_bar * w1 + k2_bar * w2 + k3_bar * w3 + k4_bar * w4
            c_bar -= l1_bar * v + l2_bar * v2 + l3_bar * v3 + l4_bar * v4
            d_bar += l1_bar * w1 + l2_bar * w2 + l3_bar * w3 + l4_bar * w4
            u_bar += u2_bar + u3_bar + u4_bar + a * k1_bar + w1_bar * v
            v_bar += v2_bar + v3_bar + v4_bar + w1_bar * u - c * l1_bar
        p_bar[0], p_bar[1], p_bar[2], p_bar[3] = a_bar, b_bar, c_bar, d_bar
        return total, u_bar, v_bar

    scratch = Scratch()

    def value_and_grad(p, u, v, h, steps):
        p_bar = np.empty(4)
        total, u_bar, v_bar = kernel(p, u, v, h, steps, p_bar, *scratch(steps, steps))
        return total, (p_bar, u_bar, v_bar)

    return value_and_grad


WORKLOAD = Workload(
    name="RK4 Lotka–Volterra",
    sizes={"1e3 steps": 1_000, "1e4 steps": 10_000},
    quick="1e3 steps",
    tiny=20,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1, 2),
    hand=hand,
    spellings={"vectors": objective_of_vectors},
    by_scan=objective_by_scan,
)
