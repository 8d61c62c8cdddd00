"""Quantiles, slopes on uneven grids, positions of triangles, windows and spacings."""

import numpy
import pytest
import scipy.special

from tests.numpy_api.agreement import check
from tests.numpy_api.test_elementwise import lookup_or_call

UNEVEN = numpy.array([0.0, 0.3, 0.5, 1.1])

FUNCTIONS = {
    ("quantile", "n"): lambda np, x: np.quantile(x, 0.3),
    ("quantiles", "n"): lambda np, x: np.quantile(x, [0.0, 0.25, 0.9, 1.0]),
    ("quantile axis", "n,m"): lambda np, x: np.quantile(x, 0.6, axis=0, keepdims=True),
    ("percentile", "n,m"): lambda np, x: np.percentile(x, [10, 50], axis=1),
    ("gradient edges", "n"): lambda np, x: np.gradient(x, 0.5, edge_order=2),
    ("gradient uneven", "4"): lambda np, x: np.gradient(x, UNEVEN),
    ("gradient uneven edges", "4"): lambda np, x: np.gradient(x, UNEVEN, edge_order=2),
    ("gradient axes", "4,m"): lambda np, x: np.gradient(x, UNEVEN, 0.5),
    ("gradient of points", "n n"): lambda np, x, t: np.gradient(x, np.cumsum(t * t)),
    ("ediff1d", "n"): lambda np, x: np.ediff1d(x, to_end=[1.0, 2.0], to_begin=x[0]),
    ("triu_indices", "n,n"): lambda np, x: x[np.triu_indices(x.shape[0], 1)],
    ("tril_indices", "n,n"): lambda np, x: x[np.tril_indices(x.shape[0])],
    ("triu_indices_from", "n,m"): lambda np, x: x[np.triu_indices_from(x)],
    ("diag_indices", "n,n"): lambda np, x: x[np.diag_indices(x.shape[0])],
    ("indices", "n,m"): lambda np, x: x * np.indices(x.shape)[1],
    ("ravel_multi_index", "n,m"): lambda np, x: x.ravel()[
        np.ravel_multi_index((1, 2), x.shape)
    ],
    ("logspace", "n"): lambda np, x: x * np.logspace(0, 1, len(x)),
    ("geomspace", "n"): lambda np, x: x * np.geomspace(1.0, 8.0, len(x)),
    ("hanning", "n"): lambda np, x: x * np.hanning(len(x)),
    ("hamming", "n"): lambda np, x: x * np.hamming(len(x)),
    ("blackman", "n"): lambda np, x: x * np.blackman(len(x)),
    ("bartlett", "n"): lambda np, x: x * np.bartlett(len(x)),
    ("amax", "n,m"): lambda np, x: np.amax(x, axis=1) + np.amin(x),
    ("nanmax", "n,m"): lambda np, x: np.nanmax(np.where(x > 0, x, np.nan), axis=1),
    ("nanstd", "n"): lambda np, x: np.nanstd(np.where(x > 0, x, np.nan)),
    ("nanvar", "n,m"): lambda np, x: np.nanvar(np.where(x > -1, x, np.nan), axis=0),
}


@pytest.mark.parametrize("key", FUNCTIONS, ids=lambda key: key[0])
def test_function(key):
    check(FUNCTIONS[key], key[1])


PREDICATES = {
    "allclose": lambda np, x: (np.allclose(x, x + 1e-9), np.allclose(x, 0.0)),
    "array_equal": lambda np, x: np.array_equal(x, -x),
    "unravel_index": lambda np, x: np.unravel_index(np.argmax(x), (2, 4)),
}


@pytest.mark.parametrize("name", PREDICATES)
def test_predicate(name):
    check(PREDICATES[name], "8", gradient=False)


SPECIAL = {
    "gamma": lambda s, x, y: s("gamma", x),
    "beta": lambda s, x, y: s("beta", x * x, y * y),
    "beta of negative": lambda s, x, y: s("beta", 0.3 * x, 0.2 * y),
    "binom": lambda s, x, y: s("binom", 3.0 + x, y * y),
    "kl_div": lambda s, x, y: s("kl_div", x * x, y * y),
    "log_ndtr": lambda s, x, y: s("log_ndtr", 30.0 * x),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special(name):
    def call(np, x, y):
        def named(function, *operands):
            return lookup_or_call(np, getattr(scipy.special, function), *operands)

        return SPECIAL[name](named, x, y)

    check(call, "n n")
