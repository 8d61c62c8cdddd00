"""Jammed loops compute what plain ones do, and are left alone where they could not."""

import numpy as np
import pytest

from codegen.loop_ir import (
    Accumulate,
    Array,
    Assign,
    For,
    Kernel,
    Op,
    Reshape,
    Store,
    Var,
    dim,
    integer,
    load,
    number,
    walk,
)
from codegen.plain import plain_function
from codegen.printer import print_python
from codegen.verifier import verify
from tests.lower.harness import call, compiled, gradient, in_python, record
from tracegrad.lower.jam import best_factor, jam
from tracegrad.lower.lower import lower
from tracegrad.lower.names import Names, finish
from tracegrad.traces.evaluate import evaluate

RNG = np.random.default_rng(0)
D, LONG = dim("d"), dim("n")
A = Array("a", "float64", (D,), "input")
X = Array("x", "float64", (D, LONG), "input")
Y = Array("y", "float64", (LONG,), "output")
Z = Array("z", "float64", (D,), "output")
J, K = Var("j%1", "int64"), Var("k%2", "int64")
A_J, S, T = (Var(name, "float64") for name in ("a_j%3", "total%4", "t%5"))
BIND = Assign(A_J, load(A, J))
RESET = Assign(S, number(0.0))


def times(left, right):
    return Op("multiply", (left, right), "float64")


def nest(before, inner, after=(), hi=D):
    """``for j: before; for k: inner; after``."""
    body = (*before, For(K, integer(0), LONG, 1, tuple(inner)), *after)
    return For(J, integer(0), hi, 1, body)


ADD_ROW = Store(Y, (K,), times(A_J, load(X, J, K)), "add")
PRODUCT = Accumulate(S, "add", times(load(Y, K), load(X, J, K)))
WRITE = Store(Z, (J,), S, "add")
NESTS = {
    "cells": nest([BIND], [ADD_ROW]),
    "scalars": nest([RESET], [PRODUCT], [WRITE]),
    "both": nest(
        [BIND, RESET],
        [
            Assign(T, times(load(X, J, K), A_J)),
            Accumulate(S, "maximum", T),
            Store(Y, (K,), times(T, T), "add"),
        ],
        [Store(Z, (J,), S)],
    ),
}
CARRIES = nest([], [PRODUCT], [WRITE])
LEFT_ALONE = {
    "an accumulator that goes on": CARRIES,
    "a cell that is overwritten": nest([BIND], [Store(Y, (K,), A_J)]),
    "a cell that is read": nest(
        [RESET], [Accumulate(S, "add", load(Z, J))], [Store(Z, (J,), S)]
    ),
    "a cell of each iteration": nest([], [Store(Z, (J,), load(X, J, K), "add")]),
    "dear terms": nest(
        [RESET],
        [Accumulate(S, "add", Op("exp", (load(X, J, K),), "float64"))],
        [WRITE],
    ),
}


def jammed(loop, trips):
    names = Names()
    for _ in range(9):
        names.unique("")
    names.lanes.add(K.name)
    names.trips[J.name] = trips
    return jam([loop], names)


def results(body, d, n):
    """Both outputs of a kernel with this body."""
    final, _ = finish([RESET, *body], [], ["a", "x", "y", "z", "d", "n"])
    kernel = Kernel("f", (A, X, Y, Z), final, ())
    verify(kernel)
    rng = np.random.default_rng(d)
    y, z = np.ones(n), np.ones(d)
    function = plain_function(print_python(kernel))
    function(rng.normal(size=d), rng.normal(size=(d, n)), y, z)
    return y, z


@pytest.mark.parametrize("name", NESTS)
@pytest.mark.parametrize("trips", [2, 3, 4, 5])
@pytest.mark.parametrize("d", [0, 1, 2, 3, 4, 5, 7, 10, 13])
def test_a_jammed_loop_computes_the_same(name, trips, d):
    body = jammed(NESTS[name], trips)
    assert [stmt.step for stmt in body] == [trips, 1]
    for found, expected in zip(
        results(body, d, 3), results([NESTS[name]], d, 3), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_left_alone(name):
    assert jammed(LEFT_ALONE[name], 4) == [LEFT_ALONE[name]]


def test_a_view_of_what_is_written_is_read():
    view = Array("v", "float64", (D,), "view")
    loop = nest([RESET], [Accumulate(S, "add", load(view, J))], [WRITE])
    body = [Reshape(view, Z), loop]
    names = Names()
    names.lanes.add(K.name)
    assert jam(body, names) == body


@pytest.mark.parametrize(("d", "steps"), [(1, [1]), (3, [3]), (10, [5]), (7, [5, 1])])
def test_literal_counts_need_no_rest_that_is_empty(d, steps):
    loop = nest([BIND], [ADD_ROW], hi=integer(d))
    assert [stmt.step for stmt in jammed(loop, 4)] == steps


@pytest.mark.parametrize(
    ("trips", "factor"), [(2, 2), (3, 3), (4, 4), (6, 5), (10, 5), (32, 4), (100, 5)]
)
def test_the_fewest_passes(trips, factor):
    assert best_factor(trips) == factor


def quadratics(L, x, b):
    y = np.einsum("kij,nkj->nki", L, x[:, None, :] - b)
    return np.sum(np.log(1.0 + np.sum(y**2, axis=2)))


@pytest.mark.parametrize("on", [in_python, compiled])
def test_a_blocked_gradient_is_jammed(on):
    arguments = {
        "L": RNG.normal(size=(2, 5, 5)),
        "x": RNG.normal(size=(300, 5)),
        "b": RNG.normal(size=(2, 5)),
    }
    graph, assumptions = record(quadratics, arguments)
    graph = gradient(graph, assumptions, (0, 1, 2))
    lowered = lower(graph, assumptions, "f")
    steps = [s.step for s in walk(lowered.kernel.body) if isinstance(s, For)]
    assert 5 in steps
    function = on(lowered.kernel)
    for d in (5, 7):
        arguments = {
            "L": RNG.normal(size=(2, d, d)),
            "x": RNG.normal(size=(131, d)),
            "b": RNG.normal(size=(2, d)),
        }
        expected = evaluate(graph, list(arguments.values()))
        for found, right in zip(
            call(lowered, graph, arguments, function), expected, strict=True
        ):
            np.testing.assert_allclose(found, right, rtol=1e-11, atol=1e-11)
