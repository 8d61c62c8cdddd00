"""A Hamiltonian sampler wholly in nopython mode: our gradient beside one by hand.

    python -m tests.benchmarks.nopython

Both loops are the same code; each makes a million gradient calls per run.
"""

from functools import partial

import numba
import numpy as np

from tests.benchmarks.timing import paired
from tracegrad import grad

CALLS, LEAPS, STEP = 1_000_000, 10, 0.05


def potential(x):
    """Minus the logarithm of a banana-shaped density."""
    total = 0.0
    for i in range(x.shape[0] - 1):
        bend = x[i + 1] - 0.5 * x[i] ** 2
        total += 0.5 * x[i] ** 2 + 2.0 * bend * bend
    return total


ours = grad(potential)


@numba.njit(error_model="numpy")
def by_hand(x):
    x_bar = np.zeros(x.shape[0])
    for i in range(x.shape[0] - 1):
        bend_bar = 4.0 * (x[i + 1] - 0.5 * x[i] ** 2)
        x_bar[i] += x[i] - bend_bar * x[i]
        x_bar[i + 1] += bend_bar
    return x_bar


def sampler(gradient):
    """The final state of a chain that calls the gradient so many times."""
    value = numba.njit(potential)

    @numba.njit
    def run(start, calls, seed):
        np.random.seed(seed)
        x = start.copy()
        for _ in range(calls // (LEAPS + 1)):
            p = np.random.randn(x.shape[0])
            before = value(x) + 0.5 * np.sum(p * p)
            y = x.copy()
            p -= 0.5 * STEP * gradient(y)
            for _ in range(LEAPS):
                y += STEP * p
                p -= STEP * gradient(y)
            p += 0.5 * STEP * gradient(y)
            after = value(y) + 0.5 * np.sum(p * p)
            if np.log(np.random.rand()) < before - after:
                x = y
        return x

    return run


def main() -> None:
    """Print nanoseconds per gradient call, everything in the loop included."""
    print("dimensions   by hand    tracegrad   ratio")
    for size in (2, 10, 100):
        start = np.zeros(size)
        loops = {"hand": sampler(by_hand), "ours": sampler(ours)}
        ends = [loop(start, 10_000, 1) for loop in loops.values()]
        np.testing.assert_allclose(*ends, rtol=1e-6)
        calls = CALLS if size < 100 else CALLS // 10
        runs = {k: partial(f, start, calls, 1) for k, f in loops.items()}
        found = paired(runs, "hand", 3.0)
        hand, own = (1e9 * found[k].seconds / calls for k in ("hand", "ours"))
        ratio = found["ours"].ratio
        print(f"{size:10d}   {hand:5.0f} ns     {own:5.0f} ns     {ratio:.2f}")


if __name__ == "__main__":
    main()
