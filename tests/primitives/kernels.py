"""Recorded graphs as kernels, run as plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.lower.harness import in_python
from tests.tracing import Recorded
from tracegrad.lower.lower import ScalarOutput, lower
from tracegrad.traces.evaluate import sizes_of


def run(recorded: Recorded, arguments: Sequence[Any]) -> list[Any]:
    """The results of the lowered graph by its printed source."""
    lowered = lower(recorded.graph, recorded.assumptions, "f")
    function = in_python(lowered.kernel)
    values = [np.asarray(x)[()] for x in (*arguments, *recorded.constants)]
    sizes = sizes_of(recorded.graph, values)
    arrays = [
        np.empty([d.evaluate(sizes) for d in output.shape], output.dtype)
        for output in lowered.outputs
        if not isinstance(output, ScalarOutput)
    ]
    returned = function(*values, *arrays)
    scalars = returned if isinstance(returned, tuple) else (returned,)
    rest = iter(arrays)
    return [
        scalars[output.position] if isinstance(output, ScalarOutput) else next(rest)
        for output in lowered.outputs
    ]


def assert_agrees(recorded: Recorded, arguments: Sequence[Any], got: list[Any]) -> None:
    """A kernel's results are the evaluated graph's, up to rounding."""
    expected = recorded(*arguments)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for a, b in zip(got, expected, strict=True):
        single = np.asarray(b).dtype == np.float32
        np.testing.assert_allclose(
            a, b, rtol=2e-4 if single else 1e-10, atol=2e-5 if single else 1e-12
        )
        if np.ndim(b):
            assert a.dtype == np.asarray(b).dtype
