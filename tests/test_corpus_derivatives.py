"""Derivatives of the corpus's programs, written arguments included, in plain Python.

Each program is taken as a function of its arguments that gives what it returns and what
its arrays hold in the end. Pulled back and pushed forward at two points with random
weights it has to agree with itself, with a complex step to twelve digits, with central
differences, and with its graph as NumPy evaluates it; so does its second order. Inputs
stay as they were, and a second call gives the same bits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.fuzz.checking import Program, check
from tests.fuzz.comparing import is_single
from tests.test_corpus import SMOOTH, outcome


@dataclass(frozen=True)
class Whole(Program):
    """A program of the corpus, with the arrays it may write to among its results."""

    given: Any = None

    def function(self):
        arguments = self.given.arguments(self.seed, self.size)
        places = [k for k, x in enumerate(arguments) if np.ndim(x)]

        def whole(*args):
            returned = self.given.function(*args)
            return returned, *[args[k] for k in places]

        return whole

    def spaces(self, whole):
        return [self.given.function.__globals__]


def runs(program, size):
    """Whether a program of the corpus raises nothing at a size."""
    return not isinstance(
        outcome(program.function, program.arguments(1, size)), Exception
    )


# Plain Python doesn't run these on complex numbers, or means something else by them.
NO_COMPLEX_STEP = {
    "array_from_a_generator",
    "compared",
    "copies_by_operators",
    "elements_of_what_a_mask_selects",
    "functions_along_axes",
    "generalised_functions",
    "histogram",
    "householder",
    "integer_array_truncates",
    "krylov_basis",
    "matched_options",
    "math_functions",
    "power_iteration_until",
    "rows_by_a_mask",
    "statistics_of_segments",
    "stencils",
    "vectorized_functions",
}
RUNNING = [p for p in SMOOTH if any(runs(p, size) for size in p.sizes)]


@pytest.mark.parametrize("program", RUNNING, ids=lambda p: p.name)
def test_both_modes_and_both_orders(program):
    size = max(size for size in program.sizes if runs(program, size))

    def arguments(rng, n):
        return list(program.arguments(int(rng.integers(1000)), n))

    whole = Whole("", arguments, 1, size, sizes=(), second=True, given=program)
    single = any(is_single(x) for x in program.arguments(1, size))
    without = single or program.name in NO_COMPLEX_STEP
    assert (check(whole) == 2) != without, "whether it has a complex step"
