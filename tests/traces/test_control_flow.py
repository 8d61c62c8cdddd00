"""Loops and branches that stay what they are: graphs give what Python gives."""

import numpy as np
import pytest

from tests.programs import branches, jumps, scalars, sequences
from tests.programs.record import programs_in
from tests.traces.staged import agrees, holds_again

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
