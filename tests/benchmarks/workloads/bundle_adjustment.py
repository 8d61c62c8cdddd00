"""ADBench's bundle adjustment: a block of 2 × 15 derivatives for each observation.

An observation's parameters are its camera (rotation 3, centre 3, focal length,
principal point 2, radial distortion 2), its point (3) and its weight. The gradient of
the weighted sum of all residuals is a sum of the blocks' rows, so that a workload like
the others, checked against differences, measures the blocks.
"""

import numpy as np
from numba import njit

from tests.benchmarks.workload import Workload

ROWS = np.array([1.0, 2.0])
"""With what the objective weighs the two residuals of an observation."""


def make_inputs(size, seed):
    rng = np.random.default_rng(seed)
    P = rng.uniform(-0.5, 0.5, (size, 15))
    P[:, 6] += 2.0  # focal lengths
    P[:, 13] += 5.0  # depths
    P[:, 14] += 1.0  # weights
    return P, rng.uniform(-1.0, 1.0, (size, 2))


def residual(p, feature):
    """The weighted error of a point's projection, and the projection in between."""
    x, y, z = p[11] - p[3], p[12] - p[4], p[13] - p[5]
    theta = np.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
    a, b, c = p[0] / theta, p[1] / theta, p[2] / theta
    cosine, sine = np.cos(theta), np.sin(theta)
    along = (a * x + b * y + c * z) * (1.0 - cosine)
    x, y, z = (
        x * cosine + (b * z - c * y) * sine + a * along,
        y * cosine + (c * x - a * z) * sine + b * along,
        z * cosine + (a * y - b * x) * sine + c * along,
    )
    u, v = x / z, y / z
    r2 = u * u + v * v
    distortion = 1.0 + p[9] * r2 + p[10] * r2 * r2
    return (
        p[14] * (p[6] * distortion * u + p[7] - feature[0]),
        p[14] * (p[6] * distortion * v + p[8] - feature[1]),
    )


def objective(P, features):
    total = 0.0
    for i in range(P.shape[0]):
        first, second = residual(P[i], features[i])
        total += ROWS[0] * first + ROWS[1] * second
    return total


def by_tracegrad(inputs):
    """The blocks as rows, each the gradient of one residual, in the user's own loop."""
    from tracegrad import jit, value_and_grad

    first = value_and_grad(lambda p, feature: residual(p, feature)[0])
    second = value_and_grad(lambda p, feature: residual(p, feature)[1])

    def blocks(P, features):
        n = P.shape[0]
        J = np.empty((n, 2, 15))
        total = 0.0
        for i in range(n):
            a, J[i, 0] = first(P[i], features[i])
            b, J[i, 1] = second(P[i], features[i])
            total += ROWS[0] * a + ROWS[1] * b
        return total, (J,)

    compiled = jit(blocks)
    return lambda: compiled(*inputs)


def by_jax(inputs):
    import jax
    import jax.numpy as jnp

    from tests.benchmarks.rebinding import rebind

    jax.config.update("jax_enable_x64", True)
    arrays = tuple(map(jnp.asarray, inputs))
    moved = rebind(residual, np=jnp)

    def rows(p, feature):
        return jnp.stack(moved(p, feature))

    @jax.jit
    def blocks(P, features):
        residuals = jax.vmap(rows)(P, features)
        J = jax.vmap(jax.jacrev(rows))(P, features)
        return jnp.sum(residuals @ ROWS), (J,)

    return lambda: jax.block_until_ready(blocks(*arrays))


def hand(maths):
    """The rotation's derivative in the closed form of Gallego and Yezzi (2015)."""
    sin, cos = maths.sin, maths.cos

    @njit(error_model="numpy")
    def kernel(P, features, J):
        total = 0.0
        for i in range(P.shape[0]):
            p, J_i = P[i], J[i]
            p0, p1, p2, f, w = p[0], p[1], p[2], p[6], p[14]
            X, Y, Z = p[11] - p[3], p[12] - p[4], p[13] - p[5]
            square = p0 * p0 + p1 * p1 + p2 * p2
            theta = np.sqrt(square)
            inverse = 1.0 / theta
            a, b, c = p0 * inverse, p1 * inverse, p2 * inverse
            cosine, sine = cos(theta), sin(theta)
            versine = 1.0 - cosine
            ab, ac, bc = a * b * versine, a * c * versine, b * c * versine
            sa, sb, sc = a * sine, b * sine, c * sine
            r00, r01, r02 = cosine + a * a * versine, ab - sc, ac + sb
            r10, r11, r12 = ab + sc, cosine + b * b * versine, bc - sa
            r20, r21, r22 = ac - sb, bc + sa, cosine + c * c * versine
            x = r00 * X + r01 * Y + r02 * Z
            y = r10 * X + r11 * Y + r12 * Z
            nearness = 1.0 / (r20 * X + r21 * Y + r22 * Z)
            u, v = x * nearness, y * nearness
            r2 = u * u + v * v
            d = 1.0 + r2 * (p[9] + p[10] * r2)
            slope = 2.0 * (p[9] + 2.0 * p[10] * r2)
            cross = u * v * slope
            for row in range(2):
                q = v if row else u
                error = f * d * q + p[7 + row] - features[i, row]
                total += ROWS[row] * (w * error)
                u_bar = w * f * (cross if row else d + u * u * slope)
                v_bar = w * f * (d + v * v * slope if row else cross)
                x_bar, y_bar = u_bar * nearness, v_bar * nearness
                z_bar = -(x_bar * u + y_bar * v)
                X_bar = r00 * x_bar + r10 * y_bar + r20 * z_bar
                Y_bar = r01 * x_bar + r11 * y_bar + r21 * z_bar
                Z_bar = r02 * x_bar + r12 * y_bar + r22 * z_bar
                m0 = Y * Z_bar - Z * Y_bar
                m1 = Z * X_bar - X * Z_bar
                m2 = X * Y_bar - Y * X_bar
                k0 = r00 * m0 + r01 * m1 + r02 * m2 - m0
                k1 = r10 * m0 + r11 * m1 + r12 * m2 - m1
                k2 = r20 * m0 + r21 * m1 + r22 * m2 - m2
                along = a * m0 + b * m1 + c * m2
                J_i[row, 0] = a * along - (b * k2 - c * k1) * inverse
                J_i[row, 1] = b * along - (c * k0 - a * k2) * inverse
                J_i[row, 2] = c * along - (a * k1 - b * k0) * inverse
                J_i[row, 3], J_i[row, 4], J_i[row, 5] = -X_bar, -Y_bar, -Z_bar
                J_i[row, 6] = w * d * q
                J_i[row, 7] = 0.0 if row else w
                J_i[row, 8] = w if row else 0.0
                J_i[row, 9] = w * f * r2 * q
                J_i[row, 10] = w * f * r2 * r2 * q
                J_i[row, 11], J_i[row, 12], J_i[row, 13] = X_bar, Y_bar, Z_bar
                J_i[row, 14] = error
        return total

    def value_and_grad(P, features):
        J = np.empty((P.shape[0], 2, 15))
        return kernel(P, features, J), (J,)

    return value_and_grad


WORKLOAD = Workload(
    name="bundle adjustment",
    sizes={"31843 observations": 31_843},
    quick="31843 observations",
    tiny=3,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0,),
    hand=hand,
    own={"tracegrad": by_tracegrad, "jax": by_jax},
    from_jacobian=lambda J: np.einsum("r,irj->ij", ROWS, J),
    without=dict.fromkeys(
        ("torch", "autograd", "casadi", "pytensor"), "nobody has ported it"
    ),
)
