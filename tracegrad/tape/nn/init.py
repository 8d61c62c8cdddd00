"""``torch.nn.init``: numbers for parameters to start from, in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.tape.defaults import generator
from tracegrad.tape.inplace import write
from tracegrad.tape.modes import refuse_frozen


def _set(tensor: Any, values: Any) -> Any:
    refuse_frozen("filling a parameter", "Make it before, and pass it.")
    write(tensor, values.astype(tensor.dtype))
    return tensor


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0) -> Any:
    """Uniform between two numbers."""
    return _set(tensor, generator().uniform(a, b, tensor.dims))


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0) -> Any:
    """Normal."""
    return _set(tensor, generator().normal(mean, std, tensor.dims))


def constant_(tensor: Any, val: float) -> Any:
    """One number."""
    return _set(tensor, np.full(tensor.dims, val))


def zeros_(tensor: Any) -> Any:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Any) -> Any:
    """Ones."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Any, gain: float = 1.0) -> Any:
    """Uniform, with variances kept in both directions (Glorot and Bengio 2010)."""
    fan_out, fan_in = tensor.dims
    bound = gain * (6.0 / (fan_in + fan_out)) ** 0.5
    return uniform_(tensor, -bound, bound)
