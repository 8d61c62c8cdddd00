"""Kernels as C: compiled once for all tests, against Python and against Numba."""

import ctypes
import os
import platform
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codegen.c import (
    CompilerError,
    NotExpressible,
    compile_library,
    library_suffix,
    print_unit,
)
from codegen.c.compiler import find_compiler
from codegen.c.vector_math import definitions
from codegen.jit import build
from codegen.loop_ir import (
    Allocate,
    Array,
    Assign,
    Check,
    Const,
    Grow,
    If,
    Kernel,
    Library,
    Load,
    Operand,
    Select,
    Size,
    Store,
    Swap,
    Var,
    While,
    integer,
    load,
    number,
)
from codegen.plain import plain_function
from codegen.printer import print_python
from codegen.reference_math import reference
from tests.codegen import kernels
from tests.codegen.building import AT, K, M, N, S, add, array, at, mul, op, sub, up_to
from tests.codegen.test_jit import bits, copies
from tracegrad.native import Library as Loaded

HERE = Path(__file__).parent / "golden"
# A strided parameter needs a copy, which C has no room for.
CORPUS = {
    name: example
    for name, example in kernels.corpus().items()
    if not name.startswith("products")
}


def stack():
    """A stack that grows while a loop runs, and is read backwards."""
    x, limit = Var("x", "float64"), Var("limit", "float64")
    top = Var("top", "int64")
    kept = array("kept", integer(2), integer(2), role="local")
    body = (
        Allocate(kept),
        Assign(top, integer(0)),
        Assign(x, number(1.0)),
        While(
            op("less", x, limit),
            (
                If(
                    op("equal", top, Size(kept, 0)), (Grow(kept, add(top, integer(1))),)
                ),
                Store(kept, (top, integer(0)), x),
                Store(kept, (top, integer(1)), number(0.5)),
                Assign(x, mul(x, number(1.5))),
                Assign(top, add(top, integer(1))),
            ),
        ),
        Assign(S, number(0.0)),
        up_to(
            top,
            Assign(
                S,
                add(
                    mul(S, load(kept, AT, integer(1))),
                    load(kept, sub(sub(top, integer(1)), AT), integer(0)),
                ),
            ),
        ),
    )
    return Kernel("stack", (limit,), body, (S, top, Size(kept, 0)))


def buffers():
    """Two arrays that change places; a test before each unproven read."""
    x, last = array("x", N), Var("last", "int64")
    u, v = array("u", N, role="local"), array("v", N, role="workspace")
    read = Load(u, (last,), "float64", False, False)
    known = op("less", number(0.0), load(x, integer(0)))
    body = (
        Allocate(u),
        Allocate(v, zero=True),
        up_to(N, Store(u, (AT,), load(x, AT))),
        up_to(
            integer(3),
            up_to(
                N,
                Store(v, (Var("j", "int64"),), add(load(u, Var("j", "int64")), S)),
                var=Var("j", "int64"),
            ),
            Swap((u, v), (v, u), at(4, "u, v = v, u")),
        ),
        Assign(S, Select(known, read, number(-1.0), "float64"), at(5, "u[last]")),
        While(
            op("and", known, op("less", read, number(10.0))),
            (Store(u, (last,), number(1.0), "add", False), Assign(S, read)),
        ),
    )
    body = (Assign(S, number(0.5)), *body)
    return Kernel("buffers", (x, last), body, (S,))


def search():
    """Where values belong in a sorted array."""
    x, v = array("x", N), array("v", M)
    left, right = (
        array(name, M, dtype="int64", role="output") for name in ("left", "right")
    )
    operands = (Operand(x), Operand(v))
    body = (
        Library("searchsorted", (left,), operands),
        Library("searchsorted_right", (right,), operands),
    )
    return Kernel("search", (x, v, left, right), body, ())


def products(dtype="float64"):
    """Every form of dot; no strided operand."""
    strided = kernels.products(dtype)
    plain = replace(strided.kernel.parameters[1], contiguous=True)

    def swapped(operand):
        return replace(operand, array=plain) if operand.array.name == "b" else operand

    body = tuple(
        replace(stmt, operands=tuple(map(swapped, stmt.operands)))
        for stmt in strided.kernel.body
    )
    parameters = [plain if p.name == "b" else p for p in strided.kernel.parameters]
    return replace(strided.kernel, parameters=tuple(parameters), body=body)


