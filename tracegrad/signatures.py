"""Signatures as text: examples of arguments from ``"float64[:, 5], float64"``.

>>> [x.shape if hasattr(x, "shape") else x for x in parse("float64[:, 5], float64")]
[(4, 5), 1.0]
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tracegrad.errors import ArgumentError
from tracegrad.ir.types import DTYPES, NARROW

_ITEM = re.compile(r"\s*(\w+)\s*(?:\[([^\]]*)\])?\s*(?:,|$)")
_ANY_SIZE = 4


def parse(text: str) -> tuple[Any, ...]:
    """An example for each argument of a signature.

    A size is a number, or ``:`` for any. Sizes left open are taken to be equal where
    the function needs them to be, so give numbers where they differ.

    Raises:
        ArgumentError: if the text isn't a signature.
    """
    examples: list[Any] = []
    position = 0
    while position < len(text):
        found = _ITEM.match(text, position)
        if found is None or found[1] not in DTYPES | NARROW:
            raise ArgumentError(
                f"{text!r} is not a signature.",
                todo='Write it as "float64[:, :], float64[:], int64".',
            )
        examples.append(_example(found[1], found[2]))
        position = found.end()
    return tuple(examples)


def _example(dtype: str, sizes: str | None) -> Any:
    if sizes is not None:
        shape = [_ANY_SIZE if s.strip() == ":" else int(s) for s in sizes.split(",")]
        return np.ones(shape, dtype)
    if dtype == "float64":
        return 1.0
    return 1 if dtype == "int64" else np.dtype(dtype).type(1)
