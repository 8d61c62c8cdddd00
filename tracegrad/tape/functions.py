"""PyTorch's functions of tensors, made of the table's primitives.

What exists in NumPy's interface too is taken from there (``tracegrad.numpy_api``); the
arguments are PyTorch's: ``dim``, ``keepdim``, ``correction``.

>>> from tracegrad.tape.creation import tensor
>>> norm(tensor([3.0, 4.0]))
tensor(5.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.numpy_api import elementwise as npe
from tracegrad.numpy_api import linalg as npl
from tracegrad.numpy_api import reductions as npr
from tracegrad.numpy_api.arguments import axes_of, axis_of
from tracegrad.numpy_api.indexing import take_along_axis
from tracegrad.numpy_api.shapes import with_new_axes
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import composite, linalg, special, structural
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import reductions as red
from tracegrad.tape.node import Node
from tracegrad.tape.operators import linear, unary
from tracegrad.tape.plans import backward_name
from tracegrad.tape.record import View, detached, value_of
from tracegrad.tape.value import Value, made


def named(title: str, out: Any, *inputs: Any) -> Any:
    """A result whose node is called after the function that users called.

    What would be one of the inputs itself is a copy: results are new tensors.
    """
    if any(out is x for x in inputs):
        out = cmp.convert(out, dtype=str(out.dtype))
    if isinstance(out, Value):
        edge = out._edge
        node = edge.node if isinstance(edge, View) else edge
        if type(node) is Node:
            node.label = backward_name(title)
    return out


def owned(view: Any) -> Any:
    """A view of what nobody else sees, as a tensor of its own."""
    if type(view._edge) is View:
        view._edge = view._edge.node
        view._cell = [0]
    return view


def checked(name: str, *inputs: Any) -> None:
    """Refuse anything but tensors, as PyTorch's functions do."""
    for x in inputs:
        if not isinstance(x, Value):
            raise TypeError(
                f"{name}(): argument must be a tensor, not {type(x).__name__}"
            )


def _unary(primitive: Primitive) -> Callable[..., Any]:
    apply = unary(primitive)

    def function(input: Any) -> Any:
        if not isinstance(input, Value):
            checked(primitive.name, input)
        return apply(input)

    function.__name__ = primitive.name
    return function


exp, log, sin, cos, tan, tanh, sinh, cosh = map(
    _unary, (ew.exp, ew.log, ew.sin, ew.cos, ew.tan, ew.tanh, ew.sinh, ew.cosh)
)
sqrt, exp2, expm1, log2, log10, log1p = map(
    _unary, (ew.sqrt, ew.exp2, ew.expm1, ew.log2, ew.log10, ew.log1p)
)
asin, acos, atan, asinh, acosh, atanh = map(
    _unary, (ew.arcsin, ew.arccos, ew.arctan, ew.arcsinh, ew.arccosh, ew.arctanh)
)
abs_, sign, floor, ceil, trunc, neg = map(
    _unary, (ew.absolute, ew.sign, ew.floor, ew.ceil, ew.trunc, ew.negative)
)
round_ = _unary(ew.rint)
isnan, isinf, isfinite = map(_unary, (cmp.isnan, cmp.isinf, cmp.isfinite))
logical_not = _unary(cmp.logical_not)
sigmoid, erf, erfc, lgamma, digamma, logit, logsigmoid = map(
    _unary,
    (
        *(special.expit, special.erf, special.erfc, special.gammaln),
        *(special.digamma, special.logit, special.log_expit),
    ),
)


def _binary(primitive: Callable[..., Any]) -> Callable[..., Any]:
    def function(input: Any, other: Any) -> Any:
        return primitive(input, other)

    return function


