"""A short run of random programs. ``python -m tests.fuzz loops 0 5000`` is longer."""

import pytest

from codegen.c import CompilerError
from codegen.c.compiler import find_compiler
from tests.fuzz.checking import Unsuitable, check
from tests.fuzz.comparing import Disagreement
from tests.fuzz.programs import program
from tests.fuzz.shrink import shrunk


def checked(kind, seed, **ways):
    """Whether a program agrees with itself; the shrunk one is told if not."""
    found = program(kind, seed, **ways)
    try:
        check(found)
    except Unsuitable:
        return False
    except Disagreement as error:
        pytest.fail(f"{error}\n{shrunk(found).source}")
    return True


@pytest.mark.parametrize("kind", ["arrays", "loops", "nests", "short", "small"])
@pytest.mark.parametrize("block", range(3))
def test_in_plain_python(kind, block):
    assert any([checked(kind, s) for s in range(4 * block, 4 * block + 4)])


@pytest.mark.parametrize("seed", [2, 4, 6, 17])
def test_compiled_by_numba(seed):
    assert checked("nests", seed, numba=1)


@pytest.mark.parametrize("kind", ["nests", "short"])
@pytest.mark.parametrize("seed", range(20, 26))
def test_compiled_by_c(kind, seed):
    try:
        find_compiler()
    except CompilerError:
        pytest.skip("there is no C compiler")
    checked(kind, seed, c=1)


@pytest.mark.parametrize(("kind", "seed"), [("cells", 192)])
def test_what_once_failed(kind, seed):
    assert checked(kind, seed)
