"""The yardsticks are right, and every contestant differentiates the same function."""

from functools import cache

import numpy as np
import pytest

from tests.benchmarks.maths import stock, vector
from tests.benchmarks.peers import CONTESTANTS, HAND, HAND_STOCK, OURS, why_not
from tests.benchmarks.report import respelt
from tests.benchmarks.workload import load_workloads

WORKLOADS = load_workloads()
SEEDS = (0, 1)
STEP = 1e-6


def central_differences(f, inputs, position):
    """The gradient with respect to one input, element by element."""
    x = np.array(inputs[position], dtype=float)
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        sides = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[index] += sign * STEP
            arguments = list(inputs)
            arguments[position] = moved if x.ndim else float(moved)
            sides.append(f(*arguments))
        gradient[index] = (sides[0] - sides[1]) / (2.0 * STEP)
    return gradient


@cache
def by_hand(name, maths):
    """A workload's gradient written by hand, compiled at its first call only."""
    return WORKLOADS[name].hand(maths())


def results_by_hand(workload, inputs):
    call = by_hand(workload.name, vector)
    return HAND.result(lambda: call(*inputs))


@pytest.mark.parametrize("maths", [stock, vector])
@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_hand_written_gradient(name, maths):
    workload = WORKLOADS[name]
    for seed in SEEDS:
        inputs = workload.make_inputs(workload.tiny, seed)
        value, grads = by_hand(name, maths)(*inputs)
        assert value == pytest.approx(workload.objective(*inputs), rel=1e-13)
        assert len(grads) == len(workload.argnums)
        grads = map(workload.from_jacobian, grads)
        for position, gradient in zip(workload.argnums, grads, strict=True):
            expected = central_differences(workload.objective, inputs, position)
            assert np.shape(gradient) == expected.shape
            np.testing.assert_allclose(
                gradient, expected, rtol=1e-6, atol=1e-8 * max(1.0, abs(value))
            )


@pytest.mark.filterwarnings("default")  # a peer's warnings are its own business
@pytest.mark.parametrize(
    ("workload", "contestant"),
    [
        pytest.param(workload, contestant, id=f"{name}-{contestant.name}")
        for name, workload in sorted(WORKLOADS.items())
        for contestant in CONTESTANTS
        if contestant not in (HAND, HAND_STOCK)  # held to differences above
        and why_not(contestant, workload, workload.quick) is None
    ],
)
def test_contestant_agrees_with_hand(workload, contestant):
    inputs = workload.make_inputs(workload.tiny, 2)
    value, grads = results_by_hand(workload, inputs)
    call = contestant.prepare(workload, inputs)
    other, other_grads = contestant.result(call)
    assert other == pytest.approx(value, rel=1e-12)
    for gradient, expected in zip(other_grads, grads, strict=True):
        np.testing.assert_allclose(
            np.ravel(gradient),
            np.ravel(expected),
            rtol=workload.rtol,
            atol=workload.rtol * np.max(np.abs(expected)),
        )


@pytest.mark.parametrize(
    ("workload", "way"),
    [
        pytest.param(workload, way, id=f"{name}-{spelling}")
        for name, workload in sorted(WORKLOADS.items())
        for spelling, way in respelt(workload).items()
    ],
)
def test_other_spellings_agree(workload, way):
    inputs = workload.make_inputs(workload.tiny, 2)
    value, grads = results_by_hand(workload, inputs)
    other, other_grads = OURS.result(OURS.prepare(way, inputs))
    assert other == pytest.approx(value, rel=1e-12)
    for gradient, expected in zip(other_grads, grads, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [n for n, w in WORKLOADS.items() if w.by_scan])
def test_scans_say_the_same(name):
    workload = WORKLOADS[name]
    inputs = workload.make_inputs(workload.tiny, 3)
    assert workload.by_scan(*inputs) == pytest.approx(
        workload.objective(*inputs), rel=1e-12
    )
