"""Two names for one thing: where one will do, and where both are needed."""

import pytest

from codegen.loop_ir import (
    Allocate,
    Array,
    Assign,
    Break,
    For,
    If,
    Kernel,
    Op,
    Store,
    Var,
    integer,
    number,
)
from codegen.printer import print_python
from tracegrad.lower.coalesce import coalesce
from tracegrad.lower.names import finish
from tracegrad.lower.polish import polish

S, S2, T, NEW = (Var(name, "float64") for name in ("s%1", "s%2", "t%3", "new%4"))
INDEX = Var("i%5", "int64")
N = Var("n", "int64")
SIZE, SIZE2 = Var("m%7", "int64"), Var("m%8", "int64")
OUT = Array("out", "float64", (N,), "output")


def plus(left, right):
    return Op("add", (left, right), "float64")


def less(left, right):
    return Op("less", (left, right), "bool")


def printed(*body):
    """A loop of these statements around ``s``, as source without its first lines."""
    stmts = coalesce([Assign(S, number(0.0)), For(INDEX, integer(0), N, 1, body)], [S])
    final, results = finish(polish(stmts), [S], ["n", "out"])
    text = print_python(Kernel("f", (N, OUT), final, results)).text
    return [line.strip() for line in text.splitlines()[3:-1]]


@pytest.mark.parametrize("source", [S2, T])
def test_a_copy_at_the_end_goes(source):
    found = printed(
        Assign(source, plus(S, number(1.0))),
        Store(OUT, (INDEX,), source),
        Assign(S, source),
    )
    assert found == ["s += 1.0", "out[i] = s"]


def test_a_change_of_a_value_that_is_not_used_again_is_made_in_place():
    found = printed(Assign(S2, plus(S, number(1.0))), Assign(S, plus(S2, plus(S2, S2))))
    assert found == ["s += 1.0", "s = s + (s + s)"]


def test_both_arms_of_a_branch_may_make_it():
    found = printed(
        If(
            less(S, number(0.5)),
            (Assign(T, plus(S, number(1.0))),),
            (Assign(T, S),),
        ),
        Assign(S, T),
    )
    assert found == ["if s < 0.5:", "s += 1.0"]


NEEDED = {
    "the old value is read": (
        Assign(S2, plus(S, number(1.0))),
        Store(OUT, (INDEX,), S),
        Assign(S, S2),
    ),
    "the loop is left with the old value": (
        Assign(S2, plus(S, number(1.0))),
        If(less(S2, number(0.0)), (Break(),)),
        Assign(S, S2),
    ),
    "the copy is changed, and the source read": (
        Assign(S2, plus(number(1.0), number(2.0))),
        Assign(S, S2),
        Assign(S, plus(S, number(1.0))),
        Store(OUT, (INDEX,), S2),
    ),
    "the user has a name for it": (
        Assign(NEW, plus(S, number(1.0))),
        Store(OUT, (INDEX,), NEW),
        Assign(S, NEW),
    ),
    "an array has it as its length": (
        Assign(SIZE2, Op("add", (SIZE, integer(1)), "int64")),
        Allocate(Array("t%6", "float64", (SIZE2,), "local")),
        Assign(SIZE, SIZE2),
    ),
    "the source is changed and used again": (
        Assign(S2, plus(S, number(1.0))),
        Assign(S, plus(S2, number(1.0))),
        Store(OUT, (INDEX,), S2),
    ),
}


@pytest.mark.parametrize("body", NEEDED.values(), ids=NEEDED)
def test_both_names_stay_where_both_are_needed(body):
    assert coalesce(body, [S]) == list(body)
