"""Kernels cut into parts do what they do whole, and long ones are cut."""

import numpy as np
import pytest

from codegen import parts
from codegen.jit import Options, _plain_entry, build
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Assign,
    Const,
    For,
    Kernel,
    Op,
    Store,
    Var,
    dim,
    integer,
    load,
)
from codegen.printer import print_python
from tests.codegen import kernels
from tests.codegen.building import AT, J, M, N, S, add, array, mul, up_to

CORPUS = kernels.corpus()


@pytest.fixture
def small(monkeypatch):
    """Cut at every statement, so that small kernels have parts."""
    monkeypatch.setattr(parts, "LOOPS", 1)
    monkeypatch.setattr(parts, "PART", 1)
    monkeypatch.setattr(parts, "LEAST", 1)


def outcome(run, arguments):
    """What a call returns and leaves in its arguments, or the error it raises."""
    given = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    try:
        returned = run(*given)
    except Exception as error:
        returned = repr(error)
    return repr(returned), [repr(a) for a in given]


WHOLE = {name: print_python(example.kernel) for name, example in CORPUS.items()}


@pytest.mark.parametrize("name", CORPUS)
def test_parts_do_what_the_whole_does(small, name):
    example = CORPUS[name]
    arguments = example.arguments(np.random.default_rng(5))
    cut = _plain_entry(example.kernel, print_python(example.kernel))
    whole = _plain_entry(example.kernel, WHOLE[name])
    assert outcome(cut, arguments) == outcome(whole, arguments)


def test_those_with_several_loops_are_cut(small):
    cut = [name for name in CORPUS if print_python(CORPUS[name].kernel).parts]
    assert len(cut) >= 7


def halves():
    """A kernel of two arrays of scratch, loops over half of one, and a sum."""
    half = Op("floor_divide", (N, integer(2)), "int64")
    x = array("x", N)
    scratch = [array(name, half, role="workspace") for name in ("a", "b")]
    s = Var("s", "float64")
    first, second = scratch
    body = [
        Allocate(first),
        Allocate(second),
        up_to(half, Store(first, (AT,), load(x, AT))),
    ]
    for _ in range(30):
        body += [
            up_to(half, Store(second, (AT,), add(load(first, AT), load(x, AT)))),
            up_to(half, Store(first, (AT,), add(load(second, AT), load(x, AT)))),
        ]
    return x, s, first, body, half


def test_a_long_kernel_is_cut_and_compiles():
    x, s, first, body, half = halves()
    total = [
        Assign(s, Const(0.0, "float64")),
        up_to(half, Accumulate(s, "add", load(first, J)), var=J),
    ]
    kernel = Kernel("long", (x,), (*body, *total), (s,))
    source = print_python(kernel)
    assert len(source.parts) == 4
    assert "n_by_2 = n // 2" in source.functions[-1]
    assert "//" not in "".join(source.functions[:-1])
    values = np.arange(7.0)
    compiled = build(kernel, options=Options(keep=False))
    assert compiled.entry(values) == compiled.python(values) == 61 * (0 + 1 + 2)


def test_sizes_that_divide_once_keep_their_place():
    x = array("x", dim("n"))
    half = Op("floor_divide", (N, integer(2)), "int64")
    s = Var("s", "float64")
    loop = up_to(half, Accumulate(s, "add", load(x, AT)))
    kernel = Kernel("f", (x,), (Assign(s, Const(0.0, "float64")), loop), (s,))
    assert "for i in range(n // 2):" in print_python(kernel).text


def swept_by_rows(step, *also):
    """Each row is added to the one below, a cell behind, and then replaced by it."""
    a = array("a", N, M, role="output")
    below, there = add(AT, integer(1)), add(J, integer(step))
    spread = Store(a, (below, J), load(a, AT, there), combine="add")
    replaced = Store(a, (AT, J), load(a, below, J))
    last = Op("subtract", (M, integer(1)), "int64")
    along = (integer(0), last) if step > 0 else (last, integer(0))
    inner = For(J, *along, step, (spread, replaced, *also))
    rows = up_to(Op("subtract", (N, integer(1)), "int64"), inner)
    return Kernel("swept", (a,), (Assign(S, Const(1.0, "float64")), rows), (S,))


@pytest.mark.parametrize("step", [1, -1])
def test_rows_that_a_loop_runs_along_are_arguments(step):
    kernel = swept_by_rows(step)
    source = print_python(kernel)
    assert len(source.parts) == 1
    assert "a_row_p1 = a[i + 1]" in source.functions[-1]
    compiled = build(kernel, options=Options(keep=False))
    for n, m in [(0, 0), (2, 0), (3, 1), (4, 2), (4, 7)]:
        values = np.random.default_rng(n).normal(size=(n, m))
        expected = values.copy()
        for i in range(n - 1):
            for j in range(m - 1) if step > 0 else range(m - 1, 0, -1):
                expected[i + 1, j] += expected[i, j + step]
                expected[i, j] = expected[i + 1, j]
        for run in (compiled.entry, compiled.python):
            given = values.copy()
            run(given)
            np.testing.assert_array_equal(given, expected)


def test_loops_whose_turns_wait_for_one_another_stay():
    waits = Assign(S, mul(S, Const(0.5, "float64")))
    assert not print_python(swept_by_rows(1, waits)).parts
