"""Error, gamma and logistic functions.

`gammaln` calls libm and `polygamma` is a scalar loop: these two keep the loop that
calls them scalar. Everything else vectorises.
"""

from codegen.vector_math.exponential import (
    INFINITY,
    NAN,
    exp,
    exp_scaled,
    log,
    log1p,
    pow,
)
from codegen.vector_math.function import coefficients, vector_function
from codegen.vector_math.instructions import (
    copysign,
    floor,
    fma,
    lgamma,
    maximum,
    minimum,
    polynomial,
    product_error,
    sqrt,
)
from codegen.vector_math.trigonometry import (
    sin,
    tan,
)

# --- Error function -----------------------------------------------------------------

# erf(x)/x - 1 in x*x, |x| <= 0.875; near-minimax, error 2**-61.5.
ERF_NEAR = coefficients(
    """
    0.1283791670955126 -0.37612638903183737 0.11283791670954309 -0.026866170644933702
    0.005223977622967918 -0.0008548326840184583 0.00012055324354895224
    -1.4925382206213766e-05 1.6456529999085244e-06 -1.628849344922205e-07
    1.4118687218416604e-08 -8.656625732973674e-10
    """
)
# exp(b*b) * erfc(b) * (1 + 2*b) in t = (b-3)/(b+3), the form of Shepherd and
# Laframboise (1981): near-minimax for erf, 0.875 <= b <= 6, and for erfc, b <= 27.5.
ERF_FAR = coefficients(
    """
    1.2530080582697483 -0.13562110612399345 -0.047562294357841164 0.12964515834430015
    -0.11927366908405977 0.06830798270270778 -0.023770704672012304
    0.0025290822329697934 0.0018897382959790771 -0.0007720071317048061
    -8.21749038122746e-05 0.00016427223863540988 4.445867336373543e-05
    """
)
# The first coefficient is added last, which saves the roundings of a large sum.
ERFC_FIRST = 1.2530080582697296
ERFC = coefficients(
    """
    -0.13562110612458106 -0.04756229435345229 0.12964515870274493
    -0.11927366341520984 0.06830802734456799 -0.023770514921060422 0.00252939180568843
    0.0018886903884459871 -0.0007798321693752118 -0.00010515999860443046
    0.00012509872503808195 4.9502880340167495e-06 -2.0098089287846962e-05
    -7.334528218441805e-07 3.46595716747618e-06 3.5943240206920377e-07
    -6.056311876906759e-07 -1.4275941653507713e-07 9.002335913225336e-08
    4.03051616268668e-08 -6.046405763045719e-09 -6.246043756779e-09
    -9.605642328033296e-10
    """
)


@vector_function
def erf(x: float) -> float:
    """The error function: an odd polynomial up to 0.875, 1 - erfc(x) above.

    exp(-(x * x)), not of b, is what the derivative needs: LLVM computes it once.
    """
    size = abs(x)
    b = 6.0 if size > 6.0 else size
    z = b * b
    t = (b - 3.0) / (b + 3.0)
    far = 1.0 - exp(-(x * x)) * (polynomial(t, ERF_FAR) / (1.0 + 2.0 * b))
    near = b + b * polynomial(z, ERF_NEAR)
    y = copysign(near if size < 0.875 else far, x)
    return y if x == x else x


@vector_function
def erfc(x: float) -> float:
    """`1 - erf(x)`, to full relative accuracy until it underflows."""
    size = abs(x)
    b = 27.5 if size > 27.5 else size
    z = b * b
    t = (b - 3.0) / (b + 3.0)
    y = exp_scaled(-z, -product_error(b, b), 0.0)
    y *= fma(t, polynomial(t, ERFC), ERFC_FIRST) / (1.0 + 2.0 * b)
    y = y if x > 0.0 else 2.0 - y
    y = y if size > 0.5 else 1.0 - (x + x * polynomial(z, ERF_NEAR))
    return y if x == x else x


