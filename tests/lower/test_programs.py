"""Whatever clustering decides, a kernel computes what NumPy does."""

import numpy as np
import pytest

from tests.lower.harness import call, compiled, gradient, in_python, record
from tests.lower.programs import random_arguments, random_program
from tracegrad.lower import blocking, buffers, emit
from tracegrad.lower.lower import lower
from tracegrad.traces.evaluate import evaluate

FLOATS = (0, 1, 2, 3, 4)


def check(seed, on=in_python):
    rng = np.random.default_rng(seed)
    program = random_program(rng, int(rng.integers(3, 14)))
    n, m = rng.choice([0, 1, 2, 3, 5], 2)
    arguments = random_arguments(rng, int(n), int(m))
    try:
        graph, assumptions = record(program, arguments)
        with np.errstate(all="ignore"):
            evaluate(graph, list(arguments.values()))
    except (ValueError, IndexError):  # NumPy refuses it, too
        return
    for each in (graph, gradient(graph, assumptions, FLOATS)):
        with np.errstate(all="ignore"):
            expected = evaluate(each, list(arguments.values()))
        lowered = lower(each, assumptions, "f")
        found = call(lowered, each, arguments, on(lowered.kernel))
        for result, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(result, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seeds", [range(k, k + 50) for k in range(0, 300, 50)])
def test_random_programs(seeds):
    for seed in seeds:
        check(seed)


@pytest.mark.parametrize("seeds", [range(k, k + 50) for k in range(1000, 1200, 50)])
def test_random_programs_in_blocks(seeds, monkeypatch):
    monkeypatch.setattr(blocking, "LONG", 2)
    monkeypatch.setattr(blocking, "DEEP", 2)
    for module in (blocking, buffers, emit):
        monkeypatch.setattr(module, "BLOCK", 2)
    for seed in seeds:
        check(seed)


@pytest.mark.parametrize("seed", [3, 14])
def test_compiled(seed):
    check(seed, on=compiled)
