"""What a floating-point constant in a program stands for, exactly.

A program writes 0.1 and means a tenth; its ``math.log(2.0)`` is the double next to
log 2. A proof is about what is meant: decimals are read as they are written, and a
number with all digits in use as the simplest multiple of a well-known constant within
two units in the last place, if there is one.

>>> meaning(0.1), meaning(1 / 3), meaning(2 / math.sqrt(math.pi))
((Fraction(1, 10), '1'), (Fraction(1, 3), '1'), (Fraction(2, 1), '1 / sqrt(pi)'))
>>> meaning(math.sqrt(90.0))
(Fraction(3, 1), 'sqrt(10)')
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

_KNOWN: dict[str, float] = {
    "1": 1.0,
    "pi": math.pi,
    "1 / pi": 1.0 / math.pi,
    "sqrt(pi)": math.sqrt(math.pi),
    "1 / sqrt(pi)": 1.0 / math.sqrt(math.pi),
    "sqrt(2) * sqrt(pi)": math.sqrt(2.0 * math.pi),
    "sqrt(2) / sqrt(pi) / 2": math.sqrt(2.0 / math.pi) / 2.0,
    "log(2 * pi)": math.log(2.0 * math.pi),
    "sqrt(2) / sqrt(pi)": math.sqrt(2.0 / math.pi),
    "exp(1)": math.e,
    "log(2)": math.log(2.0),
    "1 / log(2)": 1.0 / math.log(2.0),
    "log(10)": math.log(10.0),
    "1 / log(10)": 1.0 / math.log(10.0),
}
_MANY_DIGITS = 15
_LARGEST_PART = 64
_LARGEST_SQUARE = 4096
_ULPS = 2


@lru_cache(maxsize=4096)
def meaning(value: float) -> tuple[Fraction, str]:
    """A finite number as a fraction of a constant, the latter as SymPy text."""
    shown = repr(value)
    digits = shown.partition("e")[0].replace(".", "").lstrip("-0")
    if len(digits) < _MANY_DIGITS:
        return Fraction(shown), "1"
    for text, constant in _KNOWN.items():
        if not math.isfinite(value / constant):
            continue
        ratio = Fraction(value / constant).limit_denominator(_LARGEST_PART)
        small = 0 < abs(ratio.numerator) <= _LARGEST_PART
        error = abs(float(ratio) * constant - value)
        if small and error <= _ULPS * math.ulp(value):
            return ratio, text
    return _root(value) or (Fraction(shown), "1")


def _root(value: float) -> tuple[Fraction, str] | None:
    """A number as a multiple of the square root of an integer without squares."""
    if not 1e-3 < abs(value) < 1e3:
        return None
    square = Fraction(value * value).limit_denominator(_LARGEST_PART)
    if not 0 < square.numerator <= _LARGEST_SQUARE:
        return None
    if abs(math.sqrt(square) - abs(value)) > _ULPS * math.ulp(value):
        return None
    inside, outside = square.numerator * square.denominator, 1
    for k in range(2, math.isqrt(inside) + 1):
        while inside % (k * k) == 0:
            inside, outside = inside // (k * k), outside * k
    ratio = Fraction(outside, square.denominator)
    return (ratio if value > 0 else -ratio), f"sqrt({inside})"
