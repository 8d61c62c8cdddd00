"""``vmap``: agrees with a Python loop over the batch, and composes with the others."""

import numpy as np
import pytest

from tracegrad import (
    check_grads,
    custom_vjp,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    pytree,
    value_and_grad,
    vjp,
    vmap,
)
from tracegrad.errors import ArgumentError, ControlFlowError, ShapeError, TracingError

RNG = np.random.default_rng(7)
X = RNG.normal(size=(4, 3))
W = RNG.normal(size=3)


def model(x, w):
    """Loops, a branch and an array written in place."""
    y = np.zeros_like(x)
    total = 1.0
    for i in range(x.shape[0]):
        total = 0.5 * total * x[i] + w[i]
        y[i] = total if total > 0.0 else 0.1 * total
    return np.sum(y**2)


def energy(x, w):
    """A loop and a branch, and little to compile."""
    total = 1.0
    for i in range(x.shape[0]):
        total = total * x[i] + w[i] if total > 0.0 else w[i]
    return total * total


def stacked(f, *batches):
    return np.stack([f(*items) for items in zip(*batches, strict=True)])


def steps(x, w, count=20):
    """A loop whose length depends on the item."""
    trips = 0
    while np.abs(x) > 0.1 and trips < count:
        x = x * np.tanh(w)
        trips += 1
    return x, trips


# --- values ------------------------------------------------------------------------


def test_axes_in_and_out():
    f = vmap(model, in_axes=(0, None))
    expected = stacked(lambda x: model(x, W), X)
    assert np.allclose(f(X, W), expected)
    assert np.allclose(f(X[:1], W), expected[:1])
    assert f(X[:0], W).shape == (0,)
    assert len(f.signatures) == 1
    assert np.allclose(vmap(model, in_axes=(1, None))(X.T.copy(), W), expected)
    assert np.allclose(vmap(model, in_axes=(-1, None))(X.T, W), expected)
    both = vmap(lambda x, y: (np.outer(x, y), x[0]), in_axes=(0, 1), out_axes=(-1, 0))
    outer, first = both(X, X.T)
    assert np.allclose(outer, np.einsum("bi,bj->ijb", X, X))
    assert np.allclose(first, X[:, 0])


def test_nests_of_arguments_and_results():
    def f(params, pair, scale=2.0, *, name="plain"):
        a, b = pair
        out = scale * params["w"] @ a + params["c"] * b
        return {"out": out, "const": 1.0, "name": np.array([3, len(name)])}

    batched = vmap(f, in_axes=({"w": None, "c": 0}, 0))
    c, b = RNG.normal(size=4), RNG.normal(size=4)
    found = batched({"w": W, "c": c}, (X, b))
    assert np.allclose(found["out"], 2.0 * X @ W + c * b)
    assert np.array_equal(found["const"], np.ones(4))
    assert np.array_equal(found["name"], [[3, 5]] * 4)
    found = vmap(f)({"w": X, "c": c}, (X, b), name="other")
    assert np.allclose(found["out"], 2.0 * np.sum(X * X, axis=1) + c * b)
    assert found["name"].dtype == np.int64


def test_as_decorator_and_of_scalars():
    @vmap
    def f(x, n):
        total = x
        for _ in range(n):
            total *= x
        return total, n > 2

    x, n = np.array([1.0, 2.0, 3.0], np.float32), np.array([1, 2, 3])
    powers, flags = f(x, n)
    assert powers.dtype == np.float32
    assert np.allclose(powers, x ** (n + 1))
    assert flags.tolist() == [False, False, True]
    out = np.empty(4)
    assert vmap(np.sum)(X, out=out) is out
    assert np.allclose(out, X.sum(axis=1))


def test_loops_of_different_lengths_and_nested_maps():
    x = np.array([0.01, 0.5, 3.0])
    values, trips = vmap(steps, in_axes=(0, None))(x, 1.0)
    expected = [steps(k, 1.0) for k in x]
    assert np.allclose(values, [v for v, _ in expected])
    assert trips.tolist() == [t for _, t in expected]
    table = vmap(vmap(lambda a, b: a * b + b, in_axes=(None, 0)), in_axes=(0, None))
    assert np.allclose(table(x, W), x[:, None] * W + W)


