"""What tracegrad is doing, through the standard ``logging`` module.

The logger is called "tracegrad". At level INFO it says what was traced and compiled,
how long each step took, and whether the kernel came from the cache.

>>> show()                       # print the events from now on
>>> logger.setLevel(logging.WARNING)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

logger = logging.getLogger("tracegrad")


def show(level: int = logging.INFO) -> None:
    """Print events of this level and above to standard error."""
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("tracegrad: %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(level)


@contextmanager
def step(verb: str, name: str) -> Iterator[list[str]]:
    """Log a step with the seconds it took; the caller may append remarks."""
    remarks: list[str] = []
    start = perf_counter()
    yield remarks
    seconds = perf_counter() - start
    logger.info("%s %s in %.3f s%s", verb, name, seconds, "".join(remarks))
