"""Calls that reach the kernel through machine code, and those that must not."""

from __future__ import annotations

import gc
import sys
import threading
import types
from typing import NamedTuple

import numpy as np
import pytest

from codegen import cpython, workspace
from tracegrad import grad, jit, pytree, value_and_grad
from tracegrad.errors import DTypeError, TracegradError

pytestmark = pytest.mark.skipif(
    not cpython.supported(), reason="this interpreter gets no machine code"
)

SCALE = np.array([1.0, 2.0, 3.0])
factor = 2.0


def energy(x, k, n=2):
    return k * np.sum(x * x) * n


def product(x, y=3.0, *, power=1):
    return x * y * power


def direct(function):
    """Whether the next call goes to machine code first."""
    return type(function.func) is types.BuiltinFunctionType


def test_arrays_numbers_defaults_and_keywords():
    f = value_and_grad(energy, argnums=(0, 1))
    x = np.arange(3.0)
    expected = f(x, 2.0, 2)
    assert direct(f)
    assert expected[0] == 20.0
    np.testing.assert_array_equal(expected[1][0], 8.0 * x)
    for call in (
        lambda: f(x, 2.0),
        lambda: f(x, k=2.0),
        lambda: f(n=2, k=2.0, x=x),
        lambda: f(**{"x": x, "k": 2.0}),
        lambda: f(np.repeat(x, 2)[::2], 2.0),
        lambda: f(x[::-1].copy()[::-1], 2.0),
    ):
        value, (x_bar, k_bar) = call()
        assert (value, k_bar) == (20.0, 10.0)
        assert type(value) is float
        np.testing.assert_array_equal(x_bar, 8.0 * x)
    assert len(f.signatures) == 1
    assert f(np.empty(0), 2.0)[1][0].shape == (0,)


def test_calls_that_do_not_fit_the_signature_raise_as_python_does():
    f = grad(product)
    assert f(1.0, 2.0, power=2) == 4.0
    assert direct(f)
    for args, kwargs in (
        ((), {}),
        ((1.0, 2.0, 3), {}),
        ((1.0,), {"x": 2.0}),
        ((1.0,), {"z": 2.0}),
    ):
        with pytest.raises(TypeError):
            f(*args, **kwargs)
    assert f(1.0) == 3.0
    assert f(1.0, power=5) == 15.0
    assert f(x=1.0, y=7.0) == 7.0


@pytest.mark.parametrize(
    "x",
    [
        *(2.0, np.float64(2.0), np.array(2.0), np.float32(2.0)),
        np.array(2.0, np.float32),
        np.array(2.0, ">f8"),
    ],
    ids=lambda x: f"{type(x).__name__}-{np.asarray(x).dtype.str}",
)
def test_numbers_of_every_kind(x):
    f = value_and_grad(lambda x: x * x * 1.5)
    results = [f(x) for _ in range(3)]
    assert results == [(6.0, 6.0)] * 3
    assert len({type(r[1]) for r in results}) == 1


def test_another_kind_of_argument_is_specialised_and_both_stay():
    f = grad(energy)
    x = np.ones(3)
    assert f(x, 2.0).dtype == np.float64
    assert f(x.astype(np.float32), np.float32(2.0)).dtype == np.float32
    assert f(x.reshape(1, 3), 2.0).shape == (1, 3)
    np.testing.assert_array_equal(f(x, 2.0), 8.0 * x)
    np.testing.assert_array_equal(f(x, 2.0, 3), 12.0 * x)
    with pytest.raises(DTypeError):
        f(np.arange(3), 2.0)
    with pytest.raises(DTypeError):
        f(x, 2.0, 2**70)


def test_int_arguments_are_read_whole():
    f = jit(lambda x, n: x + n)
    assert f(1.0, 2) == 3.0
    assert f(0.0, -(2**62)) == -(2.0**62)
    assert f(0.0, True) == 1.0


