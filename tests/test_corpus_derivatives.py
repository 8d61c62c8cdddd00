"""Derivatives of the corpus's programs, written arguments included, in plain Python.

Each program is taken as a function of its arguments that gives what it returns and what
its arrays hold in the end. Pulled back and pushed forward at two points with random
weights it has to agree with itself, with central differences, and with its graph as
NumPy evaluates it; so does its second order. Inputs stay as they were, and a second
call gives the same bits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.fuzz.checking import Program, check
from tests.fuzz.comparing import is_float
from tests.test_corpus import SMOOTH, outcome


@dataclass(frozen=True)
class Whole(Program):
    """A program of the corpus, with the arrays it may write to among its results."""

    given: Any = None

    def function(self):
        arguments = self.given.arguments(self.seed, self.size)
        places = [k for k, x in enumerate(arguments) if np.ndim(x) and is_float(x)]

        def whole(*args):
            returned = self.given.function(*args)
            return returned, *[args[k] for k in places]

        return whole


def runs(program, size):
    """Whether a program of the corpus raises nothing at a size."""
    return not isinstance(
        outcome(program.function, program.arguments(1, size)), Exception
    )


RUNNING = [p for p in SMOOTH if any(runs(p, size) for size in p.sizes)]


@pytest.mark.parametrize("program", RUNNING, ids=lambda p: p.name)
def test_both_modes_and_both_orders(program):
    size = max(size for size in program.sizes if runs(program, size))

    def arguments(rng, n):
        return list(program.arguments(int(rng.integers(1000)), n))

    check(Whole("", arguments, 1, size, sizes=(), second=True, given=program))
