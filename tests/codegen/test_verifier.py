"""Malformed kernels are refused, with the statement at fault."""

import pytest

from codegen.errors import IRError
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    Break,
    Check,
    Const,
    Continue,
    Convert,
    Fill,
    For,
    If,
    Kernel,
    Library,
    Load,
    Op,
    Operand,
    Reshape,
    Select,
    Size,
    Store,
    Var,
    View,
    While,
    dim,
    integer,
    load,
    number,
)
from codegen.verifier import verify
from tests.codegen.building import AT as I
from tests.codegen.building import array, at, op, up_to
from tests.codegen.kernels import corpus

CORPUS = corpus()
N = dim("n")
X, Y = array("x", N), array("y", N, role="output")
C = Var("c", "bool")
S, Q = Var("s", "float64"), Var("q", "int64")
ONE, TWO = number(1.0), integer(2)
LOCAL = Array("local", "float64", (N,), "local")
VIEW = Array("view", "float64", (N,), "view")
TABLE = Array("table", "float64", (N, N), "local")


def kernel(*body, results=(), parameters=(X, Q, C, Y)):
    return Kernel("f", parameters, body, results)


@pytest.mark.parametrize("name", CORPUS)
def test_good_kernels_pass(name):
    verify(CORPUS[name].kernel)


BAD_TYPES = {
    "mixed operands": (Op("add", (ONE, TWO), "float64"), "add of float64 and int64"),
    "wrong result": (Op("less", (ONE, ONE), "float64"), "less gives bool, not float64"),
    "arity": (Op("add", (ONE,), "float64"), "add of 1"),
    "no such operation": (Op("frob", (ONE,), "float64"), "no operation frob"),
    "not for ints": (Op("sqrt", (TWO,), "int64"), "sqrt of int64"),
    "float index": (Load(X, (ONE,), "float64"), "an index of x is float64"),
    "negative": (load(X, integer(-1)), "said not to be negative"),
    "rank": (Load(X, (TWO, TWO), "float64"), "x has rank 1, not 2"),
    "load dtype": (Load(X, (TWO,), "int64"), "x is float64"),
    "no axis": (Size(X, 1), "x has no axis 1"),
    "constant": (Const(1.5, "int64"), "1.5 is no int64 constant"),
    "bool constant": (Const(True, "float64"), "True is no float64 constant"),
    "int32 range": (Const(2**31, "int32"), "2147483648 is no int32 constant"),
    "condition": (Select(TWO, ONE, ONE, "float64"), "a condition is int64"),
    "arms": (Select(C, ONE, TWO, "float64"), "the arms of a select disagree"),
    "other dtype": (Var("q", "float64"), "q is int64, not float64"),
    "undefined": (Var("z", "float64"), "z is not defined"),
    "undeclared": (load(LOCAL, TWO), "array local is not defined"),
    "other array": (load(array("x", N, N), TWO, TWO), "x is declared differently"),
    "dtype": (Convert(ONE, "complex"), "no dtype complex"),
}


@pytest.mark.parametrize("case", BAD_TYPES)
def test_expressions(case):
    expr, message = BAD_TYPES[case]
    with pytest.raises(IRError, match=message):
        verify(kernel(results=(expr,)))


