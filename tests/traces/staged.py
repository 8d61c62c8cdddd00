"""Compare programs of the corpus with their graphs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tests.programs.record import Program
from tests.traces.running import traced
from tracegrad import pytree
from tracegrad.ir.verifier import verify
from tracegrad.traces.evaluate import evaluate, sizes_of
from tracegrad.traces.source import Traced
from tracegrad.transforms.dce import dce


def agrees(program: Program, seed: int, size: int) -> None:
    """Fail unless the graph gives, writes and raises what the function does."""
    args = program.arguments(seed, size)
    given = copy.deepcopy(args)
    try:
        expected = outcome(program, given)
    except Exception as error:
        raises_like(program, args, error)
        return
    recorded = traced(program.function, *args)
    same(expected, played(recorded, args))
    verify(dce(recorded.graph))


def raises_like(program: Program, args: Any, error: Exception) -> None:
    """Fail unless tracing or evaluating raises such an exception."""
    with pytest.raises(type(error)) as caught:
        played(traced(program.function, *args), args)
    assert caught.type is type(error)


def holds_again(program: Program, size: int, others: tuple[int, ...]) -> None:
    """A graph gives the same for other sizes, unless it says that it doesn't."""
    args = program.arguments(0, size)
    try:
        recorded = traced(program.function, *args)
    except Exception:
        return  # raised for these arguments, so there is no graph
    for other in others:
        args = program.arguments(1, other)
        if not guards_hold(recorded, args):
            continue
        try:
            expected = outcome(program, copy.deepcopy(args))
        except Exception as error:
            with pytest.raises(type(error)):
                played(recorded, args)
            continue
        same(expected, played(recorded, args))


def outcome(program: Program, args: Any) -> tuple[Any, Any]:
    """What the function returns, and its arguments afterwards."""
    with np.errstate(all="ignore"):
        return program.function(*args), args


def inputs_of(recorded: Traced, args: Any) -> list[Any]:
    leaves = pytree.leaves((args, {}))
    pairs = zip(recorded.leaves, leaves, strict=True)
    inputs = [x for leaf, x in pairs if leaf.traced]
    return inputs + [capture.read() for capture in recorded.captures]


def guards_hold(recorded: Traced, args: Any) -> bool:
    inputs = inputs_of(recorded, args)
    for leaf, x in zip(recorded.leaves, pytree.leaves((args, {})), strict=True):
        if not leaf.traced and leaf.value != x:
            return False
    keys = [np.shape(x) for x in inputs]
    if any(
        (1 in a) != (1 in leaf.shape)
        for a, leaf in zip(keys, recorded.leaves, strict=False)
    ):
        return False
    sizes = sizes_of(recorded.graph, inputs)
    return all(guard.holds(sizes) for guard in recorded.assumptions.guards)


def played(recorded: Traced, args: Any) -> tuple[Any, Any]:
    """What the graph gives, and what the arguments become."""
    before = copy.deepcopy(args)
    results = evaluate(recorded.graph, inputs_of(recorded, args))
    same(before, args)  # inputs are never modified
    outputs = [
        out.value if out.type is None else results[out.result]
        for out in recorded.outputs
    ]
    leaves, tree = pytree.flatten((args, {}))
    for written in recorded.written:
        leaves[written.leaf] = results[written.result]
    return pytree.unflatten(recorded.tree, outputs), pytree.unflatten(tree, leaves)[0]


def same(expected: Any, found: Any) -> None:
    """Fail unless two nests are equal."""
    first, second = pytree.flatten(expected), pytree.flatten(found)
    assert first[1] == second[1]
    for a, b in zip(first[0], second[0], strict=True):
        assert np.shape(a) == np.shape(b)
        if isinstance(a, (np.ndarray, np.generic)):
            assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)
