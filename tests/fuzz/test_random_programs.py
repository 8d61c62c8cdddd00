"""A short run of random programs. ``python -m tests.fuzz loops 0 5000`` is longer."""

import pytest

from tests.fuzz.checking import Disagreement, Unsuitable, check
from tests.fuzz.programs import program
from tests.fuzz.shrink import shrunk


def checked(kind, seed, numba):
    """Whether a program agrees with itself; the shrunk one is told if not."""
    found = program(kind, seed, numba=numba)
    try:
        check(found)
    except Unsuitable:
        return False
    except Disagreement as error:
        pytest.fail(f"{error}\n{shrunk(found).source}")
    return True


@pytest.mark.parametrize("kind", ["arrays", "loops"])
@pytest.mark.parametrize("block", range(4))
def test_in_plain_python(kind, block):
    assert any([checked(kind, s, 0) for s in range(4 * block, 4 * block + 4)])


@pytest.mark.parametrize("seed", [21])
def test_loops_compiled(seed):
    checked("loops", seed, 1)
