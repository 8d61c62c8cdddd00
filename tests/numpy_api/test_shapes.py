"""Reshaping, reordering, broadcasting, joining, repeating and padding against NumPy."""

from __future__ import annotations

import numpy
import pytest

from tests.numpy_api.agreement import check
from tests.tracing import record
from tracegrad.errors import ShapeError, TracingError
from tracegrad.numpy_api.table import lookup

OF_MATRIX = {
    "reshape": lambda np, x: np.reshape(x, (x.shape[1], x.shape[0])),
    "reshape -1": lambda np, x: (np.reshape(x, -1), np.reshape(x, (-1, x.shape[0]))),
    "reshape new axis": lambda np, x: np.reshape(x, (x.shape[0], 1, x.shape[1])),
    "reshape method": lambda np, x: (x.reshape(-1), x.reshape(x.shape[1], -1)),
    "reshape method tuple": lambda np, x: x.reshape((1, -1)),
    "ravel": lambda np, x: (np.ravel(x), x.ravel(), x.flatten()),
    "transpose": lambda np, x: (np.transpose(x), x.T, x.transpose(), x.transpose(1, 0)),
    "transpose axes": lambda np, x: (np.transpose(x, (1, 0)), x.transpose((0, 1))),
    "swapaxes": lambda np, x: (np.swapaxes(x, 0, 1), x.swapaxes(-1, 0)),
    "expand_dims": lambda np, x: (np.expand_dims(x, 0), np.expand_dims(x, (0, -1))),
    "squeeze": lambda np, x: (np.squeeze(x[:, :1]), np.squeeze(x[None], axis=0)),
    "squeeze method": lambda np, x: x[None, :, None].squeeze(),
    "broadcast_to": lambda np, x: np.broadcast_to(x, (2, *x.shape)),
    "broadcast_to stretched": lambda np, x: np.broadcast_to(x[:1], x.shape),
    "broadcast_arrays": lambda np, x: np.broadcast_arrays(x, x[0], x[:, :1]),
    "atleast": lambda np, x: (np.atleast_1d(x), np.atleast_3d(x), np.atleast_2d(x[0])),
    "atleast of scalars": lambda np, x: np.atleast_3d(np.sum(x)),
    "meshgrid": lambda np, x: np.meshgrid(x[0], x[:, 0]),
    "meshgrid ij": lambda np, x: np.meshgrid(x[0], x[:, 0], indexing="ij"),
    "meshgrid sparse": lambda np, x: np.meshgrid(x[0], x[:, 0], sparse=True),
    "copy": lambda np, x: (np.copy(x), x.copy()),
    "astype": lambda np, x: x.astype(np.float64) * 2,
    "concatenate": lambda np, x: np.concatenate([x, x[:2], x]),
    "concatenate axis": lambda np, x: np.concatenate((x, x[:, :1]), axis=1),
    "concatenate -1": lambda np, x: np.concatenate((x, 2 * x), -1),
    "concatenate flat": lambda np, x: np.concatenate([x, x], axis=None),
    "stack": lambda np, x: (np.stack([x, 2 * x]), np.stack([x[0], x[1]], axis=1)),
    "stack of scalars": lambda np, x: np.stack([x[0, 0], x[1, 1] * 2]),
    "vstack": lambda np, x: (np.vstack([x, x[0]]), np.vstack([x[0], x[1]])),
    "hstack": lambda np, x: (np.hstack([x, x]), np.hstack([x[0], x[1]])),
    "dstack": lambda np, x: (np.dstack([x, x]), np.dstack([x[0], x[1]])),
    "column_stack": lambda np, x: np.column_stack([x[:, 0], x, x[:, 1]]),
    "append": lambda np, x: (np.append(x, x[:1], axis=0), np.append(x, x)),
    "flip": lambda np, x: (np.flip(x), np.flip(x, 0), np.flip(x, (0, 1))),
    "fliplr": lambda np, x: (np.fliplr(x), np.flipud(x)),
    "rot90": lambda np, x: [np.rot90(x, k) for k in range(-1, 4)],
    "roll": lambda np, x: (np.roll(x, 1), np.roll(x, -1, axis=0), np.roll(x, 2, 1)),
    "roll several": lambda np, x: np.roll(x, (1, -1), axis=(0, 1)),
    "roll far": lambda np, x: (np.roll(x, 100, axis=0), np.roll(x, -100, axis=1)),
    "tile": lambda np, x: (np.tile(x, 2), np.tile(x, (2, 3)), np.tile(x, (2, 1, 2))),
    "repeat": lambda np, x: (np.repeat(x, 2), np.repeat(x, 3, axis=1), x.repeat(2, 0)),
    "diag of matrix": lambda np, x: (np.diag(x), np.diag(x, 1), np.diag(x, -2)),
    "diagonal": lambda np, x: (np.diagonal(x), x.diagonal(1), np.diagonal(x, 0, 1, 0)),
    "diag of vector": lambda np, x: (
        np.diag(x[0]),
        np.diag(x[0], 2),
        np.diag(x[0], -1),
    ),
    "diagflat": lambda np, x: np.diagflat(x),
    "trace": lambda np, x: (np.trace(x), x.trace(), np.trace(x, 1)),
    "tril": lambda np, x: (np.tril(x), np.tril(x, 1), np.tril(x, -1)),
    "triu": lambda np, x: (np.triu(x), np.triu(x, 1), np.triu(x, -1)),
    "split": lambda np, x: np.split(x, [1, 3]),
    "split axis": lambda np, x: np.split(x, [1], axis=1),
    "diff": lambda np, x: (np.diff(x), np.diff(x, axis=0), np.diff(x, 2, axis=0)),
    "diff prepend": lambda np, x: np.diff(x, prepend=0.0, append=x[:, :1]),
    "ediff1d": lambda np, x: np.ediff1d(x),
    "gradient": lambda np, x: np.gradient(x),
    "gradient axis": lambda np, x: np.gradient(x, 0.5, axis=0),
    "gradient steps": lambda np, x: np.gradient(x, 0.5, 2.0),
    "pad": lambda np, x: (np.pad(x, 1), np.pad(x, (1, 2)), np.pad(x, ((0, 1), (2, 0)))),
    "pad values": lambda np, x: np.pad(x, 1, constant_values=3.0),
    "pad value pairs": lambda np, x: np.pad(
        x, ((1, 2),), constant_values=((1.0, 2.0),)
    ),
    "pad edge": lambda np, x: np.pad(x, (2, 1), mode="edge"),
    "pad reflect": lambda np, x: np.pad(x, (2, 1), mode="reflect"),
    "pad symmetric": lambda np, x: np.pad(x, ((1, 2), (0, 3)), mode="symmetric"),
    "pad wrap": lambda np, x: np.pad(x, (1, 3), "wrap"),
    "convolve": lambda np, x: np.convolve(x[:, 0], x[0, :2]),
    "convolve same": lambda np, x: np.convolve(x[:, 0], [1.0, 2.0, 3.0], "same"),
    "convolve valid": lambda np, x: np.convolve(x[:, 0], [1.0, 2.0], mode="valid"),
    "polyval": lambda np, x: np.polyval([1.0, -2.0, 3.0], x),
    "polyval of coefficients": lambda np, x: np.polyval([x[0, 0], x[0, 1]], x),
}
OF_CUBE = {
    "moveaxis": lambda np, x: (np.moveaxis(x, 0, -1), np.moveaxis(x, (0, 1), (2, 0))),
    "rollaxis": lambda np, x: (np.rollaxis(x, 2), np.rollaxis(x, 0, 3)),
    "transpose": lambda np, x: (np.transpose(x, (2, 0, 1)), x.transpose(1, 2, 0), x.T),
    "reshape": lambda np, x: np.reshape(x, (x.shape[0] * x.shape[1], -1)),
    "trace": lambda np, x: np.trace(x, axis1=0, axis2=2),
    "diagonal": lambda np, x: (np.diagonal(x), np.diagonal(x, 1, 1, 2)),
    "tril": lambda np, x: np.tril(x),
    "dsplit": lambda np, x: np.dsplit(x, [1]),
    "rot90": lambda np, x: np.rot90(x, 1, axes=(1, 2)),
    "pad": lambda np, x: np.pad(x, ((1, 0), (0, 0), (0, 2))),
}