# Wichura's AS 241 (PPND16): centre, middle and tail, each numerator and denominator.
CENTRE_P = coefficients(
    """
    3.3871328727963665 133.14166789178438 1971.5909503065513 13731.69376550946
    45921.95393154987 67265.7709270087 33430.57558358813 2509.0809287301227
    """
)
CENTRE_Q = coefficients(
    """
    1.0 42.31333070160091 687.1870074920579 5394.196021424751 21213.794301586597
    39307.89580009271 28729.085735721943 5226.495278852854
    """
)
MIDDLE_P = coefficients(
    """
    1.4234371107496835 4.630337846156546 5.769497221460691 3.6478483247632045
    1.2704582524523684 0.2417807251774506 0.022723844989269184 0.0007745450142783414
    """
)
MIDDLE_Q = coefficients(
    """
    1.0 2.053191626637759 1.6763848301838038 0.6897673349851 0.14810397642748008
    0.015198666563616457 0.0005475938084995345 1.0507500716444169e-09
    """
)
TAIL_P = coefficients(
    """
    6.657904643501103 5.463784911164114 1.7848265399172913 0.29656057182850487
    0.026532189526576124 0.0012426609473880784 2.7115555687434876e-05
    2.0103343992922881e-07
    """
)
TAIL_Q = coefficients(
    """
    1.0 0.599832206555888 0.1369298809227358 0.014875361290850615
    0.0007868691311456133 1.8463183175100548e-05 1.421511758316446e-07
    2.0442631033899397e-15
    """
)


@vector_function
def erfinv(x: float) -> float:
    """The inverse of erf: the normal quantile of (1 + x)/2 (Wichura 1988, AS 241)."""
    size = abs(x)
    q = 0.5 * size
    r = sqrt(-log(0.5 - q))
    tail = r > 5.0
    far = r - 5.0 if tail else r - 1.6
    top = polynomial(far, TAIL_P) if tail else polynomial(far, MIDDLE_P)
    bottom = polynomial(far, TAIL_Q) if tail else polynomial(far, MIDDLE_Q)
    near = 0.180625 - q * q
    centre = q <= 0.425
    top = q * polynomial(near, CENTRE_P) if centre else top
    bottom = polynomial(near, CENTRE_Q) if centre else bottom
    y = 0.7071067811865476 * (top / bottom)
    y = y if size < 1.0 else (INFINITY if size == 1.0 else NAN)
    signed: float = copysign(y, x)
    return signed


# --- Gamma function -----------------------------------------------------------------

# Bernoulli numbers B(2k) / (2k), and B(2k): the asymptotic series of psi and psi'.
DIGAMMA_FAR = coefficients(
    """
    0.08333333333333333 -0.008333333333333333 0.003968253968253968
    -0.004166666666666667 0.007575757575757576 -0.021092796092796094
    0.08333333333333333 -0.4432598039215686
    """
)
BERNOULLI = tuple(2.0 * (k + 1) * value for k, value in enumerate(DIGAMMA_FAR))
# Boost's digamma.hpp: psi(1+t) = g * (Y + P(t)/Q(t)), g the distance from the root.
DIGAMMA_P = coefficients(
    """
    0.25479851061131551 -0.32555031186804491 -0.65031853770896507
    -0.28919126444774784 -0.045251321448739056 -0.0020713321167745952
    """
)
DIGAMMA_Q = coefficients(
    """
    1.0 2.0767117023730469 1.4606242909763515 0.43593529692665969
    0.054151797245674225 0.0021284987017821144 -0.55789841321675513e-6
    """
)


@vector_function
def gammaln(x: float) -> float:
    """The logarithm of |gamma(x)|, by libm's lgamma: a scalar call."""
    return lgamma(x) if abs(x) < INFINITY else x


