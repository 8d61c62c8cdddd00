"""What gradients cost: counted operations grow as the primal's do."""

import numpy as np
import pytest

from tests.transforms import benchmarks, programs
from tests.transforms.checking import gradient
from tests.transforms.staging import trace
from tracegrad.traces import evaluate as interpreter

SOME = np.random.default_rng(3).standard_normal(40)


def normal(n):
    """The same numbers again and again: so branches are taken as often at each size."""
    return np.resize(SOME, n)


class Counting(interpreter._Run):
    """Counts the numbers that equations make, read or write."""

    count = 0

    def equation(self, equation):
        results = super().equation(equation)
        if not equation.regions:
            self.count += sum(np.size(r) for r in results)
            if equation.primitive.effect in ("write", "accumulate"):
                self.count += np.size(self.read(equation.inputs[1]))
        return results


def operations(graph, arguments):
    sizes = interpreter.sizes_of(graph, arguments)
    run = Counting(dict(zip(graph.params, arguments, strict=True)), sizes)
    run.block(graph)
    return run.count


CASES = {
    "recurrence": (benchmarks, ["f1"], lambda n: (normal(n),), 5),
    "rosenbrock": (benchmarks, ["f1"], lambda n: (normal(n),), 4),
    "absolute": (benchmarks, ["f1"], lambda n: (normal(n),), 6),
    "heat": (benchmarks, ["f1", "f", "i"], lambda n: (normal(n), 0.2, 3), 6),
    "newtons": (benchmarks, None, None, None),
    "shadow": (programs, ["f1"], lambda n: (normal(n) * 0.1,), 6),
    "condwrite": (programs, ["f1"], lambda n: (normal(n),), 6),
    "localtmp": (programs, ["f1"], lambda n: (normal(n) * 0.1,), 6),
    "windows": (programs, ["f1", "i"], lambda n: (normal(n) * 0.1, 3), 6),
    "swapped_buffers": (programs, ["f1", "i"], lambda n: (normal(n), 4), 6),
    "while_writes": (programs, ["f1"], lambda n: (normal(n) * 0.01,), 6),
}
CASES["newtons"] = (
    programs,
    ["f1"],
    lambda n: (5.0 - 1.0 / (1.0 + normal(n) ** 2),),
    4,
)


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_costs_a_constant_times_the_function(name):
    module, kinds, arguments, ratio = CASES[name]
    graph = trace(getattr(module, name), kinds)
    reverse = gradient(graph, (0,))
    twice = gradient(reverse, (0,))
    counts = []
    for n in (40, 80, 160):
        given = arguments(n)
        seeds = [np.float64(1.0)]
        primal = operations(graph, given)
        first = operations(reverse, [*given, *seeds])
        second = operations(twice, [*given, *seeds, normal(n)])
        counts.append((first, second))
        assert first <= ratio * primal
        assert second <= 5 * ratio * primal
    for order in (0, 1):
        small, middle, large = (c[order] for c in counts)
        # linear: each doubling adds twice as much as the one before
        assert (large - middle) == pytest.approx(2 * (middle - small), rel=0.1)
