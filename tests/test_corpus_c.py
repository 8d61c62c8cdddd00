"""Gradients of the corpus's programs as C, compiled at once, against differences."""

import platform

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
# A third of them: each takes some 30 ms to trace.
CHOSEN = [program for program in SMOOTH[::3] if program.name not in LEFT_OUT]


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
        function = getattr(loaded, name)
        hidden = function.parameters[len(case.arguments) :]
        weights = {key: case.weights[int(key.rsplit("_", 1)[1])] for key in hidden}
        slopes = function(*case.arguments, **weights)
        pairs = zip(case.active, slopes, strict=True)
        found = sum(np.sum(slope * case.directions[k]) for k, slope in pairs)
        single = any(np.asarray(x).dtype == np.float32 for x in case.arguments)
        expected = difference(case.total, case.arguments, case.directions)
        limit = 2e-3 if single else 2e-5
        assert found == pytest.approx(expected, rel=limit, abs=limit), name