OUT = Store(Y, (TWO,), ONE)
BAD_STATEMENTS = {
    "input": ((Store(X, (TWO,), ONE),), "x is an input and is never written"),
    "view of input": (
        (View(VIEW, X, (integer(0),)), Fill(VIEW, ONE)),
        "view is an input and is never written",
    ),
    "assign dtype": ((Assign(S, TWO),), "int64 where float64 is needed"),
    "rebound": ((Assign(S, ONE), Assign(Var("s", "int64"), TWO)), "s is float64"),
    "parameter": ((Assign(Q, TWO),), "q is a parameter"),
    "size": ((Assign(N, TWO),), "n is a parameter, a size"),
    "loop variable": ((up_to(N, Assign(I, TWO)),), "i is a parameter"),
    "store dtype": ((Store(Y, (TWO,), TWO),), "int64 where float64"),
    "negative": ((Store(Y, (integer(-1),), ONE),), "said not to be negative"),
    "store rank": ((Store(Y, (TWO, TWO), ONE),), "y has rank 1"),
    "fill rank": ((Fill(Y, ONE, (TWO, TWO)),), "y has rank 1"),
    "or": ((Store(Y, (TWO,), ONE, "or"),), "no accumulation or"),
    "accumulate first": ((Accumulate(S, "add", ONE),), "s is not defined"),
    "condition": ((If(TWO, (OUT,)),), "int64 where bool"),
    "one branch": (
        (If(C, (Assign(S, ONE),)), Store(Y, (TWO,), S)),
        "s is not defined on every path",
    ),
    "after a loop": (
        (up_to(N, Assign(S, ONE)), Store(Y, (TWO,), S)),
        "s is not defined on every path",
    ),
    "after a while": (
        (While(C, (Assign(S, ONE),)), Store(Y, (TWO,), S)),
        "s is not defined on every path",
    ),
    "last round": (
        (
            up_to(
                N, If(op("less", integer(0), I), (Store(Y, (I,), S),)), Assign(S, ONE)
            ),
        ),
        "s is not defined on every path",
    ),
    "stale index": ((up_to(N, OUT), Store(Y, (I,), ONE)), "i is not defined"),
    "before break": (
        (
            While(Const(True, "bool"), (If(C, (Break(),)), Assign(S, ONE), Break())),
            Store(Y, (TWO,), S),
        ),
        "s is not defined on every path",
    ),
    "array in branch": (
        (If(C, (Allocate(LOCAL),)), Fill(LOCAL, ONE)),
        "local is not defined on every path",
    ),
    "nested loop": ((up_to(N, up_to(N, OUT)),), "i has a value"),
    "step": ((For(I, integer(0), N, 0, (OUT,)),), "step is not zero"),
    "break": ((Break(),), "outside any loop"),
    "continue": ((If(C, (Continue(),)),), "outside any loop"),
    "unreached": ((up_to(N, Continue(), OUT),), "never reached"),
    "exception": ((Check(C, "print", ""),), "print is no exception"),
    "check": ((Check(TWO, "guard", ""),), "int64 where bool"),
    "scalar array": ((Assign(Var("x", "float64"), ONE),), "x is an array already"),
    "array scalar": ((Allocate(Array("q", "float64", (N,))),), "q is a scalar already"),
    "keyword": ((Assign(Var("lambda", "float64"), ONE),), "'lambda' is not a name"),
    "injected": ((Assign(Var("a;b", "float64"), ONE),), "'a;b' is not a name"),
    "another name": (
        (Assign(Var("\N{LATIN SMALL LIGATURE FI}", "float64"), ONE),),
        "another",
    ),
    "reserved": ((Assign(Var("exp", "float64"), ONE),), "exp is reserved"),
    "role": ((Allocate(VIEW),), "role local or workspace"),
    "workspace size": (
        (
            Assign(Var("k", "int64"), TWO),
            Allocate(Array("w", "float64", (dim("k"),), "workspace")),
        ),
        "not known at entry",
    ),
    "workspace twice": (
        (
            up_to(N, Allocate(Array("w", "float64", (N,), "workspace"))),
            Allocate(Array("w", "float64", (N,), "workspace")),
        ),
        "allocated twice",
    ),
    "layout": (
        (
            Allocate(TABLE),
            View(
                Array("view", "float64", (N, TWO), "view"),
                TABLE,
                (integer(0), integer(0)),
            ),
        ),
        "view is not contiguous",
    ),
    "view rank": ((View(VIEW, X, (integer(0),), (TWO,)),), "x has rank 1"),
    "view dtype": (
        (View(Array("view", "int64", (N,), "view"), X, (integer(0),)),),
        "a view of float64 is no int64",
    ),
    "reshape": (
        (Reshape(Array("view", "float64", (N,), "view", contiguous=False), X),),
        "only C-contiguous",
    ),
    "routine": ((Library("schur", (Y,), (Operand(X),)),), "no routine schur"),
    "operands": ((Library("dot", (Y,), (Operand(X),)),), "dot takes"),
    "ranks": ((Library("dot", (Y,), (Operand(X), Operand(X))),), "no ranks"),
    "aliased": (
        (Allocate(TABLE), Library("dot", (Y,), (Operand(TABLE), Operand(Y)))),
        "y is read and written",
    ),
    "library input": (
        (Allocate(TABLE), Library("dot", (X,), (Operand(TABLE), Operand(Y)))),
        "x is an input",
    ),
}


@pytest.mark.parametrize("case", BAD_STATEMENTS)
def test_statements(case):
    body, message = BAD_STATEMENTS[case]
    with pytest.raises(IRError, match=message):
        verify(kernel(*body))


def test_a_deep_expression_is_refused():
    expr = S
    for _ in range(5000):
        expr = Op("add", (expr, ONE), "float64")
    with pytest.raises(IRError, match="nested deeper"):
        verify(kernel(Assign(S, ONE), Assign(S, expr)))


def test_parameters():
    with pytest.raises(IRError, match="x is declared twice"):
        verify(kernel(parameters=(X, X)))
    with pytest.raises(IRError, match="x comes after an output"):
        verify(kernel(parameters=(Y, X)))
    with pytest.raises(IRError, match="local has role local"):
        verify(kernel(parameters=(LOCAL,)))


def test_names_of_all_branches_and_of_endless_loops_are_defined():
    both = If(C, (Assign(S, ONE),), (Assign(S, ONE),))
    leaves = up_to(N, If(C, (Assign(S, ONE),), (Continue(),)), Store(Y, (I,), S))
    endless = While(Const(True, "bool"), (Assign(Var("t", "float64"), ONE), Break()))
    verify(kernel(both, leaves, endless, results=(S, Var("t", "float64"))))


def test_the_message_names_the_statement_and_the_line():
    bad = Assign(S, TWO, at(12, "s = 2"))
    with pytest.raises(IRError) as caught:
        verify(kernel(up_to(N, bad)))
    expected = (
        "int64 where float64 is needed\n  in kernel f, for line 12 in energy: s = 2"
    )
    assert str(caught.value) == expected
