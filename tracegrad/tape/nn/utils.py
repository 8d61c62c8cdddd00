"""``torch.nn.utils``: gradients kept within bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tracegrad.tape.tensor import Tensor


def _with_grads(parameters: Any) -> list[Any]:
    several = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in several if p._grad is not None]


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale gradients so that the norm of all of them is at most a bound.

    Args:
        parameters: a tensor or several, whose ``.grad`` are scaled in place.
        max_norm: the bound.
        norm_type: which norm; ``inf`` for the largest absolute value.
        error_if_nonfinite: whether a norm that is no number raises.

    Returns:
        The norm before.

    Raises:
        RuntimeError: see ``error_if_nonfinite``.
    """
    found = _with_grads(parameters)
    arrays = [p._grad._array for p in found]
    order = float(norm_type)
    if not arrays:
        return Tensor(0.0)
    sizes = [np.linalg.norm(np.ravel(a), order) for a in arrays]
    total = float(np.linalg.norm(sizes, order))
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {order} for gradients is non-finite, so it "
            "cannot be clipped."
        )
    factor = max_norm / (total + 1e-6)
    if not factor >= 1.0:
        _scale(found, factor)
    return Tensor(np.asarray(total, arrays[0].dtype))


def _scale(parameters: Iterable[Any], factor: float) -> None:
    for p in parameters:
        p._grad._memory()[...] *= factor
        p._grad._cell[0] += 1


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Limit every element of the gradients to ±``clip_value``."""
    for p in _with_grads(parameters):
        array = p._grad._memory()
        np.clip(array, -clip_value, clip_value, out=array)
        p._grad._cell[0] += 1