def test_an_item_that_is_written_changes_as_in_a_loop():
    def f(row, total):
        row[0] = -row[0]
        total += row
        return row[0]

    def both(x, total):
        return vmap(f, in_axes=(0, None))(x, total)

    x, total = X.copy(), np.zeros(3)
    assert np.allclose(jit(both)(x, total), -X[:, 0])
    assert np.allclose(x[:, 0], -X[:, 0])
    assert np.allclose(total, x.sum(axis=0))


# --- composition -------------------------------------------------------------------


def test_gradients_of_each_item():
    f = vmap(grad(model), in_axes=(0, None))
    assert np.allclose(f(X, W), stacked(lambda x: grad(model)(x, W), X))
    values, grads = vmap(value_and_grad(energy), in_axes=(0, None))(X, W)
    assert np.allclose(values, stacked(lambda x: energy(x, W), X))
    assert np.allclose(grads, stacked(lambda x: grad(energy)(x, W), X))
    second = vmap(hessian(energy), in_axes=(0, None))(X, W)
    assert np.allclose(second, stacked(lambda x: hessian(energy)(x, W), X))
    along = vmap(hvp(energy), in_axes=(0, None, None))(X, W, W)
    assert np.allclose(along, second @ W)


def test_derivatives_of_a_mapped_function():
    weights = RNG.normal(size=4)

    def loss(f):
        return lambda x, w: np.sum(weights * vmap(f, in_axes=(0, None))(x, w))

    first, second = loss(model), loss(energy)
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        x, w = rng.normal(size=(4, 3)), rng.normal(size=3)
        check_grads(first, (x, w), order=1)
        check_grads(second, (x, w), order=2)


def test_the_same_reached_in_different_orders():
    batched = vmap(energy, in_axes=(0, None))
    rows = vmap(grad(energy), in_axes=(0, None))(X, W)
    whole = jacobian(batched)(X, W)
    for k in range(4):
        assert np.allclose(whole[k, k], rows[k])
        assert np.allclose(np.delete(whole[k], k, axis=0), 0.0)
    direction = RNG.normal(size=(4, 3))
    value, dot = jvp(batched, (X, W), (direction, np.zeros(3)))
    assert np.allclose(dot, np.sum(rows * direction, axis=1))
    out, pull = vjp(batched, X, W)
    assert np.allclose(out, value)
    assert np.allclose(pull(np.ones(4))[0], rows)

    def norm_of_gradients(w):
        return np.sum(vmap(grad(energy, argnums=1), in_axes=(0, None))(X, w) ** 2)

    check_grads(norm_of_gradients, (W,), order=1)


def test_inside_traced_code():
    @jit
    def f(x, w):
        dot = vmap(lambda r, s: r @ w * s, in_axes=(0, None))
        scaled = [dot(x, s) for s in (1.0, 2.0)]
        y = vmap(lambda a, b: a + b)(*scaled)
        y[0] = 0.0  # the result is an array like any other
        for i in range(y.shape[0]):
            y[i] += np.sum(vmap(lambda v, s: v * s, in_axes=(0, None))(w, y[i]))
        return vmap(lambda v: v + 1.0)(y.reshape(2, 2))

    y = 3.0 * X @ W
    y[0] = 0.0
    y += np.sum(W) * y
    assert np.allclose(f(X, W), y.reshape(2, 2) + 1.0)


def test_a_rule_of_the_users_own():
    @custom_vjp
    def f(x):
        return np.sum(x)

    f.defvjp(lambda x: (np.sum(x), x), lambda x, bar: (7.0 * bar * x,))
    assert np.allclose(vmap(grad(f))(X), 7.0 * X)
    assert np.allclose(grad(lambda x: np.sum(vmap(f)(x)))(X), 7.0 * X)


# --- errors ------------------------------------------------------------------------


def test_sizes_that_differ_are_named():
    with pytest.raises(ShapeError, match="over w of size 3, but x of size 4"):
        vmap(model)(X, W)

    def line(x, w):
        return np.sum(vmap(model)(x, w))

    with pytest.raises(ShapeError, match=r"test_vmap.py:\d+ in line: return np.sum"):
        grad(line)(X, W)


