"""Arrays written in place, views and index assignments: what NumPy gives."""

import numpy as np
import pytest

from tests.programs import arrays, combinations, tricky, views
from tests.programs.record import programs_in
from tests.traces.staged import agrees, holds_again
from tracegrad import jit

PROGRAMS = programs_in(arrays, views, tricky, combinations)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_program(program):
    for size in program.sizes:
        for seed in range(3):
            agrees(program, seed, size)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_a_graph_serves_other_sizes(program):
    holds_again(program, max(program.sizes), (3, 7))


def test_what_an_empty_array_happens_to_hold_is_no_constant():
    def first(x):
        y = np.empty(3)
        y[0] = x
        return y

    np.full(3, 1.5e308)  # what a new array may find in memory
    np.testing.assert_array_equal(jit(first)(2.0), [2.0, 0.0, 0.0])
