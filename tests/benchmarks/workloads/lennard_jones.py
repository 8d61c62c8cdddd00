"""The Lennard-Jones energy of n particles: a loop over pairs."""

import numpy as np
from numba import njit

from tests.benchmarks.scratch import Scratch
from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    """Particles near the points of a cubic lattice, so that none are too close."""
    side = int(np.ceil(size ** (1.0 / 3.0)))
    lattice = np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3)
    moved = np.random.default_rng(seed).uniform(-0.1, 0.1, (size, 3))
    return (1.2 * lattice[:size] + moved,)


def objective(r):
    n = r.shape[0]
    energy = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            dx = r[i, 0] - r[j, 0]
            dy = r[i, 1] - r[j, 1]
            dz = r[i, 2] - r[j, 2]
            d2 = dx * dx + dy * dy + dz * dz
            s = 1.0 / (d2 * d2 * d2)
            energy += 4.0 * (s * s - s)
    return energy


def objective_of_arrays(r):
    """All pairs at once; the diagonal, moved to distance one, adds nothing."""
    difference = r[:, None, :] - r[None, :, :]
    d2 = np.sum(difference**2, axis=2) + np.eye(r.shape[0])
    s = 1.0 / (d2 * d2 * d2)
    return 2.0 * np.sum(s * s - s)


def hand(maths):
    radd = maths.radd

    @njit(error_model="numpy")
    def kernel(r, xyz, r_bar):
        """Each pair from both its ends: nothing is scattered, and all of it vectorises.

        For that, the coordinates are put apart.
        """
        n = r.shape[0]
        x, y, z = xyz[0], xyz[1], xyz[2]
        for i in range(n):
            x[i], y[i], z[i] = r[i, 0], r[i, 1], r[i, 2]
        energy = 0.0
        for i in range(n):
            x_i, y_i, z_i = x[i], y[i], z[i]
            gx = gy = gz = 0.0
            for j in range(n):
                dx, dy, dz = x_i - x[j], y_i - y[j], z_i - z[j]
                d2 = dx * dx + dy * dy + dz * dz
                q = 1.0 / d2 if j != i else 0.0
                s = q * q * q
                energy = radd(energy, s * s - s)
                f = (24.0 - 48.0 * s) * s * q
                gx = radd(gx, f * dx)
                gy = radd(gy, f * dy)
                gz = radd(gz, f * dz)
            r_bar[i, 0], r_bar[i, 1], r_bar[i, 2] = gx, gy, gz
        return 2.0 * energy

    scratch = Scratch()

    def value_and_grad(r):
        r_bar = np.empty(r.shape)
        return kernel(r, *scratch((3, r.shape[0])), r_bar), (r_bar,)

    return value_and_grad


WORKLOAD = Workload(
    name="Lennard-Jones pairs",
    sizes={"100": 100, "300": 300, "1000": 1000},
    quick="300",
    tiny=6,
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0,),
    hand=hand,
    by_scan=objective_of_arrays,
    without={"casadi": "its arrays have two dimensions"},
)
