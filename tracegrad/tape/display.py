"""Tensors as text: ``tensor([1.0000, 2.5000], requires_grad=True)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.tape.defaults import get_default_dtype

_PRECISION = 4


def text_of(x: Any, edge: Any, leaf: bool, head: str = "tensor(") -> str:
    """What a prompt shows of a tensor.

    Args:
        x: its array.
        edge: its edge, or None.
        leaf: whether it is a leaf that requires gradients.
        head: with which the text begins.
    """
    array = np.asarray(x)
    parts = [
        np.array2string(
            array,
            separator=", ",
            prefix=head,
            formatter={"all": _formatter(array)},
            threshold=1000,
            edgeitems=3,
        )
    ]
    if not array.size:
        parts = ["[]"]
        if array.ndim != 1:
            parts.append(f"size={tuple(array.shape)}")
    known = (get_default_dtype(), np.dtype("int64"), np.dtype("bool"))
    if array.dtype not in known or (not array.size and array.dtype != known[0]):
        parts.append(f"dtype={array.dtype}")
    if leaf:
        parts.append("requires_grad=True")
    elif edge is not None:
        parts.append(f"grad_fn=<{edge.grad_fn_or_accumulate.name()}>")
    return head + ", ".join(parts) + ")"


def _formatter(array: Any) -> Callable[[Any], str]:
    """One format for all elements, padded to one width."""
    if array.dtype.kind != "f":
        one: Callable[[Any], str] = str
    else:
        one = _floats(array[np.isfinite(array)])
    shown = array if array.size <= 1000 else _edges(array)
    width = max((len(one(v)) for v in shown.ravel()), default=0) if array.ndim else 0
    return lambda value: one(value).rjust(width)


def _edges(array: Any) -> Any:
    for axis in range(array.ndim):
        if array.shape[axis] > 6:
            array = np.take(array, [0, 1, 2, -3, -2, -1], axis)
    return array


def _floats(finite: Any) -> Callable[[Any], str]:
    size = np.abs(finite[finite != 0])
    if not size.size:
        return lambda v: f"{v:.0f}." if np.isfinite(v) else str(v)
    high, low = float(size.max()), float(size.min())
    whole = bool(np.all(finite == np.rint(finite)))
    if (high / low > 1000.0 and not whole) or high > 1e8 or low < 1e-4:
        return lambda v: f"{v:.{_PRECISION}e}" if np.isfinite(v) else str(v)
    if whole:
        return lambda v: f"{v:.0f}." if np.isfinite(v) else str(v)
    return lambda v: f"{v:.{_PRECISION}f}" if np.isfinite(v) else str(v)
