"""Circular and hyperbolic functions and their inverses."""

from typing import Any

from llvmlite import ir
from numba import types

from codegen.vector_math.exponential import (
    INFINITY,
    NAN,
    ROUNDING_SHIFT,
    exp,
    exp_scaled,
    log1p,
)
from codegen.vector_math.function import coefficients, vector_function
from codegen.vector_math.instructions import (
    bits_float,
    copysign,
    float_bits,
    fma,
    instruction,
    maximum,
    polynomial,
    product_error,
    sqrt,
)

# --- Circular functions -------------------------------------------------------------

# Reduction by three 53-bit parts of pi/2 is good up to here; beyond, libm is called.
REDUCTION_LIMIT = 2.0**40

# (sin(r)/r - 1)/z and (cos(r) - 1 + z/2)/z**2, z = r*r, |r| <= pi/4; near-minimax.
SIN = coefficients(
    """
    -0.16666666666666627 0.008333333333321221 -0.0001984126982884383
    2.7557313351620704e-06 -2.505070379337257e-08 1.589358601448168e-10
    """
)
COS = coefficients(
    """
    0.04166666666666658 -0.0013888888888871575 2.480158728792136e-05
    -2.7557313906965483e-07 2.0875663220465964e-09 -1.1356554970008887e-11
    """
)


