"""A broadcast factor leaves a sum: same numbers, smaller loops."""

import numpy as np

from tests.lower.harness import record
from tracegrad.primitives.elementwise import multiply
from tracegrad.primitives.structural import dims, expand, reduce_sum, transpose
from tracegrad.traces.evaluate import evaluate

RNG = np.random.default_rng(0)
ARGUMENTS = {"y": RNG.normal(size=(7, 3)), "m": RNG.normal(size=(3, 4))}


def contracted(y, m):
    shape = (*dims(y), dims(m)[1])
    left = expand(y, shape=shape, axes=(0, 1))
    product = multiply(left, expand(m, shape=shape, axes=(1, 2)))
    return reduce_sum(product, axes=(1,))


def summed_first(y, m):
    moved = transpose(contracted(y, m), perm=(1, 0))
    return reduce_sum(moved, axes=(1,)), reduce_sum(moved + 1.0, axes=(1,))


def test_a_sum_is_taken_before_a_contraction():
    graph, _ = record(summed_first, ARGUMENTS, exact=False)
    expected = (ARGUMENTS["y"] @ ARGUMENTS["m"]).sum(0)
    found = evaluate(graph, list(ARGUMENTS.values()))
    np.testing.assert_allclose(found[0], expected, rtol=1e-13)
    np.testing.assert_allclose(found[1], expected + 7.0, rtol=1e-13)
    made = graph.results[0].definition.inputs[0].definition
    assert all(x.type.ndim == 2 for x in made.inputs)


def test_the_primal_keeps_its_order_of_summation():
    graph, _ = record(summed_first, ARGUMENTS, exact=True)
    assert graph.results[0].definition.inputs[0].type.ndim == 2
    assert (
        graph.results[0].definition.inputs[0].definition.primitive.name == "transpose"
    )
