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

# --- logsumexp ---------------------------------------------------------------------


def _shift(x: Any, axes: Axes) -> Any:
    """What to subtract so that no exponential overflows; zero where it isn't finite."""
    largest = reduce_max(x, axes=axes)
    return select(isfinite(largest), largest, 0.0)


def _expand_logsumexp(x: Any, *, axes: Axes) -> Any:
    shift = _shift(x, axes)
    total = reduce_sum(exp(x - spread(shift, x, axes)), axes=axes)
    return log(total) + shift


def _shares(x: Any, out: Any, axes: Axes) -> Any:
    """Each term's share of the sum; zero for all where the sum is empty (-inf)."""
    base = select(equal(out, -np.inf), 0.0, out)
    return exp(x - spread(base, x, axes))


def _logsumexp_jvp(primals: Any, tangents: Any, outs: Any, *, axes: Axes) -> Any:
    (x,), (x_dot,), (out,) = primals, tangents, outs
    return (reduce_sum(_shares(x, out, axes) * x_dot, axes=axes),)


def _logsumexp_vjp(cts: Any, primals: Any, outs: Any, *, axes: Axes) -> Any:
    (ct,), (x,), (out,) = cts, primals, outs
    return (spread(ct, x, axes) * _shares(x, out, axes),)


def _infer_logsumexp(x: ArrayType, *, axes: Axes) -> ArrayType:
    return x.with_shape(tuple(d for k, d in enumerate(x.shape) if k not in axes))


def _quiet(function: Any) -> Any:
    """The expansion evaluated by NumPy, without a warning for log(0)."""

    def evaluate(x: Any, **params: Any) -> Any:
        with np.errstate(divide="ignore"):
            return function(np.asarray(x), **params)

    return evaluate


logsumexp = general(
    "logsumexp",
    _quiet(_expand_logsumexp),
    infer=_infer_logsumexp,
    jvp=_logsumexp_jvp,
    vjp=_logsumexp_vjp,
    lower=Composite(_expand_logsumexp),
    operands="float",
    samples=(
        Sample(((4,),), {"axes": (0,)}),
        Sample(((2, 3),), {"axes": (1,)}),
        Sample(((2, 3, 2),), {"axes": (0, 2)}),
    ),
    kink="where every term is -inf, 0",
)

# --- softmax and its logarithm -----------------------------------------------------


def _expand_softmax(x: Any, *, axis: int) -> Any:
    axes = (axis,)
    weights = exp(x - spread(reduce_max(x, axes=axes), x, axes))
    return weights / spread(reduce_sum(weights, axes=axes), x, axes)


def _expand_log_softmax(x: Any, *, axis: int) -> Any:
    axes = (axis,)
    shifted = x - spread(_shift(x, axes), x, axes)
    total = reduce_sum(exp(shifted), axes=axes)
    return shifted - spread(log(total), x, axes)


def _softmax_pull(ct: Any, out: Any, axis: int) -> Any:
    total = reduce_sum(ct * out, axes=(axis,))
    return out * (ct - spread(total, out, (axis,)))


def _log_softmax_push(x_dot: Any, out: Any, axis: int) -> Any:
    mean = reduce_sum(exp(out) * x_dot, axes=(axis,))
    return x_dot - spread(mean, out, (axis,))


def _log_softmax_pull(ct: Any, out: Any, axis: int) -> Any:
    total = reduce_sum(ct, axes=(axis,))
    return ct - exp(out) * spread(total, out, (axis,))


def _normalised(name: str, expansion: Any, push: Any, pull: Any) -> Primitive:
    return general(
        name,
        _quiet(expansion),
        infer=lambda x, *, axis: x,
        jvp=lambda primals, tangents, outs, *, axis: (
            push(tangents[0], outs[0], axis),
        ),
        vjp=lambda cts, primals, outs, *, axis: (pull(cts[0], outs[0], axis),),
        lower=Composite(expansion),
        operands="float",
        samples=(
            Sample(((4,),), {"axis": 0}),
            Sample(((2, 3),), {"axis": 1}),
            Sample(((2, 3),), {"axis": 0}),
        ),
    )


# The Jacobian of softmax is symmetric: tangents and cotangents take one formula.
softmax = _normalised("softmax", _expand_softmax, _softmax_pull, _softmax_pull)
log_softmax = _normalised(
    "log_softmax", _expand_log_softmax, _log_softmax_push, _log_softmax_pull
)
