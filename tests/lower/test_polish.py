"""Statements of loops as one would write them."""

from codegen.loop_ir import (
    Allocate,
    Array,
    Assign,
    Break,
    For,
    If,
    Load,
    Op,
    Store,
    Var,
    dim,
    integer,
    number,
)
from tracegrad.lower.polish import polish

AT = Var("i", "int64")
Y = Array("y", "float64", (dim("n"),), role="output")
ABOVE = Op("add", (AT, integer(1)), "int64")
BELOW = Op("subtract", (AT, integer(1)), "int64")
NEGATIVE = Op("less", (AT, integer(0)), "bool")


def store(index):
    return Store(Y, (index,), number(2.0), "add")


def test_a_loop_of_one_turn_is_no_loop():
    once = For(AT, integer(3), integer(4), 1, (store(ABOVE), store(AT)))
    assert polish([once]) == [store(integer(4)), store(integer(3))]
    back = For(AT, integer(3), integer(-1), -4, (store(AT),))
    assert polish([back]) == [store(integer(3))]


def test_arrays_made_in_a_loop_of_one_turn_have_the_sizes_of_that_turn():
    def made(size):
        scratch = Array("t", "float64", (size,), role="local")
        return Allocate(scratch), Store(scratch, (integer(0),), number(1.0))

    assert polish([For(AT, integer(3), integer(4), 1, made(ABOVE))]) == [
        *made(integer(4))
    ]


def test_a_loop_of_no_turn_is_nothing_even_where_only_one_turn_around_it_says_so():
    inner = Var("j", "int64")
    never = For(inner, integer(0), AT, 1, (store(BELOW), If(NEGATIVE, (Break(),))))
    assert polish([For(AT, integer(0), integer(1), 1, (store(AT), never))]) == [
        store(integer(0))
    ]


def test_a_loop_of_one_turn_stays_for_a_branch_that_this_turn_cannot_take():
    above = Op("greater", (AT, Var("m", "int64")), "bool")
    read = Load(Y, (BELOW,), "float64")
    for inside in (store(BELOW), Assign(Var("t", "float64"), read)):
        loop = For(AT, integer(0), integer(1), 1, (If(above, (inside,)),))
        assert polish([loop]) == [loop]


def test_other_loops_stay():
    inner = For(Var("j", "int64"), integer(0), dim("n"), 1, (Break(),))
    for loop in (
        For(AT, integer(3), integer(5), 1, (store(AT),)),
        For(AT, integer(3), dim("n"), 1, (store(AT),)),
        For(AT, integer(3), integer(4), 1, (If(NEGATIVE, (Break(),)), store(AT))),
    ):
        assert polish([loop]) == [loop]
    assert polish([For(AT, integer(0), integer(1), 1, (inner,))]) == [inner]
