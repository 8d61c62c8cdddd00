"""Basic indexing as one operation: ``x[3]``, ``x[1:, None]``.

In a graph an index is a window and a reshape; on the tape, where each operation is a
node, one does. Its transpose writes a part into zeros.

>>> import numpy as np
>>> part(np.arange(3.0), index=(slice(1, None), ...))
array([1., 2.])
>>> whole(np.array([5.0]), index=(slice(2, None), ...), shape=(3,))
array([0., 0., 5.])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.primitive import IndexMap, Linear, Primitive
from tracegrad.primitives.structural import dims

_BASIC = (int, slice, type(None), type(...))


def basic(index: Any) -> tuple[Any, ...] | None:
    """An index as a tuple that gives views; None if it is of another kind."""
    several = index if type(index) is tuple else (index,)
    for k in several:
        if type(k) not in _BASIC or (type(k) is slice and not _plain(k)):
            return None
    # With an ellipsis the result is an array that shares memory, also of rank 0.
    return several if ... in several else (*several, ...)


def _plain(window: slice) -> bool:
    return all(type(k) in (int, type(None)) for k in (window.start, window.stop))


def _whole(ct: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, ct.dtype)
    out[index] = ct
    return out


part: Primitive = Primitive(
    "part",
    lambda x, *, index: x[index],
    lambda x, *, index: x,
    rule=Linear({0: lambda ct, x, *, index: whole(ct, index=index, shape=dims(x))}),
    lower=IndexMap(),
)
whole: Primitive = Primitive(
    "whole",
    _whole,
    lambda ct, *, index, shape: ct,
    rule=Linear({0: lambda ct, x, *, index, shape: part(ct, index=index)}),
)
