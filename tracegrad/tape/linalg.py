"""``torch.linalg``: norms, systems, inverses, determinants, factorisations."""

from __future__ import annotations

from typing import Any

from tracegrad.primitives import linalg as la
from tracegrad.tape.functions import norm as _norm


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Any:
    """The vector norm of all elements, or over axes."""
    return _norm(A, 2 if ord is None else ord, dim, keepdim)


def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The vector norm of all elements, or over axes."""
    return _norm(x, ord, dim, keepdim)


def solve(A: Any, B: Any) -> Any:
    """The solution X of A X = B."""
    return la.solve(A, B)


def inv(A: Any) -> Any:
    """The inverse."""
    return la.inv(A)


def det(A: Any) -> Any:
    """The determinant."""
    return la.det(A)


def slogdet(A: Any) -> Any:
    """The determinant's sign and the logarithm of its absolute value."""
    return la.slogdet(A)


def cholesky(A: Any) -> Any:
    """The lower triangular factor of a symmetric positive definite matrix."""
    return la.cholesky(A)
