"""Dense linear algebra: products and factorisations, over leading batch axes.

``dot`` takes matrices and vectors and becomes a BLAS call; ``matmul`` is the batched
product that the rules need. Where a factorisation doesn't exist, NumPy's LinAlgError is
raised, by the primal and by the derivative alike.

>>> dot(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0]))
array([3., 7.])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.errors import ShapeError
from tracegrad.ir.primitive import Library, Primitive, Sample, general, multilinear
from tracegrad.ir.shapes import same_size, show
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.comparisons import (
    equal,
    greater_equal,
    less_equal,
    select,
)
from tracegrad.primitives.elementwise import multiply
from tracegrad.primitives.structural import (
    counting,
    dims,
    expand,
    filled,
    reduce_sum,
    transpose,
)

# --- products ----------------------------------------------------------------------


def swap(a: Any) -> Any:
    """Each matrix transposed."""
    rank = len(dims(a))
    return transpose(a, perm=(*range(rank - 2), rank - 1, rank - 2))


def outer(a: Any, b: Any) -> Any:
    """The matrix of products of two vectors (of each pair in a batch)."""
    batch, rank = dims(a)[:-1], len(dims(a))
    shape = (*batch, dims(a)[-1], dims(b)[-1])
    leading = tuple(range(rank - 1))
    rows = expand(a, shape=shape, axes=(*leading, rank - 1))
    columns = expand(b, shape=shape, axes=(*leading, rank))
    return multiply(rows, columns)


def matmul(a: Any, b: Any) -> Any:
    """The product of matrices, or of batches of matrices with equal batch axes.

    ``b`` may hold vectors: one rank less than ``a``.
    """
    rank, vector = len(dims(a)), len(dims(b)) < len(dims(a))
    if rank == 2:
        return dot(a, b)
    batch, leading = dims(a)[:-2], tuple(range(rank - 2))
    if vector:
        weights = expand(b, shape=dims(a), axes=(*leading, rank - 1))
        return reduce_sum(multiply(a, weights), axes=(rank - 1,))
    shape = (*batch, dims(a)[-2], dims(a)[-1], dims(b)[-1])
    left = expand(a, shape=shape, axes=(*leading, rank - 2, rank - 1))
    right = expand(b, shape=shape, axes=(*leading, rank - 1, rank))
    return reduce_sum(multiply(left, right), axes=(rank - 1,))


def _infer_dot(a: ArrayType, b: ArrayType) -> ArrayType:
    if not same_size(a.shape[-1], b.shape[0]):
        raise ShapeError(
            f"matrix product of shapes {show(a.shape)} and {show(b.shape)}: "
            f"{a.shape[-1]} is not {b.shape[0]}."
        )
    return a.with_shape(a.shape[:-1] + b.shape[1:])


def _dot_left(ct: Any, a: Any, b: Any) -> Any:
    if len(dims(b)) == 1:
        return outer(ct, b)
    return dot(b, ct) if len(dims(a)) == 1 else dot(ct, swap(b))


def _dot_right(ct: Any, a: Any, b: Any) -> Any:
    if len(dims(a)) == 1:
        return outer(a, ct)
    return dot(swap(a), ct)


dot = multilinear(
    "dot",
    lambda a, b: np.dot(a, b),
    infer=_infer_dot,
    transposes={0: _dot_left, 1: _dot_right},
    lower=Library("dot"),
    operands="float",
    samples=(
        Sample(((2, 3), (3, 4))),
        Sample(((2, 3), (3,))),
        Sample(((3,), (3, 2))),
        Sample(((0, 3), (3, 2))),
        Sample(((2, 0), (0, 2))),
    ),
)

# --- triangles ---------------------------------------------------------------------


def triangle(a: Any, offset: int = 0, *, upper: bool) -> Any:
    """Each matrix with zeros outside its lower (upper) triangle, up to a diagonal."""
    return _kept(a, offset, greater_equal if not upper else less_equal)


def diagonal_part(a: Any) -> Any:
    """Each matrix with zeros off its diagonal."""
    return _kept(a, 0, equal)


def _kept(a: Any, offset: int, relation: Primitive) -> Any:
    """Cells where ``row + offset`` and ``column`` are so related, else zero.

    Zeros are selected, not multiplied: what is cut off may be infinite.
    """
    shape, rank = dims(a)[-2:], len(dims(a))
    rows = counting(a, shape[0])
    rows = expand(rows + offset if offset else rows, shape=shape, axes=(0,))
    columns = expand(counting(a, shape[1]), shape=shape, axes=(1,))
    kept = expand(relation(rows, columns), shape=dims(a), axes=(rank - 2, rank - 1))
    return select(kept, a, filled(a, 0, ()))


def _half_lower(a: Any) -> Any:
    """The lower triangle with half of the diagonal: L's share of a symmetric matrix."""
    return triangle(a, -1, upper=False) + 0.5 * diagonal_part(a)


