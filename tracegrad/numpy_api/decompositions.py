"""``numpy.linalg``'s decompositions, least squares and what follows from them.

>>> import numpy as np
>>> float(cond(np.diag([4.0, 2.0])))
2.0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tracegrad.ir.shapes import size_at_least, size_equals
from tracegrad.numpy_api.arguments import floats, number_of, rank_of, refuse
from tracegrad.numpy_api.creation import asarray, zeros_like
from tracegrad.numpy_api.indexing import along
from tracegrad.numpy_api.linalg import matmul, norm
from tracegrad.numpy_api.reductions import count_nonzero, max_, sum_
from tracegrad.primitives import decompositions, linalg
from tracegrad.primitives.structural import dims


class EighResult(NamedTuple):
    """What ``eigh`` gives."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """What ``qr`` gives."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """What ``svd`` gives."""

    U: Any
    S: Any
    Vh: Any


def _matrix(a: Any) -> Any:
    return floats(asarray(a))


def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """Eigenvalues and eigenvectors of a symmetric matrix, of which half is read."""
    a = _matrix(a)
    a = linalg.swap(a) if UPLO.upper() == "U" else a
    return EighResult(*decompositions.eigh(a))


def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a symmetric matrix."""
    return eigh(a, UPLO).eigenvalues


def qr(a: Any, mode: str = "reduced") -> Any:
    """Orthogonal and upper triangular factor."""
    if mode == "r":
        return decompositions.qr(_matrix(a))[1]
    if mode != "reduced":
        raise refuse(f"qr with mode={mode!r} is not supported.", 'Use "reduced".')
    return QRResult(*decompositions.qr(_matrix(a)))


def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Singular values, and the vectors that belong to them."""
    a = _matrix(a)
    if not compute_uv:
        return decompositions.svd(a)[1]
    if full_matrices and not size_equals(*dims(a)[-2:]):
        raise refuse(
            "svd with full_matrices=True of a matrix that isn't square is not "
            "supported.",
            "Use full_matrices=False.",
        )
    return SVDResult(*decompositions.svd(a))


def svdvals(x: Any, /) -> Any:
    """Singular values, largest first."""
    return svd(x, compute_uv=False)


def pinv(a: Any) -> Any:
    """The pseudo-inverse; its rank is taken as constant."""
    return decompositions.pinv(_matrix(a))


def cond(x: Any, p: Any = None) -> Any:
    """The condition number: of singular values, or in another norm."""
    if p is None or p == 2:
        values = svdvals(x)
        return along(values, -1, 0) / along(values, -1, -1)
    x = _matrix(x)
    return norm(x, p, (-2, -1)) * norm(linalg.inv(x), p, (-2, -1))


def matrix_rank(A: Any) -> Any:
    """How many singular values are not negligible."""
    A = _matrix(A)
    values = svdvals(A)
    return count_nonzero(values > _negligible(A, values, keepdims=True), -1)


def _negligible(a: Any, values: Any, *, keepdims: bool = False) -> Any:
    """NumPy's bound for singular values that count as zero."""
    rows, columns = dims(a)[-2:]
    longer = rows if size_at_least(rows, columns) else columns
    epsilon = float(np.finfo(np.dtype(str(a.dtype))).eps)
    return max_(values, -1, keepdims=keepdims) * (number_of(a, longer) * epsilon)


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Least squares: solution, residuals, rank and singular values.

    The matrix must have full rank where the residuals are used.
    """
    if rcond is not None:
        raise refuse("lstsq with rcond= is not supported.", "Use rcond=None.")
    a, b = _matrix(a), _matrix(b)
    solution = matmul(decompositions.pinv(a), b)
    rest = b - matmul(a, solution)
    rows, columns = dims(a)
    total = sum_(rest * rest, 0, keepdims=rank_of(b) == 1)
    if size_at_least(columns, rows):
        total = along(zeros_like(total), 0, slice(0, 0))
    return solution, total, matrix_rank(a), svdvals(a)


def _complex(name: str) -> Callable[..., Any]:
    def refused(a: Any, *args: Any, **kwargs: Any) -> Any:
        raise refuse(
            f"numpy.linalg.{name} gives complex numbers, which are not supported.",
            "For symmetric matrices use numpy.linalg.eigh.",
        )

    return refused


NUMPY: dict[Any, Callable[..., Any]] = {
    np.linalg.eigh: eigh,
    np.linalg.eigvalsh: eigvalsh,
    np.linalg.qr: qr,
    np.linalg.svd: svd,
    np.linalg.pinv: pinv,
    np.linalg.cond: cond,
    np.linalg.matrix_rank: matrix_rank,
    np.linalg.lstsq: lstsq,
    np.linalg.eig: _complex("eig"),
    np.linalg.eigvals: _complex("eigvals"),
}
if hasattr(np.linalg, "svdvals"):  # NumPy 2
    NUMPY[np.linalg.svdvals] = svdvals
METHODS: dict[str, Callable[..., Any]] = {}
