"""``scipy.special``.

SciPy is not imported here: ``scipy_functions`` is called when a caller holds one of its
functions, so it has been imported already.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from tracegrad.numpy_api.arguments import (
    axes_of,
    floats,
    is_traced,
    rank_of,
    refuse,
)
from tracegrad.numpy_api.creation import asarray
from tracegrad.numpy_api.elementwise import (
    applied,
    logical_xor,
)
from tracegrad.numpy_api.reductions import not_empty
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


def _is_negative(x: Any) -> Any:
    """Whether the gamma function is: it changes its sign at the negative integers."""
    odd = cmp.not_equal(ew.floor(x) % 2.0, 0.0)
    return cmp.logical_and(x < 0.0, odd)


def gamma(x: Any) -> Any:
    """The gamma function."""
    size = ew.exp(special.gammaln(x))
    return cmp.select(_is_negative(x), -size, size)


def beta(a: Any, b: Any) -> Any:
    """The beta function."""
    size = ew.exp(beta_log(a, b))
    odd = logical_xor(_is_negative(a), _is_negative(b))
    return cmp.select(logical_xor(odd, _is_negative(a + b)), -size, size)


def binom(n: Any, k: Any) -> Any:
    """The binomial coefficient of real numbers, by gamma functions."""
    return 1.0 / ((n + 1.0) * beta(n - k + 1.0, k + 1.0))


def kl_div(x: Any, y: Any) -> Any:
    """X log(x / y) - x + y."""
    return rel_entr(x, y) - x + y


def log_ndtr(x: Any) -> Any:
    """The logarithm of ``ndtr``, by its asymptotic series far below zero."""
    far = ew.minimum(x, -25.0)
    r = 1.0 / (far * far)
    series = r * (-1.0 + r * (3.0 + r * (-15.0 + r * 105.0)))
    tail = -0.5 * far * far - ew.log(-far * math.sqrt(2.0 * math.pi))
    near = ew.log(ndtr(cmp.select(x < -25.0, 0.0, x)))
    above = ew.log1p(-ndtr(-ew.maximum(x, 0.0)))  # what is missing to 0
    near = cmp.select(x > 0.0, above, near)
    return cmp.select(x < -25.0, tail + ew.log1p(series), near)


def _real(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of floats, which may be given integers."""

    @functools.wraps(function)
    def converted(*operands: Any) -> Any:
        return function(*(floats(x) if is_traced(x) else x for x in operands))

    return converted


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
        scipy.rel_entr: _real(rel_entr),
        scipy.kl_div: _real(kl_div),
        scipy.gamma: _real(gamma),
        scipy.beta: _real(beta),
        scipy.binom: _real(binom),
        scipy.log_ndtr: _real(log_ndtr),
        scipy.logsumexp: logsumexp,
        scipy.softmax: _normalised(composite.softmax),
        scipy.log_softmax: _normalised(composite.log_softmax),
        scipy.exp2: applied(ew.exp2),
        scipy.expm1: applied(ew.expm1),
        scipy.log1p: applied(ew.log1p),
        scipy.cbrt: applied(ew.cbrt),
    }
