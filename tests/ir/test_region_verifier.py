"""The verifier refuses regions and effects that are not valid."""

import pytest

from tests.transforms.staging import branch, loop, trace, while_loop, zeros
from tracegrad.ir.graph import Literal
from tracegrad.ir.types import ArrayType
from tracegrad.ir.verifier import GraphError, verify
from tracegrad.primitives import refs
from tracegrad.primitives.control import cond, for_, while_


def program(x, n):
    def swap(t, u, v):
        u[t] = v[t] + branch(v[t] > 0.0, lambda: v[t], lambda: -v[t])
        return v, u

    u, v = loop(0, n, swap, x.copy(), zeros(x.shape[0]))
    s = while_loop(lambda s: s < 3.0, lambda s: s * 2.0 + 1.0, u[0])
    return s, v


@pytest.fixture
def graph():
    return verify(trace(program, ["f1", "i"]))


def first(graph, primitive):
    return next(e for e in graph.walk() if e.primitive is primitive)


def refuses(graph, message):
    with pytest.raises(GraphError, match=message):
        verify(graph)


def test_a_value_of_a_body_used_after_the_loop(graph):
    inside = first(graph, for_).regions[0].equations[0].outputs[0]
    graph.results[0] = inside
    refuses(graph, "before it is defined")


def test_a_ref_under_the_name_it_had_before_a_loop_carried_it(graph):
    graph.results[1] = first(graph, for_).inputs[2]
    refuses(graph, "before it is defined")


def test_refs_that_are_not_permuted(graph):
    body = first(graph, for_).regions[0]
    body.results[0] = body.results[1]
    refuses(graph, "permute")


def test_carried_values_of_another_type(graph):
    body = first(graph, while_).regions[1]
    body.results[0] = Literal(1, "int64")
    refuses(graph, "carries")


def test_a_condition_that_is_no_boolean(graph):
    first(graph, while_).regions[0].results[0] = Literal(1.0, "float64")
    refuses(graph, "one boolean")


def test_branches_of_different_types(graph):
    first(graph, cond).regions[0].results[0] = Literal(1, "int64")
    refuses(graph, "branches")


def test_a_step_of_zero(graph):
    loop_ = first(graph, for_)
    loop_.params = {**loop_.params, "step": 0}
    refuses(graph, "step")


def test_a_region_that_belongs_elsewhere(graph):
    first(graph, for_).regions[0].parent = None
    refuses(graph, "another parent")


def test_a_write_to_a_value(graph):
    store = first(graph, refs.store)
    store.inputs = (graph.params[0], *store.inputs[1:])
    refuses(graph, "needs a Ref first")


def test_a_stored_value_of_another_shape(graph):
    store = first(graph, refs.store)
    store.inputs = (store.inputs[0], Literal(1.0, "float32"), *store.inputs[2:])
    refuses(graph, "puts")


def test_an_index_too_few(graph):
    load = first(graph, refs.load)
    load.inputs = load.inputs[:1]
    refuses(graph, "an index for each axis")


def test_an_index_that_is_no_integer(graph):
    load = first(graph, refs.load)
    load.inputs = (load.inputs[0], Literal(0.0, "float64"))
    refuses(graph, "index of type")


def test_a_value_that_thinks_it_is_of_another_graph(graph):
    body = first(graph, for_).regions[0]
    body.equations[0].outputs[0].graph = graph
    refuses(graph, "definition")


def test_arithmetic_on_a_ref(graph):
    loop_ = first(graph, for_)
    ref = loop_.regions[0].params[1]
    ref.type = ArrayType("float64")
    refuses(graph, "carries|needs a Ref")
