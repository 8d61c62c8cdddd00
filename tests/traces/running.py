"""Trace a function's source and evaluate the graph with NumPy, without Numba."""

from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder
from tracegrad.ir.verifier import verify
from tracegrad.traces.evaluate import evaluate, sizes_of
from tracegrad.traces.inputs import describe
from tracegrad.traces.source import Traced, trace


def traced(function: Any, *args: Any) -> Traced:
    """What tracing records of a function on arguments like these."""
    leaves, tree = pytree.flatten((args, {}))
    names = Binder(function).names(tree)
    described = [describe(x, name) for x, name in zip(leaves, names, strict=True)]
    result = trace(function, described, tree)
    verify(result.graph)
    return result


def run(function: Any, *args: Any) -> Any:
    """What the recorded graph gives for the same arguments."""
    return rerun(traced(function, *args), *args)


def rerun(recorded: Traced, *args: Any) -> Any:
    """What a recorded graph gives for arguments that keep its assumptions."""
    assert all(guard.holds() for guard in recorded.guards)
    leaves = pytree.leaves((args, {}))
    pairs = zip(recorded.leaves, leaves, strict=True)
    inputs = [x for leaf, x in pairs if leaf.traced]
    inputs += [capture.read() for capture in recorded.captures]
    sizes = sizes_of(recorded.graph, inputs)
    assert all(guard.holds(sizes) for guard in recorded.assumptions.guards)
    results = evaluate(recorded.graph, inputs)
    outputs = [
        out.value if out.type is None else results[out.result]
        for out in recorded.outputs
    ]
    return pytree.unflatten(recorded.tree, outputs)


def agree(function: Any, *args: Any) -> None:
    """Fail unless the graph and the function itself give the same."""
    expected, found = function(*args), run(function, *args)
    assert pytree.structure(expected) == pytree.structure(found)
    for a, b in zip(pytree.leaves(expected), pytree.leaves(found), strict=True):
        if isinstance(a, (str, bool)):
            assert a == b
        else:
            np.testing.assert_allclose(b, a, rtol=1e-14)
            assert np.shape(a) == np.shape(b)
