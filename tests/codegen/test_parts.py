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
from tests.codegen.building import AT, J, N, add, array, up_to

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
