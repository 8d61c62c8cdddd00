"""A likelihood over data in partitions, its gradient summed on Dask workers.

Each worker holds a partition of the counts and returns the value and gradient of its
part of the log-likelihood; their sums are those of the whole. The function travels
without machine code: a worker compiles it once, or finds the kernel in the cache.

    pip install "tracegrad[workers]"
    python examples/dask_gradient.py
"""

import sys

import numpy as np
from distributed import Client, LocalCluster
from scipy.optimize import minimize

from tracegrad import value_and_grad

OBSERVATIONS, FEATURES, PARTITIONS = 20_000, 5, 4


@value_and_grad
def loss(w, X, counts):
    """Minus the log-likelihood of Poisson regression, up to a constant."""
    total = 0.0
    for i in range(X.shape[0]):
        eta = 0.0
        for j in range(w.shape[0]):
            eta += X[i, j] * w[j]
        total += np.exp(eta) - counts[i] * eta
    return total


def simulated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True weights, features (observations × weights) and counts."""
    rng = np.random.default_rng(1)
    w = rng.normal(scale=0.4, size=FEATURES)
    X = rng.normal(size=(OBSERVATIONS, FEATURES))
    return w, X, rng.poisson(np.exp(X @ w)).astype(float)


def main() -> int:
    """Fit on two workers, and compare with one process."""
    true, X, counts = simulated()
    start = np.zeros(FEATURES)
    parts = zip(
        np.array_split(X, PARTITIONS), np.array_split(counts, PARTITIONS), strict=True
    )
    workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with workers as cluster, Client(cluster) as client:
        held = [client.scatter(list(part)) for part in parts]

        def summed(w: np.ndarray) -> tuple[float, np.ndarray]:
            """Value and gradient over all partitions."""
            futures = [client.submit(loss, w, *part, pure=False) for part in held]
            values, gradients = zip(*client.gather(futures), strict=True)
            return sum(values), np.sum(gradients, axis=0)

        _, gradient = summed(start)
        fit = minimize(summed, start, jac=True, method="L-BFGS-B")
    _, alone = loss(start, X, counts)
    gap = np.max(np.abs(gradient - alone)) / np.max(np.abs(alone))
    print(f"gradient on {PARTITIONS} partitions against one process: {gap:.1e}")
    print("weight   true     fitted")
    for k in range(FEATURES):
        print(f"{k:6d}   {true[k]: .4f}  {fit.x[k]: .4f}")
    if gap > 1e-12 or np.max(np.abs(fit.x - true)) > 0.05:
        print("the distributed gradient differs")
        return 1
    print("the workers' gradient is that of one process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
