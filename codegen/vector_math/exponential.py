"""Exponentials, logarithms, powers and roots."""

from codegen.vector_math.function import coefficients, vector_function
from codegen.vector_math.instructions import (
    bits_float,
    copysign,
    float_bits,
    floor,
    fma,
    polynomial,
    product_error,
    sqrt,
)

# --- Exponentials -------------------------------------------------------------------

# Adding 1.5 * 2**52 rounds to an integer, which is then found in the low bits.
ROUNDING_SHIFT = 6755399441055744.0
ROUNDING_BITS = 0x4338000000000000
INFINITY = float("inf")
NAN = float("nan")
LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first ends in zeros, so small multiples of it are exact.
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10

# (exp(r) - 1 - r) / r**2 for |r| <= ln(2) / 2, near-minimax, error 2**-57.8.
EXP = coefficients(
    """
    0.5000000000000012 0.1666666666666638 0.04166666666651829 0.008333333333509385
    0.0013888888947116654 0.00019841269484165608 2.480148917645264e-05
    2.7557598269279975e-06 2.7631741214979885e-07 2.4998787291217904e-08
    """
)


@vector_function
def exp_scaled(high: float, low: float, shift: float) -> float:
    """`2**shift * exp(high + low)` for a `low` at most about one ulp of `high`.

    Cody and Waite's reduction to |r| <= ln(2) / 2 and a near-minimax polynomial. The
    power of two is applied in two halves, so that results overflow and underflow
    gradually where they should.
    """
    bounded = 712.0 if high > 712.0 else (-746.0 if high < -746.0 else high)
    rounded = fma(bounded, LOG2_E, ROUNDING_SHIFT)
    count = rounded - ROUNDING_SHIFT
    r = fma(count, -LN2_LOW, fma(count, -LN2_HIGH, bounded)) + low
    y: float = 1.0 + fma(r * r, polynomial(r, EXP), r)
    exponent = float_bits(rounded) - ROUNDING_BITS + int(shift)
    half = exponent >> 1
    y *= bits_float((half + 1023) << 52)
    y *= bits_float((exponent - half + 1023) << 52)
    return y


@vector_function
def exp(x: float) -> float:
    """The exponential; see `exp_scaled`."""
    return exp_scaled(x, 0.0, 0.0)


@vector_function
def expm1(x: float) -> float:
    """`exp(x) - 1` without cancellation (the scheme of fdlibm's s_expm1.c)."""
    bounded = 710.0 if x > 710.0 else (-60.0 if x < -60.0 else x)
    rounded = fma(bounded, LOG2_E, ROUNDING_SHIFT)
    count = rounded - ROUNDING_SHIFT
    r = fma(count, -LN2_LOW, fma(count, -LN2_HIGH, bounded))
    y = fma(r * r, polynomial(r, EXP), r)
    # Half of 2**count, as 2**1024 is not a float64.
    scale = bits_float((float_bits(rounded) - ROUNDING_BITS + 1022) << 52)
    far = 2.0 * (scale * y + (scale - 0.5))
    return far if count != 0.0 else (y if abs(x) > 1e-300 else x)


# --- Logarithms ---------------------------------------------------------------------

# fdlibm's e_log.c: log(1+f) = f - (f*f/2 - s*(f*f/2 + z*LOG(z))),
# s = f/(2+f), z = s*s.
LOG = coefficients(
    """
    6.666666666666735130e-01 3.999999999940941908e-01 2.857142874366239149e-01
    2.222219843214978396e-01 1.818357216161805012e-01 1.531383769920937332e-01
    1.479819860511658591e-01
    """
)
SMALLEST_NORMAL = 2.2250738585072014e-308


@vector_function
def log_parts(x: float) -> tuple[float, float]:
    """`(e, m - 1)` with x = 2**e * m and sqrt(1/2) <= m < sqrt(2), for positive x."""
    subnormal = x < SMALLEST_NORMAL
    scaled = x * 18014398509481984.0 if subnormal else x
    bits = float_bits(scaled)
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    mantissa = bits_float(bits - (exponent << 52))
    return float(exponent) - (54.0 if subnormal else 0.0), mantissa - 1.0


@vector_function
def log_tail(f: float) -> float:
    """`log(1 + f) - f + f*f/2` for `f` as given by `log_parts` (fdlibm's e_log.c)."""
    s = f / (2.0 + f)
    z = s * s
    series: float = z * polynomial(z, LOG)
    return s * (0.5 * f * f + series)


@vector_function
def log_domain(x: float, y: float) -> float:
    """`y`, unless `x` is no positive finite number: then what log(x) is there."""
    inside = y if x > 0.0 else (-INFINITY if x == 0.0 else NAN)
    return inside if x < INFINITY else x


@vector_function
def log(x: float) -> float:
    """The natural logarithm (fdlibm's e_log.c)."""
    exponent, f = log_parts(x)
    tail = log_tail(f) + exponent * LN2_LOW
    y = fma(exponent, LN2_HIGH, -((0.5 * f * f - tail) - f))
    return log_domain(x, y)


@vector_function
def log1p(x: float) -> float:
    """`log(1 + x)`, correcting for what 1 + x rounds off (fdlibm's s_log1p.c)."""
    u = 1.0 + x
    exponent, f = log_parts(u)
    rounded_off = 1.0 - (u - x) if x > 1.0 else x - (u - 1.0)
    tail = log_tail(f) + fma(exponent, LN2_LOW, rounded_off / u)
    y = fma(exponent, LN2_HIGH, -((0.5 * f * f - tail) - f))
    return log_domain(u, y) if abs(x) > 1e-300 else x


