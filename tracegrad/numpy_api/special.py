"""``scipy.special`` and ``math``.

SciPy is not imported here: ``scipy_functions`` is called when a caller holds one of its
functions, so it has been imported already.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracegrad.numpy_api.arguments import (
    astype,
    axes_of,
    floats,
    is_float,
    rank_of,
    refuse,
)
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.elementwise import applied, degrees, fabs, radians
from tracegrad.numpy_api.reductions import not_empty, prod, sum_
from tracegrad.numpy_api.shapes import reshape, with_new_axes
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import composite, special
from tracegrad.primitives import elementwise as ew

# --- scipy.special -----------------------------------------------------------------


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    """The logarithm of a sum of exponentials, without overflow."""
    if b is not None:
        raise refuse(
            "logsumexp with weights b= is not supported.", "Add np.log(b) to a."
        )
    a = floats(asarray(a))
    axes = axes_of(axis, rank_of(a))
    not_empty(a, axes, "logsumexp")
    result = composite.logsumexp(a, axes=axes) if axes else a
    return with_new_axes(result, axes) if keepdims and axes else result


def _normalised(primitive: Any) -> Callable[..., Any]:
    def function(x: Any, axis: Any = None) -> Any:
        x = floats(asarray(x))
        axes = axes_of(axis, rank_of(x))
        not_empty(x, axes, primitive.name)
        if not axes:
            return reshape(primitive(reshape(x, (1,)), axes=(0,)), ())
        return primitive(x, axes=axes)

    function.__name__ = primitive.name
    return function


def ndtr(x: Any) -> Any:
    """The distribution function of the normal distribution."""
    return 0.5 * special.erfc(-x * math.sqrt(0.5))


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma, for a static order."""
    if not isinstance(n, int):
        raise refuse("polygamma of a traced order has no rule.", "Pass a Python int.")
    return special.digamma(x) if n == 0 else special.polygamma(float(n), x)


def entr(x: Any) -> Any:
    """-x log(x), 0 at 0, -inf below."""
    return cmp.select(x < 0.0, -math.inf, -special.xlogy(x, x))


def rel_entr(x: Any, y: Any) -> Any:
    """The relative entropy x log(x / y)."""
    positive = cmp.logical_and(x > 0.0, y > 0.0)
    inside = special.xlogy(x, cmp.select(positive, x / y, 1.0))
    at_zero = cmp.logical_and(cmp.equal(x, 0.0), y >= 0.0)
    return cmp.select(positive, inside, cmp.select(at_zero, 0.0, math.inf))


def beta_log(a: Any, b: Any) -> Any:
    """The logarithm of the beta function."""
    return special.gammaln(a) + special.gammaln(b) - special.gammaln(a + b)


def scipy_functions() -> dict[Any, Callable[..., Any]]:
    """The functions of scipy.special that have a rule, with their implementations."""
    import scipy.special as scipy  # slow to import, see above

    same = (
        *("erf", "erfc", "erfinv", "gammaln", "digamma", "expit", "log_expit", "logit"),
        *("xlogy", "xlog1py"),
    )
    return {
        **{getattr(scipy, name): applied(getattr(special, name)) for name in same},
        scipy.psi: applied(special.digamma),
        scipy.polygamma: polygamma,
        scipy.loggamma: applied(special.gammaln),
        scipy.betaln: beta_log,
        scipy.ndtr: ndtr,
        scipy.entr: entr,
        scipy.rel_entr: rel_entr,
        scipy.logsumexp: logsumexp,
        scipy.softmax: _normalised(composite.softmax),
        scipy.log_softmax: _normalised(composite.log_softmax),
        scipy.exp2: applied(ew.exp2),
        scipy.expm1: applied(ew.expm1),
        scipy.log1p: applied(ew.log1p),
        scipy.cbrt: applied(ew.cbrt),
    }


# --- math --------------------------------------------------------------------------


def log(x: Any, base: Any = None) -> Any:
    """The logarithm, natural or to a base."""
    return ew.log(x) if base is None else ew.log(x) / ew.log(base)


def hypot(*coordinates: Any) -> Any:
    """The length of a vector."""
    if len(coordinates) == 2:
        return ew.hypot(*coordinates)
    return ew.length(sum_(asarray([c * c for c in coordinates])))


def dist(p: Any, q: Any, /) -> Any:
    """The distance of two points."""
    return hypot(*(a - b for a, b in zip(p, q, strict=True)))


def _whole(primitive: Any) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        return astype(primitive(x), "int64") if is_float(x) else x

    return function


def _math_isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    size = ew.maximum(ew.absolute(a), ew.absolute(b))
    near = ew.absolute(a - b) <= ew.maximum(rel_tol * size, abs_tol)
    return cmp.logical_or(cmp.equal(a, b), near)


_SAME_NAME = (
    *("sqrt", "exp", "expm1", "log2", "log10", "log1p", "sin", "cos", "tan"),
    *("sinh", "cosh", "tanh", "copysign", "fmod", "isnan", "isinf", "isfinite"),
)
_OTHER_NAME = {
    "asin": ew.arcsin,
    "acos": ew.arccos,
    "atan": ew.arctan,
    "atan2": ew.arctan2,
    "asinh": ew.arcsinh,
    "acosh": ew.arccosh,
    "atanh": ew.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "lgamma": special.gammaln,
    "cbrt": ew.cbrt,
    "exp2": ew.exp2,
    "pow": ew.power,
}

MATH: dict[Any, Callable[..., Any]] = {
    **{
        getattr(math, name): applied(getattr(ew, name, None) or getattr(cmp, name))
        for name in _SAME_NAME
    },
    **{
        getattr(math, n): applied(p) for n, p in _OTHER_NAME.items() if hasattr(math, n)
    },
    math.log: log,
    math.fabs: fabs,
    math.hypot: hypot,
    math.dist: dist,
    math.floor: _whole(ew.floor),
    math.ceil: _whole(ew.ceil),
    math.trunc: _whole(ew.trunc),
    math.degrees: degrees,
    math.radians: radians,
    math.prod: prod,
    math.fsum: sum_,
    math.isclose: _math_isclose,
}
