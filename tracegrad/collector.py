"""Fewer rounds of Python's collector of cycles while a program is compiled.

A compiler makes some hundred thousand objects that live until it is done. Every 700 of
them Python looks for cycles among the young ones, and again and again among all: about
a fifth of the time of a first call, and nearly nothing is found.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 50_000
"""New objects before the collector looks. There is still a bound on the garbage."""

_LOCK = threading.Lock()
_found: list[tuple[int, int, int]] = []
"""The settings that those inside found as they entered: first the user's own."""


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let the collector wait for more objects, and then do as it did before.

    The setting belongs to the process: the last of several threads to leave restores
    what the first to enter found. Who has switched the collector off, or made it wait
    longer, isn't disturbed.

    >>> import gc
    >>> before = gc.get_threshold()
    >>> with seldom_collecting():
    ...     gc.get_threshold()[0] >= YOUNG
    True
    >>> gc.get_threshold() == before
    True
    """
    with _LOCK:
        _found.append(gc.get_threshold())
        young, middle, old = _found[-1]
        if 0 < young < YOUNG:
            gc.set_threshold(YOUNG, middle, old)
    try:
        yield
    finally:
        with _LOCK:
            before = _found.pop()
            if not _found:
                gc.set_threshold(*before)
