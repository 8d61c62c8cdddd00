"""What printed kernels and the vector maths call, in plain Python on NumPy's scalars.

The instructions of ``codegen.vector_math.instructions`` and ``codegen.support`` again,
without Numba: for the plain run of a kernel, and for exported files, which carry those
of them that they need.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose float literals are NumPy's: dividing by zero gives inf."""
    code = function.__code__
    constants = (np.float64(c) if type(c) is float else c for c in code.co_consts)
    function.__code__ = code.replace(co_consts=tuple(constants))
    return function


def vector_function(body: Callable[..., Any]) -> Callable[..., Any]:
    """A function of float64s; of float32s it computes in float64 and rounds once."""
    inner = plain(body)

    @functools.wraps(body)
    def call(*args: Any) -> Any:
        result = inner(*map(np.float64, args))
        single = all(isinstance(arg, np.float32) for arg in args)
        return np.float32(result) if single else result

    return call


def njit(**options: Any) -> Callable[..., Any]:
    """Numba's decorator where there is no Numba: the function as it is, only silent."""

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        inner = plain(function)

        @functools.wraps(function)
        def run(*args: Any) -> Any:
            with np.errstate(all="ignore"):
                return inner(*(np.float64(a) if type(a) is float else a for a in args))

        return run

    return compiled


# --- support ------------------------------------------------------------------------


def checked(index: int, size: int) -> int:
    """An index into an axis of a size, or IndexError."""
    if index < -size or index >= size:
        raise IndexError("index out of bounds")
    return index


def assume(condition: bool) -> None:
    """What compiled code takes for true is asserted here."""
    if not condition:
        raise AssertionError("an assumption of the printed kernel is false")


def carve(arena: Any, start: int, shape: Any, dtype: Any) -> Any:
    """A slice of the arena as an array of another shape and dtype."""
    size = np.prod(shape, dtype=np.int64)
    return arena[start:].view(dtype)[:size].reshape(shape)


def grown(array: Any, size: int) -> Any:
    """A larger copy of an array."""
    larger = np.zeros((2 * size, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def truncated(value: Any) -> int:
    """A float's integer part; where it has none, what the processor gives."""
    return math.trunc(np.float64(value)) if abs(value) < 2.0**63 else -(2**63)


# --- dense routines -----------------------------------------------------------------


def linear_solve(a: Any, b: Any, x: Any) -> None:
    """The solution of linear equations."""
    x[:] = np.linalg.solve(a, b)


def matrix_inverse(a: Any, x: Any) -> None:
    """The inverse of a matrix."""
    x[:] = np.linalg.inv(a)


def cholesky_factor(a: Any, lower: Any) -> None:
    """The lower factor of a positive definite matrix."""
    lower[:] = np.linalg.cholesky(a)


def matrix_determinant(a: Any) -> Any:
    """The determinant of a matrix."""
    return np.linalg.det(a)


def log_determinant(a: Any) -> Any:
    """The sign and the logarithm of a determinant."""
    sign, logarithm = np.linalg.slogdet(a)
    return sign, logarithm


def stable_argsort(values: Any, order: Any) -> None:
    """The order of values."""
    order[:] = np.argsort(values, kind="stable")


def search_left(cells: Any, values: Any, places: Any) -> None:
    """Where values belong, before their equals."""
    places[:] = np.searchsorted(cells, values)


def search_right(cells: Any, values: Any, places: Any) -> None:
    """Where values belong, after their equals."""
    places[:] = np.searchsorted(cells, values, "right")


# --- arithmetic ---------------------------------------------------------------------


def radd(total: Any, term: Any) -> Any:
    """A sum, in order."""
    return total + term


def rmul(total: Any, factor: Any) -> Any:
    """A product, in order."""
    return total * factor


def fma(a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once if Python can (3.13), else twice."""
    fused = getattr(math, "fma", None)
    if fused is None or not (math.isfinite(a) and math.isfinite(b)):
        return a * b + c
    try:
        return np.float64(fused(a, b, c))
    except (OverflowError, ValueError):
        return a * b + c


def product_error(a: Any, b: Any) -> Any:
    """`a * b` minus its rounded value (Dekker 1971; the factors below 1e300)."""
    a_scaled, b_scaled = a * 134217729.0, b * 134217729.0
    a_high, b_high = a_scaled - (a_scaled - a), b_scaled - (b_scaled - b)
    a_low, b_low = a - a_high, b - b_high
    error = a_high * b_high - a * b
    return error + a_high * b_low + a_low * b_high + a_low * b_low


def float_bits(x: Any) -> int:
    """The bit pattern of a float64 as an int64."""
    (bits,) = struct.unpack("<q", struct.pack("<d", x))
    whole: int = bits
    return whole


def bits_float(bits: int) -> Any:
    """The float64 that has the bit pattern `bits`."""
    low = bits & 0xFFFFFFFFFFFFFFFF
    return np.float64(struct.unpack("<d", struct.pack("<Q", low))[0])


def polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    """The polynomial in `x`, by Estrin's scheme: neighbours, then pairs of pairs."""
    power, terms = x, [np.float64(c) for c in coefficients]
    while len(terms) > 1:
        pairs = [
            fma(terms[i + 1], power, terms[i]) for i in range(0, len(terms) - 1, 2)
        ]
        terms = pairs + terms[2 * len(pairs) :]
        power = power * power
    return terms[0]


def lgamma(x: Any) -> Any:
    """The logarithm of |gamma(x)|; infinite at its poles."""
    try:
        return np.float64(math.lgamma(x))
    except (OverflowError, ValueError):
        return np.float64(math.inf)


sqrt, floor, copysign = np.sqrt, np.floor, np.copysign
maximum, minimum = np.maximum, np.minimum
far_sin, far_cos, far_tan = np.sin, np.cos, np.tan
