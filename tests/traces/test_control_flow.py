"""Loops and branches that stay what they are: graphs give what Python gives."""

import math

import numpy as np
import pytest

from tests.programs import branches, jumps, objects, scalars, sequences
from tests.programs.record import programs_in
from tests.traces.running import rerun, traced
from tests.traces.staged import agrees, holds_again
from tracegrad import jit
from tracegrad.primitives.control import for_

PROGRAMS = programs_in(scalars, branches, jumps, objects, sequences)


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


def test_a_short_loop_of_many_equations_is_not_unrolled():
    def minmod(a, b):
        return 0.0 if a * b <= 0.0 else (a if abs(a) < abs(b) else b)

    def limited(u, c):
        for _ in range(6):
            slopes = np.array(
                [minmod(u[i] - u[i - 1], u[i - 3] - u[i]) for i in (1, 2)]
            )
            edges = u + 0.5 * (1.0 - c) * np.concatenate((slopes, u[2:] ** 2))
            for _ in range(4):
                edges = edges + 0.1 * np.sin(edges) * (1.0 - edges) ** 2
            u = u - c * (edges - np.roll(edges, 1))
        return u

    def differing(x):
        """Of some of the numbers, a loop can't be staged: shapes differ."""
        parts = []
        for k in range(4):
            part = x[k:]
            for _ in range(3):
                part = part + np.sin(part) * np.exp(-part) * np.cos(part) - 0.5 * part
            parts.append(part)
        return np.concatenate(parts)

    u = np.random.default_rng(0).normal(size=6)
    compiled = jit(limited)
    np.testing.assert_allclose(compiled(u, 0.3), limited(u, 0.3), rtol=1e-13)
    assert "range(6)" in compiled.source
    np.testing.assert_allclose(jit(differing)(u), differing(u), rtol=1e-13)


def test_a_comprehension_that_is_added_up_is_a_loop():
    def energy(x):
        bonds = np.array([(x[i + 1] - x[i]) ** 2 for i in range(len(x) - 1)])
        return sum(math.sin(v) for v in x) + np.sum(bonds)

    compiled, sources = jit(energy), set()
    for n in (3, 50, 2000):
        x = np.random.default_rng(n).normal(size=n)
        np.testing.assert_allclose(compiled(x), energy(x), rtol=1e-12)
        sources.add(compiled.source)
    assert len(sources) == 1, "a kernel for each length"
    assert len(compiled.source.splitlines()) < 25


def newton_with_counters(a):
    x, calls = 1.0, 0
    for k in range(50):
        f = x * x - a
        calls += 1
        if f == 0.0:
            break
        calls += 1
        for j in range(10):
            if abs(f) < j:
                calls += k
        x = x - f / (2.0 * x)
    return x * calls


def powers(a):
    s = 1
    for _ in range(70):
        s, a = 3 * s, a * a * 0.9
    return a + float(s % 1000007)


@pytest.mark.parametrize(
    ("function", "loops"),
    [(newton_with_counters, 2), (powers, 0)],
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_a_loop_is_unrolled_if_an_integer_may_outgrow_64_bits(function, loops):
    recorded = traced(function, 2.0)
    regions = [e for e in recorded.graph.walk() if e.primitive is for_]
    assert len(regions) == loops
    for a in (2.0, 0.5):
        assert float(rerun(recorded, a)) == function(a)
