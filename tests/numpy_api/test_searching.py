"""Positions in sorted grids, interpolation, bins, covariances and polynomials."""

import numpy
import pytest

from tests.numpy_api.agreement import check
from tests.tracing import record
from tracegrad.errors import TracingError

GRID = numpy.array([-1.5, -0.7, 0.1, 0.9, 1.3])

SEARCHES = {
    ("searchsorted", "n"): lambda np, x: np.searchsorted(GRID, x),
    ("searchsorted right", "n,m"): lambda np, x: np.searchsorted(GRID, x, "right"),
    ("searchsorted scalar", "-"): lambda np, x: np.searchsorted(GRID, x),
    ("searchsorted method", "n"): lambda np, x: np.sort(x).searchsorted(0.5),
    ("digitize", "n"): lambda np, x: np.digitize(x, GRID),
    ("digitize right", "n"): lambda np, x: np.digitize(x, GRID, right=True),
    ("histogram", "n"): lambda np, x: np.histogram(x, bins=3, range=(-2.0, 1.0))[0],
    ("histogram of its own", "n"): lambda np, x: np.histogram(x, bins=3),
}


@pytest.mark.parametrize("key", SEARCHES, ids=lambda key: key[0])
def test_search(key):
    check(SEARCHES[key], key[1], gradient=False)


FUNCTIONS = {
    ("interp", "n m"): lambda np, x, y: np.interp(x, numpy.arange(3.0) - 1.0, y[:3]),
    ("interp one", "n -"): lambda np, x, y: np.interp(
        x, numpy.array([0.5]), np.stack([y])
    ),
    ("interp sides", "n n n"): lambda np, x, xp, fp: np.interp(
        x, np.cumsum(np.abs(xp)) - 1.5, fp, left=-5.0, right=7.0
    ),
    ("bincount", "4"): lambda np, w: np.bincount(
        numpy.array([0, 2, 2, 1]), weights=w, minlength=5
    ),
    ("histogram weights", "n n"): lambda np, x, w: np.histogram(
        x, bins=GRID, weights=w
    )[0],
    ("histogram density", "n n"): lambda np, x, w: np.histogram(
        x, bins=GRID, weights=w, density=True
    )[0],
    ("cov", "m,n"): lambda np, x: np.cov(x),
    ("cov columns", "n,m"): lambda np, x: np.cov(x, rowvar=False, bias=True),
    ("cov vectors", "n n"): lambda np, x, y: np.cov(x, y, ddof=2),
    ("cov one", "n"): lambda np, x: np.cov(x),
    ("corrcoef", "m,n"): lambda np, x: np.corrcoef(x),
    ("corrcoef vectors", "n n"): lambda np, x, y: np.corrcoef(x, y)[0, 1],
    ("polyder", "n"): lambda np, p: (np.polyder(p), np.polyder(p, 2)),
    ("polyint", "n"): lambda np, p: (np.polyint(p), np.polyint(p, 2, k=[1.0, 2.0])),
    ("polyadd", "n m"): lambda np, p, q: (np.polyadd(p, q), np.polysub(q, p)),
    ("polymul", "n 2"): lambda np, p, q: np.polymul(p, q),
    ("polyfit", "n n"): lambda np, x, y: np.polyfit(x, y, 2),
    ("vander", "n"): lambda np, x: (np.vander(x, 3), np.vander(x, 3, increasing=True)),
    ("correlate", "n 2"): lambda np, x, v: [
        np.correlate(x, v, mode) for mode in ("valid", "same", "full")
    ],
}


@pytest.mark.parametrize("key", FUNCTIONS, ids=lambda key: key[0])
def test_function(key):
    check(FUNCTIONS[key], key[1])


def test_counts_of_traced_integers_need_a_length():
    at = numpy.array([0, 2, 2])
    counts = record(lambda x: numpy.bincount(x, minlength=4), at)
    assert counts(at).tolist() == [1, 0, 2, 0]
    with pytest.raises(IndexError):
        counts(numpy.array([0, 2, 4]))
    with pytest.raises(TracingError, match="minlength"):
        record(lambda x: numpy.bincount(x), at)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: numpy.interp(x, x, x, period=1.0), "period"),
        (lambda x: numpy.histogram(x, "auto"), "auto"),
        (lambda x: numpy.correlate(x[:1], x), "longer"),
    ],
)
def test_refused(function, reason):
    with pytest.raises(TracingError, match=reason):
        record(function, numpy.arange(4.0))
