"""The builder reuses, folds and hoists; the verifier refuses what is not valid."""

import re

import pytest

from tracegrad.ir.graph import Builder, Graph, Literal
from tracegrad.ir.printer import print_graph
from tracegrad.ir.shapes import Assumptions, Dim
from tracegrad.ir.types import ArrayType
from tracegrad.ir.verifier import GraphError, verify
from tracegrad.primitives import comparisons, reductions, structural
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.rearrange import simplify

N, M = Dim.symbol("x.shape[0]"), Dim.symbol("x.shape[1]")


def scalar_function(exact=True):
    builder = Builder(Graph("f"), Assumptions(), simplify, exact=exact)
    x = builder.graph.add_param(ArrayType("float64"), "x")
    return builder, x


def body(builder, *results):
    builder.graph.results = list(results)
    text = print_graph(verify(builder.graph))
    return re.sub(r" +", " ", text).splitlines()[1:-1]


def test_an_equal_equation_is_reused():
    builder, x = scalar_function()
    assert builder.emit1(ew.sin, [x]) is builder.emit1(ew.sin, [x])


def test_a_region_sees_equations_of_the_graph_around_it_but_not_the_reverse():
    builder, x = scalar_function()
    outside = builder.emit1(ew.sin, [x])
    with builder.region(Graph("body")):
        assert builder.emit1(ew.sin, [x]) is outside
        inside = builder.emit1(ew.cos, [x])
    assert builder.emit1(ew.cos, [x]) is not inside


def test_constants_fold_and_zero_keeps_its_nan():
    builder, x = scalar_function(exact=False)
    two = Literal(2.0, "float64")
    assert builder.emit1(ew.multiply, [two, two]) == Literal(4.0, "float64")
    zero = builder.emit1(ew.multiply, [Literal(0.0, "float64"), x])
    assert body(builder, zero) == [" t1 = multiply 0.0 x", " return t1"]


def test_literals_differ_by_dtype_and_sign_of_zero():
    assert Literal(0.0, "float64") != Literal(-0.0, "float64")
    assert Literal(1.0, "float64") != Literal(1.0, "float32")
    assert Literal(float("nan"), "float64") == Literal(float("nan"), "float64")
    assert Literal(True, "bool") != Literal(1, "int64")


def test_the_primal_keeps_every_bit():
    """x * (1 / y) is not x / y, and x + 0.0 is not x where x is -0.0."""
    builder, x = scalar_function(exact=True)
    one, zero = Literal(1.0, "float64"), Literal(0.0, "float64")
    reciprocal = builder.emit1(ew.divide, [one, x])
    assert builder.emit1(ew.multiply, [x, reciprocal]).definition.primitive is (
        ew.multiply
    )
    assert builder.emit1(ew.add, [x, zero]) is not x
    assert builder.emit1(ew.multiply, [x, one]) is x


def test_derivatives_are_rearranged():
    builder, x = scalar_function(exact=False)
    y = builder.graph.add_param(ArrayType("float64"), "y")
    one = Literal(1.0, "float64")
    reciprocal = builder.emit1(ew.divide, [one, y])
    negated = builder.emit1(ew.negative, [x])
    quotient = builder.emit1(ew.multiply, [negated, reciprocal])
    assert quotient.definition.primitive is ew.negative
    (inner,) = quotient.definition.inputs
    assert inner.definition.primitive is ew.divide
    assert inner.definition.inputs == (x, y)


def test_a_broadcast_sinks_below_an_elementwise_function():
    builder, x = scalar_function()
    row = builder.emit1(structural.expand, [x], {"shape": (N, M), "axes": ()})
    large = builder.emit1(ew.exp, [row])
    assert large.definition.primitive is structural.expand
    assert large.definition.inputs[0].definition.primitive is ew.exp


def test_the_sum_of_a_broadcast_is_a_product():
    builder, x = scalar_function(exact=False)
    row = builder.emit1(structural.expand, [x], {"shape": (N,), "axes": ()})
    total = builder.emit1(reductions.reduce_sum, [row], {"axes": (0,)})
    assert total.definition.primitive is ew.multiply


def test_sizes_are_integers_in_normal_form():
    builder = Builder(Graph("f"), Assumptions(), simplify)
    n = builder.emit1(comparisons.size, [], {"dim": N})
    less = builder.emit1(ew.subtract, [n, Literal(1, "int64")])
    assert less.definition.params["dim"] == N - 1
    assert builder.emit1(ew.subtract, [n, n]) == Literal(0, "int64")


def test_the_verifier_finds_a_value_used_outside_its_region():
    builder, x = scalar_function()
    with builder.region(Graph("body")):
        inside = builder.emit1(ew.cos, [x])
    builder.graph.results = [inside]
    with pytest.raises(GraphError, match="before it is defined"):
        verify(builder.graph)


def test_the_verifier_finds_a_wrong_type():
    builder, x = scalar_function()
    y = builder.emit1(ew.sin, [x])
    y.type = ArrayType("float32")
    builder.graph.results = [y]
    with pytest.raises(GraphError, match="sin gives float64"):
        verify(builder.graph)


def test_a_zero_factor_is_left_alone():
    """0 * (0 * x) once turned into itself without end."""
    builder, x = scalar_function(exact=False)
    zero = Literal(0.0, "float64")
    inner = builder.emit1(ew.multiply, [zero, x])
    outer = builder.emit1(ew.multiply, [zero, inner])
    assert outer.definition.inputs == (zero, inner)
