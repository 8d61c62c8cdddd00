"""Random programs: reverse, forward, differences; for some both second orders.

``python -m tests.transforms.test_random_programs 0 5000`` runs any range of seeds.
"""

import sys

import numpy as np
import pytest

from tests.transforms.checking import check
from tests.transforms.generator import N, program


def check_seed(seed):
    rng = np.random.default_rng(seed)
    arguments = rng.standard_normal(N), np.array([1, 4, 2, 3])
    second = seed % 3 == 0
    check(program(seed), ["f1", "i1"], arguments, seed=seed, second=second, tol=1e-4)


@pytest.mark.parametrize("block", range(12))
def test_random_programs(block):
    for seed in range(10 * block, 10 * block + 10):
        check_seed(seed)


if __name__ == "__main__":
    failed = []
    for seed in range(*map(int, sys.argv[1:3])):
        try:
            check_seed(seed)
        except Exception as error:
            failed.append(seed)
            print(seed, type(error).__name__, str(error).strip().splitlines()[:1])
    print("failed:", failed)