def test_out():
    f = value_and_grad(energy)
    x, out = np.arange(3.0), np.empty(3)
    f(x, 2.0)
    value, found = f(x, 2.0, out=out)
    assert found is out
    assert value == 20.0
    np.testing.assert_array_equal(out, 8.0 * x)
    assert f(x, 2.0, out=None)[1] is not out
    readonly = np.empty(3)
    readonly.flags.writeable = False
    both = np.arange(6.0)
    for wrong, given in (
        (np.empty(4), x),
        (np.empty(3, np.float32), x),
        (np.empty(6)[::2], x),
        (readonly, x),
        (both[:3], both[2:5]),
        ([1.0, 2.0, 3.0], x),
    ):
        with pytest.raises(ValueError, match="out="):
            f(given, 2.0, out=wrong)
    np.testing.assert_array_equal(f(both[:3], 2.0, out=both[3:])[1], 8.0 * x)


def test_what_is_outside_is_looked_at_in_each_call(monkeypatch):
    shift = 1.0

    def model(x):
        return np.sum(x * SCALE) * factor + shift

    f = value_and_grad(model)
    x = np.ones(3)
    assert f(x)[0] == f(x)[0] == 13.0
    assert direct(f)
    SCALE[0] = 2.0
    try:
        assert f(x)[0] == 15.0
    finally:
        SCALE[0] = 1.0
    monkeypatch.setitem(globals(), "SCALE", np.array([1.0, 1.0, 1.0]))
    assert f(x)[0] == 7.0
    monkeypatch.setitem(globals(), "factor", 3.0)
    assert f(x)[0] == 10.0
    shift = 2.0
    assert f(x)[0] == 11.0
    monkeypatch.delitem(globals(), "SCALE")
    with pytest.raises(Exception, match="SCALE"):
        f(x)


def test_guards_and_errors_of_the_kernel_are_those_of_the_general_path():
    def model(x, i):
        if x.shape[0] > 4:
            return np.sum(x)
        assert i < 7, "too far"
        return x[i] * 2.0

    f = grad(model)
    x = np.arange(3.0)
    for _ in range(2):
        np.testing.assert_array_equal(f(x, 1), [0.0, 2.0, 0.0])
        np.testing.assert_array_equal(f(np.ones(5), 1), np.ones(5))
        with pytest.raises(IndexError):
            f(x, 5)
        with pytest.raises(AssertionError, match="too far"):
            f(x, 8)
    assert len(f.signatures) == 2


def test_methods_variadic_functions_and_static_arguments():
    class Model:
        k = 2.0

        @grad(argnums=1)
        def loss(self, x):
            return self.k * x * x

    model = Model()
    assert [model.loss(3.0) for _ in range(3)] == [12.0] * 3
    total = grad(lambda *xs: xs[0] * xs[1])
    assert [total(1.0, 2.0), total(1.0, 2.0), total(1.0, 5.0, 3.0)] == [2.0, 2.0, 5.0]
    named = jit(lambda x, how: x * 2.0 if how == "twice" else x)
    how = "".join(["tw", "ice"])  # equal, not the same object
    assert [named(1.0, "twice"), named(1.0, how), named(1.0, "")] == [2.0, 2.0, 1.0]


def test_a_million_calls_keep_nothing():
    f, x, out = value_and_grad(energy, argnums=(0, 1)), np.ones(4), np.empty(4)
    g = grad(energy)
    gaps = np.ones(8)[::2]
    f(x, 2.0), g(x, 2.0)

    def calls(times):
        for _ in range(times):
            f(x, 2.0)
            g(gaps, k=2.0)
            g(x, 2.0, out=out)

    kept = (x, out, gaps, x.dtype, f, g, np.ndarray, None)
    calls(1000)
    blocks, counts = sys.getallocatedblocks(), [sys.getrefcount(k) for k in kept]
    calls(350_000)
    assert sys.getallocatedblocks() - blocks < 100
    found = [sys.getrefcount(k) for k in kept]
    assert all(abs(a - b) < 10 for a, b in zip(found, counts, strict=True))


def test_calls_that_raise_keep_nothing():
    f, x = grad(lambda x, i: x[i] * 2.0), np.ones(4)
    blocks = []
    for _ in range(2):
        for _ in range(500):
            with pytest.raises(IndexError):
                f(x, 9)
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert blocks[1] - blocks[0] < 400  # of 500 calls


class Pair(NamedTuple):
    w: object
    b: object


