"""Every primitive compiled, with its gradient: many share a kernel, to save time."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from tests.numeric import like
from tests.primitives.cases import Case, cases
from tests.primitives.kernels import assert_agrees, run
from tests.tracing import Recorded, pullback, record
from tracegrad.primitives import TABLE

TOGETHER = 14
NAMES = [name for name in TABLE if name not in ("size", "iota")]
GROUPS = [NAMES[k : k + TOGETHER] for k in range(0, len(NAMES), TOGETHER)]


def examples(names: list[str]) -> list[tuple[str, Case]]:
    """A case of each with axes: the first sample, or the second elementwise shape."""
    found = []
    for name in names:
        primitive = TABLE[name]
        first = 0 if primitive.samples else 1
        found.append((name, next(islice(cases(primitive, 1), first, None))))
    return found


def joint(group: list[tuple[str, Case]]) -> tuple[Recorded, list[Any]]:
    """One graph of all of them, side by side, with the gradients of all."""
    operands = [x for _, case in group for x in case.operands]

    def function(*xs: Any) -> tuple[Any, ...]:
        given = iter(xs)
        results: list[Any] = []
        for name, case in group:
            own = [next(given) for _ in case.operands]
            result = TABLE[name](*own, **case.params)
            results.extend(result if isinstance(result, tuple) else (result,))
        return tuple(results)

    recorded = record(function, *operands)
    values = recorded(*operands)
    values = values if isinstance(values, tuple) else (values,)
    weights = like(np.random.default_rng(0), values)
    return pullback(recorded, weights, values=True), operands


@pytest.mark.parametrize("names", GROUPS, ids=lambda n: n[0])
def test_compiled_values_and_gradients(names):
    recorded, operands = joint(examples(names))
    assert_agrees(recorded, operands, run(recorded, operands, compiled=True))