def _far(name: str) -> Any:
    """A function that calls libm's `name` for |x| >= REDUCTION_LIMIT, else gives `x`.

    A call would keep the caller's loop scalar. So LLVM is handed vector versions as
    well (the attribute is the LLVM Language Reference's "vector-function-abi-variant"):
    they return at once unless some lane is that large, and then go lane by lane.
    """

    @instruction
    def far(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            scalar = _define_far(builder.module, name)
            return builder.call(scalar, arguments)

        return types.float64(types.float64), generate

    return far


VECTOR_WIDTHS = (2, 4, 8)


def _define_far(module: Any, name: str) -> Any:
    symbol = f"tracegrad_far_{name}"
    if symbol in module.globals:
        return module.globals[symbol]
    double = ir.DoubleType()
    libm = module.globals.get(name)
    libm = libm or ir.Function(module, ir.FunctionType(double, [double]), name)
    scalar = ir.Function(module, ir.FunctionType(double, [double]), symbol)
    variants = []
    for width in VECTOR_WIDTHS:
        kind = ir.VectorType(double, width)
        vector = ir.Function(module, ir.FunctionType(kind, [kind]), f"{symbol}_{width}")
        _far_body(vector, scalar, width)
        variants.append(vector)
    _far_body(scalar, libm, 1)
    mapping = ",".join(
        f"_ZGV_LLVM_N{width}v_{symbol}({symbol}_{width})" for width in VECTOR_WIDTHS
    )
    for function in (scalar, *variants):
        function.linkage = "linkonce_odr"
        # llvmlite's own `add` refuses attributes that are newer than its list of them.
        for attribute in ("noinline", "nounwind", "willreturn", "memory(none)"):
            set.add(function.attributes, attribute)
    set.add(scalar.attributes, f'"vector-function-abi-variant"="{mapping}"')
    _keep(module, symbol, variants)
    return scalar


def _far_body(function: Any, inner: Any, width: int) -> None:
    """`inner` of each lane of the argument if one lane is far, else the argument."""
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    x = function.args[0]
    above, below = (
        ir.Constant(x.type, [limit] * width if width > 1 else limit)
        for limit in (REDUCTION_LIMIT, -REDUCTION_LIMIT)
    )
    far = builder.or_(
        builder.fcmp_ordered(">=", x, above), builder.fcmp_ordered("<=", x, below)
    )
    if width > 1:
        far = builder.bitcast(far, ir.IntType(width))
        far = builder.icmp_unsigned("!=", far, ir.Constant(far.type, 0))
    with builder.if_then(far, likely=False):
        if width == 1:
            builder.ret(builder.call(inner, [x]))
        else:
            result = x
            for lane in range(width):
                index = ir.Constant(ir.IntType(32), lane)
                value = builder.call(inner, [builder.extract_element(x, index)])
                result = builder.insert_element(result, value, index)
            builder.ret(result)
    builder.ret(x)


def _keep(module: Any, symbol: str, functions: Any) -> None:
    """Tell LLVM that `functions`, which nothing calls yet, are not to be dropped."""
    pointers = [function.bitcast(ir.IntType(8).as_pointer()) for function in functions]
    kind = ir.ArrayType(pointers[0].type, len(pointers))
    used = ir.GlobalVariable(module, kind, "llvm.compiler.used")
    used.linkage = "appending"
    used.section = "llvm.metadata"
    used.initializer = ir.Constant(kind, pointers)


far_sin = _far("sin")
far_cos = _far("cos")
far_tan = _far("tan")


@vector_function
def reduce_angle(x: float) -> tuple[int, float, float]:
    """`(n, high, low)` with high + low = x - n * pi/2, for |x| < REDUCTION_LIMIT.

    Cody and Waite's reduction with exact products; the first difference is exact, and
    `low` keeps what the second one rounds off.
    """
    rounded = fma(x, 0.6366197723675814, ROUNDING_SHIFT)
    count = rounded - ROUNDING_SHIFT
    near = (x - count * 1.5707963267948966) - product_error(count, 1.5707963267948966)
    part = count * 6.123233995736766e-17
    high = near - part
    low = ((near - high) - part) - product_error(count, 6.123233995736766e-17)
    return float_bits(rounded), high, low + count * 1.4973849048591833e-33


@vector_function
def sin_cos(high: float, low: float) -> tuple[float, float]:
    """Sine and cosine of high + low, |high| <= pi/4 (fdlibm's k_sin.c, k_cos.c)."""
    z = high * high
    half = 0.5 * z
    sine = high + (high * z * polynomial(z, SIN) + low * (1.0 - half))
    main = 1.0 - half
    cosine = main + (((1.0 - main) - half) + (z * z * polynomial(z, COS) - high * low))
    return sine, cosine


@vector_function
def sin(x: float) -> float:
    """The sine: reduction modulo pi/2, near-minimax polynomials; far out, libm."""
    quadrant, high, low = reduce_angle(x)
    sine, cosine = sin_cos(high, low)
    y = cosine if quadrant & 1 else sine
    y = -y if quadrant & 2 else y
    y = y if abs(x) > 1e-8 else x
    return y if abs(x) < REDUCTION_LIMIT else far_sin(x)


@vector_function
def cos(x: float) -> float:
    """The cosine: reduction modulo pi/2, near-minimax polynomials; far out, libm."""
    quadrant, high, low = reduce_angle(x)
    sine, cosine = sin_cos(high, low)
    y = sine if quadrant & 1 else cosine
    y = -y if (quadrant + 1) & 2 else y
    return y if abs(x) < REDUCTION_LIMIT else far_cos(x)


@vector_function
def tan(x: float) -> float:
    """The tangent, as the quotient of sine and cosine; far out, libm."""
    quadrant, high, low = reduce_angle(x)
    sine, cosine = sin_cos(high, low)
    y = (-cosine if quadrant & 1 else sine) / (sine if quadrant & 1 else cosine)
    y = y if abs(x) > 1e-8 else x
    return y if abs(x) < REDUCTION_LIMIT else far_tan(x)


# --- Inverse circular functions -----------------------------------------------------

# fdlibm's s_atan.c: (atan(t) - t) / t**3 in t*t, for |t| <= 7/16, negated.
ARCTAN = coefficients(
    """
    3.33333333333329318027e-01 -1.99999999998764832476e-01 1.42857142725034663711e-01
    -1.11111104054623557880e-01 9.09088713343650656196e-02 -7.69187620504482999495e-02
    6.66107313738753120669e-02 -5.83357013379057348645e-02 4.97687799461593236017e-02
    -3.65315727442169155270e-02 1.62858201153657823623e-02
    """
)
# fdlibm's e_asin.c: (asin(s) - s) / s**3 = P(z) / Q(z), z = s*s, |s| <= 1/2.
ARCSIN_P = coefficients(
    """
    1.66666666666666657415e-01 -3.25565818622400915405e-01 2.01212532134862925881e-01
    -4.00555345006794114027e-02 7.91534994289814532176e-04 3.47933107596021167570e-05
    """
)
ARCSIN_Q = coefficients(
    """
    1.0 -2.40339491173441421878e+00 2.02094576023350569471e+00
    -6.88283971605453293030e-01 7.70381505559019352791e-02
    """
)
HALF_PI = 1.5707963267948966
HALF_PI_LOW = 6.123233995736766e-17


@vector_function
def arctan_quotient(numerator: float, denominator: float) -> float:
    """The angle of a point in the first quadrant (argument reduction as in Cephes).

    One division: (n - d) / (n + d) or -d/n turn by pi/4 or pi/2.
    """
    steep = numerator > 2.414213562373095 * denominator
    middle = numerator > 0.41421356237309503 * denominator
    top = numerator - denominator if middle else numerator
    bottom = numerator + denominator if middle else denominator
    t = (-denominator if steep else top) / (numerator if steep else bottom)
    z = t * t
    angle = HALF_PI if steep else (0.5 * HALF_PI if middle else 0.0)
    low = HALF_PI_LOW if steep else (0.5 * HALF_PI_LOW if middle else 0.0)
    correction: float = t * z * polynomial(z, ARCTAN) - low
    return angle + (t - correction)


@vector_function
def arctan(x: float) -> float:
    """The inverse tangent (fdlibm's polynomial, Cephes' reduction)."""
    size = abs(x)
    angle = arctan_quotient(size if size < 1e300 else 1e300, 1.0)
    return copysign(angle, x) if size > 1e-8 else x


@vector_function
def arctan2(y: float, x: float) -> float:
    """The angle of the point (x, y), in [-pi, pi]."""
    height = abs(y)
    width = abs(x)
    scale = 2.0**-600 if maximum(height, width) > 2.0**500 else 2.0**400
    unbounded = height == INFINITY and width == INFINITY
    height = 1.0 if unbounded else height
    width = 1.0 if unbounded else width
    angle = arctan_quotient(height * scale, width * scale)
    angle = angle if height > 1e-8 * width else height / width
    angle = angle if width < INFINITY else 0.0
    angle = angle if height > 0.0 else 0.0
    angle = angle if height < INFINITY else HALF_PI
    angle = 2.0 * HALF_PI - (angle - 2.0 * HALF_PI_LOW) if float_bits(x) < 0 else angle
    return copysign(angle, y) if x == x and y == y else NAN


@vector_function
def arcsin(x: float) -> float:
    """The inverse sine (fdlibm's e_asin.c)."""
    size = abs(x)
    outer = size >= 0.5
    z = 0.5 * (1.0 - size) if outer else x * x
    s = sqrt(z)
    ratio = z * polynomial(z, ARCSIN_P) / polynomial(z, ARCSIN_Q)
    high = bits_float(float_bits(s) & -0x100000000)
    low = (z - high * high) / (s + high)
    angle = 2.0 * (s * ratio) - (HALF_PI_LOW - 2.0 * low)
    angle = 0.5 * HALF_PI - (angle - (0.5 * HALF_PI - 2.0 * high))
    angle = angle if outer else size + size * ratio
    angle = angle if size < 1.0 else (HALF_PI if size == 1.0 else NAN)
    return copysign(angle, x) if size > 1e-8 else x


@vector_function
def arccos(x: float) -> float:
    """The inverse cosine (fdlibm's e_acos.c)."""
    size = abs(x)
    outer = size >= 0.5
    z = 0.5 * (1.0 - size) if outer else x * x
    s = sqrt(z)
    ratio = z * polynomial(z, ARCSIN_P) / polynomial(z, ARCSIN_Q)
    high = bits_float(float_bits(s) & -0x100000000)
    low = (z - high * high) / (s + high) if z > 0.0 else 0.0
    right = 2.0 * (high + (ratio * s + low))
    left = 2.0 * (HALF_PI - (s + (ratio * s - HALF_PI_LOW)))
    inner = HALF_PI - (x - (HALF_PI_LOW - x * ratio))
    angle = (right if x > 0.0 else left) if outer else inner
    return angle if size <= 1.0 else NAN


# --- Hyperbolic functions -----------------------------------------------------------

# (sinh(a)/a - 1)/z, z = a*a, a <= 1; near-minimax.
SINH = coefficients(
    """
    0.16666666666666669 0.008333333333333137 0.00019841269841438795
    2.7557319155053373e-06 2.5052123436451958e-08 1.6057237783827382e-10
    7.759380928702655e-13
    """
)
# Cephes' tanh.c: (tanh(a)/a - 1)/z = P(z)/Q(z), z = a*a, a < 0.625.
TANH_P = (
    -1.61468768441708447952e3,
    -9.92877231001918586564e1,
    -9.64399179425052238628e-1,
)
TANH_Q = (
    4.84406305325125486048e3,
    2.23548839060100448583e3,
    1.12811678491632931402e2,
    1.0,
)


@vector_function
def sinh(x: float) -> float:
    """The hyperbolic sine: a polynomial up to 1, exponentials above."""
    size = abs(x)
    z = size * size
    half = exp_scaled(size, 0.0, -1.0)
    far = half - 0.25 / half
    near = size + size * z * polynomial(z, SINH)
    return copysign(near if size < 1.0 else far, x) if size > 1e-8 else x


@vector_function
def cosh(x: float) -> float:
    """The hyperbolic cosine, from one exponential."""
    half = exp_scaled(abs(x), 0.0, -1.0)
    return half + 0.25 / half


@vector_function
def tanh(x: float) -> float:
    """The hyperbolic tangent (Cephes' tanh.c), with one division for both its parts."""
    size = abs(x)
    bounded = 20.0 if size > 20.0 else size
    z = bounded * bounded
    near = size < 0.625
    numerator = bounded * z * polynomial(z, TANH_P) if near else -2.0
    denominator = polynomial(z, TANH_Q) if near else exp(2.0 * bounded) + 1.0
    y = (bounded if near else 1.0) + numerator / denominator
    return copysign(y, x) if size > 1e-8 else x


@vector_function
def arcsinh(x: float) -> float:
    """The inverse hyperbolic sine, through log1p (fdlibm's s_asinh.c)."""
    size = abs(x)
    large = size > 2.0**28
    a = 1.0 if large else size
    argument = a + a * a / (1.0 + sqrt(1.0 + a * a))
    y = log1p(size - 1.0 if large else argument) + (
        0.6931471805599453 if large else 0.0
    )
    return copysign(y, x) if size > 1e-8 else x


@vector_function
def arccosh(x: float) -> float:
    """The inverse hyperbolic cosine, through log1p (fdlibm's e_acosh.c)."""
    large = x > 2.0**28
    t = x - 1.0
    argument = t if large else t + sqrt(2.0 * t + t * t)
    y = log1p(argument) + (0.6931471805599453 if large else 0.0)
    return y if x >= 1.0 else NAN


@vector_function
def arctanh(x: float) -> float:
    """The inverse hyperbolic tangent, through log1p (fdlibm's e_atanh.c)."""
    size = abs(x)
    double = size + size
    quotient = size / (1.0 - size)
    y = 0.5 * log1p(double + double * quotient if size < 0.5 else 2.0 * quotient)
    return copysign(y, x) if size > 1e-8 else x
