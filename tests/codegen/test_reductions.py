"""Which loops may add in any order: those whose iterations share nothing but sums."""

import pytest

from codegen.c.printer import print_function
from codegen.c.reductions import any_order
from codegen.loop_ir import (
    Accumulate,
    Array,
    Assign,
    For,
    If,
    Kernel,
    Load,
    Op,
    Store,
    Var,
    dim,
    integer,
    number,
)

N = dim("n")
X = Array("x", "float64", (N,), role="input")
Y = Array("y", "float64", (N,), role="output")
K, S, P, T = (
    Var(name, "int64" if name == "i" else "float64") for name in ("i", "s", "p", "t")
)


def at(array, offset=0, **proofs):
    index = Op("add", (K, integer(offset)), "int64") if offset else K
    return Load(array, (index,), "float64", **proofs)


def twice(value):
    return Op("multiply", (number(2.0), value), "float64")


def put(array, value, offset=0, **options):
    return Store(array, at(array, offset).index, value, **options)


SUM = Accumulate(S, "add", at(X))
SMALLER = Op("less", (at(X), number(0.0)), "bool")


@pytest.mark.parametrize(
    ("body", "sums"),
    [
        ((SUM,), {"s": "+"}),
        ((SUM, Accumulate(P, "multiply", at(X))), {"s": "+", "p": "*"}),
        ((SUM, Accumulate(S, "subtract", at(X, 1))), {"s": "+"}),
        ((Assign(T, at(X)), Accumulate(S, "add", T)), {"s": "+"}),
        ((SUM, put(Y, at(X))), {"s": "+"}),
        ((SUM, put(Y, twice(at(Y)))), {"s": "+"}),
        ((If(SMALLER, (SUM,), (put(Y, at(X)),)),), {"s": "+"}),
    ],
)
def test_what_may(body, sums):
    assert any_order(For(K, integer(0), N, 1, body), {"t"}, set()) == sums


@pytest.mark.parametrize(
    "body",
    [
        (put(Y, at(X)),),  # no sum
        (Accumulate(S, "add", at(X), reassociate=False),),
        (Accumulate(S, "maximum", at(X)),),
        (SUM, Accumulate(S, "multiply", at(X))),
        (SUM, put(Y, S)),  # the sum so far
        (SUM, Assign(P, at(X)), Accumulate(S, "add", P)),  # it lives longer
        (SUM, put(Y, at(Y, -1))),  # a recurrence
        (SUM, put(Y, at(X)), put(Y, at(X), 1, combine="add")),
        (SUM, Store(Y, (integer(0),), at(X))),  # one cell
        (SUM, put(Y, at(X), -1, nonnegative=False)),  # it may wrap
        (SUM, put(Y, at(X), in_bounds=False)),  # it may return
        (Accumulate(S, "add", at(X, in_bounds=False)),),
        (SUM, For(Var("j", "int64"), integer(0), N, 1, ())),
    ],
)
def test_what_may_not(body):
    assert any_order(For(K, integer(0), N, 1, body), {"t"}, set()) == {}


def test_nothing_is_said_of_arrays_that_another_name_means():
    body = (SUM, put(Y, at(X)))
    assert any_order(For(K, integer(0), N, 1, body), set(), {"y"}) == {}


def test_it_is_printed_before_the_loop():
    loop = For(K, integer(0), N, 1, (SUM, put(Y, at(X))))
    kernel = Kernel("f", (X, Y), (Assign(S, number(0.0)), loop), (S,))
    text = print_function(kernel, "m_f", []).definition
    assert "    TG_ANY_ORDER(+:s)\n    for (int64_t i = 0; i < n; ++i) {" in text
    assert "double *restrict y)" in text
