"""Products, einsum and numpy.linalg against NumPy."""

from __future__ import annotations

import numpy
import pytest

from tests.numpy_api.agreement import arrays, check
from tests.tracing import pullback, record
from tracegrad.errors import DifferentiationError, ShapeError, TracingError

PRODUCTS = {
    ("matmul", "n,m m,k"): lambda np, a, b: (np.matmul(a, b), a @ b),
    ("matmul vector", "n,m m"): lambda np, a, b: a @ b,
    ("vector matmul", "n n,m"): lambda np, a, b: a @ b,
    ("vectors", "n n"): lambda np, a, b: (a @ b, np.dot(a, b), np.inner(a, b)),
    ("batch", "k,n,m k,m,2"): lambda np, a, b: a @ b,
    ("batch times matrix", "k,n,m m,2"): lambda np, a, b: a @ b,
    ("batch times vector", "k,n,m m"): lambda np, a, b: a @ b,
    ("matrix times batch", "n,m k,m,2"): lambda np, a, b: a @ b,
    ("vector times batch", "m k,m,2"): lambda np, a, b: a @ b,
    ("broadcast batch", "k,1,n,m 3,m,2"): lambda np, a, b: a @ b,
    ("dot", "n,m m,k"): lambda np, a, b: (np.dot(a, b), a.dot(b)),
    ("dot scalars", "n,m -"): lambda np, a, b: (np.dot(a, b), np.dot(b, a)),
    ("dot of more axes", "k,n,m 2,m,3"): lambda np, a, b: np.dot(a, b),
    ("inner", "n,m k,m"): lambda np, a, b: np.inner(a, b),
    ("outer", "n m"): lambda np, a, b: np.outer(a, b),
    ("outer of matrices", "n,2 m"): lambda np, a, b: np.outer(a, b),
    ("vdot", "n,m n,m"): lambda np, a, b: np.vdot(a, b),
    ("tensordot", "n,m,k m,k,2"): lambda np, a, b: np.tensordot(a, b),
    ("tensordot axes", "n,m,k m,n"): lambda np, a, b: np.tensordot(
        a, b, axes=([0, 1], [1, 0])
    ),
    ("tensordot one", "n,m m,k"): lambda np, a, b: np.tensordot(a, b, 1),
    ("tensordot none", "n m,k"): lambda np, a, b: np.tensordot(a, b, 0),
    ("tensordot all", "n,m n,m"): lambda np, a, b: np.tensordot(a, b, 2),
    ("kron", "n,m k,2"): lambda np, a, b: np.kron(a, b),
    ("kron of vectors", "n m,k"): lambda np, a, b: np.kron(a, b),
    ("cross", "n,3 n,3"): lambda np, a, b: np.cross(a, b),
    ("cross axes", "3,n 3,n"): lambda np, a, b: np.cross(a, b, axis=0),
    ("multi_dot", "n,m m,k k,n"): lambda np, a, b, c: np.linalg.multi_dot([a, b, c]),
}


@pytest.mark.parametrize("key", PRODUCTS, ids=lambda key: key[0])
def test_product(key):
    check(PRODUCTS[key], key[1])


EINSUMS = [
    ("ij,jk->ik", "n,m m,k"),
    ("ij,jk", "n,m m,k"),
    ("ij,kj->ki", "n,m k,m"),
    ("ij,j", "n,m m"),
    ("i,ij->j", "n n,m"),
    ("i,j->ij", "n m"),
    ("i,i", "n n"),
    ("i,i->i", "n n"),
    ("ij->ji", "n,m"),
    ("ij->", "n,m"),
    ("ij->j", "n,m"),
    ("ij", "n,m"),
    ("ba", "n,m"),
    ("ii", "n,n"),
    ("ii->i", "n,n"),
    ("iij->j", "n,n,m"),
    ("ij,ij->i", "n,m n,m"),
    ("bij,bjk->bik", "2,n,m 2,m,k"),
    ("kij,kj->ki", "k,n,m k,m"),
    ("ij,jk,kl->il", "n,m m,k k,2"),
    ("ij,j,i", "n,m m n"),
    ("i,j,k->kji", "n m k"),
    ("...ij,...jk->...ik", "2,n,m 2,m,k"),
    ("...ij,jk->...ik", "2,n,m m,k"),
    ("...i,...i->...", "n,m n,m"),
    ("...,...", "n,m m"),
    ("i...,i->...", "n,m n"),
    ("ij , jk -> ik", "n,m m,k"),
    ("ij,ij->ij", "n,m 1,m"),
    ("ijk,jil->kl", "n,m,k m,n,2"),
]


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS)
def test_einsum(subscripts, shapes):
    check(lambda np, *xs: np.einsum(subscripts, *xs), shapes)


