"""Sums of pads: those side by side are joined, the others stay sums."""

import numpy as np
import pytest

from tests.tracing import record
from tracegrad.ir.verifier import verify
from tracegrad.primitives.structural import dims, pad
from tracegrad.traces.evaluate import evaluate
from tracegrad.transforms.dce import dce
from tracegrad.transforms.pads import join_pads

X = np.random.default_rng(3).normal(size=(6, 6))


def windows(*places, shape=(4,)):
    """A sum of pads of windows of X: where each starts, and its shape."""

    def function(x):
        total = 0.0
        for starts, sizes in places:
            part = x[tuple(slice(0, size) for size in sizes)]
            total = total + pad(
                part, starts=starts, steps=(1,) * len(sizes), shape=shape
            )
        return total

    return function


def joined(function, x):
    """The primitives left, after the same values were found in both graphs."""
    recorded = record(function, x)
    graph = verify(dce(join_pads(recorded.graph)))
    (before,), (after,) = evaluate(recorded.graph, [x]), evaluate(graph, [x])
    np.testing.assert_array_equal(before, after)
    return [e.primitive.name for e in graph.equations]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (2, 1, 0)])
def test_windows_that_tile_an_axis_are_joined_in_any_order(order):
    places = [((0,), (1,)), ((1,), (2,)), ((3,), (1,))]
    names = joined(windows(*(places[k] for k in order)), X[0])
    assert names.count("concatenate") == 1
    assert not {"pad", "add"} & set(names)


def test_gaps_of_known_size_are_zeros():
    names = joined(windows(((5,), (1,)), ((1,), (2,)), shape=(7,)), X[0])
    assert names.count("concatenate") == 1
    assert "pad" not in names


def test_cells_of_a_matrix_are_joined_along_both_axes():
    cells = [((i, j), (1, 1)) for i in (1, 0) for j in (0, 1)]
    names = joined(windows(*cells, shape=(2, 2)), X)
    assert not {"pad", "add"} & set(names)


def test_windows_that_overlap_stay_a_sum():
    names = joined(windows(((0,), (3,)), ((1,), (3,))), X[0])
    assert names.count("pad") == 2
    assert "concatenate" not in names


def test_halves_of_any_size_are_joined():
    def halves(x):
        h = x.shape[0] // 2
        left, right = x[:h], x[h:]
        start, shape = dims(left), dims(x)
        joined = pad(left, starts=(0,), steps=(1,), shape=shape)
        return joined + pad(right, starts=start, steps=(1,), shape=shape)

    assert "pad" not in joined(halves, X[0])


def test_a_window_inside_another_is_added_to_it():
    places = [((0,), (1,)), ((1,), (3,)), ((2,), (1,)), ((0,), (1,))]
    names = joined(windows(*places), X[0])
    assert names.count("concatenate") == 1
    assert names.count("pad") == 1
