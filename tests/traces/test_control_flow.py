"""Loops and branches that stay what they are: graphs give what Python gives."""

import numpy as np
import pytest

from tests.programs import branches, jumps, scalars, sequences
from tests.programs.record import programs_in
from tests.traces.staged import agrees, holds_again
from tracegrad import jit

PROGRAMS = programs_in(scalars, branches, jumps, sequences)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_program(program):
    for size in program.sizes:
        for seed in range(3):
            agrees(program, seed, size)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_a_graph_serves_other_sizes(program):
    holds_again(program, max(program.sizes), (3, 7))


def test_the_corpus_is_large():
    assert len(PROGRAMS) >= 60
    assert np.unique([p.name for p in PROGRAMS]).size == len(PROGRAMS)


def test_a_nest_of_short_loops_is_not_unrolled_without_end():
    def sweeps(u):
        u = u.copy()
        for _ in range(3):
            for i in range(1, 5):
                for j in range(1, 5):
                    u[i, j] = 0.5 * u[i - 1, j] + 0.25 * u[i, j - 1] * u[i, j]
        return u

    def product(R, x):
        y = np.zeros(3)
        for i in range(3):
            for j in range(3):
                y[i] += R[i, j] * x[j]
        return y

    u = np.random.default_rng(0).normal(size=(6, 6))
    compiled = jit(sweeps)
    np.testing.assert_allclose(compiled(u), sweeps(u), rtol=1e-14)
    assert "range(3)" in compiled.source
    small = jit(product)
    np.testing.assert_allclose(small(u[:3, :3], u[0, :3]), u[:3, :3] @ u[0, :3])
    assert "range" not in small.source
