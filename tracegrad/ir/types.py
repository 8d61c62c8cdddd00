"""Types of IR values: an element dtype and a symbolic shape; a Ref can be written.

>>> x = ArrayType("float64", (Dim.symbol("x.shape[0]"), Dim.constant(3)))
>>> str(x), x.ndim, x.differentiable
('float64[x.shape[0], 3]', 2, True)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

import numpy as np

from tracegrad.errors import DTypeError
from tracegrad.ir.shapes import Dim, Shape

DType: TypeAlias = Literal[
    "float64",
    "float32",
    "int64",
    "int32",
    "bool",
    "int8",
    "int16",
    "uint8",
    "uint16",
    "uint32",
]
NARROW: frozenset[str] = frozenset({"int8", "int16", "uint8", "uint16", "uint32"})
"""Integers that are read from arguments, and converted before they are used."""
DTYPES: frozenset[str] = frozenset(get_args(DType)) - NARROW
"""What kernels calculate with."""
FLOATS: frozenset[str] = frozenset({"float64", "float32"})
INTEGERS: frozenset[str] = frozenset({"int64", "int32"})


@dataclass(frozen=True, slots=True)
class ArrayType:
    """An immutable array value; rank 0 is a scalar."""

    dtype: DType
    shape: Shape = ()

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def differentiable(self) -> bool:
        """Whether values of this type carry derivatives."""
        return self.dtype in FLOATS

    def with_shape(self, shape: Shape) -> ArrayType:
        """The same element type in another shape."""
        return ArrayType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> ArrayType:
        """The same shape with other elements."""
        return ArrayType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class RefType:
    """A mutable array: read, written and accumulated into by effects."""

    dtype: DType
    shape: Shape = ()

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def differentiable(self) -> bool:
        """Whether its cells carry derivatives."""
        return self.dtype in FLOATS

    def __str__(self) -> str:
        return f"ref {self.dtype}[{', '.join(map(str, self.shape))}]"


Type: TypeAlias = ArrayType | RefType


def scalar(dtype: DType) -> ArrayType:
    """A rank-0 type."""
    return ArrayType(dtype, ())


_NAMES: dict[object, DType] = {np.dtype(name): name for name in get_args(DType)}


def dtype_of(dtype: object) -> DType:
    """The name of a NumPy dtype (or of anything NumPy reads as one).

    Raises:
        DTypeError: for a dtype that kernels don't have.
    """
    known = _NAMES.get(dtype) if isinstance(dtype, np.dtype) else None
    if known is not None:
        return known
    name = np.dtype(cast("str", dtype)).name
    if name in NARROW:
        raise narrow_error(name)
    if name not in DTYPES:
        raise DTypeError(
            f"dtype {name} is not supported.",
            todo="Use float64, float32, int64, int32 or bool.",
        )
    return cast("DType", name)


def stored_dtype(dtype: object) -> DType:
    """The same of something that is only read, which may be narrow integers."""
    name = np.dtype(cast("str", dtype)).name
    return cast("DType", name) if name in NARROW else dtype_of(dtype)


def narrow_error(name: str) -> DTypeError:
    """The refusal to calculate with, or to make, integers that may wrap."""
    return DTypeError(
        f"{name} integers are read from arguments only: NumPy would calculate in "
        f"{name} here, and wrap or round.",
        todo="Convert the array first: x.astype(np.int64), or np.float64.",
    )


__all__ = [
    "DTYPES",
    "FLOATS",
    "INTEGERS",
    "NARROW",
    "ArrayType",
    "DType",
    "Dim",
    "RefType",
    "Type",
    "dtype_of",
    "narrow_error",
    "scalar",
    "stored_dtype",
]
