"""Arenas: scratch memory that a thread keeps between calls.

A kernel that needs scratch takes an arena and gives it back. A thread has a stack of
them, so a call inside a call (a signal handler, a finaliser) gets another one, and two
threads never share. An arena grows to the largest size that was asked for.

>>> arena = take(100)
>>> arena.size >= 100, arena.ctypes.data % 64
(True, 0)
>>> give(arena)
>>> take(50) is arena
True
"""

from __future__ import annotations

import threading
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Arena: TypeAlias = NDArray[np.float64]

_ALIGNMENT = 64
_WORD = 8


class _Pool(threading.local):
    """The arenas of one thread that no call is using."""

    def __init__(self) -> None:
        self.free: list[Arena] = []


_POOL = _Pool()


def take(words: int) -> Arena:
    """An arena of at least so many float64 words, starting at a cache line."""
    free = _POOL.free
    if free:
        arena = free.pop()
        if arena.size >= words:
            return arena
        # Grow by half at least: a slowly growing input must not allocate each call.
        words = max(words, arena.size + arena.size // 2)
    return allocate(words)


def give(arena: Arena) -> None:
    """Give an arena back, for this thread's next call."""
    _POOL.free.append(arena)


def release() -> None:
    """Free the memory that this thread keeps."""
    _POOL.free.clear()


def allocate(words: int) -> Arena:
    """A fresh arena; NumPy aligns to 16 bytes only."""
    spare = _ALIGNMENT // _WORD
    memory = np.empty(max(words, 1) + spare)
    start = -memory.ctypes.data % _ALIGNMENT // _WORD
    return memory[start : start + max(words, 1)]
