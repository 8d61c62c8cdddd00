"""Gradients of the corpus's programs as C, compiled at once, against differences."""

import platform
from zlib import crc32

import numpy as np
import pytest

from codegen.c import CompilerError
from codegen.c.compiler import find_compiler
from tests.test_corpus import SMOOTH, difference, leaves, outcome, weighted
from tracegrad import export_c, grad, load_library

# They make arrays whose length they find on the way.
LEFT_OUT = (
    "active_bound",
    "active_bounds_of_a_nest",
    "elimination_by_rows",
    "householder",
    "rows_from_a_largest",
)


def is_chosen(name):
    """A third of them, whatever others there are: each takes some 30 ms to trace."""
    return name not in LEFT_OUT and crc32(name.encode()) % 3 == 0


CHOSEN = [program for program in SMOOTH if is_chosen(program.name)]


def has_a_value(program):
    """Whether the program returns something at the arguments that are tested."""
    arguments = program.arguments(1, max(program.sizes))
    found = outcome(program.function, arguments)
    return not isinstance(found, Exception) and bool(leaves(found))


class Case:
    """The weighted sum of a program's results, and its gradient."""

    def __init__(self, program):
        self.arguments = program.arguments(1, max(program.sizes))
        rng = np.random.default_rng(1)
        results = leaves(outcome(program.function, self.arguments))
        self.weights = [rng.normal(size=x.shape) for x in results]
        self.total = weighted(program.function, self.weights)
        floats = [np.asarray(x).dtype.kind == "f" for x in self.arguments]
        self.active = tuple(k for k, active in enumerate(floats) if active)
        self.directions = {
            k: rng.normal(size=np.shape(self.arguments[k])) for k in self.active
        }
        self.gradient = grad(self.total, argnums=self.active)

    def hidden(self):
        """The arrays that it reads from outside, by their names: weights, globals."""
        program, _ = self.gradient.program(*self.arguments)
        captures = program.traced.captures
        return {c.leaf.name: c.read() for c in captures if c.place is not None}


def test_gradients_in_c(tmp_path):
    try:
        find_compiler()
    except CompilerError:
        pytest.skip("there is no C compiler")
    cases = {p.name: Case(p) for p in CHOSEN if has_a_value(p)}
    native = "native" if platform.machine() in ("x86_64", "aarch64") else None
    files = export_c(
        {name: case.gradient for name, case in cases.items()},
        [case.arguments for case in cases.values()],
        tmp_path,
        "corpus",
        build=True,
        march=native,
        flags=["-Werror", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover"],
    )
    loaded = load_library(files.library)
    for name, case in cases.items():
        slopes = getattr(loaded, name)(*case.arguments, **case.hidden())
        pairs = zip(case.active, slopes, strict=True)
        found = sum(np.sum(slope * case.directions[k]) for k, slope in pairs)
        single = any(np.asarray(x).dtype == np.float32 for x in case.arguments)
        expected = difference(case.total, case.arguments, case.directions)
        limit = 2e-3 if single else 2e-5
        assert found == pytest.approx(expected, rel=limit, abs=limit), name
