"""The dtype of new tensors of floats, and the random numbers.

float64 by default, as everywhere in tracegrad; PyTorch's is float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.errors import DTypeError
from tracegrad.ir.types import dtype_of
from tracegrad.tape.modes import refuse_frozen

_state: dict[str, Any] = {
    "dtype": np.dtype(np.float64),
    "rng": np.random.default_rng(),
}


def get_default_dtype() -> np.dtype[Any]:
    """The dtype of a tensor made of Python floats."""
    dtype: np.dtype[Any] = _state["dtype"]
    return dtype


def set_default_dtype(d: Any) -> None:
    """Make another floating-point dtype the default."""
    dtype = np.dtype(dtype_of(d))
    if dtype.kind != "f":
        raise TypeError("only floating-point types are supported as the default type")
    _state["dtype"] = dtype


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """A dtype that tensors can have.

    Raises:
        DTypeError: for any other, such as complex.
    """
    if dtype is float:
        return get_default_dtype()
    return np.dtype(dtype_of(dtype))


def manual_seed(seed: int) -> np.random.Generator:
    """Start the random numbers of ``rand`` and its like anew."""
    rng = _state["rng"] = np.random.default_rng(seed)
    return rng


def generator() -> np.random.Generator:
    """Where random numbers come from."""
    refuse_frozen("a random number", "Draw it outside, and pass it as an argument.")
    rng: np.random.Generator = _state["rng"]
    return rng


def array_of(data: Any, dtype: Any = None) -> Any:
    """Data as an array of a dtype that tensors can have; shared if possible."""
    array = np.asarray(data)
    if dtype is not None:
        return array.astype(as_dtype(dtype), copy=False)
    if not isinstance(data, (np.ndarray, np.generic)) and array.dtype.kind == "f":
        return array.astype(get_default_dtype(), copy=False)
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            f"a tensor can't be made of {array.dtype} data.",
            todo="Use real numbers: float64, float32, int64, int32 or bool.",
        )
    return array.astype(as_dtype(_supported(array.dtype)), copy=False)


def _supported(dtype: Any) -> Any:
    """The nearest of the dtypes that tensors have."""
    small = {("i", 1): "int32", ("i", 2): "int32", ("u", 1): "int32", ("u", 2): "int32"}
    small |= {("u", 4): "int64", ("f", 2): "float32"}
    return small.get((dtype.kind, dtype.itemsize), dtype)
