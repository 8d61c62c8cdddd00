"""Compiled kernels against the same source in plain Python, and how they are called."""

import inspect
import subprocess
import sys
import threading
import traceback
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from codegen import generated
from codegen.errors import GuardFailed, IRError
from codegen.jit import Options, build
from codegen.loop_ir import Assign, Kernel, Load, Store, Var, integer
from codegen.plain import plain_function
from codegen.printer import print_python
from tests.codegen import kernels
from tests.codegen.building import AT, N, array, at, sub, up_to

CORPUS = kernels.corpus()


@cache
def compiled(name):
    return build(CORPUS[name].kernel)


def bits(value):
    """A value as bytes, every NaN alike."""
    value = np.array(value)
    if value.dtype.kind == "f":
        value[np.isnan(value)] = np.nan
    return value.dtype, value.shape, value.tobytes()


def copies(arguments):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


@pytest.mark.parametrize("name", CORPUS)
def test_compiled_code_agrees_with_plain_python(name):
    example = CORPUS[name]
    arguments = example.arguments(np.random.default_rng(3))
    kernel = compiled(name)
    # A copy of a strided array would not be strided any more.
    fast, plain = list(arguments), copies(arguments)
    results = [kernel.entry(*fast), kernel.python(*plain)]
    results = [r if isinstance(r, tuple) else (r,) for r in results]
    pairs = zip((*results[0], *fast), (*results[1], *plain), strict=True)
    for got, expected in pairs:
        if got is None:
            assert expected is None
        elif example.tolerance:
            scale = example.tolerance
            np.testing.assert_allclose(got, expected, rtol=scale, atol=scale)
        elif isinstance(got, np.ndarray):
            assert bits(got) == bits(expected)
        else:
            assert bits(got) == bits(np.asarray(expected).astype(type(got)))


def test_a_second_call_gives_the_same_bits_and_inputs_are_left_alone():
    x = np.random.default_rng(0).normal(size=1000)
    before = x.copy()
    first, second = np.empty(1000), np.empty(1000)
    kernel = compiled("energy_grad")
    assert bits(kernel.entry(x, 2.0, first)) == bits(kernel.entry(x, 2.0, second))
    assert bits(first) == bits(second)
    assert bits(x) == bits(before)


@pytest.mark.parametrize("run", ["entry", "python"])
def test_checks_raise(run):
    checks = getattr(compiled("checks"), run)
    x = np.ones(3)
    assert checks(x, x, 1, 2.0) == 1.0
    with pytest.raises(GuardFailed):
        checks(x, np.ones(4), 1, 2.0)
    with pytest.raises(GuardFailed):
        checks(x, x, 1, np.nan)
    with pytest.raises(IndexError, match="row 'rows' is out of range"):
        checks(x, x, 3, 2.0)


@pytest.mark.parametrize("run", ["entry", "python"])
@pytest.mark.parametrize("index", [5, -6])
def test_an_index_out_of_bounds_raises(run, index):
    gather = getattr(compiled("gather"), run)
    with pytest.raises(IndexError):
        gather(np.ones(5), np.array([0, index]), np.empty(2), np.empty(5))


def test_a_false_assumption_is_an_assertion_in_plain_python():
    x, y = array("x", N), array("y", N, role="output")
    p = Var("p", "int64")
    wrong = Store(y, (AT,), Load(x, (p,), "float64"))
    minus = sub(AT, integer(1))
    kernel = Kernel("wrong", (x, y), (up_to(N, Assign(p, minus), wrong),), ())
    assert "assume(p >= 0)" in print_python(kernel).text
    source = print_python(kernel)
    with pytest.raises(AssertionError):
        plain_function(source)(np.ones(3), np.ones(3))


def test_read_only_empty_and_unaligned_inputs_work():
    x = np.arange(4.0)
    x.flags.writeable = False
    assert compiled("total").entry(x) == 6.0
    assert compiled("total").entry(np.empty(0)) == 0.0
    memory = np.zeros(8 * 5 + 1, np.uint8)
    unaligned = memory[1:].view(np.float64)
    unaligned[:] = 1.0
    assert compiled("total").entry(unaligned) == 5.0


@pytest.mark.parametrize(
    "wrong",
    [
        np.ones(8)[::2],
        np.ones(4, np.float32),
        np.ones((2, 2)),
        np.ones(4, np.int64),
        [1.0],
    ],
    ids=["strided", "float32", "rank", "int", "list"],
)
def test_other_types_are_refused(wrong):
    with pytest.raises(TypeError):
        compiled("total").entry(wrong)


