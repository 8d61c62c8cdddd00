"""Elementwise primitives: arithmetic, exponentials, trigonometry, rounding, extremes.

To add a function, write its record: its NumPy function, its scalar source, the same in
SymPy, its partial derivatives in ordinary arithmetic on this table's functions, and
where to sample it. Types, both derivative modes, loops, the tape and the tests follow.

>>> hypot(3.0, 4.0)
np.float64(5.0)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracegrad.ir.primitive import (
    Composite,
    Elementwise,
    Primitive,
    elementwise,
)
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.comparisons import (
    greater_equal,
    less_equal,
    logical_and,
    select,
    tie,
    zero_safe_div,
)

REAL = (-2.0, 2.0)
POSITIVE = (0.3, 3.0)

# --- arithmetic --------------------------------------------------------------------

add = elementwise(
    np.add,
    source="x + y",
    sympy="x + y",
    partials=lambda out, x, y: (1.0, 1.0),
    operands="number",
    domain=(REAL, REAL),
)
subtract = elementwise(
    np.subtract,
    source="x - y",
    sympy="x - y",
    partials=lambda out, x, y: (1.0, -1.0),
    operands="number",
    domain=(REAL, REAL),
)
multiply = elementwise(
    np.multiply,
    source="x * y",
    sympy="x * y",
    partials=lambda out, x, y: (y, x),
    operands="number",
    domain=(REAL, REAL),
)
divide = elementwise(
    np.divide,
    source="x / y",
    sympy="x / y",
    partials=lambda out, x, y: (1.0 / y, -out / y),
    singular=(0, 1),
    cost=4,
    domain=(REAL, POSITIVE),
    kink="at y = 0 infinite, as the quotient; zero where the cotangent is zero",
)
negative = elementwise(
    np.negative,
    source="-x",
    sympy="-x",
    partials=lambda out, x: (-1.0,),
    operands="number",
    domain=(REAL,),
)
floor_divide = elementwise(
    np.floor_divide,
    source="x // y",
    sympy="floor(x / y)",
    partials=None,
    operands="number",
    cost=5,
    domain=(REAL, POSITIVE),
    kink="zero everywhere, also at the jumps",
)
remainder = elementwise(
    np.remainder,
    source="x % y",
    sympy="x - floor(x / y) * y",
    partials=lambda out, x, y: (1.0, -floor(x / y)),
    operands="number",
    singular=(1,),
    cost=5,
    domain=(REAL, POSITIVE),
    kink="at the jumps the derivative from the right",
)
fmod = elementwise(
    np.fmod,
    source="fmod(x, y)",
    sympy="x - sign(x / y) * floor(Abs(x / y)) * y",
    partials=lambda out, x, y: (1.0, -trunc(x / y)),
    singular=(1,),
    cost=5,
    domain=(REAL, POSITIVE),
)
power: Primitive = elementwise(
    np.power,
    source="x ** y",
    sympy="x**y",
    partials=lambda out, x, y: (
        select(y == 0.0, 0.0, y * power(x, y - 1.0)),
        out * log(select(x == 0.0, 1.0, x)),
    ),
    operands="number",
    singular=(0, 1),
    cost=40,
    domain=(POSITIVE, REAL),
    kink="x**0 has derivative 0 at x = 0; with respect to the exponent, 0 at x = 0",
)


def _infer_integer_power(x: ArrayType, *, exponent: int) -> ArrayType:
    return x


def _power_by_squaring(x: Any, *, exponent: int) -> Any:
    if exponent == 1:
        return x
    half = _power_by_squaring(x, exponent=exponent // 2)
    return half * half if exponent % 2 == 0 else half * half * x


# A literal integer exponent >= 2, as Numba compiles it: products instead of pow().
integer_power = Primitive(
    "integer_power",
    lambda x, *, exponent: np.asarray(x)[()] ** exponent,
    _infer_integer_power,
    rule=Elementwise(
        lambda out, x, *, exponent: (exponent * raise_to(x, exponent - 1),)
    ),
    lower=Composite(_power_by_squaring),
    sympy="x**exponent",
    operands="number",
    domain=(REAL,),
)


def raise_to(x: Any, y: Any) -> Any:
    """``x ** y``: products for a literal integer exponent, roots for a half, else pow.

    Squares are bitwise NumPy's; higher powers differ from pow() in the last bits, as
    they do under Numba.
    """
    if isinstance(y, (int, float)) and not isinstance(y, np.generic):
        if y == 0.5:
            return sqrt(x)
        if float(y).is_integer() and 1 <= abs(y) <= 64:
            n = abs(int(y))
            whole = x if n == 1 else integer_power(x, exponent=n)
            return whole if y > 0 else divide(1.0, whole)
    return power(x, y)


absolute = elementwise(
    np.absolute,
    source="absolute(x)",
    sympy="Abs(x)",
    partials=lambda out, x: (sign(x),),
    operands="number",
    domain=(REAL,),
    kink="0 at 0",
)
sign: Primitive = elementwise(
    np.sign,
    source="1.0 if x > 0.0 else -1.0 if x < 0.0 else x * 0.0",
    sympy="sign(x)",
    partials=None,
    operands="number",
    domain=(REAL,),
    kink="zero everywhere, also at 0",
)
copysign = elementwise(
    np.copysign,
    source="copysign(x, y)",
    sympy="Piecewise((Abs(x), y >= 0), (-Abs(x), True))",
    partials=lambda out, x, y: (sign(x) * sign(out), None),
    domain=(REAL, REAL),
    kink="0 at x = 0",
)

# --- roots, exponentials, logarithms -----------------------------------------------

sqrt = elementwise(
    np.sqrt,
    source="sqrt(x)",
    sympy="sqrt(x)",
    partials=lambda out, x: (0.5 / out,),
    singular=(0,),
    cost=4,
    domain=(POSITIVE,),
    kink="inf at 0",
)
# The square root of a sum of squares: norms and standard deviations.
length = elementwise(
    np.sqrt,
    "length",
    source="sqrt(x)",
    sympy="sqrt(x)",
    partials=lambda out, x: (select(out == 0.0, 0.0, 0.5 / out),),
    singular=(0,),
    cost=4,
    domain=(POSITIVE,),
    kink="0 at 0 (the minimum-norm subgradient)",
)
cbrt = elementwise(
    np.cbrt,
    source="cbrt(x)",
    sympy="sign(x) * Abs(x) ** Rational(1, 3)",
    partials=lambda out, x: (1.0 / (3.0 * out * out),),
    singular=(0,),
    cost=20,
    domain=(POSITIVE,),
    kink="inf at 0",
)
exp = elementwise(
    np.exp,
    source="exp(x)",
    sympy="exp(x)",
    partials=lambda out, x: (out,),
    singular=(0,),
    cost=20,
    domain=(REAL,),
)
exp2 = elementwise(
    np.exp2,
    source="exp2(x)",
    sympy="2**x",
    partials=lambda out, x: (math.log(2.0) * out,),
    singular=(0,),
    cost=20,
    domain=(REAL,),
)
expm1 = elementwise(
    np.expm1,
    source="expm1(x)",
    sympy="exp(x) - 1",
    partials=lambda out, x: (out + 1.0,),
    singular=(0,),
    cost=25,
    domain=(REAL,),
)
log: Primitive = elementwise(
    np.log,
    source="log(x)",
    sympy="log(x)",
    partials=lambda out, x: (1.0 / x,),
    singular=(0,),
    cost=20,
    domain=(POSITIVE,),
    kink="inf at 0",
)
log2 = elementwise(
    np.log2,
    source="log2(x)",
    sympy="log(x) / log(2)",
    partials=lambda out, x: (1.0 / (math.log(2.0) * x),),
    singular=(0,),
    cost=20,
    domain=(POSITIVE,),
)
log10 = elementwise(
    np.log10,
    source="log10(x)",
    sympy="log(x) / log(10)",
    partials=lambda out, x: (1.0 / (math.log(10.0) * x),),
    singular=(0,),
    cost=20,
    domain=(POSITIVE,),
)
log1p = elementwise(
    np.log1p,
    source="log1p(x)",
    sympy="log(1 + x)",
    partials=lambda out, x: (1.0 / (1.0 + x),),
    singular=(0,),
    cost=20,
    domain=(POSITIVE,),
)
logaddexp = elementwise(
    np.logaddexp,
    source="logaddexp(x, y)",
    sympy="log(exp(x) + exp(y))",
    partials=lambda out, x, y: (exp(x - out), exp(y - out)),
    singular=(0, 1),
    cost=40,
    domain=(REAL, REAL),
)

# --- trigonometry ------------------------------------------------------------------

sin = elementwise(
    np.sin,
    source="sin(x)",
    sympy="sin(x)",
    partials=lambda out, x: (cos(x),),
    cost=20,
    domain=(REAL,),
)
cos: Primitive = elementwise(
    np.cos,
    source="cos(x)",
    sympy="cos(x)",
    partials=lambda out, x: (-sin(x),),
    cost=20,
    domain=(REAL,),
)
tan = elementwise(
    np.tan,
    source="tan(x)",
    sympy="tan(x)",
    partials=lambda out, x: (1.0 + out * out,),
    cost=25,
    domain=((-1.2, 1.2),),
)
arcsin = elementwise(
    np.arcsin,
    source="arcsin(x)",
    sympy="asin(x)",
    partials=lambda out, x: (1.0 / sqrt(1.0 - x * x),),
    singular=(0,),
    cost=25,
    domain=((-0.9, 0.9),),
    kink="inf at the ends",
)
arccos = elementwise(
    np.arccos,
    source="arccos(x)",
    sympy="acos(x)",
    partials=lambda out, x: (-1.0 / sqrt(1.0 - x * x),),
    singular=(0,),
    cost=25,
    domain=((-0.9, 0.9),),
    kink="-inf at the ends",
)
arctan = elementwise(
    np.arctan,
    source="arctan(x)",
    sympy="atan(x)",
    partials=lambda out, x: (1.0 / (1.0 + x * x),),
    cost=25,
    domain=(REAL,),
)
arctan2 = elementwise(
    np.arctan2,
    source="arctan2(x, y)",
    sympy="atan2(x, y)",
    partials=lambda out, x, y: (y / (x * x + y * y), -x / (x * x + y * y)),
    singular=(0, 1),
    cost=30,
    domain=(REAL, POSITIVE),
    kink="nan at the origin",
)
hypot = elementwise(
    np.hypot,
    source="hypot(x, y)",
    sympy="sqrt(x**2 + y**2)",
    partials=lambda out, x, y: (zero_safe_div(x, out), zero_safe_div(y, out)),
    cost=15,
    domain=(REAL, POSITIVE),
    kink="0 at the origin (the minimum-norm subgradient)",
)
sinh = elementwise(
    np.sinh,
    source="sinh(x)",
    sympy="sinh(x)",
    partials=lambda out, x: (cosh(x),),
    singular=(0,),
    cost=30,
    domain=(REAL,),
)
cosh: Primitive = elementwise(
    np.cosh,
    source="cosh(x)",
    sympy="cosh(x)",
    partials=lambda out, x: (sinh(x),),
    singular=(0,),
    cost=30,
    domain=(REAL,),
)
tanh = elementwise(
    np.tanh,
    source="tanh(x)",
    sympy="tanh(x)",
    partials=lambda out, x: (1.0 - out * out,),
    cost=30,
    domain=(REAL,),
)
arcsinh = elementwise(
    np.arcsinh,
    source="arcsinh(x)",
    sympy="asinh(x)",
    partials=lambda out, x: (1.0 / hypot(1.0, x),),
    cost=30,
    domain=(REAL,),
)
arccosh = elementwise(
    np.arccosh,
    source="arccosh(x)",
    sympy="acosh(x)",
    partials=lambda out, x: (1.0 / sqrt(x * x - 1.0),),
    singular=(0,),
    cost=30,
    domain=((1.2, 3.0),),
    kink="inf at 1",
)
arctanh = elementwise(
    np.arctanh,
    source="arctanh(x)",
    sympy="atanh(x)",
    partials=lambda out, x: (1.0 / (1.0 - x * x),),
    singular=(0,),
    cost=30,
    domain=((-0.9, 0.9),),
    kink="inf at the ends",
)

# --- rounding and extremes ---------------------------------------------------------


def _rounding(numpy: np.ufunc, sympy: str) -> Primitive:
    return elementwise(
        numpy,
        source=f"{numpy.__name__}(x)",
        sympy=sympy,
        partials=None,
        domain=(REAL,),
        kink="zero everywhere, also at the jumps",
    )


floor: Primitive = _rounding(np.floor, "floor(x)")
ceil = _rounding(np.ceil, "ceiling(x)")
trunc: Primitive = _rounding(np.trunc, "sign(x) * floor(Abs(x))")
# Up from a half, then down again where that is odd: half-way cases go to even.
rint = _rounding(
    np.rint,
    "floor((2*x + 1) / 2) + ceiling((2*x - 1) / 4) - floor((2*x - 1) / 4) - 1",
)

maximum = elementwise(
    np.maximum,
    source="maximum(x, y)",
    sympy="Max(x, y)",
    partials=lambda out, x, y: (tie(x, y), tie(y, x)),
    chooses=(0, 1),
    operands="number",
    domain=(REAL, REAL),
    kink="a tie is split evenly",
)
minimum = elementwise(
    np.minimum,
    source="minimum(x, y)",
    sympy="Min(x, y)",
    partials=lambda out, x, y: (tie(y, x), tie(x, y)),
    chooses=(0, 1),
    operands="number",
    domain=(REAL, REAL),
    kink="a tie is split evenly",
)
clip = elementwise(
    np.clip,
    source="minimum(maximum(x, low), high)",
    sympy="Min(Max(x, low), high)",
    partials=lambda out, x, low, high: (
        select(logical_and(x > low, x < high), 1.0, 0.0),
        select(logical_and(less_equal(x, low), low < high), 1.0, 0.0),
        select(greater_equal(maximum(x, low), high), 1.0, 0.0),
    ),
    chooses=(0, 1, 2),
    operands="number",
    cost=2,
    domain=(REAL, (-1.0, -0.5), (0.5, 1.0)),
    kink="at a bound 0 for the value and 1 for the bound",
)