def test_einsum_of_matrices_is_a_dot():
    a, b = arrays("n,m k,m", {"n": 4, "m": 3, "k": 2})
    recorded = record(lambda x, y: numpy.einsum("ij,kj->ik", x, y), a, b)
    assert "dot" in [e.primitive.name for e in recorded.graph.equations]


def test_integer_products():
    a, b = numpy.arange(6).reshape(2, 3), numpy.arange(12).reshape(3, 4)
    recorded = record(lambda x, y: x @ y, a, b)
    numpy.testing.assert_array_equal(recorded(a, b), a @ b)
    assert recorded.types[0].dtype == "int64"


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a @ b,
        lambda a, b: numpy.dot(a, b),
        lambda a, b: numpy.einsum("ij,jk->ik", a, b),
        lambda a, b: numpy.tensordot(a, b, 1),
    ],
)
def test_products_that_do_not_fit_name_both_sizes(function):
    with pytest.raises(ShapeError, match=r"x0\.shape\[1\].*x1\.shape\[0\]|differ|x1"):
        record(function, numpy.ones((2, 3)), numpy.ones((4, 5)))


def spd(np, x):
    return x @ np.swapaxes(x, -1, -2) + 3.0 * numpy.eye(3)


LINALG = {
    ("solve", "3,3 3"): lambda np, a, b: np.linalg.solve(spd(np, a), b),
    ("solve matrix", "3,3 3,2"): lambda np, a, b: np.linalg.solve(spd(np, a), b),
    ("solve batch", "2,3,3 2,3,1"): lambda np, a, b: np.linalg.solve(spd(np, a), b),
    ("solve many", "3,3 2,3,1"): lambda np, a, b: np.linalg.solve(spd(np, a), b),
    ("inv", "3,3"): lambda np, a: np.linalg.inv(spd(np, a)),
    ("inv batch", "2,3,3"): lambda np, a: np.linalg.inv(spd(np, a)),
    ("det", "3,3"): lambda np, a: np.linalg.det(spd(np, a)),
    ("slogdet", "3,3"): lambda np, a: np.linalg.slogdet(spd(np, a))[1],
    ("slogdet name", "2,3,3"): lambda np, a: np.linalg.slogdet(spd(np, a)).logabsdet,
    ("cholesky", "3,3"): lambda np, a: np.linalg.cholesky(spd(np, a)),
    ("norm", "n,m"): lambda np, a: (np.linalg.norm(a), np.linalg.norm(a, axis=0)),
    ("norm orders", "n"): lambda np, a: [
        np.linalg.norm(a, p) for p in (1, 2, 3, numpy.inf, -numpy.inf)
    ],
    ("norm keepdims", "n,m"): lambda np, a: np.linalg.norm(a, axis=1, keepdims=True),
    ("norm of matrices", "n,m"): lambda np, a: [
        np.linalg.norm(a, p) for p in ("fro", 1, -1, numpy.inf, -numpy.inf)
    ],
    ("norm axes", "2,n,m"): lambda np, a: np.linalg.norm(a, 1, axis=(1, 2)),
    ("matrix_power", "3,3"): lambda np, a: [
        np.linalg.matrix_power(spd(np, a), p) for p in (0, 1, 2, 3, 5, -2)
    ],
}


@pytest.mark.parametrize("key", LINALG, ids=lambda key: key[0])
def test_linalg(key):
    check(LINALG[key], key[1])


