"""Elementwise functions: ufuncs are primitives of their own name, or made of them.

>>> sinc(np.array([0.0, 0.5])).round(4)
array([1.    , 0.6366])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.numpy_api.arguments import (
    astype,
    boolean,
    dtype_name,
    floats,
    is_float,
    refuse,
)
from tracegrad.numpy_api.creation import asarray, zeros_like
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew

# --- ufuncs that are primitives ----------------------------------------------------


def operand(x: Any) -> Any:
    """An operand: nested lists become arrays, everything else stays as it is."""
    return asarray(x) if isinstance(x, (list, tuple)) else x


def applied(primitive: Primitive) -> Callable[..., Any]:
    """A primitive as a function that takes whatever NumPy takes."""

    def function(*operands: Any) -> Any:
        return primitive(*map(operand, operands))

    function.__name__ = primitive.name
    return function


_SAME_NAME = (
    *("add", "subtract", "multiply", "divide", "negative", "floor_divide", "remainder"),
    *("fmod", "absolute", "sign", "copysign", "sqrt", "cbrt", "exp", "exp2"),
    *("expm1", "log", "log2", "log10", "log1p", "logaddexp", "sin", "cos", "tan"),
    *("arcsin", "arccos", "arctan", "arctan2", "hypot", "sinh", "cosh", "tanh"),
    *("arcsinh", "arccosh", "arctanh", "floor", "ceil", "trunc", "rint"),
    *("maximum", "minimum"),
)
_CHOICES = (
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("isnan", "isinf", "isfinite", "signbit", "logical_and", "logical_or"),
    *("logical_not", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift"),
    *("right_shift", "invert"),
)

# --- powers and scales -------------------------------------------------------------


def power(x1: Any, x2: Any) -> Any:
    """x1**x2, as the operator does it (an integer exponent becomes products)."""
    return ew.raise_to(operand(x1), operand(x2))


def square(x: Any) -> Any:
    """The square."""
    return x * x


def reciprocal(x: Any) -> Any:
    """1 / x, for floats."""
    if not is_float(x):
        raise refuse("reciprocal of integers is not supported.", "Use 1 // x.")
    return 1.0 / x


def float_power(x1: Any, x2: Any) -> Any:
    """The power in float64."""
    return power(cmp.convert(x1, dtype="float64"), cmp.convert(x2, dtype="float64"))


def fabs(x: Any) -> Any:
    """The absolute value as a float."""
    return ew.absolute(floats(x))


def positive(x: Any) -> Any:
    """The value itself."""
    return x


def radians(x: Any) -> Any:
    """Degrees as radians."""
    return x * (math.pi / 180.0)


def degrees(x: Any) -> Any:
    """Radians as degrees."""
    return x * (180.0 / math.pi)


def logaddexp2(x1: Any, x2: Any) -> Any:
    """The binary logarithm of 2**x1 + 2**x2."""
    scale = math.log(2.0)
    return ew.logaddexp(x1 * scale, x2 * scale) / scale


def divmod_(x1: Any, x2: Any) -> Any:
    """Quotient and remainder."""
    return ew.floor_divide(x1, x2), ew.remainder(x1, x2)


_SINC_TERMS = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(11)]


def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), with a series around zero so that derivatives are exact."""
    angle = x * math.pi
    near = ew.absolute(angle) < 1.0
    series = _SINC_TERMS[-1]
    for term in reversed(_SINC_TERMS[:-1]):
        series = series * (angle * angle) + term
    far = cmp.select(near, 1.0, angle)
    return cmp.select(near, series, ew.sin(far) / far)


# --- rounding, clipping, choosing --------------------------------------------------


def round_(a: Any, decimals: int = 0) -> Any:
    """Rounded to a number of decimals, halves to even; the derivative is zero."""
    if not is_float(a):
        if decimals < 0:
            raise refuse(
                "integers rounded to tens are not supported.", "Round a float."
            )
        return a
    scale = 10.0 ** abs(decimals)
    if decimals == 0:
        return ew.rint(a)
    return ew.rint(a * scale) / scale if decimals > 0 else ew.rint(a / scale) * scale


