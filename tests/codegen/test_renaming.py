"""Statements that give an array's name to another: exchanged and larger arrays."""

import numpy as np
import pytest
from numba import njit

from codegen.errors import IRError
from codegen.jit import Options, build
from codegen.loop_ir import (
    Allocate,
    Assign,
    Const,
    Grow,
    If,
    Kernel,
    Size,
    Store,
    Swap,
    Var,
    integer,
    load,
    number,
)
from codegen.plain import plain_function
from codegen.printer import print_python
from codegen.support import grown
from codegen.verifier import verify
from tests.codegen.building import AT, N, add, array, op, up_to

X = array("x", N)
A, B, C = (array(name, N, role="local") for name in "abc")
Y = array("y", N, role="output")
LONG = array("long", integer(1), role="local")


def rotation():
    fill = up_to(
        N,
        Store(A, (AT,), load(X, AT)),
        Store(B, (AT,), number(2.0)),
        Store(C, (AT,), number(3.0)),
    )
    turn = up_to(integer(4), Swap((A, B, C), (C, A, B)), var=Var("k", "int64"))
    copy = up_to(
        N,
        Store(
            Y, (AT,), add(load(A, AT), add(load(B, AT), op("negative", load(C, AT))))
        ),
    )
    made = (Allocate(A), Allocate(B), Allocate(C))
    return Kernel("rotation", (X, Y), (*made, fill, turn, copy), ())


def growth():
    full = op("greater_equal", AT, Size(LONG, 0))
    body = (
        Allocate(LONG),
        up_to(
            N,
            If(full, (Grow(LONG, add(AT, integer(1))),)),
            Store(LONG, (AT,), load(X, AT)),
        ),
        up_to(N, Store(Y, (AT,), load(LONG, AT))),
    )
    return Kernel("growth", (X, Y), body, ())


@pytest.mark.parametrize("on", ["plain", "compiled"])
def test_renaming(on):
    for made, expected in ((rotation(), lambda x: 3.0 + x - 2.0), (growth(), np.copy)):
        verify(made)
        if on == "plain":
            function = plain_function(print_python(made))
        else:
            function = build(made, options=Options(keep=False)).entry
        x = np.linspace(0.0, 1.0, 9)
        y = np.empty(9)
        function(x, y)
        np.testing.assert_array_equal(y, expected(x))


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (0, 2)])
def test_growth_keeps_rows_and_adds_zeros(shape, dtype):
    array = np.ones(shape, dtype)
    larger = grown_twice(array, 5)
    assert larger.shape == (20, *shape[1:])
    np.testing.assert_array_equal(larger[: shape[0]], array)
    assert not larger[shape[0] :].any()


@njit
def grown_twice(array, size):
    return grown(grown(array, size), 2 * size)


def test_text():
    assert "        a, b, c = c, a, b\n" in print_python(rotation()).text
    text = print_python(growth()).text
    assert "            long = grown(long, i + 1)\n" in text


SHORT = array("short", integer(3), dtype="int64", role="local")
BAD = {
    "other arrays": (Swap((A, B), (B, C)), "gives the same arrays other names"),
    "twice": (Swap((A, A), (A, A)), "gives the same arrays other names"),
    "parameter": (Swap((A, Y), (Y, A)), "y is a parameter and keeps its name"),
    "layout": (Swap((A, SHORT), (SHORT, A)), "another dtype, rank or layout"),
    "output": (Grow(Y, integer(5)), "only a local array grows"),
    "size": (Grow(LONG, Const(1.0, "float64")), "float64 where int64"),
    "input": (Grow(X, integer(5)), "x is an input"),
}


@pytest.mark.parametrize("case", BAD)
def test_rules(case):
    stmt, message = BAD[case]
    made = tuple(Allocate(item) for item in (A, B, C, SHORT, LONG))
    with pytest.raises(IRError, match=message):
        verify(Kernel("bad", (X, Y), (*made, stmt), ()))


def test_undefined():
    with pytest.raises(IRError, match="not defined"):
        verify(Kernel("bad", (X, Y), (Allocate(A), Swap((A, B), (B, A))), ()))
    more = Assign(Var("s", "float64"), number(1.0))
    with pytest.raises(IRError, match="not defined"):
        verify(Kernel("bad", (X, Y), (more, Grow(LONG, integer(2))), ()))