def test_a_norm_of_zero_has_gradient_zero():
    x = numpy.zeros(3)
    for function in (
        numpy.linalg.norm,
        lambda v: numpy.linalg.norm(v, 3),
        lambda v: numpy.std(v + 1.0),
    ):
        gradient = pullback(record(function, x), [1.0])
        numpy.testing.assert_array_equal(gradient(x), [0.0, 0.0, 0.0])
        second = pullback(gradient, [numpy.ones(3)])
        assert numpy.all(numpy.isfinite(second(x)))


def test_cholesky_reads_the_lower_triangle():
    x = numpy.array([[4.0, 100.0], [1.0, 3.0]])
    gradient = pullback(record(numpy.linalg.cholesky, x), [numpy.ones((2, 2))])
    assert gradient(x)[0, 1] == 0.0


def spread(np, x):
    return spd(np, x) + np.diag(numpy.array([1.0, 5.0, 9.0]))


DECOMPOSITIONS = {
    ("eigh", "3,3"): lambda np, a: np.linalg.eigh(spread(np, a)),
    ("eigh names", "3,3"): lambda np, a: np.linalg.eigh(spread(np, a), "U").eigenvalues,
    ("eigvalsh", "3,3"): lambda np, a: np.linalg.eigvalsh(spread(np, a)),
    ("qr", "n,m"): lambda np, a: np.linalg.qr(a),
    ("qr r", "3,3"): lambda np, a: np.linalg.qr(a, mode="r"),
    ("svd", "n,m"): lambda np, a: np.linalg.svd(a, full_matrices=False),
    ("svd square", "3,3"): lambda np, a: np.linalg.svd(a).S,
    ("svd values", "m,n"): lambda np, a: np.linalg.svd(a, compute_uv=False),
    ("pinv", "n,m"): lambda np, a: np.linalg.pinv(a),
    ("pinv wide", "m,n"): lambda np, a: np.linalg.pinv(a),
    ("cond", "3,3"): lambda np, a: (np.linalg.cond(a), np.linalg.cond(a, "fro")),
    ("lstsq", "n,m n"): lambda np, a, b: (
        np.linalg.lstsq(a, b)[0],
        np.linalg.lstsq(a, b)[1],
    ),
    ("lstsq columns", "n,m n,2"): lambda np, a, b: np.linalg.lstsq(a, b)[0],
    ("norm", "n,m"): lambda np, a: [np.linalg.norm(a, p) for p in (2, -2, "nuc")],
    ("norm axes", "2,n,m"): lambda np, a: np.linalg.norm(
        a, 2, axis=(2, 0), keepdims=True
    ),
}


@pytest.mark.parametrize("key", DECOMPOSITIONS, ids=lambda key: key[0])
def test_decomposition(key):
    check(DECOMPOSITIONS[key], key[1])


def test_ranks_are_counted():
    def f(x):
        _, _, rank, values = numpy.linalg.lstsq(x, x[:, 0])
        return rank, numpy.linalg.matrix_rank(x), values

    x = numpy.outer(numpy.arange(1.0, 5.0), [1.0, 2.0])
    ranks = record(f, x)(x)
    assert ranks[0] == ranks[1] == 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: numpy.linalg.eig(x), "complex"),
        (lambda x: numpy.linalg.svd(x), "full_matrices"),
        (lambda x: numpy.linalg.qr(x, "complete"), "complete"),
        (lambda x: numpy.linalg.lstsq(x, x, rcond=0.1), "rcond"),
    ],
)
def test_refused_decomposition(function, reason):
    with pytest.raises(TracingError, match=reason):
        record(function, numpy.ones((3, 2)))


def test_wide_matrices_have_no_derivative_of_qr():
    wide = record(lambda x: numpy.linalg.qr(x)[1], numpy.ones((2, 3)))
    with pytest.raises(DifferentiationError, match="more columns"):
        pullback(wide, [numpy.ones((2, 3))])


def test_square_matrices_only():
    with pytest.raises(ShapeError, match="square"):
        record(numpy.linalg.inv, numpy.ones((2, 3)))
