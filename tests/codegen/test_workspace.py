"""Arenas are kept, grow, and are never shared."""

import sys
import threading

import numpy as np
import pytest

from codegen.arena import plan, workspace_size
from codegen.jit import build
from codegen.loop_ir import Const
from codegen.workspace import give, release, take
from tests.codegen.kernels import corpus

CORPUS = corpus()


@pytest.fixture(autouse=True)
def empty_pool():
    release()
    yield
    release()


def test_an_arena_is_reused_and_grows():
    arena = take(100)
    give(arena)
    assert take(100) is arena
    give(arena)
    larger = take(101)
    assert larger is not arena
    assert larger.size >= 150
    give(larger)
    assert take(1) is larger


@pytest.mark.parametrize("words", [0, 1, 7, 100, 12345])
def test_arenas_start_at_a_cache_line(words):
    arena = take(words)
    assert arena.ctypes.data % 64 == 0
    assert arena.size >= max(words, 1)
    assert arena.flags.c_contiguous
    assert arena.flags.aligned


def test_calls_inside_calls_do_not_share():
    outer, inner = take(10), take(10)
    assert not np.shares_memory(outer, inner)


def test_threads_do_not_share():
    give(take(10))
    seen = []
    thread = threading.Thread(target=lambda: seen.append(take(10)))
    thread.start()
    thread.join()
    assert not np.shares_memory(seen[0], take(10))


def test_the_size_follows_the_arguments():
    kernel = build(CORPUS["scratch"].kernel)
    x = np.ones((3, 4))
    words = kernel.workspace_size(x, x)
    # h: 12 float64, single: 4 float32, small: 3 int32, flags: 6 bools, rows: 3 int64;
    # each rounded up to 8 words.
    assert words == 16 + 8 + 8 + 8 + 8
    assert kernel.workspace_size(np.ones((300, 400)), None) > 120_000


def test_an_error_gives_the_arena_back():
    kernel = build(CORPUS["scratch"].kernel)
    arena = take(1000)
    give(arena)
    with pytest.raises(TypeError):
        kernel.entry(np.ones((3, 4)), np.ones((3, 4), np.float32))
    assert take(1) is arena


def test_the_kernel_keeps_no_reference_to_its_arena():
    kernel = build(CORPUS["scratch"].kernel)
    x, arena = np.ones((3, 4)), take(100)
    before = sys.getrefcount(arena)
    for _ in range(10):
        kernel.function(x, np.empty_like(x), arena)
    assert sys.getrefcount(arena) == before


def test_slots_do_not_overlap():
    kernel = CORPUS["scratch"].kernel
    assert [slot.array.name for slot in plan(kernel)] == [
        "h",
        "single",
        "small",
        "flags",
        "rows",
    ]
    assert workspace_size(CORPUS["total"].kernel) == Const(0, "int64")
