"""Products of vectors, matrices and tensors, and ``numpy.linalg``.

A product that is exactly one of matrices becomes ``dot`` (a BLAS call); any other is a
sum of products, which lowering fuses with its neighbours. Integers are multiplied by
loops.

>>> matmul(np.ones((5, 2, 3)), np.ones((3,))).shape
(5, 2)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tracegrad.errors import ShapeError
from tracegrad.ir.shapes import same_size, shape_of, show
from tracegrad.numpy_api.arguments import (
    axes_of,
    axis_of,
    boolean,
    count_of,
    floats,
    is_float,
    rank_of,
    recorded,
    refuse,
    traced_in,
)
from tracegrad.numpy_api.creation import asarray, ones_like
from tracegrad.numpy_api.indexing import along
from tracegrad.numpy_api.rearranging import stack
from tracegrad.numpy_api.reductions import max_, min_, sum_
from tracegrad.numpy_api.shapes import (
    broadcast_shapes,
    broadcast_to,
    moveaxis,
    reshape,
    transpose,
    with_new_axes,
)
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import decompositions, linalg, structural
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.structural import dims

# --- products ----------------------------------------------------------------------


def dot(a: Any, b: Any) -> Any:
    """The sum over the last axis of ``a`` and the last but one of ``b``."""
    a, b = asarray(a), asarray(b)
    if not rank_of(a) or not rank_of(b):
        return a * b
    return tensordot(a, b, ((-1,), (-2 if rank_of(b) > 1 else -1,)))


def inner(a: Any, b: Any) -> Any:
    """The sum over the last axes of both."""
    a, b = asarray(a), asarray(b)
    if not rank_of(a) or not rank_of(b):
        return a * b
    return tensordot(a, b, ((-1,), (-1,)))


def vdot(a: Any, b: Any) -> Any:
    """The sum of products of all elements."""
    a, b = asarray(a), asarray(b)
    left = structural.reshape(a, shape=(count_of(dims(a)),))
    return inner(left, structural.reshape(b, shape=(count_of(dims(b)),)))


def outer(a: Any, b: Any) -> Any:
    """All products of an element of ``a`` with one of ``b``."""
    a, b = asarray(a), asarray(b)
    rows, columns = count_of(dims(a)), count_of(dims(b))
    left = structural.reshape(a, shape=(rows, 1))
    return left * structural.reshape(b, shape=(columns,))


def matmul(x1: Any, x2: Any) -> Any:
    """The matrix product, over broadcast leading axes."""
    a, b = asarray(x1), asarray(x2)
    if not rank_of(a) or not rank_of(b):
        raise ValueError("matmul: Input operand does not have enough dimensions")
    if rank_of(a) <= 2 and rank_of(b) <= 2:
        return dot(a, b)
    if rank_of(b) <= 2 and is_float(a) and is_float(b):
        return _flat_product(a, b)
    left = with_new_axes(a, (0,)) if rank_of(a) == 1 else a
    right = with_new_axes(b, (1,)) if rank_of(b) == 1 else b
    _meet(left, right, -1, -2)
    batch = broadcast_shapes(dims(left)[:-2], dims(right)[:-2])
    left = broadcast_to(left, (*batch, *dims(left)[-2:]))
    right = broadcast_to(right, (*batch, *dims(right)[-2:]))
    product = linalg.matmul(left, right)
    if rank_of(a) == 1:
        product = structural.squeeze(product, axes=(rank_of(product) - 2,))
    if rank_of(b) == 1:
        product = structural.squeeze(product, axes=(rank_of(product) - 1,))
    return product


def _flat_product(a: Any, b: Any) -> Any:
    """A batch of matrices times one matrix: all rows at once."""
    _meet(a, b, -1, 0)
    rows = reshape(a, (count_of(dims(a)[:-1]), dims(a)[-1]))
    product = linalg.dot(rows, b)
    return reshape(product, (*dims(a)[:-1], *dims(b)[1:]))


def _meet(a: Any, b: Any, axis1: int, axis2: int) -> None:
    """Refuse a product whose summed axes differ, naming both arguments."""
    if not same_size(dims(a)[axis1], dims(b)[axis2]):
        raise ShapeError(
            f"a product of shapes {show(shape_of(dims(a)))} and "
            f"{show(shape_of(dims(b)))}: {dims(a)[axis1]} is not {dims(b)[axis2]}."
        )


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum of products over pairs of axes."""
    like = traced_in([a, b])
    a, b = (recorded(like, asarray(x)) for x in (a, b))
    left, right = _contracted(axes, rank_of(a), rank_of(b))
    for axis1, axis2 in zip(left, right, strict=True):
        _meet(a, b, axis1, axis2)
    own_a = [k for k in range(rank_of(a)) if k not in left]
    own_b = [k for k in range(rank_of(b)) if k not in right]
    kept = (*(dims(a)[k] for k in own_a), *(dims(b)[k] for k in own_b))
    if not (is_float(a) and is_float(b)) or not (own_a or own_b) or not left:
        return _sum_of_products(a, b, (own_a, own_b), (left, right))
    shared = count_of([dims(a)[k] for k in left])
    rows = transpose(a, (*own_a, *left))
    columns = transpose(b, (*right, *own_b))
    if len(own_a) > 1 or len(left) > 1:
        own = (count_of([dims(a)[k] for k in own_a]),) if own_a else ()
        rows = structural.reshape(rows, shape=(*own, shared))
    if len(own_b) > 1 or len(right) > 1:
        own = (count_of([dims(b)[k] for k in own_b]),) if own_b else ()
        columns = structural.reshape(columns, shape=(shared, *own))
    product = linalg.dot(rows, columns)
    return product if rank_of(product) == len(kept) else reshape(product, kept)