def clip(a: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Any:
    """Limited to an interval, of which one end may be missing."""
    low, high = bounds.pop("min", a_min), bounds.pop("max", a_max)
    if bounds:
        raise refuse(
            f"clip with {', '.join(bounds)} is not supported.", "Leave it out."
        )
    a, low, high = operand(a), _bound(low), _bound(high)
    if not is_float(a) and low is None:
        return a if high is None else ew.minimum(a, high)
    if not is_float(a) and high is None:
        return ew.maximum(a, low)
    if low is None and high is None:
        return a
    infinity = math.inf
    return ew.clip(
        a, -infinity if low is None else low, infinity if high is None else high
    )


def _bound(x: Any) -> Any:
    return None if x is None or x is np._NoValue else operand(x)


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """One of two values at each element; only the selected one carries a gradient."""
    if x is None or y is None:
        raise refuse(
            "where with one argument has a result whose shape depends on data.",
            "Use the three-argument form.",
        )
    return cmp.select(boolean(operand(condition)), operand(x), operand(y))


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The choice of the first condition that is true."""
    chosen = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        chosen = where(condition, choice, chosen)
    return chosen


def fmax(x1: Any, x2: Any) -> Any:
    """The maximum, ignoring NaN if one is one."""
    return cmp.select(
        cmp.isnan(x2), x1, cmp.select(cmp.isnan(x1), x2, ew.maximum(x1, x2))
    )


def fmin(x1: Any, x2: Any) -> Any:
    """The minimum, ignoring NaN if one is one."""
    return cmp.select(
        cmp.isnan(x2), x1, cmp.select(cmp.isnan(x1), x2, ew.minimum(x1, x2))
    )


def heaviside(x1: Any, x2: Any) -> Any:
    """The step function, with value x2 at zero."""
    step = cmp.select(x1 > 0.0, 1.0, cmp.select(x1 < 0.0, 0.0, x2))
    return cmp.select(cmp.isnan(floats(x1)), x1, step)


def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """NaN and infinities replaced by numbers."""
    if not copy:
        raise refuse(
            "numpy.nan_to_num with copy=False is not supported.",
            "Write x[:] = np.nan_to_num(x).",
        )
    x = operand(x)
    if not is_float(x):
        return x
    largest = float(np.finfo(dtype_name(x)).max)
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf
    finite = cmp.select(cmp.isnan(x), nan, x)
    found = cmp.select(cmp.isinf(x), cmp.select(x > 0.0, high, low), finite)
    return astype(found, dtype_name(x))


# --- tests -------------------------------------------------------------------------


def logical_xor(x1: Any, x2: Any) -> Any:
    """Whether exactly one is true."""
    return cmp.not_equal(boolean(x1), boolean(x2))


def isposinf(x: Any) -> Any:
    """Whether it is +inf."""
    return cmp.equal(x, math.inf)


def isneginf(x: Any) -> Any:
    """Whether it is -inf."""
    return cmp.equal(x, -math.inf)


def isclose(
    a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether two numbers agree within a tolerance."""
    a, b = operand(a), operand(b)
    near = ew.absolute(a - b) <= atol + rtol * ew.absolute(b)
    result = cmp.logical_and(near, cmp.isfinite(floats(b)))
    result = cmp.logical_or(result, cmp.equal(a, b))
    if equal_nan:
        both = cmp.logical_and(cmp.isnan(floats(a)), cmp.isnan(floats(b)))
        result = cmp.logical_or(result, both)
    return result


def iscomplex(x: Any) -> Any:
    """False: complex numbers are not supported."""
    return zeros_like(x, bool)


def imag(val: Any) -> Any:
    """Zeros: complex numbers are not supported."""
    return zeros_like(val)


NUMPY: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): applied(getattr(ew, name)) for name in _SAME_NAME},
    **{getattr(np, name): applied(getattr(cmp, name)) for name in _CHOICES},
    np.power: power,
    np.float_power: float_power,
    np.square: square,
    np.reciprocal: reciprocal,
    np.fabs: fabs,
    np.positive: positive,
    np.conjugate: positive,
    np.real: positive,
    np.imag: imag,
    np.radians: radians,
    np.deg2rad: radians,
    np.degrees: degrees,
    np.rad2deg: degrees,
    np.logaddexp2: logaddexp2,
    np.divmod: divmod_,
    np.sinc: sinc,
    np.round: round_,
    np.around: round_,
    np.fix: applied(ew.trunc),
    np.clip: clip,
    np.where: where,
    np.select: select,
    np.fmax: fmax,
    np.fmin: fmin,
    np.heaviside: heaviside,
    np.nan_to_num: nan_to_num,
    np.logical_xor: logical_xor,
    np.isposinf: isposinf,
    np.isneginf: isneginf,
    np.isclose: isclose,
    np.iscomplex: iscomplex,
}
METHODS: dict[str, Callable[..., Any]] = {
    "clip": clip,
    "round": round_,
    "conj": positive,
    "conjugate": positive,
}