def test_axes_that_do_not_fit():
    with pytest.raises(ShapeError, match="axis 2 of x, which has 2 axes"):
        vmap(model, in_axes=(2, None))(X, W)
    with pytest.raises(ShapeError, match="axis 0 of k, which is a number"):
        vmap(lambda x, k: x * k)(X, 2.0)
    with pytest.raises(ArgumentError, match="no argument of model is mapped"):
        vmap(model, in_axes=None)(X, W)
    with pytest.raises(ArgumentError, match="in_axes has 1 entries"):
        vmap(model, in_axes=(0,))(X, W)
    with pytest.raises(ArgumentError, match="in_axes for x doesn't fit"):
        vmap(lambda x: x["a"], in_axes=({"b": 0},))({"a": X})
    with pytest.raises(ArgumentError, match="in_axes for x doesn't fit"):
        vmap(lambda x: x, in_axes=("0",))(X)
    with pytest.raises(ArgumentError, match="out_axes has 2 for a result of <lambda>"):
        vmap(lambda x: x, out_axes=2)(X)
    with pytest.raises(ArgumentError, match="out_axes doesn't fit"):
        vmap(lambda x: (x, x), out_axes=(0, 1, 0))(X)
    with pytest.raises(ArgumentError, match="argument w of a mapped function"):
        vmap(lambda x, w=W: x @ w)(X)
    assert np.allclose(vmap(lambda x, w=W: x @ w, in_axes=(0,))(X), X @ W)


def test_results_that_are_no_arrays():
    with pytest.raises(TracingError, match="returns a str"):
        vmap(lambda x: "text")(X)
    with pytest.raises(ControlFlowError, match="a shape depends on a traced value"):
        vmap(lambda n: np.zeros(n))(np.array([1, 2]))


# --- threads -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3, 4, 50])
def test_threads_compute_what_one_does(size):
    x = np.random.default_rng(size).normal(size=(size, 3))
    gradient = value_and_grad(energy, argnums=(0, 1))
    one = vmap(gradient, in_axes=(0, None))
    three = vmap(gradient, in_axes=(0, None), parallel=3)
    before = x.copy()
    for found, expected in zip(
        pytree.leaves(three(x, W)), pytree.leaves(one(x, W)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    np.testing.assert_array_equal(x, before)


def test_threads_with_other_axes_and_keywords():
    def products(x, w, k=1.0):
        return {"a": np.outer(x, w), "b": k * x[0]}

    axes = 1, {"a": 2, "b": 0}
    f, g = vmap(products, *axes), vmap(products, *axes, parallel=2)
    x, w = RNG.normal(size=(3, 9)), RNG.normal(size=(2, 9))
    for name in "ab":
        np.testing.assert_array_equal(g(x, w)[name], f(x, w)[name])
        np.testing.assert_array_equal(g(x, w, k=2.0)[name], f(x, w, k=2.0)[name])


def test_threads_write_to_out():
    x = RNG.normal(size=(8, 3))
    f = vmap(grad(energy), in_axes=(0, None), parallel=2)
    out = np.empty_like(x)
    assert f(x, W, out=out) is out
    np.testing.assert_array_equal(out, f(x, W))
    with pytest.raises(ArgumentError, match="out= doesn't fit"):
        f(x, W, out=(out, out))


def test_threads_inside_other_transformations():
    f = vmap(energy, in_axes=(0, None), parallel=2)
    x = RNG.normal(size=(6, 3))
    total = grad(lambda x: np.sum(f(x, W)))(x)
    np.testing.assert_allclose(total, vmap(grad(energy), (0, None))(x, W), rtol=1e-14)
    assert f(x, W).shape == (6,)
    assert "for b in range(n)" in f.source


def test_an_item_that_raises_does_so_with_threads():
    def positive(x):
        if x < 0.0:
            raise ValueError("negative")
        return np.sqrt(x)

    with pytest.raises(ValueError, match="negative"):
        vmap(positive, parallel=2)(np.array([1.0, 2.0, 3.0, -4.0]))


def test_sizes_that_differ_are_refused_with_threads():
    with pytest.raises(ShapeError, match="of size"):
        vmap(lambda x, y: x * y, parallel=2)(np.ones(4), np.ones(6))


def test_less_than_one_thread():
    with pytest.raises(ArgumentError, match="parallel=-1 is not a number"):
        vmap(energy, parallel=-1)