def _contracted(axes: Any, rank_a: int, rank_b: int) -> tuple[list[int], list[int]]:
    if isinstance(axes, (tuple, list)):
        first, second = axes
        left = [axis_of(k, rank_a) for k in _several(first)]
        return left, [axis_of(k, rank_b) for k in _several(second)]
    if axes > min(rank_a, rank_b):
        raise ValueError("tensordot over more axes than the arrays have")
    return list(range(rank_a - axes, rank_a)), list(range(axes))


def _several(axis: Any) -> Sequence[Any]:
    return axis if isinstance(axis, (tuple, list)) else (axis,)


def _sum_of_products(
    a: Any, b: Any, own: tuple[list[int], list[int]], paired: tuple[Any, Any]
) -> Any:
    """Both operands over all axes, kept ones first: multiplied and summed."""
    (own_a, own_b), (left, right) = own, paired
    kept = len(own_a) + len(own_b)
    shape = (
        *(dims(a)[k] for k in own_a),
        *(dims(b)[k] for k in own_b),
        *(dims(a)[k] for k in left),
    )
    summed = tuple(range(kept, kept + len(left)))
    rows = structural.expand(
        transpose(a, (*own_a, *left)), shape=shape, axes=(*range(len(own_a)), *summed)
    )
    columns = structural.expand(
        transpose(b, (*own_b, *right)),
        shape=shape,
        axes=(*range(len(own_a), kept), *summed),
    )
    return structural.sum_over(rows * columns, summed)


def kron(a: Any, b: Any) -> Any:
    """The Kronecker product."""
    like = traced_in((a, b))
    a, b = recorded(like, asarray(a)), recorded(like, asarray(b))
    rank = max(rank_of(a), rank_of(b))
    a = with_new_axes(a, tuple(range(rank - rank_of(a))))
    b = with_new_axes(b, tuple(range(rank - rank_of(b))))
    pairs = list(zip(dims(a), dims(b), strict=True))
    shape = tuple(size for pair in pairs for size in pair)
    coarse = structural.expand(a, shape=shape, axes=tuple(range(0, 2 * rank, 2)))
    fine = structural.expand(b, shape=shape, axes=tuple(range(1, 2 * rank, 2)))
    return structural.reshape(
        coarse * fine, shape=tuple(count_of(pair) for pair in pairs)
    )


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Any:
    """The cross product of vectors with three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = asarray(a), asarray(b)
    for x, place in ((a, axisa), (b, axisb)):
        if not same_size(dims(x)[place], 3):
            raise refuse(
                "cross of vectors without three components is not supported.",
                "Append a zero component.",
            )
    x, y = ([along(v, at, k) for k in range(3)] for v, at in ((a, axisa), (b, axisb)))
    parts = [
        x[(k + 1) % 3] * y[(k + 2) % 3] - x[(k + 2) % 3] * y[(k + 1) % 3]
        for k in range(3)
    ]
    return stack(parts, axisc)


def multi_dot(arrays: Any) -> Any:
    """The product of several matrices, from left to right."""
    product = arrays[0]
    for a in arrays[1:]:
        product = matmul(product, a)
    return product


def matrix_power(a: Any, n: int) -> Any:
    """A square matrix to an integer power, by squaring."""
    a = asarray(a)
    if n < 0:
        return matrix_power(linalg.inv(a), -n)
    if n == 0:
        return linalg.diagonal_part(ones_like(a))
    half = matrix_power(a, n // 2) if n > 1 else None
    if half is None:
        return a
    return matmul(matmul(half, half), a) if n % 2 else matmul(half, half)


# --- numpy.linalg ------------------------------------------------------------------


def solve(a: Any, b: Any) -> Any:
    """The solution of a x = b; a vector ``b`` stands for one column."""
    a, b = asarray(a), asarray(b)
    if rank_of(b) == 1:
        shape = (*dims(a)[:-2], *dims(b))
        return linalg.solve(a, broadcast_to(b, shape))
    batch = broadcast_shapes(dims(a)[:-2], dims(b)[:-2])
    return linalg.solve(
        broadcast_to(a, (*batch, *dims(a)[-2:])),
        broadcast_to(b, (*batch, *dims(b)[-2:])),
    )


def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The lower Cholesky factor of the matrix whose lower triangle is given."""
    a = asarray(a)
    if upper:
        return linalg.swap(linalg.cholesky(linalg.swap(a)))
    return linalg.cholesky(a)


