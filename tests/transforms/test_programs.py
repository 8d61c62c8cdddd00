"""Gradients of loops, branches and in-place arrays, in both modes and second order."""

import numpy as np
import pytest

from tests.transforms import benchmarks, programs
from tests.transforms.checking import check

rng = np.random.default_rng(7)
normal = rng.standard_normal


def spd(n):
    m = normal((n, n))
    return m @ m.T + n * np.eye(n)


def grid(n):
    points = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), -1).reshape(-1, 3)[:n]
    return points * 1.2 + 0.1 * normal((n, 3))


CASES = {
    "alias": (["f1"], (normal(6),)),
    "rowview": (["f2"], (normal((4, 3)),)),
    "condwrite": (["f1"], (normal(7),)),
    "bubble": (["f1"], (normal(5),)),
    "overwrite": (["f1"], (normal(4),)),
    "localtmp": (["f1"], (normal(5),)),
    "stopping": (["f1"], (normal(10),)),
    "stopping_backwards": (["f1"], (normal(9),)),
    "stopping_inside": (["f2"], (normal((3, 5)),)),
    "early": (["f1"], (normal(7),)),
    "postloop": (["f1"], (normal(6),)),
    "shadow": (["f1"], (normal(5),)),
    "collatz": (["f1"], (normal(6) * 0.5,)),
    "negative_step": (["f1"], (normal(7),)),
    "positive_step": (["f1"], (normal(9),)),
    "zero_trip": (["f1", "i"], (normal(4), 3)),
    "dynamic_program": (["f2"], (normal((4, 4)),)),
    "written_argument": (["f1", "f1"], (normal(5), normal(5)), (0, 1)),
    "windows": (["f1", "i"], (normal(6) * 0.5, 3)),
    "backward_window": (["f1", "i"], (normal(4), 3)),
    "gather": (["f1", "i1"], (normal(6), np.array([0, 3, 3, 1, 5]))),
    "swap": (["f1", "i"], (normal(3), 5)),
    "cell_accumulation": (["f1"], (normal(5),)),
    "swapped_buffers": (["f1", "i"], (normal(6), 3)),
    "matrix_power": (
        ["f2=v.shape[0],v.shape[0]", "f1", "i"],
        (normal((3, 3)) * 0.4, normal(3), 3),
        (0, 1),
    ),
    "nested_arrays": (["f2=A.shape[0],A.shape[0]", "i"], (normal((3, 3)), 2)),
    "branch_arrays": (["f1", "i"], (normal(3), 4)),
    "growing_slices": (["f1"], (normal(5),)),
    "newton": (["f", "f"], (7.0, 3.0)),
    "newtons": (["f1"], (rng.uniform(1, 9, 4),)),
    "grown_twice": (["f"], (0.5,)),
    "cubic": (["f", "f", "f"], (7.0, 0.5, 2.0), (0, 1, 2)),
    "cubics": (["f1", "f", "f"], (rng.uniform(1, 9, 4), 0.5, 2.0), (0, 1, 2)),
    "while_writes": (["f1"], (normal(5),)),
    "swapped_results": (["f1", "i"], (normal(4), 3)),
    "swapped_while": (["f1"], (normal(4),)),
    "count_down": (["f1"], (normal(5),)),
}

BENCHMARKS = {
    "rk4": (
        ["f1", "f", "f", "f", "i"],
        (np.array([1.1, 0.4, 0.4, 0.1]), 3.0, 2.0, 0.05, 4),
        (0, 1, 2, 3),
    ),
    "recurrence": (["f1"], (normal(8),)),
    "lennard_jones": (["f2=r.shape[0],3"], (grid(5),)),
    "heat": (["f1", "f", "i"], (normal(6), 0.2, 3), (0, 1)),
    "burgers": (["f1", "f", "i"], (normal(6) * 0.3, 0.2, 3), (0, 1)),
    "cholesky": (["f2"], (spd(4),)),
    "lu": (["f2=A.shape[0],A.shape[0]"], (spd(4),)),
    "seidel": (["f2", "i"], (normal((5, 5)), 2)),
    "rosenbrock": (["f1"], (normal(6),)),
    "absolute": (["f1"], (normal(7) * 2,)),
}


@pytest.mark.parametrize("name", CASES)
def test_torture(name):
    check(getattr(programs, name), *CASES[name])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark(name):
    check(getattr(benchmarks, name), *BENCHMARKS[name])