@pytest.mark.parametrize("name", OF_MATRIX)
def test_of_a_matrix(name):
    check(OF_MATRIX[name], "n,m")


@pytest.mark.parametrize("name", OF_CUBE)
def test_of_three_axes(name):
    check(OF_CUBE[name], "n,m,k")


def test_equal_parts():
    check(lambda np, x: np.split(x, 2), "4,m")
    check(lambda np, x: np.hsplit(x, 3), "n,3")
    check(lambda np, x: np.array_split(x, 3), "n,m")
    with pytest.raises(ValueError, match="equal division"):
        record(lambda x: tuple(numpy.split(x, 2)), numpy.ones(5))


def test_reading_shapes():
    recorded = record(
        lambda x: numpy.sum(x) * x.shape[0] / x.size + numpy.size(x, 1),
        numpy.ones((2, 3)),
    )
    assert recorded(numpy.ones((4, 5))) == 20.0 * 4 / 20 + 5


def test_repeats_of_their_own():
    check(lambda np, x: np.repeat(x, [1, 0, 2, 1], axis=0), "4,m")


CREATION = {
    "zeros_like": lambda np, x: x + np.zeros_like(x),
    "ones_like": lambda np, x: x * np.ones_like(x, dtype=np.float64),
    "full_like": lambda np, x: np.full_like(x, 2.5) * x,
    "full_like of a traced value": lambda np, x: np.full_like(x, x[0, 0]),
    "array": lambda np, x: np.array([x[0, 0], 1.0, 2]),
    "array nested": lambda np, x: np.array([[x[0, 0], 1.0], [0, x[1, 1]]]),
    "array of rows": lambda np, x: np.array([x[0], x[1]]),
    "asarray": lambda np, x: np.asarray(x) * 2,
}
SHAPED = {
    "zeros": lambda np, x: x + np.zeros(x.shape),
    "ones": lambda np, x: x[0] * np.ones(x.shape[1]),
    "full": lambda np, x: np.full((2, x.shape[0]), x[0, 0]),
    "empty": lambda np, x: x + 0 * np.zeros((x.shape[0], 1)),
    "eye": lambda np, x: x @ np.eye(x.shape[1]),
    "eye offset": lambda np, x: x @ np.eye(x.shape[1], x.shape[0], 1),
    "identity": lambda np, x: x @ np.identity(x.shape[1]),
    "tri": lambda np, x: np.tri(x.shape[0]) @ x,
    "arange": lambda np, x: x[:, 0] * np.arange(x.shape[0]),
    "arange of floats": lambda np, x: x[:, 0] * np.arange(1.0, len(x) + 1),
    "arange by a float": lambda np, x: x[:, 0] * np.arange(3 * len(x), 0.0, -3.0),
    "arange from": lambda np, x: x[1:, 0] * np.arange(1, x.shape[0]),
    "arange step": lambda np, x: x[::2, 0] * np.arange(0, x.shape[0], 2),
    "arange down": lambda np, x: x[:, 0] * np.arange(x.shape[0] - 1, -1, -1),
    "arange float": lambda np, x: x[:, 0] * np.arange(x.shape[0], dtype=np.float64),
    "linspace": lambda np, x: x[:, 0] * np.linspace(0.0, 1.0, x.shape[0]),
    "linspace to": lambda np, x: np.linspace(x[0, 0], x[0, 1], 5),
    "linspace open": lambda np, x: np.linspace(x[0, 0], 2.0, 4, endpoint=False),
    "linspace of one": lambda np, x: np.linspace(x[0, 0], 2.0, 1),
}


