"""Functions made of other primitives that keep a derivative rule of their own.

Composed, they would be slower (a maximum differentiated for nothing) or wrong (a mask
of ties where all terms share). Lowering replaces each by its expansion, which is also
its NumPy implementation; differentiation sees the rule.

>>> logsumexp(np.array([1000.0, 1000.0]), axes=(0,)).round(3)
np.float64(1000.693)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.primitive import Composite, Primitive, Sample, general
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.comparisons import equal, isfinite, select
from tracegrad.primitives.elementwise import exp, log
from tracegrad.primitives.reductions import reduce_max, spread
from tracegrad.primitives.structural import Axes, reduce_sum

# --- expansions: exponentials that can't overflow -----------------------------------


def _shifted(x: Any, axes: Axes) -> tuple[Any, Any]:
    """A finite shift near the maximum (zero if that isn't finite), and x minus it."""
    largest = reduce_max(x, axes=axes)
    shift = select(isfinite(largest), largest, 0.0)
    return shift, x - spread(shift, x, axes)


def _expand_logsumexp(x: Any, *, axes: Axes) -> Any:
    shift, shifted = _shifted(x, axes)
    return log(reduce_sum(exp(shifted), axes=axes)) + shift


def _expand_softmax(x: Any, *, axes: Axes) -> Any:
    weights = exp(_shifted(x, axes)[1])
    return weights / spread(reduce_sum(weights, axes=axes), x, axes)


def _expand_shares(x: Any, *, axes: Axes) -> Any:
    weights = exp(_shifted(x, axes)[1])
    total = reduce_sum(weights, axes=axes)
    return weights * spread(1.0 / select(equal(total, 0.0), 1.0, total), x, axes)


def _expand_log_softmax(x: Any, *, axes: Axes) -> Any:
    _, shifted = _shifted(x, axes)
    return shifted - spread(log(reduce_sum(exp(shifted), axes=axes)), x, axes)


def _quiet(function: Any) -> Any:
    """The expansion evaluated by NumPy, without a warning for log(0) or 0 / 0."""

    def evaluate(x: Any, **params: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return function(np.asarray(x), **params)

    return evaluate


# --- derivatives: made of softmax or the like, so that the exponentials are shared --


def _logsumexp_jvp(primals: Any, tangents: Any, outs: Any, *, axes: Axes) -> Any:
    (x,), (x_dot,) = primals, tangents
    return (reduce_sum(shares(x, axes=axes) * x_dot, axes=axes),)


def _logsumexp_vjp(cts: Any, primals: Any, outs: Any, *, axes: Axes) -> Any:
    (ct,), (x,) = cts, primals
    return (spread(ct, x, axes) * shares(x, axes=axes),)


def _softmax_pull(ct: Any, x: Any, out: Any, axes: Axes) -> Any:
    total = reduce_sum(ct * out, axes=axes)
    return out * (ct - spread(total, out, axes))


def _log_softmax_push(x_dot: Any, x: Any, out: Any, axes: Axes) -> Any:
    mean = reduce_sum(softmax(x, axes=axes) * x_dot, axes=axes)
    return x_dot - spread(mean, out, axes)


def _log_softmax_pull(ct: Any, x: Any, out: Any, axes: Axes) -> Any:
    total = reduce_sum(ct, axes=axes)
    return ct - softmax(x, axes=axes) * spread(total, out, axes)


def _infer_logsumexp(x: ArrayType, *, axes: Axes) -> ArrayType:
    return x.with_shape(tuple(d for k, d in enumerate(x.shape) if k not in axes))


_SAMPLES = (
    Sample(((4,),), {"axes": (0,)}),
    Sample(((2, 3),), {"axes": (1,)}),
    Sample(((2, 3, 2),), {"axes": (0, 2)}),
)


def _normalised(name: str, expansion: Any, push: Any, pull: Any) -> Primitive:
    return general(
        name,
        _quiet(expansion),
        infer=lambda x, *, axes: x,
        jvp=lambda primals, tangents, outs, *, axes: (
            push(tangents[0], primals[0], outs[0], axes),
        ),
        vjp=lambda cts, primals, outs, *, axes: (
            pull(cts[0], primals[0], outs[0], axes),
        ),
        lower=Composite(expansion),
        operands="float",
        samples=_SAMPLES,
    )


logsumexp = general(
    "logsumexp",
    _quiet(_expand_logsumexp),
    infer=_infer_logsumexp,
    jvp=_logsumexp_jvp,
    vjp=_logsumexp_vjp,
    lower=Composite(_expand_logsumexp),
    operands="float",
    samples=_SAMPLES,
    kink="where every term is -inf, 0",
)

# Softmax with zeros, not NaN, where every term is -inf: the gradient of logsumexp.
shares = _normalised("shares", _expand_shares, _softmax_pull, _softmax_pull)

# The Jacobian of softmax is symmetric: tangents and cotangents take one formula.
softmax = _normalised("softmax", _expand_softmax, _softmax_pull, _softmax_pull)
log_softmax = _normalised(
    "log_softmax", _expand_log_softmax, _log_softmax_push, _log_softmax_pull
)