sub, mul, maximum, minimum, atan2, hypot, fmod = map(
    _binary,
    (
        *(ew.subtract, ew.multiply, ew.maximum, ew.minimum, ew.arctan2, ew.hypot),
        ew.fmod,
    ),
)
remainder, floor_divide, logaddexp = map(
    _binary, (ew.remainder, ew.floor_divide, ew.logaddexp)
)
eq, ne, lt, le, gt, ge = map(
    _binary,
    (
        *(cmp.equal, cmp.not_equal, cmp.less, cmp.less_equal, cmp.greater),
        cmp.greater_equal,
    ),
)
logical_and, logical_or = map(_binary, (cmp.logical_and, cmp.logical_or))
pow_ = _binary(ew.raise_to)


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input + alpha * other``."""
    return ew.add(input, other if alpha == 1 else other * alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """The quotient, rounded to "floor" or "trunc" if asked."""
    if rounding_mode == "floor":
        return ew.floor_divide(input, other)
    quotient = ew.divide(input, other)
    return ew.trunc(quotient) if rounding_mode == "trunc" else quotient


def square(input: Any) -> Any:
    """The square."""
    return named("Pow", ew.raise_to(input, 2))


def reciprocal(input: Any) -> Any:
    """One divided by it."""
    return named("Reciprocal", ew.divide(1.0, input))


def rsqrt(input: Any) -> Any:
    """One divided by the square root."""
    return named("Rsqrt", ew.divide(1.0, ew.sqrt(input)))


def relu(input: Any) -> Any:
    """The positive part; its derivative is 0 at 0."""
    return named("Relu", cmp.select(input > 0, input, 0.0 if is_float(input) else 0))


def is_float(x: Any) -> bool:
    """Whether its elements are floating-point numbers."""
    return bool(x.dtype.kind == "f")


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Limited to an interval; at a bound the derivative is 0."""
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of min or max must not be None")
    return named("Clamp", npe.clip(input, min, max), input)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """One of two at each element; with one argument, the positions of what is true."""
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return npe.where(condition, input, other)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Between two, at a weight."""
    return named("Lerp", input + weight * (end - input))


# --- reductions --------------------------------------------------------------------

Dims = int | Sequence[int] | None


def _axes(input: Any, dim: Dims) -> tuple[int, ...]:
    if not input.ndim and dim in (0, -1, (0,), (-1,)):
        return ()
    several = None if isinstance(dim, (tuple, list)) and not dim else dim
    return axes_of(several, input.ndim)


def sum_(input: Any, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The sum of all elements, or over axes."""
    checked("sum", input)
    axes = _axes(input, dim)
    if dtype is None and is_float(input):
        return named("Sum", _total(input, axes, keepdim), input)
    return named("Sum", npr.sum_(input, axes, dtype, keepdims=keepdim), input)


_sum_over = linear(structural.reduce_sum)


