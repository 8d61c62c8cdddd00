"""Where triangles keep what they store: a place for each iteration, and no more."""

import numpy as np
import pytest

from tests.traces.running import traced
from tracegrad.ir.shapes import assuming
from tracegrad.primitives.control import for_
from tracegrad.transforms.packing import packing
from tracegrad.transforms.regions import Structure, body_of, is_loop


def below_the_diagonal(x):
    for i in range(len(x)):
        for j in range(i):
            x[j] += 1.0
    return x


def above_and_downwards(x):
    for i in range(len(x) - 1, -1, -1):
        for j in range(len(x) - 1, i, -1):
            x[j] += 1.0
    return x


def combinations_of_three(x):
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            for k in range(j + 1, len(x)):
                x[k] += 1.0
    return x


def growing_windows(x):
    for t in range(len(x)):
        for i in range(1, len(x)):
            for j in range(i, 2 * i + 1):
                for k in range(j, j + i):
                    x[k % len(x)] += t
    return x


NESTS = {
    below_the_diagonal: lambda n: [(i, j) for i in range(n) for j in range(i)],
    above_and_downwards: lambda n: [(i, j) for i in range(n) for j in range(i + 1, n)],
    combinations_of_three: lambda n: [
        (i, j, k) for i in range(n) for j in range(i + 1, n) for k in range(j + 1, n)
    ],
    growing_windows: lambda n: [
        (t, i, j, k)
        for t in range(n)
        for i in range(1, n)
        for j in range(i, 2 * i + 1)
        for k in range(j, j + i)
    ],
}


def packed(function):
    recorded = traced(function, np.zeros(5))
    structure = Structure(recorded.graph)
    region, loops = recorded.graph, []
    while any(map(is_loop, region.equations)):
        (loop,) = (e for e in region.equations if e.primitive is for_)
        loops.append(loop)
        region = body_of(loop)
    with assuming(recorded.assumptions):
        return packing(structure, loops), [body_of(e).params[0].name for e in loops]


@pytest.mark.parametrize("function", NESTS, ids=lambda f: f.__name__)
def test_each_iteration_has_a_place_of_its_own(function):
    found, names = packed(function)
    for n in (1, 2, 3, 6):
        iterations = NESTS[function](n)
        size = {"x.shape[0]": n}
        places = [
            found.position.evaluate(size | dict(zip(names, index, strict=True)))
            for index in iterations
        ]
        assert sorted(places) == list(range(len(iterations)))
        assert found.total.evaluate(size) == len(iterations)


def may_be_empty(x):
    for i in range(len(x)):
        for j in range(i - 2):
            x[j] += 1.0
    return x


def in_steps(x):
    for i in range(len(x)):
        for j in range(0, i, 2):
            x[j] += 1.0
    return x


@pytest.mark.parametrize("function", [may_be_empty, in_steps])
def test_no_formula_for_lengths_that_are_no_polynomials(function):
    assert packed(function)[0] is None
