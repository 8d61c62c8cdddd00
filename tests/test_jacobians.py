"""Jacobians and Hessians of loop programs: one kernel, for every size, composable."""

import numpy as np
import pytest

from tracegrad import check_grads, grad, hessian, jacobian, jit, jvp, vmap

RNG = np.random.default_rng(3)
MODES = pytest.mark.parametrize("mode", ["forward", "reverse"])


def filtered(x, a):
    """A recursion with a branch, written into an array."""
    y = np.zeros(x.shape[0])
    level = a
    for i in range(x.shape[0]):
        level = level * x[i] + a if level > 0.1 else np.sin(x[i])
        y[i] = level
    return y


def energy(x, a):
    total = a
    for i in range(x.shape[0]):
        total = total * x[i] + np.sin(a * x[i])
    return total


def differences(f, x, step=1e-6):
    """The Jacobian by central differences, the argument's axes last."""
    columns = []
    for k in np.ndindex(x.shape):
        d = np.zeros_like(x)
        d[k] = step
        columns.append((np.asarray(f(x + d)) - np.asarray(f(x - d))) / (2 * step))
    shape = (*np.shape(f(x)), *x.shape)
    return np.stack(columns, axis=-1).reshape(shape) if columns else np.zeros(shape)


@MODES
def test_a_loop_for_every_size(mode):
    f = jacobian(filtered, mode=mode)
    for n in (6, 4, 3, 1):
        x = RNG.normal(size=n)
        expected = differences(lambda x: filtered(x, 0.5), x)
        assert np.allclose(f(x, 0.5), expected, atol=1e-7)
    assert len(f.signatures) == 1
    assert f(np.empty(0), 0.5).shape == (0, 0)


@MODES
def test_arrays_of_two_axes_and_nests(mode):
    def f(p, k):
        y = p["w"] @ p["v"]
        for i in range(y.shape[0]):
            y[i] *= k
        return {"y": y, "k": k * k, "constant": np.ones(2)}

    p = {"w": RNG.normal(size=(3, 5)), "v": RNG.normal(size=5)}
    found = jacobian(f, argnums=(0, 1), mode=mode)(p, 2.0)
    by_p, by_k = found["y"]
    assert np.allclose(by_p["v"], 2.0 * p["w"])
    assert np.allclose(by_p["w"], 2.0 * np.einsum("ij,k->ijk", np.eye(3), p["v"]))
    assert np.allclose(by_k, p["w"] @ p["v"])
    by_p, by_k = found["k"]
    assert not by_p["w"].any()
    assert by_k == 4.0
    by_p, by_k = found["constant"]
    assert by_p["w"].shape == (2, 3, 5)
    assert not by_p["w"].any()
    assert np.array_equal(by_k, np.zeros(2))


def test_dtypes():
    x = RNG.normal(size=4).astype(np.float32)
    assert jacobian(lambda x: x * x)(x).dtype == np.float32
    assert jacobian(lambda x: np.sum(x), mode="reverse")(x).dtype == np.float32

    def mixed(x, y):
        return x * y[0]

    wide = jacobian(mixed, argnums=(0, 1), mode="reverse")(x, RNG.normal(size=2))
    assert [part.dtype for part in wide] == [np.float64, np.float64]


def test_a_hessian_of_loops():
    f = hessian(energy)
    for n in (5, 2):
        x = RNG.normal(size=n)
        expected = differences(lambda x: grad(energy)(x, 0.7), x)
        assert np.allclose(f(x, 0.7), expected, atol=1e-6)
    assert len(f.signatures) == 1
    whole = hessian(energy, argnums=(0, 1))(x, 0.7)
    assert np.allclose(whole[0][0], f(x, 0.7))
    assert np.allclose(whole[0][1], whole[1][0])


def test_buffers():
    x = RNG.normal(size=3)
    out = np.empty((3, 3))
    assert jacobian(filtered)(x, 0.5, out=out) is out
    assert np.allclose(out, jacobian(filtered)(x, 0.5))
    assert hessian(energy)(x, 0.5, out=out) is out


def test_which_way_it_goes():
    wide = jacobian(lambda x: np.array([x[0] * x[1], x[2]]))
    assert "out[k, j]" in wide.compile(np.ones(9)).source
    tall = jacobian(lambda x: np.outer(x, x))
    assert "out[j, k2, k]" in tall.compile(np.ones(9)).source


def test_inside_traced_code():
    @jit
    def f(x, a):
        total = 0.0
        for i in range(2):
            J = jacobian(filtered)(x, a + i)
            J[0, 0] = 0.0
            total += np.sum(J)
        return total, np.trace(hessian(energy)(x, a))

    x = RNG.normal(size=3)
    expected = 0.0
    for i in range(2):
        J = jacobian(filtered)(x, 0.5 + i)
        expected += np.sum(J) - J[0, 0]
    total, trace = f(x, 0.5)
    assert total == pytest.approx(expected)
    assert trace == pytest.approx(np.trace(hessian(energy)(x, 0.5)))


def test_derivatives_of_jacobians():
    weights = RNG.normal(size=(2, 2))
    for mode in ("forward", "reverse"):
        slopes = jacobian(energy, argnums=(0, 1), mode=mode)

        def loss(x, slopes=slopes):
            by_x, by_a = slopes(x, 0.4)
            return np.sum(weights[0] * by_x) + by_a

        check_grads(loss, (RNG.normal(size=2),), order=1)
    x, v = RNG.normal(size=2), RNG.normal(size=2)
    third = jacobian(hessian(energy))(x, 0.4)
    assert np.allclose(third, np.transpose(third, (2, 1, 0)))
    _, along = jvp(lambda x: hessian(energy)(x, 0.4), (x,), (v,))
    assert np.allclose(along, third @ v)


def test_of_a_batch():
    x = RNG.normal(size=(3, 4))
    found = vmap(jacobian(filtered), in_axes=(0, None))(x, 0.5)
    assert np.allclose(found, [jacobian(filtered)(row, 0.5) for row in x])


def test_a_product_with_a_window_inside_the_loop_over_rows():
    def square(A, B):
        cut = (A[:, :4] @ B[:4])[:3, :3]
        return (cut * cut).sum(axis=1)

    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(4, 5)), rng.normal(size=(5, 4))
    direction = rng.normal(size=(5, 4))
    (_, found) = jacobian(square, argnums=(0, 1))(A, B)
    step = 1e-6 * direction
    slope = (square(A, B + step) - square(A, B - step)) / 2e-6
    np.testing.assert_allclose(np.tensordot(found, direction, 2), slope, rtol=1e-6)