@vector_function
def log_split(f: float) -> tuple[float, float]:
    """`log(1 + f)` in two parts, the first with 21 bits (FreeBSD's k_log.h)."""
    half_square = 0.5 * f * f
    high = bits_float(float_bits(f - half_square) & -0x100000000)
    return high, f - high - half_square + log_tail(f)


@vector_function
def log2(x: float) -> float:
    """The logarithm to base 2, exact at powers of two (FreeBSD's e_log2.c)."""
    exponent, f = log_parts(x)
    high, low = log_split(f)
    scaled = high * 1.44269504072144627571e00
    rest = (low + high) * 1.67517131648865118353e-10 + low * 1.44269504072144627571e00
    total = exponent + scaled
    return log_domain(x, total + (rest + ((exponent - total) + scaled)))


@vector_function
def log10(x: float) -> float:
    """The logarithm to base 10 (FreeBSD's e_log10.c)."""
    exponent, f = log_parts(x)
    high, low = log_split(f)
    scaled = high * 4.34294481878168880939e-01
    rest = (low + high) * 2.50829467116452752298e-11 + low * 4.34294481878168880939e-01
    rest += exponent * 3.69423907715893078616e-13
    whole = exponent * 3.01029995663611771306e-01
    total = whole + scaled
    return log_domain(x, total + (rest + ((whole - total) + scaled)))


@vector_function
def exp2(x: float) -> float:
    """Two to the power `x`: the whole part is the exponent, the rest as `exp`."""
    bounded = 1025.0 if x > 1025.0 else (-1080.0 if x < -1080.0 else x)
    count = (bounded + ROUNDING_SHIFT) - ROUNDING_SHIFT
    rest = bounded - count
    high = rest * 0.6931471805599453
    low = product_error(rest, 0.6931471805599453) + rest * 2.3190468138462996e-17
    return exp_scaled(high, low, count)


# --- Powers -------------------------------------------------------------------------

# (log((1+s)/(1-s))/s - 2 - 2*z/3) / z**2, z = s*s, |s| <= 0.1716; near-minimax.
POW = coefficients(
    """
    0.39999999999999974 0.285714285714453 0.22222222217495718 0.1818181887476293
    0.15384556596717935 0.13336327102325288 0.1167463588726192 0.11990439457266099
    """
)


@vector_function
def log_double(x: float) -> tuple[float, float]:
    """The logarithm of a positive finite number to some 66 bits, as high + low.

    The series 2*atanh(s), s = f/(2+f), whose first terms are kept in two parts each
    (Dekker's arithmetic; the splitting is that of fdlibm's e_pow.c).
    """
    exponent, f = log_parts(x)
    d = 2.0 + f
    s = f / d
    s_low = ((f - s * d) - product_error(s, d) - s * (f - (d - 2.0))) / d
    z = s * s
    z_low = product_error(s, s) + 2.0 * s * s_low
    series = z * polynomial(z, POW)
    c = 0.6666666666666666 + series
    c_low = (0.6666666666666666 - c) + series + 3.700743415417188e-17
    cz = z * c
    cz_low = product_error(z, c) + z * c_low + z_low * c
    cubic = s * cz
    low = product_error(s, cz) + s * cz_low + s_low * cz
    whole = exponent * LN2_HIGH
    first = whole + 2.0 * s
    low += ((whole - first) + 2.0 * s) + 2.0 * s_low + exponent * LN2_LOW
    second = first + cubic
    low += (first - second) + cubic
    high = second + low
    return high, (second - high) + low


@vector_function
def pow(x: float, y: float) -> float:
    """`x**y` as np.power: exp(y * log(|x|)) in two parts, special cases as in C99."""
    size = abs(x)
    high, low = log_double(size)
    high = high if size > 0.0 else -INFINITY
    high = high if size < INFINITY else INFINITY
    product = y * high
    rest = product_error(y, high) + y * low
    power = exp_scaled(product, rest if abs(product) < 1100.0 else 0.0, 0.0)
    power = power if size != 1.0 else 1.0
    whole = floor(y) == y
    odd = whole and floor(0.5 * y) != 0.5 * y
    power = copysign(power, x) if odd else power
    power = power if whole or x >= 0.0 or size == INFINITY else NAN
    power = power if x == x and y == y else NAN
    return 1.0 if x == 1.0 or y == 0.0 else power


@vector_function
def hypot(x: float, y: float) -> float:
    """`sqrt(x*x + y*y)`, scaled by a power of two; infinite if either side is."""
    a = abs(x)
    b = abs(y)
    big = a if a > b else b
    scale = 2.0**-600 if big > 2.0**500 else (2.0**600 if big < 2.0**-450 else 1.0)
    back = 2.0**600 if big > 2.0**500 else (2.0**-600 if big < 2.0**-450 else 1.0)
    a *= scale
    b *= scale
    length = sqrt(a * a + b * b) * back
    return INFINITY if a == INFINITY or b == INFINITY else length


@vector_function
def cbrt(x: float) -> float:
    """The cube root: a third of the exponent, polynomial, Newton (FreeBSD s_cbrt.c)."""
    size = abs(x)
    subnormal = size < SMALLEST_NORMAL
    scaled = size * 18014398509481984.0 if subnormal else size
    third = ((float_bits(scaled) >> 32) * 0x55555556) >> 32
    t = bits_float((third + (696219795 if subnormal else 715094163)) << 32)
    r = (t * t) * (t / size)
    t = t * polynomial(r, CBRT)
    t = bits_float((float_bits(t) + 0x80000000) & -0x40000000)
    r = size / (t * t)
    t += t * ((r - t) / (t + t + r))
    return copysign(t, x) if 0.0 < size < INFINITY else x


CBRT = (1.87595182427177009643, -1.88497979543377169875, 1.621429720105354466140,
        -0.758397934778766047437, 0.145996192886612446982)  # fmt: skip