@pytest.mark.parametrize(("m", "k", "n"), [(0, 2, 3), (2, 0, 3), (2, 3, 0), (0, 0, 0)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_products_of_empty_matrices_are_zero(m, k, n, dtype):
    example = CORPUS[f"products_{dtype}"]
    arguments = example.arguments(np.random.default_rng(0), m, k, n)
    assert compiled(f"products_{dtype}").entry(*arguments) == pytest.approx(
        arguments[2] @ arguments[2], rel=1e-5
    )
    a, b, v, c, w, u, g = arguments
    np.testing.assert_allclose(c, a.T @ b, rtol=1e-4)
    np.testing.assert_allclose(w, a.T @ v, rtol=1e-4)
    np.testing.assert_allclose(u, v @ b, rtol=1e-4)
    np.testing.assert_allclose(g, a @ a.T, rtol=1e-4)


def test_a_singular_matrix_raises():
    a, outputs = np.zeros((1, 2, 2)), [np.empty((2, 2)) for _ in range(2)]
    with pytest.raises(np.linalg.LinAlgError):
        compiled("factorisations").entry(a, np.ones((1, 2)), np.ones((1, 2)), *outputs)


def test_many_threads_get_the_right_answer():
    kernel, x = compiled("scratch"), np.random.default_rng(1).normal(size=(40, 30))
    expected = np.empty_like(x)
    kernel.entry(x, expected)
    failures = []

    def work():
        for _ in range(50):
            y = np.empty_like(x)
            kernel.entry(x, y)
            if bits(y) != bits(expected):
                failures.append(y)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_same_code_is_compiled_once_wherever_its_lines_stand():
    kernel = CORPUS["total"].kernel
    start, loop = kernel.body
    moved = replace(
        kernel, doc="Elsewhere.", body=(replace(start, location=at(99, "s = 0")), loop)
    )
    first, second = compiled("total"), build(moved)
    assert second.cache_hit
    assert first.function is second.function
    assert "# model.py:99: s = 0" in second.source.text
    assert "# model.py:99" in second.path.read_text()
    build(kernel)
    assert first.path.read_text() == first.source.module


def test_source_and_traceback_can_be_seen():
    kernel = compiled("checks")
    assert inspect.getsource(kernel.function.py_func).strip().endswith("y[rows]")
    with pytest.raises(IndexError) as caught:
        kernel.entry(np.ones(3), np.ones(3), 7, 1.0)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].filename == str(kernel.path)
    assert "raise IndexError" in frames[-1].line


def test_compilation_can_be_turned_off(monkeypatch):
    config = pytest.importorskip("numba.core.config")
    monkeypatch.setattr(config, "DISABLE_JIT", True)
    assert build(CORPUS["total"].kernel).entry(np.arange(10.0)) == 45.0


def test_without_keeping_it_works_and_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACEGRAD_CACHE_DIR", str(tmp_path / "unused"))
    kernel = build(
        CORPUS["newton"].kernel, options=Options(keep=False, boundscheck=True)
    )
    assert kernel.path is None
    assert not kernel.cache_hit
    assert kernel.entry(2.0)[0] == pytest.approx(np.sqrt(2.0))
    assert "while trips < 50" in inspect.getsource(kernel.function.py_func)
    assert not (tmp_path / "unused").exists()


def test_boundscheck_finds_a_wrong_proof():
    x = array("x", N)
    wrong = Load(x, (N,), "float64")
    kernel = build(
        Kernel("beyond", (x,), (), (wrong,)), options=Options(boundscheck=True)
    )
    with pytest.raises(IndexError):
        kernel.entry(np.ones(3))


def test_a_malformed_kernel_is_not_compiled():
    with pytest.raises(IRError):
        build(Kernel("f", (), (), (Var("s", "float64"),)))


def test_printing_and_verifying_do_not_import_numba():
    modules = "loop_ir, printer, verifier, cache, workspace, errors, jit, plain"
    code = f"import sys; from codegen import {modules}; print('numba' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_printed_modules_can_be_imported_by_name(monkeypatch):
    kernel = compiled("total")
    monkeypatch.setattr(generated, "__path__", [str(kernel.path.parents[1])])
    name = kernel.function.py_func.__module__
    monkeypatch.delitem(sys.modules, name)
    __import__(name)
    assert sys.modules[name].total.py_func.__code__.co_code