class SlogdetResult(NamedTuple):
    """What ``slogdet`` gives."""

    sign: Any
    logabsdet: Any


def slogdet(a: Any) -> SlogdetResult:
    """The sign and the logarithm of the absolute value of the determinant."""
    return SlogdetResult(*linalg.slogdet(asarray(a)))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A vector or matrix norm; where it is 0, its gradient is 0."""
    x = floats(asarray(x))
    if axis is None and ord is None:
        axes: tuple[int, ...] = tuple(range(rank_of(x)))
    else:
        axes = axes_of(axis, rank_of(x))
    if len(axes) == 2 and ord is not None:
        return _matrix_norm(x, ord, axis, axes, keepdims)
    if ord is None or ord in (2, "fro"):
        return ew.length(sum_(x * x, axes, keepdims=keepdims))
    if len(axes) != 1 or isinstance(ord, str):
        raise ValueError("Invalid norm order for vectors.")
    return _vector_norm(ew.absolute(x), ord, axes, keepdims)


def _vector_norm(size: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord == math.inf:
        return max_(size, axes, keepdims=keepdims)
    if ord == -math.inf:
        return min_(size, axes, keepdims=keepdims)
    if ord == 0:
        return floats(sum_(boolean(size), axes, keepdims=keepdims))
    if ord == 1:
        return sum_(size, axes, keepdims=keepdims)
    total = sum_(size**ord, axes, keepdims=keepdims)
    zero = total == 0.0
    return cmp.select(zero, total, cmp.select(zero, 1.0, total) ** (1.0 / ord))


def _matrix_norm(x: Any, ord: Any, axis: Any, axes: Any, keepdims: bool) -> Any:
    row, column = axes if axis is None else (axis_of(a, rank_of(x)) for a in axis)
    if ord == "fro":
        return ew.length(sum_(x * x, axes, keepdims=keepdims))
    if ord in (2, -2, "nuc"):
        return _spectral_norm(moveaxis(x, (row, column), (-2, -1)), ord, axes, keepdims)
    summed = {1: row, -1: row, math.inf: column, -math.inf: column}.get(ord)
    if summed is None:
        raise refuse(
            f"norm with ord={ord!r} of a matrix is not supported.",
            "Known matrix norms: 'fro', 'nuc', 1, -1, 2, -2, inf, -inf.",
        )
    other = column if summed == row else row
    sums = sum_(ew.absolute(x), summed, keepdims=True)
    extreme = max_ if ord > 0 else min_
    result = extreme(sums, other, keepdims=True)
    return result if keepdims else structural.squeeze(result, axes=axes)


def _spectral_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """A norm of singular values."""
    values = decompositions.svd(x)[1]
    found = (
        sum_(values, -1) if ord == "nuc" else along(values, -1, 0 if ord > 0 else -1)
    )
    return with_new_axes(found, axes) if keepdims else found


def _of_array(primitive: Callable[..., Any]) -> Callable[..., Any]:
    def function(a: Any) -> Any:
        return primitive(asarray(a))

    return function


def matrix_transpose(x: Any, /) -> Any:
    """Each matrix of a batch transposed."""
    return moveaxis(x, -1, -2)


NUMPY: dict[Any, Callable[..., Any]] = {
    np.dot: dot,
    np.inner: inner,
    np.vdot: vdot,
    np.outer: outer,
    np.matmul: matmul,
    np.tensordot: tensordot,
    np.kron: kron,
    np.cross: cross,
    np.linalg.multi_dot: multi_dot,
    np.linalg.matrix_power: matrix_power,
    np.linalg.solve: solve,
    np.linalg.inv: _of_array(linalg.inv),
    np.linalg.det: _of_array(linalg.det),
    np.linalg.slogdet: slogdet,
    np.linalg.cholesky: cholesky,
    np.linalg.norm: norm,
}
METHODS: dict[str, Callable[..., Any]] = {"dot": dot}
