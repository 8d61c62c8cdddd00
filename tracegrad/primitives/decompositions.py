"""Decompositions of matrices: eigenvalues, QR, singular values, the pseudo-inverse.

The rules are those of Giles, "Collected matrix derivative results for forward and
reverse mode algorithmic differentiation" (2008), Walter and Lehmann, "Algorithmic
differentiation of linear algebra functions with application in optimum experimental
design" (2010), and Golub and Pereyra (1973) for the pseudo-inverse. The derivative of
vectors that belong to equal eigenvalues or singular values does not exist: it is nan.

>>> eigh(np.array([[2.0, 0.0], [0.0, 1.0]]))[0]
array([1., 2.])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.errors import DifferentiationError
from tracegrad.ir.primitive import Library, Primitive, Sample, general
from tracegrad.ir.shapes import Dim, size_at_least
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.comparisons import equal, select, zero_safe_mul
from tracegrad.primitives.linalg import (
    _infer_square,
    diagonal_part,
    matmul,
    solve,
    swap,
    triangle,
)
from tracegrad.primitives.structural import (
    counting,
    dims,
    expand,
    filled,
    reduce_sum,
)


def _rows(vector: Any, like: Any) -> Any:
    """A vector as every row of a matrix (of each in a batch)."""
    rank = len(dims(like))
    axes = (*range(rank - 2), rank - 1)
    return expand(vector, shape=dims(like), axes=axes)


def _diagonal(matrix: Any) -> Any:
    """The diagonals of square matrices."""
    return reduce_sum(diagonal_part(matrix), axes=(len(dims(matrix)) - 1,))


def _off_diagonal(matrix: Any) -> Any:
    """Square matrices with zeros on their diagonals, whatever was there."""
    size, rank = dims(matrix)[-1], len(dims(matrix))
    counter = counting(matrix, size)
    rows = expand(counter, shape=(size, size), axes=(0,))
    columns = expand(counter, shape=(size, size), axes=(1,))
    on = expand(equal(rows, columns), shape=dims(matrix), axes=(rank - 2, rank - 1))
    return select(on, filled(matrix, 0, ()), matrix)


def _inverse_gaps(values: Any, like: Any) -> Any:
    """``1 / (v[j] - v[i])`` at (i, j), with zeros on the diagonal."""
    across = _rows(values, like)
    gaps = across - swap(across)
    return _off_diagonal(1.0 / gaps)


def _sum(*terms: Any) -> Any:
    """The sum of the terms that there are."""
    present = [term for term in terms if term is not None]
    return sum(present[1:], present[0]) if present else None


# --- symmetric eigenproblems -------------------------------------------------------


def _infer_eigh(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    _infer_square("eigh")(a)
    return a.with_shape(a.shape[:-1]), a


def _eigh_jvp(primals: Any, tangents: Any, outs: Any) -> Any:
    (a_dot,), (values, vectors) = tangents, outs
    symmetric = triangle(a_dot, upper=False) + swap(triangle(a_dot, -1, upper=False))
    inner = matmul(swap(vectors), matmul(symmetric, vectors))
    turn = zero_safe_mul(inner, _inverse_gaps(values, inner))
    return _diagonal(inner), matmul(vectors, turn)


def _eigh_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (values_bar, vectors_bar), (values, vectors) = cts, outs
    inner = None
    if values_bar is not None:
        inner = diagonal_part(_rows(values_bar, vectors))
    if vectors_bar is not None:
        mixed = matmul(swap(vectors), vectors_bar)
        inner = _sum(inner, zero_safe_mul(mixed, _inverse_gaps(values, mixed)))
    full = matmul(vectors, matmul(inner, swap(vectors)))
    # Only the lower triangle is read, so each of its cells stands for two.
    both = full + swap(full)
    return (triangle(both, upper=False) - diagonal_part(full),)


def _symmetric(*shape: int) -> Any:
    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        root = rng.normal(size=shape)
        spread = np.diag(np.arange(1.0, shape[-1] + 1) * 3.0)
        return (root + np.swapaxes(root, -1, -2) + spread,)

    return make


eigh = general(
    "eigh",
    lambda a: tuple(np.linalg.eigh(a)),
    infer=_infer_eigh,
    jvp=_eigh_jvp,
    vjp=_eigh_vjp,
    lower=Library("eigh"),
    operands="float",
    samples=(Sample((), {}, _symmetric(3, 3)), Sample((), {}, _symmetric(2, 3, 3))),
    kink="reads the lower triangle only; eigenvectors of equal eigenvalues give nan",
)

# --- QR ----------------------------------------------------------------------------


def _shorter(a: ArrayType) -> Dim:
    rows, columns = a.shape[-2:]
    return columns if size_at_least(rows, columns) else rows


def _infer_qr(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    batch, (rows, columns) = a.shape[:-2], a.shape[-2:]
    inner = _shorter(a)
    return a.with_shape((*batch, rows, inner)), a.with_shape((*batch, inner, columns))


def _require_tall(a: Any) -> None:
    rows, columns = dims(a)[-2:]
    if not size_at_least(rows, columns):
        raise DifferentiationError(
            "the QR decomposition of a matrix with more columns than rows has no "
            "derivative here.",
            todo="Decompose its first columns, or its transpose.",
        )


def _over(right: Any, triangular: Any) -> Any:
    """``right @ inv(triangular)``, nan where that has no inverse.

    The decomposition exists for every matrix: what lacks is its derivative, so nothing
    may raise here.
    """
    pivots = _rows(_diagonal(triangular), triangular)
    marked = select(equal(pivots, 0.0), filled(triangular, np.nan, ()), triangular)
    return swap(solve(swap(marked), swap(right)))


def _qr_jvp(primals: Any, tangents: Any, outs: Any) -> Any:
    (a_dot,), (q, r) = tangents, outs
    _require_tall(primals[0])
    scaled = _over(a_dot, r)
    inner = matmul(swap(q), scaled)
    low = triangle(inner, -1, upper=False)
    turn = low - swap(low)
    q_dot = matmul(q, turn - inner) + scaled
    return q_dot, matmul(inner - turn, r)


def _qr_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (q_bar, r_bar), (q, r) = cts, outs
    _require_tall(primals[0])
    from_r = None if r_bar is None else matmul(r, swap(r_bar))
    from_q = None if q_bar is None else -matmul(swap(q_bar), q)
    inner = _sum(from_r, from_q)
    mirrored = triangle(inner, upper=False) + swap(triangle(inner, -1, upper=False))
    return (_over(_sum(q_bar, matmul(q, mirrored)), swap(r)),)


qr = general(
    "qr",
    lambda a: tuple(np.linalg.qr(a)),
    infer=_infer_qr,
    jvp=_qr_jvp,
    vjp=_qr_vjp,
    lower=Library("qr"),
    operands="float",
    samples=(Sample(((4, 3),)), Sample(((2, 3, 3),))),
    kink="without full rank nan; no derivative with more columns than rows",
)

# --- singular values ---------------------------------------------------------------


def _infer_svd(a: ArrayType) -> tuple[ArrayType, ArrayType, ArrayType]:
    batch, (rows, columns) = a.shape[:-2], a.shape[-2:]
    inner = _shorter(a)
    return (
        a.with_shape((*batch, rows, inner)),
        a.with_shape((*batch, inner)),
        a.with_shape((*batch, inner, columns)),
    )


def _outside(vectors: Any, x: Any) -> Any:
    """What of ``x`` is orthogonal to the columns of ``vectors``."""
    return x - matmul(vectors, matmul(swap(vectors), x))


def _svd_jvp(primals: Any, tangents: Any, outs: Any) -> Any:
    (a_dot,), (u, s, v_t) = tangents, outs
    v = swap(v_t)
    inner = matmul(swap(u), matmul(a_dot, v))
    across = _rows(s, inner)
    down = swap(across)
    gaps = _inverse_gaps(s * s, inner)
    u_turn = zero_safe_mul(inner * across + down * swap(inner), gaps)
    v_turn = zero_safe_mul(down * inner + swap(inner) * across, gaps)
    u_rest = _outside(u, matmul(a_dot, v))
    v_rest = _outside(v, matmul(swap(a_dot), u))
    u_dot = matmul(u, u_turn) + u_rest / _rows(s, u_rest)
    v_dot = matmul(v, v_turn) + v_rest / _rows(s, v_rest)
    return u_dot, _diagonal(inner), swap(v_dot)


def _svd_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (u_bar, s_bar, v_t_bar), (u, s, v_t) = cts, outs
    v = swap(v_t)
    square = matmul(swap(u), u)
    across = _rows(s, square)
    inner = None if s_bar is None else diagonal_part(_rows(s_bar, square))
    result = None
    if u_bar is not None:
        mixed = matmul(swap(u), u_bar)
        turn = zero_safe_mul(mixed - swap(mixed), _inverse_gaps(s * s, square))
        inner = _sum(inner, turn * across)
        rest = _outside(u, u_bar)
        result = matmul(rest / _rows(s, rest), v_t)
    if v_t_bar is not None:
        v_bar = swap(v_t_bar)
        mixed = matmul(v_t, v_bar)
        turn = zero_safe_mul(mixed - swap(mixed), _inverse_gaps(s * s, square))
        inner = _sum(inner, swap(across) * turn)
        rest = _outside(v, v_bar)
        result = _sum(result, matmul(u, swap(rest / _rows(s, rest))))
    return (_sum(result, matmul(u, matmul(inner, v_t))),)


svd: Primitive = general(
    "svd",
    lambda a: tuple(np.linalg.svd(a, full_matrices=False)),
    infer=_infer_svd,
    jvp=_svd_jvp,
    vjp=_svd_vjp,
    lower=Library("svd"),
    operands="float",
    samples=(Sample(((4, 3),)), Sample(((2, 3, 4),)), Sample(((3, 3),))),
    kink="vectors of equal or zero singular values give nan",
)

# --- the pseudo-inverse ------------------------------------------------------------


def _infer_pinv(a: ArrayType) -> ArrayType:
    return a.with_shape((*a.shape[:-2], a.shape[-1], a.shape[-2]))


def _less_product(x: Any, p: Any, q: Any) -> Any:
    """``(I - p @ q) @ x``."""
    return x - matmul(p, matmul(q, x))


def _pinv_jvp(primals: Any, tangents: Any, outs: Any) -> Any:
    (a,), (a_dot,), (p,) = primals, tangents, outs
    turned = swap(a_dot)
    left = matmul(p, matmul(swap(p), swap(_less_product(swap(turned), a, p))))
    right = matmul(_less_product(turned, p, a), matmul(swap(p), p))
    return (left + right - matmul(p, matmul(a_dot, p)),)


def _pinv_vjp(cts: Any, primals: Any, outs: Any) -> Any:
    (p_bar,), (a,), (p,) = cts, primals, outs
    turned = swap(p_bar)
    # I - a @ p and I - p @ a are symmetric: they are projections.
    left = _less_product(matmul(turned, matmul(p, swap(p))), a, p)
    inner = matmul(matmul(swap(p), p), turned)
    right = inner - matmul(matmul(inner, p), a)
    full = matmul(swap(p), matmul(p_bar, swap(p)))
    return (left + right - full,)


pinv = general(
    "pinv",
    lambda a: np.linalg.pinv(a),
    infer=_infer_pinv,
    jvp=_pinv_jvp,
    vjp=_pinv_vjp,
    lower=Library("pinv"),
    operands="float",
    samples=(Sample(((4, 3),)), Sample(((2, 3, 4),)), Sample(((3, 3),))),
    kink="the rank is taken as constant",
)