# --- systems and inverses ----------------------------------------------------------


def _solve(a: Any, b: Any) -> Any:
    if np.ndim(b) == np.ndim(a):
        return np.linalg.solve(a, b)
    return np.linalg.solve(a, np.asarray(b)[..., None])[..., 0]


def _infer_solve(a: ArrayType, b: ArrayType) -> ArrayType:
    _square("solve", a)
    if not same_size(a.shape[-1], b.shape[a.ndim - 2]):
        raise ShapeError(
            f"solve: the matrix has shape {show(a.shape)}, the right-hand side "
            f"{show(b.shape)}."
        )
    return b


def _square(name: str, a: ArrayType) -> None:
    if a.ndim < 2 or not same_size(a.shape[-1], a.shape[-2]):
        raise ShapeError(f"{name} takes square matrices, not shape {show(a.shape)}.")


def _infer_square(name: str) -> Any:
    def infer(a: ArrayType) -> ArrayType:
        _square(name, a)
        return a

    return infer


def _solve_jvp(primals: Any, tangents: Any, outs: Any) -> Any:
    (a, _), (a_dot, b_dot), (x,) = primals, tangents, outs
    right = b_dot
    if a_dot is not None:
        moved = matmul(a_dot, x)
        right = -moved if b_dot is None else b_dot - moved
    return (solve(a, right),)


def _solve_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (ct,), (a, b), (x,) = cts, primals, outs
    b_bar = solve(swap(a), ct)
    vectors = len(dims(b)) < len(dims(a))
    product = outer(b_bar, x) if vectors else matmul(b_bar, swap(x))
    return -product, b_bar


def _inv_jvp(primals: Any, tangents: Any, outs: Any) -> Any:
    (a_dot,), (out,) = tangents, outs
    return (-matmul(matmul(out, a_dot), out),)


def _inv_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (ct,), (out,) = cts, outs
    return (-matmul(matmul(swap(out), ct), swap(out)),)


def _well(*shape: int) -> Any:
    """Matrices far from singular, then normal right-hand sides."""

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        return (rng.normal(size=shape) + 3.0 * np.eye(shape[-1]),)

    return make


def _system(shape: tuple[int, ...], right: tuple[int, ...]) -> Any:
    return lambda rng: (*_well(*shape)(rng), rng.normal(size=right))


_MATRICES = (
    Sample((), {}, _well(3, 3)),
    Sample((), {}, _well(2, 2)),
    Sample((), {}, _well(2, 3, 3)),
)

solve = general(
    "solve",
    _solve,
    infer=_infer_solve,
    jvp=_solve_jvp,
    vjp=_solve_vjp,
    lower=Library("solve"),
    operands="float",
    samples=(
        Sample((), {}, _system((3, 3), (3,))),
        Sample((), {}, _system((2, 2), (2,))),
        Sample((), {}, _system((2, 2), (2, 2))),
        Sample((), {}, _system((3, 3), (3, 2))),
        Sample((), {}, _system((2, 3, 3), (2, 3, 2))),
        Sample((), {}, _system((2, 3, 3), (2, 3))),
    ),
)
inv = general(
    "inv",
    lambda a: np.linalg.inv(a),
    infer=_infer_square("inv"),
    jvp=_inv_jvp,
    vjp=_inv_vjp,
    lower=Library("inv"),
    operands="float",
    samples=_MATRICES,
)