def again():
    """A name for two arrays, one after the other, and for one in each iteration."""
    x = array("x", N)
    u, v = array("u", N, role="local"), array("v", N, role="local")
    body = (
        Assign(S, number(0.0)),
        Allocate(v),
        up_to(N, Store(v, (AT,), load(x, AT))),
        up_to(N, Assign(S, add(S, load(v, AT)))),
        Allocate(v, zero=True),
        up_to(
            N,
            Allocate(u, zero=True),
            Store(u, (AT,), load(x, AT), "add"),
            Store(v, (AT,), load(u, AT), "add"),
        ),
        up_to(N, Assign(S, add(S, load(v, AT)))),
    )
    return Kernel("again", (x,), body, (S,))


FURTHER = {
    kernel.name: kernel
    for kernel in (
        *(stack(), buffers(), again(), search()),
        *(products(), products("float32")),
    )
}


@pytest.fixture(scope="module")
def compiler():
    try:
        return find_compiler()
    except CompilerError:
        pytest.skip("there is no C compiler")


@pytest.fixture(scope="module")
def loaded(compiler, tmp_path_factory):
    """All kernels in one library, which stops on undefined behaviour."""
    directory = tmp_path_factory.mktemp("c")
    every = {name: example.kernel for name, example in CORPUS.items()} | FURTHER
    unit = print_unit("corpus", every)
    (directory / "corpus.h").write_text(unit.header)
    source = directory / "corpus.c"
    source.write_text(unit.source)
    library = compile_library(
        source,
        directory / f"libcorpus{library_suffix()}",
        march=native(),
        flags=["-Werror", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover"],
    )
    return Loaded(str(library), unit.description, ctypes.CDLL(str(library)))


def native():
    """Numba compiles for this processor; so must C, to round alike."""
    return "native" if platform.machine() in ("x86_64", "aarch64") else None


def count_inputs(kernel):
    return sum(
        not (isinstance(p, Array) and p.role == "output") for p in kernel.parameters
    )


@pytest.mark.parametrize("name", CORPUS)
def test_c_agrees_with_plain_python(loaded, name):
    example = CORPUS[name]
    arguments = example.arguments(np.random.default_rng(3))
    inputs = count_inputs(example.kernel)
    got = getattr(loaded, name)(*arguments[:inputs])
    plain = copies(arguments)
    returned = build_free(example.kernel)(*plain)
    returned = () if returned is None else returned
    returned = returned if isinstance(returned, tuple) else (returned,)
    for value, expected in zip(got, (*returned, *plain[inputs:]), strict=True):
        wanted = np.asarray(expected).astype(np.asarray(value).dtype)
        if example.tolerance:
            scale = example.tolerance
            np.testing.assert_allclose(value, wanted, rtol=scale, atol=scale)
        else:
            assert bits(value) == bits(wanted)


def build_free(kernel):
    """A kernel in plain Python, its workspace poisoned."""
    function = plain_function(print_python(kernel))
    if not any(
        isinstance(s, Allocate) and s.array.role == "workspace" for s in kernel.body
    ):
        return function
    return lambda *args: function(*args, np.full(4096, np.nan))


@pytest.mark.parametrize("name", ["functions_float64", "functions_float32"])
def test_the_vector_maths_has_the_same_bits_as_numbas(loaded, name):
    example = CORPUS[name]
    arguments = copies(example.arguments(np.random.default_rng(5)))
    build(example.kernel).entry(*arguments)
    got = getattr(loaded, name)(*arguments[:2])
    for value, expected in zip(got, arguments[2:], strict=True):
        assert bits(value) == bits(expected)


def test_every_function_of_the_vector_maths_can_be_translated():
    chosen = reference.keys() - {"radd", "rmul", "copysign", "floor", "sqrt"}
    chosen -= {"maximum", "minimum"}
    text = "\n".join(definitions(chosen))
    for name in chosen:
        assert f"tg_{name}(" in text


def test_an_array_that_grows_gets_more_room(loaded):
    loaded.stack.capacity = 1
    for limit in (1.0, 5.0, 1e9):
        expected = plain_function(print_python(FURTHER["stack"]))(limit)
        assert loaded.stack(limit)[:2] == expected[:2]


def test_arrays_change_places_and_indices_are_tested(loaded):
    x = np.array([1.0, -2.0, 3.0])
    for last in (0, 2, -1):
        expected = build_free(FURTHER["buffers"])(x.copy(), last)
        assert loaded.buffers(x, last) == (expected,)
    with pytest.raises(IndexError, match=r"model\.py:5: u\[last\]"):
        loaded.buffers(x, 3)
    assert loaded.buffers(-x, 3) == (-1.0,)


@pytest.mark.parametrize(
    "shape", [(4, 3, 2), (0, 2, 3), (2, 0, 3), (2, 3, 0), (1, 1, 1)]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_products_agree_with_numpy(loaded, shape, dtype):
    m, k, n = shape
    r = np.random.default_rng(0)
    a, b, v = (r.normal(size=s).astype(dtype) for s in ((m, k), (m, n), m))
    got = getattr(loaded, f"products_{dtype}")(a, b, v)
    expected = (v @ v, a.T @ b, a.T @ v, v @ b, a @ a.T)
    for value, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)


def test_values_are_found_in_sorted_arrays(loaded):
    x = np.array([-np.inf, 0.0, 1.0, 1.0, 2.5, np.nan])
    v = np.array([1.0, -3.0, 9.0, np.nan, -np.inf, 0.5])
    left, right = loaded.search(x, v)
    np.testing.assert_array_equal(left, np.searchsorted(x, v))
    np.testing.assert_array_equal(right, np.searchsorted(x, v, "right"))


def test_what_would_raise_is_a_status(loaded):
    x = np.ones(3)
    assert loaded.checks(x, x, 1, 2.0) == (1.0,)
    with pytest.raises(IndexError, match="row 'rows' is out of range"):
        loaded.checks(x, x, 3, 2.0)
    with pytest.raises(ValueError, match=r"the sizes don't fit"):
        loaded.checks(x, x, 1, -2.0)
    with pytest.raises(IndexError, match="out of bounds"):
        loaded.gather(x, np.array([3]))
    singular = np.zeros((1, 2, 2))
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        loaded.factorisations(singular, np.ones((1, 2)))


def test_lapacks_pivots(loaded):
    r = np.random.default_rng(4)
    a = r.normal(size=(1, 5, 5))
    a[0] = a[0] @ a[0].T
    y = r.normal(size=(1, 5))
    total, x, inverse, factor = loaded.factorisations(a, y)
    np.testing.assert_allclose(x[0], np.linalg.solve(a[0].T, y[0]), rtol=1e-9)
    np.testing.assert_allclose(inverse, np.linalg.inv(a[0]), rtol=1e-9)
    np.testing.assert_allclose(factor, np.linalg.cholesky(a[0]), rtol=1e-9)
    sign, size = np.linalg.slogdet(a[0])
    np.testing.assert_allclose(total, sign * size + np.linalg.det(a[0]), rtol=1e-9)


# --- what it looks like -------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["energy_grad", "gather", "newton", "scratch", "stack"]
)
def test_golden(name):
    kernel = FURTHER.get(name) or CORPUS[name].kernel
    unit = print_unit("m", {name: kernel})
    start = re.search(r"^(size_t|int) m_", unit.source, re.MULTILINE).start()
    text = unit.source[start:].partition("\nconst char *")[0]
    path = HERE / f"{name}.c.txt"
    if os.environ.get("TRACEGRAD_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_the_header_says_what_a_caller_must_know():
    unit = print_unit("m", {"total": CORPUS["total"].kernel}, ["A note. */ int x;"])
    assert "A note. * / int x;" in unit.header
    assert "in   x       double[n]" in unit.header
    assert "int m_total(const double *x, int64_t n, double *result);" in unit.header
    plain = print_unit("m", {"total": CORPUS["total"].kernel})
    assert plain.description["code"] == unit.description["code"]


def test_users_words_stay_words():
    """No name, comment or message of a user's becomes code, or hides any."""
    sigma, double = Var("σ", "float64"), Var("double", "float64")
    line = at(3, 'x = "*/" ??/ \\')
    body = (
        Assign(sigma, mul(double, double), line),
        Check(op("less", sigma, double), "ValueError", 'no "σ" ?\\', line),
    )
    unit = print_unit("int", {"class": Kernel("f", (double,), body, (sigma,))})
    assert "int int__class_(double double_, double *result)" in unit.source
    assert 'x = "*/" ? ?/ \\ .' in unit.source
    assert r"no \042\317\203\042 \077\134" in unit.source


def test_it_compiles_as_cpp(compiler, tmp_path):
    unit = print_unit("m", {"scratch": CORPUS["scratch"].kernel})
    (tmp_path / "m.h").write_text(unit.header)
    (tmp_path / "main.cpp").write_text('#include "m.h"\nint main() { return 0; }\n')
    command = [*compiler, "-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run([*command, str(tmp_path / "main.cpp")], capture_output=True)
    if b"cc1plus" in done.stderr:
        pytest.skip("there is no C++ compiler")
    assert not done.returncode, done.stderr


# --- what C can't say ---------------------------------------------------------------


def refused(*body, parameters=()):
    kernel = Kernel("f", parameters, body, ())
    with pytest.raises(NotExpressible) as caught:
        print_unit("m", {"f": kernel})
    return str(caught.value)


def test_what_has_no_place_is_refused_by_name():
    length = Var("length", "int64")
    late = array("late", length, role="local")
    text = refused(
        Assign(length, integer(3)), Allocate(late, location=at(7, "y = np.empty(k)"))
    )
    assert text.startswith("late has a length that is only known while it runs")
    assert "model.py:7: y = np.empty(k)" in text
    text = refused(parameters=(array("a", N, contiguous=False),))
    assert text == "the parameter a is not contiguous"
    u, v = array("u", N, role="local"), array("v", M, role="local")
    parameters = (array("x", N), array("y", M))
    text = refused(
        Allocate(u), Allocate(v), Swap((u, v), (v, u)), parameters=parameters
    )
    assert text == "u and v, of other shapes, change places"
    w = array("w", N, role="local")
    text = refused(
        Allocate(w),
        up_to(N, Allocate(u), Swap((u, w), (w, u))),
        parameters=parameters,
    )
    assert text == "the array u is made more than once, and grows or changes places"


def test_a_factorisation_of_what_is_not_known_at_entry_is_refused():
    a = array("a", K, K)
    n = Var("length", "int64")
    view = array("view", n, n, role="local")
    det = Var("det", "float64")
    text = refused(
        Assign(n, integer(2)),
        Allocate(view),
        Library("det", (det,), (Operand(view),)),
        parameters=(a,),
    )
    assert "view has a length" in text


def test_a_routine_without_loops_is_refused():
    a, q, r = (array(name, N, N, role="local") for name in "aqr")
    qr = Library("qr", (q, r), (Operand(a),), at(2, "np.linalg.qr(a)"))
    text = refused(
        *(Allocate(item) for item in (a, q, r)), qr, parameters=(array("x", N),)
    )
    assert text.startswith("qr has no loops in C\n  at")


def test_a_compiler_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CompilerError, match="no C compiler called nonesuch"):
        find_compiler("nonesuch")


def test_a_compilers_own_words_are_kept(compiler, tmp_path):
    source = tmp_path / "bad.c"
    source.write_text("int f(void) { return undeclared; }\n")
    with pytest.raises(CompilerError, match="undeclared"):
        compile_library(source, tmp_path / "libbad.so")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.c"]


def test_constants_become_tables():
    x = array("x", integer(3))
    kernel = Kernel("f", (x,), (), (load(x, integer(1)),))
    unit = print_unit("m", {"f": kernel}, constants={"f": {"x": [0.5, 0.1, np.inf]}})
    assert "int m_f(double *result)" in unit.source
    assert "0.5, 0x1.999999999999ap-4 /* 0.1 */, (double)INFINITY" in unit.source


def test_integers_of_the_users_wrap():
    big = Var("big", "int64")
    body = (Assign(Var("y", "int64"), mul(big, Const(2**40, "int64"))),)
    unit = print_unit("m", {"f": Kernel("f", (big,), body, (Var("y", "int64"),))})
    assert "tg_multiply_i64(big, INT64_C(1099511627776))" in unit.source
