"""Arrays written in place, views and index assignments: what NumPy gives."""

import pytest

from tests.programs import arrays, combinations, tricky, views
from tests.programs.record import programs_in
from tests.traces.staged import agrees, holds_again

PROGRAMS = programs_in(arrays, views, tricky, combinations)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_program(program):
    for size in program.sizes:
        for seed in range(3):
            agrees(program, seed, size)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_a_graph_serves_other_sizes(program):
    holds_again(program, max(program.sizes), (3, 7))