# --- Cholesky ----------------------------------------------------------------------


def _mirrored(a: Any) -> Any:
    """The symmetric matrix whose lower triangle is that of ``a``."""
    return triangle(a, upper=False) + swap(triangle(a, -1, upper=False))


def _cholesky_jvp(primals: Any, tangents: Any, outs: Any) -> Any:
    (a_dot,), (low,) = tangents, outs
    left = solve(low, _mirrored(a_dot))
    inner = swap(solve(low, swap(left)))
    return (matmul(low, _half_lower(inner)),)


def _cholesky_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (ct,), (low,) = cts, outs
    inner = _half_lower(matmul(swap(low), triangle(ct, upper=False)))
    left = solve(swap(low), inner)
    full = swap(solve(swap(low), swap(left)))
    # NumPy reads the lower triangle alone, so each cell below the diagonal stands for
    # two, and cells above it have no influence.
    both = full + swap(full)
    return (triangle(both, upper=False) - diagonal_part(full),)


def _positive(*shape: int) -> Any:
    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        root = rng.normal(size=shape)
        return (root @ np.swapaxes(root, -1, -2) + shape[-1] * np.eye(shape[-1]),)

    return make


cholesky = general(
    "cholesky",
    lambda a: np.linalg.cholesky(a),
    infer=_infer_square("cholesky"),
    jvp=_cholesky_jvp,
    vjp=_cholesky_vjp,
    lower=Library("cholesky"),
    operands="float",
    samples=(
        Sample((), {}, _positive(3, 3)),
        Sample((), {}, _positive(2, 2)),
        Sample((), {}, _positive(2, 3, 3)),
    ),
    kink="as NumPy, reads the lower triangle only: the upper one has gradient 0",
)

# --- determinants ------------------------------------------------------------------


def _infer_det(a: ArrayType) -> ArrayType:
    _square("det", a)
    return a.with_shape(a.shape[:-2])


def _over_matrix(number: Any, a: Any) -> Any:
    """One number per matrix, repeated over the matrix."""
    return expand(number, shape=dims(a), axes=tuple(range(len(dims(a)) - 2)))


def _log_det_dot(a: Any, a_dot: Any) -> Any:
    rank = len(dims(a))
    return reduce_sum(swap(inv(a)) * a_dot, axes=(rank - 2, rank - 1))


det = general(
    "det",
    lambda a: np.linalg.det(a),
    infer=_infer_det,
    jvp=lambda primals, tangents, outs: (
        outs[0] * _log_det_dot(primals[0], tangents[0]),
    ),
    vjp=lambda cts, primals, outs: (
        _over_matrix(cts[0] * outs[0], primals[0]) * swap(inv(primals[0])),
    ),
    lower=Library("det"),
    operands="float",
    samples=_MATRICES,
    kink="the derivative at a singular matrix raises LinAlgError",
)


def _infer_slogdet(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    number = _infer_det(a)
    return number, number


def _slogdet_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (_, ct), (a,) = cts, primals
    return (None if ct is None else _over_matrix(ct, a) * swap(inv(a)),)


# The sign and the logarithm of the absolute value.
slogdet: Primitive = general(
    "slogdet",
    lambda a: tuple(np.linalg.slogdet(a)),
    infer=_infer_slogdet,
    jvp=lambda primals, tangents, outs: (
        None,
        _log_det_dot(primals[0], tangents[0]),
    ),
    vjp=_slogdet_vjp,
    lower=Library("slogdet"),
    operands="float",
    samples=_MATRICES,
    kink="the sign has derivative 0",
)