def _total(input: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    out = _sum_over(input, axes=axes) if axes else input
    return with_new_axes(out, axes) if keepdim and axes else out


def mean(input: Any, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The mean of all elements, or over axes."""
    checked("mean", input)
    if input.dtype.kind != "f" and dtype is None:
        raise RuntimeError(
            f"mean(): the input must be floating-point, not {input.dtype}"
        )
    axes = _axes(input, dim)
    if dtype is not None:
        return named("Mean", npr.mean(input, axes, dtype, keepdims=keepdim), input)
    count = math.prod(input.dims[k] for k in axes)
    return named("Mean", _total(input, axes, keepdim) / count)


def prod(input: Any, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The product of all elements, or over axes."""
    axes = _axes(input, dim)
    return named("Prod", npr.prod(input, axes, dtype, keepdims=keepdim), input)


def var(
    input: Any, dim: Dims = None, *, correction: Any = 1, keepdim: bool = False
) -> Any:
    """The variance, by default with one degree of freedom taken off."""
    axes = _axes(input, dim)
    out = npr.var(input, axes, ddof=correction, keepdims=keepdim)
    return named("Var", out, input)


def std(
    input: Any, dim: Dims = None, *, correction: Any = 1, keepdim: bool = False
) -> Any:
    """The standard deviation, by default with one degree of freedom taken off."""
    axes = _axes(input, dim)
    out = npr.std(input, axes, ddof=correction, keepdims=keepdim)
    return named("Std", out, input)


def amax(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The maximum over axes; ties share the gradient."""
    return named("Amax", npr.max_(input, _axes(input, dim), keepdims=keepdim), input)


def amin(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The minimum over axes; ties share the gradient."""
    return named("Amin", npr.min_(input, _axes(input, dim), keepdims=keepdim), input)


class Extremes(NamedTuple):
    """Values along an axis, and where they are."""

    values: Any
    indices: Any


def _extreme(whole: Callable[..., Any], position: Callable[..., Any], pair: Any) -> Any:
    def extreme(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        checked(pair.name, input)
        if dim is None:
            return named(pair.name.capitalize()[:3], whole(input), input)
        if isinstance(dim, Value):
            return pair(input, dim)
        if not input.ndim:
            return Extremes(input * 1, _zero_index(input))
        place = axis_of(dim, input.ndim)
        where_ = position(input, place, keepdims=True)
        values = take_along_axis(input, where_, place)
        if not keepdim:
            values = owned(squeeze_(values, place))
            where_ = owned(squeeze_(where_, place))
        return Extremes(named(pair.name.capitalize()[:3], values, input), where_)

    return extreme


def _zero_index(input: Any) -> Any:
    return made(input._result, np.int64(0), None)


def squeeze_(x: Any, axis: int) -> Any:
    """Without an axis of length one."""
    return structural.squeeze(x, axes=(axis,))


max_ = _extreme(npr.max_, npr.argmax, ew.maximum)
min_ = _extreme(npr.min_, npr.argmin, ew.minimum)


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the maximum."""
    return npr.argmax(detached(input), dim, keepdims=keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the minimum."""
    return npr.argmin(detached(input), dim, keepdims=keepdim)


def all_(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether all elements are true."""
    return npr.all_(input, _axes(input, dim), keepdims=keepdim)


def any_(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether any element is true."""
    return npr.any_(input, _axes(input, dim), keepdims=keepdim)


def norm(input: Any, p: Any = "fro", dim: Dims = None, keepdim: bool = False) -> Any:
    """The p-norm of all elements, or over axes; its gradient at 0 is 0."""
    checked("norm", input)
    axes = _axes(input, dim)
    order = 2.0 if p in ("fro", None) else float(p)
    if order == 2.0 and is_float(input):
        out = ew.length(_total(input * input, axes, keepdim))
        return named("LinalgVectorNorm", out)
    size = ew.absolute(input)
    if math.isinf(order):
        extreme = npr.max_ if order > 0 else npr.min_
        out = extreme(size, axes, keepdims=keepdim)
    elif order == 1.0:
        out = npr.sum_(size, axes, keepdims=keepdim)
    elif order == 0.0:
        return npr.sum_(
            cmp.convert(input != 0, dtype=str(input.dtype)), axes, keepdims=keepdim
        )
    else:
        total = npr.sum_(ew.power(size, order), axes, keepdims=keepdim)
        out = ew.power(total, 1.0 / order)
    return named("LinalgVectorNorm", out, input)


def logsumexp(input: Any, dim: Dims, keepdim: bool = False) -> Any:
    """log(sum(exp(input))) over axes, without overflow."""
    axes = _axes(input, dim)
    if input._array.size:
        out = composite.logsumexp(input, axes=axes)
    else:  # there is no largest one to take out
        out = ew.log(npr.sum_(ew.exp(input), axes))
    return with_new_axes(out, axes) if keepdim else out


def softmax(input: Any, dim: int) -> Any:
    """Exponentials that sum to one along an axis."""
    return _shares(composite.softmax, "Softmax", input, dim)


def log_softmax(input: Any, dim: int) -> Any:
    """The logarithm of softmax."""
    return _shares(composite.log_softmax, "LogSoftmax", input, dim)


def _shares(primitive: Primitive, title: str, input: Any, dim: int) -> Any:
    axes = _axes(input, dim)
    out = primitive(input, axes=axes) if input._array.size else input
    return named(title, out, input)


def cumsum(input: Any, dim: int) -> Any:
    """Running sums along an axis."""
    return _running(red.cumsum, "Cumsum", input, dim)


def cumprod(input: Any, dim: int) -> Any:
    """Running products along an axis."""
    return _running(red.cumprod, "Cumprod", input, dim)


def _running(primitive: Primitive, title: str, input: Any, dim: int) -> Any:
    axes = _axes(input, dim)
    out = primitive(input, axis=axes[0], reverse=False) if axes else input
    return named(title, out, input)


# --- products ----------------------------------------------------------------------


def dot(input: Any, tensor: Any) -> Any:
    """The sum of products of two vectors."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors"
        )
    return named("Dot", _product(input, tensor))


def matmul(input: Any, other: Any) -> Any:
    """The product of matrices and vectors, batched over leading axes."""
    return _product(input, other)


def _product(a: Any, b: Any) -> Any:
    plain = a.ndim == b.ndim in (1, 2) and is_float(a) and is_float(b)
    if plain and a.dims[-1] == b.dims[0]:
        if a.ndim == 2:
            return linalg.dot(a, b)
        return _sum_over(ew.multiply(a, b), axes=(0,))
    try:
        return npl.matmul(a, b)
    except ValueError as error:
        raise RuntimeError(f"matrix product: {error}") from None


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices."""
    return _product(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """A matrix times a vector."""
    return named("Mv", _product(input, vec))


def bmm(input: Any, mat2: Any) -> Any:
    """The product of two batches of matrices."""
    return named("Bmm", _product(input, mat2))


def outer(input: Any, vec2: Any) -> Any:
    """All products of two vectors' elements."""
    return npl.outer(input, vec2)


# --- tests -------------------------------------------------------------------------


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of what is not zero: a matrix, or a tuple with one per axis."""
    found = np.nonzero(np.atleast_1d(_plain(input != 0)))
    if as_tuple:
        return tuple(made(input._result, x, None) for x in found)
    return made(input._result, np.stack(found, 1), None)


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and elements."""
    return bool(np.array_equal(_plain(input), _plain(other)))


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
    """Whether elements agree within a tolerance."""
    close = np.isclose(_plain(input), _plain(other), rtol=rtol, atol=atol)
    return made(input._result, close, None)


def allclose(
    input: Any,
    other: Any,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Whether all elements agree within a tolerance."""
    a, b = _plain(input), _plain(other)
    return bool(np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def _plain(x: Any) -> Any:
    return value_of(x, "a test or index") if isinstance(x, Value) else x