@pytest.mark.parametrize("name", CREATION)
def test_creation(name):
    check(CREATION[name], "n,m")


@pytest.mark.parametrize("name", SHAPED)
def test_creation_from_traced_sizes(name):
    check(SHAPED[name], "n,m")


def test_plain_arguments_give_plain_arrays():
    assert isinstance(lookup(numpy.zeros)(3), numpy.ndarray)
    assert isinstance(lookup(numpy.arange)(1, 4), numpy.ndarray)
    assert lookup(numpy.array)([1, 2]).dtype == numpy.int64


def test_shapes_that_do_not_fit():
    x, y = numpy.ones(3), numpy.ones(4)
    with pytest.raises(ShapeError, match=r"x0.*x1"):
        record(lambda a, b: a + b, x, y)
    with pytest.raises(ShapeError, match="can't be concatenated"):
        record(lambda a, b: numpy.stack([a, b]), x, y)
    with pytest.raises(ShapeError, match="can't be broadcast"):
        record(lambda a: numpy.broadcast_to(a, (2,)), x)
    with pytest.raises(ShapeError, match="cannot reshape"):
        record(lambda a: a.reshape(2, 2), x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: numpy.reshape(x, -1, order="F"), "order='F'"),
        (lambda x: numpy.sum(x, out=numpy.zeros(())), "out="),
        (lambda x: numpy.sum(x, where=x > 0), "where="),
        (lambda x: numpy.sum(x, initial=1.0), "initial="),
        (lambda x: numpy.add(x, x, where=x > 0), "where"),
        (lambda x: numpy.pad(x, 1, mode="mean"), "mode='mean'"),
        (lambda x: numpy.concatenate([x, x], casting="unsafe"), "casting="),
        (lambda x: numpy.where(x > 0), "three-argument"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x.item(), "item"),
        (lambda x: lookup(numpy.arange)(0.0, x[0], 0.5), "arange"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(function, message):
    with pytest.raises(TracingError, match=message):
        record(function, numpy.ones(3))


def test_keywords_with_their_defaults_are_fine():
    check(lambda np, x: np.sum(x, axis=0, dtype=None, out=None, keepdims=False), "n,m")
    check(lambda np, x: np.concatenate([x, x], casting="same_kind"), "n,m")
    check(lambda np, x: np.reshape(x, -1, order="C"), "n,m")