@pytest.mark.parametrize(
    "make",
    [
        lambda w, b: {"w": w, "b": b},
        lambda w, b: {"b": b, "w": w},
        lambda w, b: (b, [w, None]),
        lambda w, b: [w, {3: (b,), 1: ()}],
    ],
    ids=["dict", "another order", "tuple", "list"],
)
def test_nests(make):
    def model(p, pair, x):
        w = p["w"] if isinstance(p, dict) else p[0] if isinstance(p, list) else p[1][0]
        b = p["b"] if isinstance(p, dict) else p[1][3][0] if w is p[0] else p[0]
        return np.sum(w * x) * b + pair.b * pair.w[1]

    f, x = value_and_grad(model), np.arange(3.0)
    w, pair = np.array([1.0, 2.0, 3.0]), Pair(x, 2.0)
    first = f(make(w, 5.0), pair, x)
    assert direct(f)
    assert first[0] == 42.0
    for given in (make(w, 5.0), make(np.repeat(w, 2)[::2], 5.0)):
        value, found = f(given, pair, x)
        assert direct(f)
        leaves, tree = pytree.flatten(found)
        expected, same = pytree.flatten(first[1])
        assert (value, tree, type(found)) == (42.0, same, type(given))
        if isinstance(given, dict):
            assert list(found) == list(first[1])
        for a, b in zip(leaves, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    counts = [sys.getrefcount(k) for k in (w, x, pair, None)]
    for _ in range(10_000):
        f(make(w, 5.0), pair, x)
    kept = [sys.getrefcount(k) for k in (w, x, pair, None)]
    assert all(abs(a - b) < 50 for a, b in zip(counts, kept, strict=True))
    with pytest.raises((TypeError, KeyError, IndexError, TracegradError)):
        f({}, pair, x)


def test_nests_of_other_lengths_and_types_are_other_calls():
    f = grad(lambda p: sum(x * x for x in p))
    assert f([1.0, 2.0]) == [2.0, 4.0]
    assert f([1.0, 2.0, 3.0]) == [2.0, 4.0, 6.0]
    assert f([1.0, 2.0]) == [2.0, 4.0]
    assert f((1.0, 2.0)) == (2.0, 4.0)
    np.testing.assert_array_equal(f([np.float64(1.0), 2.0]), [2.0, 4.0])
    assert len(f.signatures) == 4


def test_a_kernel_with_scratch_takes_it_and_gives_it_back():
    def swing(start, n):
        x = start[0]
        for _ in range(n):
            x = x + 0.1 * np.sin(x)
            assert x < 9.0, "too far"
        return x

    f = value_and_grad(swing)
    x = np.array([0.5])
    expected = f(x, 50)
    assert direct(f)
    assert "workspace" in f.source
    for n in (0, 7, 500, 50):
        value, bar = f(x, n)
        assert f(x, n)[0] == value
    assert (value, bar[0]) == (expected[0], expected[1][0])
    for _ in range(2):
        with pytest.raises(AssertionError, match="too far"):
            f(20.0 * x, 5)
    f(x, 50)
    arenas = workspace._POOL.free
    before = len(arenas)
    for _ in range(100):
        f(x, 50)
    assert len(arenas) == before


def test_threads_run_side_by_side():
    f = value_and_grad(lambda x: np.sum(np.exp(np.sin(x))))
    rows = np.random.default_rng(0).normal(size=(4, 1000))
    expected = [f(row) for row in rows]
    wrong = []

    def work(k):
        for _ in range(300):
            value, bar = f(rows[k])
            if value != expected[k][0] or np.any(bar != expected[k][1]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_replaced_while_it_runs():
    """The general path installs another entry, while the old one waits for it."""
    f = grad(lambda x: np.sum(x * x))
    for k in range(200):
        x = np.ones((3,) if k % 2 else (3, 2), np.float64 if k % 3 else np.float32)
        np.testing.assert_array_equal(f(x), 2 * x)


def test_without_machine_code_calls_go_through_python(monkeypatch):
    monkeypatch.setattr(cpython, "supported", lambda: False)
    f = value_and_grad(energy)
    x, out = np.arange(3.0), np.empty(3)
    for _ in range(2):
        assert f(x, 2.0)[0] == 20.0
    assert type(f.func) is types.FunctionType
    assert f(x, k=2.0, out=out)[1] is out