@vector_function
def digamma(x: float) -> float:
    """The derivative of gammaln (Boost's digamma.hpp; reflected for negative `x`)."""
    positive = 1.0 - x if x < 0.0 else x
    upper = positive > 2.0
    t = positive - 1.0 if upper else positive
    t = t if t >= 1.0 else t + 1.0
    distance = (
        (t - 1.4616321446374059) - 3.309564688275257e-10
    ) - 9.016312093258695e-20
    ratio = polynomial(t - 1.0, DIGAMMA_P) / polynomial(t - 1.0, DIGAMMA_Q)
    near = distance * 0.99558162689208984 + distance * ratio
    near += 1.0 / t if upper else 0.0
    shifted = minimum(positive, 10.0)
    top = 0.0
    bottom = 1.0
    for step in range(8):
        top = top * (shifted + step) + bottom
        bottom = bottom * (shifted + step)
    a = positive + 8.0 if positive < 10.0 else positive
    z = 1.0 / (a * a)
    far = log(a) - 0.5 / a - z * polynomial(z, DIGAMMA_FAR)
    far -= top / bottom if positive < 10.0 else 0.0
    y = near if positive <= 3.0 else far
    y -= 1.0 / x if 0.0 < x < 1.0 else 0.0
    offset = x - floor(x + 0.5)
    y -= 3.141592653589793 / tan(3.141592653589793 * offset) if x < 0.0 else 0.0
    y = y if x > 0.0 or floor(x) != x else NAN
    return y if x != 0.0 else copysign(INFINITY, -x)


@vector_function
def trigamma(x: float) -> float:
    """The derivative of digamma: recurrence, asymptotic series, reflection."""
    positive = 1.0 - x if x < 0.5 else x
    a = positive + 10.0
    z = 1.0 / (a * a)
    y = 1.0 / a + 0.5 * z + z / a * polynomial(z, BERNOULLI)
    for step in range(10):
        y += 1.0 / ((positive + step) * (positive + step))
    offset = x - floor(x + 0.5)
    sine = sin(3.141592653589793 * offset) * 0.3183098861837907
    y = 1.0 / (sine * sine) - y if x < 0.5 else y
    return INFINITY if x <= 0.0 and floor(x) == x else y


@vector_function
def polygamma(n: float, x: float) -> float:
    """The n-th derivative of digamma: a scalar loop, Euler and Maclaurin's formula.

    For n > 1 and x below -10000 it gives NaN, as the loop there would be too long.
    """
    if n == 0.0:
        return digamma(x)
    if n == 1.0:
        return trigamma(x)
    sign = 1.0 if floor(0.5 * n) != 0.5 * n else -1.0
    if x <= 0.0 and (floor(x) == x or x < -1e4):
        return sign * INFINITY if floor(x) == x else NAN
    total = 0.0
    a = x
    while a < 12.0 + n:
        total += pow(a, -(n + 1.0))
        a += 1.0
    power = pow(a, -n)
    total += power / n + 0.5 * power / a
    factor = 0.5 * power / (a * a) * (n + 1.0)
    for k in range(8):
        total += factor * BERNOULLI[k]
        m = 2.0 * k + n
        factor *= (m + 2.0) * (m + 3.0) / ((2.0 * k + 3.0) * (2.0 * k + 4.0) * a * a)
    return sign * exp(lgamma(n + 1.0)) * total


# --- Logistic functions -------------------------------------------------------------


@vector_function
def expit(x: float) -> float:
    """The logistic function 1 / (1 + exp(-x))."""
    e = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


@vector_function
def log_expit(x: float) -> float:
    """The logarithm of `expit`."""
    below: float = minimum(x, 0.0)
    return -(log1p(exp(-abs(x))) - below)


@vector_function
def logaddexp(x: float, y: float) -> float:
    """`log(exp(x) + exp(y))`."""
    difference = x - y if x != y else 0.0
    larger: float = maximum(x, y)
    return larger + log1p(exp(-abs(difference)))


@vector_function
def xlogy(x: float, y: float) -> float:
    """`x * log(y)`, and 0 where `x` is 0 and `y` no NaN."""
    return 0.0 if x == 0.0 and y == y else x * log(y)


@vector_function
def xlog1py(x: float, y: float) -> float:
    """`x * log1p(y)`, and 0 where `x` is 0 and `y` no NaN."""
    product = x * log1p(y)  # before the branch: else some processors don't vectorise it
    return 0.0 if x == 0.0 and y == y else product
