"""Reductions along axes, positions of extremes, and running sums and products.

``reduce_sum`` stands with its dual ``expand`` in ``structural``. Reduced axes are
removed; ``keepdims`` is the NumPy interface's affair.

Nothing here divides by an element: products are exact when elements are zero, at every
order of derivative. Ties of a maximum or minimum share the cotangent evenly.

>>> reduce_max(np.array([[1.0, 5.0], [7.0, 2.0]]), axes=(1,))
array([5., 7.])
>>> recurrence(np.array([2.0, 2.0, 2.0]), np.ones(3), axis=0, reverse=False)
array([1., 3., 7.])
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tracegrad.errors import ShapeError
from tracegrad.ir.primitive import (
    Library,
    Loop,
    Primitive,
    Reduction,
    Sample,
    general,
    linear,
)
from tracegrad.ir.shapes import same_size, show
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.comparisons import (
    equal,
    greater,
    less,
    select,
    zero_safe_div,
)
from tracegrad.primitives.structural import (
    Axes,
    concatenate,
    dims,
    expand,
    filled,
    others,
    pad,
    reduce_sum,
    slice_,
)

__all__ = [
    "argmax",
    "argmin",
    "argsort",
    "cumprod",
    "cumsum",
    "recurrence",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
    "searchsorted",
    "searchsorted_right",
]


def _infer_reduce(x: ArrayType, *, axes: Axes) -> ArrayType:
    return x.with_shape(tuple(d for k, d in enumerate(x.shape) if k not in axes))


def spread(reduced: Any, x: Any, axes: Axes) -> Any:
    """A reduced value back along the axes of ``x`` that it was reduced over."""
    return expand(reduced, shape=dims(x), axes=others(x, axes))


_REDUCED = (
    Sample(((4,),), {"axes": (0,)}),
    Sample(((2, 3, 2),), {"axes": (0, 2)}),
    Sample(((2, 3),), {"axes": (1,)}),
    Sample(((0, 3),), {"axes": (1,)}),
)

# --- maximum and minimum -----------------------------------------------------------


def _extreme_jvp(beyond: Primitive) -> Any:
    def jvp(primals: Any, tangents: Any, outs: Any, *, axes: Axes) -> Any:
        (x,), (x_dot,), (out,) = primals, tangents, outs
        winners = _winners(x, out, axes)
        taken = select(beyond(spread(out, x, axes), x), 0.0, x_dot)
        return (reduce_sum(taken, axes=axes) / winners,)

    return jvp


def _extreme_vjp(beyond: Primitive) -> Any:
    # An element that is not beaten shares the cotangent. Of a NaN, none is beaten and
    # none equals it: the division by no winners then shows in the gradient.
    def vjp(cts: Any, primals: Any, outs: Any, *, axes: Axes) -> Any:
        (ct,), (x,), (out,) = cts, primals, outs
        share = zero_safe_div(ct, _winners(x, out, axes))
        beaten = beyond(spread(out, x, axes), x)
        return (select(beaten, 0.0, spread(share, x, axes)),)

    return vjp


def _winners(x: Any, out: Any, axes: Axes) -> Any:
    one, zero = filled(x, 1.0, ()), filled(x, 0.0, ())
    return reduce_sum(select(equal(x, spread(out, x, axes)), one, zero), axes=axes)


def _extreme(name: str, numpy: np.ufunc, combine: Any, beyond: Primitive) -> Primitive:
    return general(
        name,
        lambda x, *, axes: numpy.reduce(x, axis=axes),
        infer=_infer_reduce,
        jvp=_extreme_jvp(beyond),
        vjp=_extreme_vjp(beyond),
        lower=Reduction(combine),
        samples=_REDUCED,
        kink="ties share the cotangent evenly",
    )


reduce_max = _extreme("reduce_max", np.maximum, "maximum", greater)
reduce_min = _extreme("reduce_min", np.minimum, "minimum", less)

# --- running sums and products, and the recurrence that differentiates them ----------


def _along(x: Any, axis: int, here: Any, elsewhere: Any) -> tuple[Any, ...]:
    """One entry per axis of ``x``: ``here`` at ``axis``, else ``elsewhere[k]``."""
    return tuple(here if k == axis else elsewhere[k] for k in range(len(dims(x))))


def _window(x: Any, axis: int, start: Any, size: Any) -> Any:
    """``size`` elements from ``start`` along one axis."""
    steps = (1,) * len(dims(x))
    starts = _along(x, axis, start, (0,) * len(steps))
    return slice_(x, starts=starts, steps=steps, sizes=_along(x, axis, size, dims(x)))


def _before(x: Any, axis: int, reverse: bool) -> Any:
    """Element i - 1 at i and a zero at the first (i + 1 and the last, reversed)."""
    size = dims(x)[axis]
    zeros = (0,) * len(dims(x))
    # One cell longer, then cut: no size is ever negative, an empty axis included.
    longer = pad(
        x,
        starts=zeros if reverse else _along(x, axis, 1, zeros),
        steps=(1,) * len(zeros),
        shape=_along(x, axis, size + 1, dims(x)),
    )
    return _window(longer, axis, 1 if reverse else 0, size)


def _product_before(product: Any, axis: int, reverse: bool) -> Any:
    """From running products, at each element those before it: a one at the first."""
    size = dims(product)[axis]
    one = filled(product, 1.0, _along(product, axis, 1, dims(product)))
    parts = (product, one) if reverse else (one, product)
    joined = concatenate(*parts, axis=axis)
    return _window(joined, axis, 1 if reverse else 0, size)


def _running(ufunc: np.ufunc, x: Any, axis: int, reverse: bool) -> Any:
    x = np.asarray(x)
    if reverse:
        x = np.flip(x, axis)
    done = ufunc.accumulate(x, axis=axis, dtype=x.dtype)
    return np.flip(done, axis) if reverse else done


_RUNNING = (
    Sample(((4,),), {"axis": 0, "reverse": False}),
    Sample(((2, 3),), {"axis": 1, "reverse": True}),
    Sample(((2, 3),), {"axis": 0, "reverse": False}),
    Sample(((0,),), {"axis": 0, "reverse": False}),
)

cumsum: Primitive = linear(
    "cumsum",
    lambda x, *, axis, reverse: _running(np.add, x, axis, reverse),
    infer=lambda x, *, axis, reverse: x,
    transpose=lambda ct, x, *, axis, reverse: cumsum(
        ct, axis=axis, reverse=not reverse
    ),
    lower=Loop(),
    samples=_RUNNING,
)


def _recurrence(a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    a, b = np.moveaxis(np.asarray(a), axis, 0), np.moveaxis(np.asarray(b), axis, 0)
    out = np.zeros_like(b)
    last = np.zeros_like(b[0]) if len(b) else None
    for i in reversed(range(len(b))) if reverse else range(len(b)):
        last = out[i] = a[i] * last + b[i]
    return np.moveaxis(out, 0, axis)


def _infer_recurrence(
    a: ArrayType, b: ArrayType, *, axis: int, reverse: bool
) -> ArrayType:
    if a.ndim != b.ndim or not all(map(same_size, a.shape, b.shape)):
        raise ShapeError(
            f"a recurrence's operands have shapes {show(a.shape)} and {show(b.shape)}."
        )
    return b


def _recurrence_jvp(
    primals: Any, tangents: Any, outs: Any, *, axis: int, reverse: bool
) -> Any:
    (a, _), (a_dot, b_dot), (out,) = primals, tangents, outs
    total = b_dot
    if a_dot is not None:
        part = a_dot * _before(out, axis, reverse)
        total = part if b_dot is None else b_dot + part
    return (recurrence(a, total, axis=axis, reverse=reverse),)


def _recurrence_vjp(
    cts: Any, primals: Any, outs: Any, *, axis: int, reverse: bool
) -> Any:
    (ct,), (a, _), (out,) = cts, primals, outs
    # out[i] feeds out[i + 1] through a[i + 1], so its cotangent runs the other way.
    after = _before(a, axis, not reverse)
    b_bar = recurrence(after, ct, axis=axis, reverse=not reverse)
    return b_bar * _before(out, axis, reverse), b_bar


# The linear recurrence out[i] = a[i] * out[i - 1] + b[i], starting from zero. It is the
# derivative of a running product, and is closed under differentiation.
recurrence = general(
    "recurrence",
    _recurrence,
    infer=_infer_recurrence,
    jvp=_recurrence_jvp,
    vjp=_recurrence_vjp,
    lower=Loop(),
    operands="joint",
    samples=(
        Sample(((4,), (4,)), {"axis": 0, "reverse": False}),
        Sample(((2, 3), (2, 3)), {"axis": 1, "reverse": True}),
        Sample(((0,), (0,)), {"axis": 0, "reverse": False}),
    ),
)


def _cumprod_jvp(
    primals: Any, tangents: Any, outs: Any, *, axis: int, reverse: bool
) -> Any:
    (x,), (x_dot,), (out,) = primals, tangents, outs
    step = x_dot * _product_before(out, axis, reverse)
    return (recurrence(x, step, axis=axis, reverse=reverse),)


def _cumprod_vjp(cts: Any, primals: Any, outs: Any, *, axis: int, reverse: bool) -> Any:
    (ct,), (x,), (out,) = cts, primals, outs
    after = _before(x, axis, not reverse)
    run = recurrence(after, ct, axis=axis, reverse=not reverse)
    return (run * _product_before(out, axis, reverse),)


cumprod = general(
    "cumprod",
    lambda x, *, axis, reverse: _running(np.multiply, x, axis, reverse),
    infer=lambda x, *, axis, reverse: x,
    jvp=_cumprod_jvp,
    vjp=_cumprod_vjp,
    lower=Loop(),
    samples=_RUNNING,
)

# --- product -----------------------------------------------------------------------


def _product_of_others(x: Any, axes: Axes) -> Any:
    """At each element the product of all others along ``axes``, without a division."""
    *outer, axis = axes
    forward = cumprod(x, axis=axis, reverse=False)
    backward = cumprod(x, axis=axis, reverse=True)
    here = _product_before(forward, axis, False) * _product_before(backward, axis, True)
    if not outer:
        return here
    rest = _product_of_others(reduce_prod(x, axes=(axis,)), tuple(outer))
    return here * spread(rest, x, (axis,))


def _reduce_prod(x: Any, *, axes: Axes) -> Any:
    x = np.asarray(x)
    return np.multiply.reduce(x, axis=axes, dtype=x.dtype)


def _prod_jvp(primals: Any, tangents: Any, outs: Any, *, axes: Axes) -> Any:
    (x,), (x_dot,) = primals, tangents
    return (reduce_sum(x_dot * _product_of_others(x, axes), axes=axes),)


def _prod_vjp(cts: Any, primals: Any, outs: Any, *, axes: Axes) -> Any:
    (ct,), (x,) = cts, primals
    return (spread(ct, x, axes) * _product_of_others(x, axes),)


reduce_prod = general(
    "reduce_prod",
    _reduce_prod,
    infer=_infer_reduce,
    jvp=_prod_jvp,
    vjp=_prod_vjp,
    lower=Reduction("multiply"),
    samples=(
        *_REDUCED,
        Sample((), {"axes": (0,)}, lambda rng: (np.array([2.0, 0.0, 3.0]),)),
        Sample((), {"axes": (0,)}, lambda rng: (np.array([0.0, 0.0, 3.0]),)),
    ),
)

# --- logic, and positions: integers and booleans have no derivative -------------------


def _example(shape: tuple[int, ...]) -> Any:
    return lambda rng: (rng.normal(size=shape) > 0.0,)


_LOGICAL = (
    Sample((), {"axes": (0,)}, _example((4,))),
    Sample((), {"axes": (0, 1)}, _example((2, 3))),
    Sample((), {"axes": (1,)}, _example((2, 0))),
)

reduce_any = Primitive(
    "reduce_any",
    lambda x, *, axes: np.logical_or.reduce(x, axis=axes),
    _infer_reduce,
    lower=Reduction("or"),
    operands="bool",
    samples=_LOGICAL,
)
reduce_all = Primitive(
    "reduce_all",
    lambda x, *, axes: np.logical_and.reduce(x, axis=axes),
    _infer_reduce,
    lower=Reduction("and"),
    operands="bool",
    samples=_LOGICAL,
)


def _infer_position(x: ArrayType, *, axis: int) -> ArrayType:
    shape = tuple(d for k, d in enumerate(x.shape) if k != axis)
    return ArrayType("int64", shape)


_POSITIONS = (Sample(((4,),), {"axis": 0}), Sample(((2, 3),), {"axis": 1}))

argmax = Primitive(
    "argmax",
    lambda x, *, axis: np.argmax(x, axis=axis),
    _infer_position,
    lower=Loop(),
    samples=_POSITIONS,
)
argmin = Primitive(
    "argmin",
    lambda x, *, axis: np.argmin(x, axis=axis),
    _infer_position,
    lower=Loop(),
    samples=_POSITIONS,
)
# Stable, so that sorting (a gather at these positions) treats ties as NumPy does.
argsort = Primitive(
    "argsort",
    lambda x, *, axis: np.argsort(x, axis=axis, kind="stable"),
    lambda x, *, axis: x.with_dtype("int64"),
    lower=Library("argsort"),
    samples=_POSITIONS,
)


def _infer_search(a: ArrayType, v: ArrayType) -> ArrayType:
    return v.with_dtype("int64")


def _grid(rng: np.random.Generator) -> tuple[Any, ...]:
    return np.sort(rng.normal(size=4)), rng.normal(size=6)


def _search(name: str, side: Literal["left", "right"]) -> Primitive:
    """Where each element of a vector belongs in a sorted one."""
    return Primitive(
        name,
        lambda a, v: np.searchsorted(a, v, side),
        _infer_search,
        lower=Library(name),
        samples=(Sample((), {}, _grid),),
    )


searchsorted = _search("searchsorted", "left")
searchsorted_right = _search("searchsorted_right", "right")
