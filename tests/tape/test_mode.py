"""mode="tape", and what mode="auto" falls back to."""

import math
import warnings

import numpy as np
import pytest

import tracegrad as tg
import tracegrad.tape as torch
from tracegrad.errors import (
    ArgumentError,
    DifferentiationError,
    DTypeError,
    ShapeError,
    TapeWarning,
    TracingError,
)

X = np.array([0.5, 1.5, 2.5])


def helper(x):
    y = np.zeros(3)
    for i in range(3):
        y[i] = math.exp(x[i]) * x[i]
    return y


def written(x):
    return helper(x).sum() + np.linalg.norm(x) * x.std()


def dynamic(x):
    """Data-dependent lengths, a list that grows, a dict on the way."""
    found = {}
    while np.sum(x) < 40.0:
        found[len(found)] = x[x > 1.0]
        x = x * 1.5
    return sum(np.sum(v**2) for v in found.values())


def dynamic_gradient():
    x, scale, total = X, 1.0, np.zeros(3)
    while np.sum(x) < 40.0:
        total += np.where(x > 1.0, 2.0 * x * scale, 0.0)
        x, scale = x * 1.5, scale * 1.5
    return total


PROGRAMS = {
    "written": written,
    "methods": lambda x: (x.reshape(3, 1) @ x[None, :]).max(axis=0).prod() ** 0.5,
    "transpose": lambda x: (np.outer(x, x).transpose(0, 1)[0] * x).sum(),
    "library": lambda x: np.var(np.sort(x * np.array([3.0, 1.0, 2.0]))) / np.mean(x),
    "indices": lambda x: np.sum(x[[0, 2, 0]] * np.array([1.0, 2.0, 3.0])) + x[-1] ** 3,
    "solve": lambda x: np.linalg.solve(np.diag(x) + np.ones((3, 3)), x).sum(),
    "select": lambda x: np.sum(np.where(x > 1.0, np.log(x), x**2)),
    "generator": lambda x: np.fromiter((v * v for v in x), float, 2).prod(),
    "concatenate": lambda x: np.cumsum(np.concatenate([x, x[::-1] * 2.0]))[3],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_modes_agree(name):
    f = PROGRAMS[name]
    taped = tg.value_and_grad(f, mode="tape")(X)
    compiled = tg.value_and_grad(f, mode="compiled")(X)
    assert type(taped[0]) is type(compiled[0])
    np.testing.assert_allclose(taped[0], compiled[0], rtol=1e-14)
    np.testing.assert_allclose(taped[1], compiled[1], rtol=1e-12)


def test_auto_falls_back_with_one_warning_that_names_the_line():
    gradient = tg.grad(dynamic)
    with pytest.warns(TapeWarning, match="in dynamic: ") as caught:
        first = gradient(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = gradient(X)
        quiet = tg.grad(dynamic, mode="tape")(X)
    for found in (first, second, quiet):
        np.testing.assert_allclose(found, dynamic_gradient(), rtol=1e-12)


def test_compiled_raises_instead():
    with pytest.raises(TracingError, match="in dynamic: "):
        tg.grad(dynamic, mode="compiled")(X)


def test_user_errors_raise_in_every_mode():
    for mode in ("auto", "compiled", "tape"):
        with pytest.raises(DTypeError, match="dtype is int64"):
            tg.grad(np.sum, mode=mode)(np.array([1, 2]))
        with pytest.raises(DifferentiationError, match="needs a scalar"):
            tg.grad(lambda x: x * 2, mode=mode)(X)
        with pytest.raises((ShapeError, ValueError)):
            tg.grad(lambda x: np.sum(x + np.ones(2)), mode=mode)(X)

    def stops(x):
        raise KeyError("mine")

    for mode in ("auto", "compiled", "tape"):
        with pytest.raises(KeyError, match="mine"):
            tg.grad(stops, mode=mode)(X)


def test_what_the_tape_cannot_do_either_is_the_first_error():
    def unknown(x):
        return np.sum(np.fft.fft(x).real)

    with pytest.raises(TracingError, match="no tracegrad rule"):
        tg.grad(unknown)(X)


def test_a_derivative_is_never_lost_silently():
    plain = np.zeros(3)

    def into_plain(x):
        plain[0] = x[0]
        return plain[0] * 2.0

    for f in (into_plain, lambda x: float(x[0]) * 2.0, lambda x: np.asarray(x)[0]):
        try:
            found = tg.grad(f, mode="tape")(X)
        except (DifferentiationError, ValueError):
            continue
        assert found.any()


def test_arguments_are_never_changed_and_nests_work():
    def f(params, scale):
        params["w"][0] *= scale
        return np.sum(params["w"] ** 2) + params["b"]

    params = {"w": X.copy(), "b": 2.0}
    value, grads = tg.value_and_grad(f, mode="tape")(params, 3.0)
    assert params["w"].tolist() == X.tolist()
    assert value == pytest.approx(1.5**2 + 1.5**2 + 2.5**2 + 2.0)
    np.testing.assert_allclose(grads["w"], [2 * 1.5 * 3.0, 3.0, 5.0])
    assert grads["b"] == 1.0
    assert type(grads["b"]) is float


def test_options():
    f = lambda x, k: (k * np.sum(x**2), {"seen": x * 2})
    (value, aux), grads = tg.value_and_grad(
        f, argnums=(1, 0), has_aux=True, mode="tape"
    )(X, 2.0)
    assert value == pytest.approx(2.0 * np.sum(X**2))
    np.testing.assert_array_equal(aux["seen"], X * 2)
    assert grads[0] == pytest.approx(np.sum(X**2))
    out = np.empty(3)
    tg.grad(lambda x: np.sum(x**3), mode="tape")(X, out=out)
    np.testing.assert_allclose(out, 3 * X**2)


def test_dtypes():
    x = X.astype(np.float32)
    value, bar = tg.value_and_grad(lambda x: np.sum(np.exp(x) * 2), mode="tape")(x)
    assert value.dtype == bar.dtype == np.float32


def test_nested_derivatives_are_not_confused():
    inner = lambda x: tg.grad(lambda y: x + y, mode="tape")(1.0)
    assert tg.grad(lambda x: x * inner(x), mode="tape")(1.0) == 1.0
    cubic = lambda x: np.sum(x**3)
    second = tg.grad(lambda x: np.sum(tg.grad(cubic)(x) * x), mode="tape")(X)
    np.testing.assert_allclose(second, 9 * X**2)


def test_products_fall_back_too():
    v = np.array([1.0, -2.0, 0.5])
    expected = dynamic_gradient()
    with pytest.warns(TapeWarning):
        _, dot = tg.jvp(dynamic, (X,), (v,))
    with pytest.warns(TapeWarning):
        _, pull = tg.vjp(dynamic, X)
    with pytest.warns(TapeWarning):
        (bar,) = pull(2.0)
    np.testing.assert_allclose(dot, expected @ v)
    np.testing.assert_allclose(bar, 2 * expected)
    with pytest.warns(TapeWarning):
        hessian = tg.hessian(dynamic)(X)
    np.testing.assert_allclose(
        tg.hvp(dynamic, mode="tape")(X, v), hessian @ v, rtol=1e-12
    )
    with pytest.warns(TapeWarning):
        assert tg.jit(dynamic)(X) == dynamic(X)


def test_custom_rules_hold_on_the_tape():
    @tg.custom_vjp
    def clipped(x):
        return x * x

    clipped.defvjp(lambda x: (x * x, x), lambda x, bar: (bar * 3.0 * x,))

    @tg.custom_jvp
    def twice(x):
        return 2.0 * x

    @twice.defjvp
    def twice_jvp(primals, tangents):
        return twice(primals[0]), 7.0 * tangents[0] * primals[0]

    for f, first, second in [(clipped, 6.0, 3.0), (twice, 14.0, 7.0)]:
        gradient = tg.grad(f, mode="tape")
        assert gradient(2.0) == first
        assert tg.grad(gradient, mode="tape")(2.0) == second


def test_stop_gradient():
    f = lambda x: np.sum(x * tg.stop_gradient(x))
    np.testing.assert_array_equal(tg.grad(f, mode="tape")(X), X)
    used = lambda x: x[0] * float(tg.stop_gradient(x[1]))
    np.testing.assert_array_equal(tg.grad(used, mode="tape")(X), [1.5, 0.0, 0.0])


def overwritten(x):
    w = np.exp(x)
    w *= w
    return np.sum(w)


def test_a_value_that_was_overwritten_is_refused_at_the_line_that_did_it():
    with pytest.raises(DifferentiationError, match="overwritten in place") as caught:
        tg.grad(overwritten, mode="tape")(X)
    assert "w *= w" in str(caught.value.where)
    assert "make a new array" in caught.value.todo
    x = torch.tensor(X, requires_grad=True)
    y = x.exp()
    y += 1.0
    with pytest.raises(RuntimeError, match=r"last written at test_mode\.py:.*y \+= 1"):
        y.sum().backward()


def growing(x):
    kept = [v for v in x if v > 1.0]
    return np.sum(np.stack(kept) ** 3)


def test_jacobians_and_hessians_take_the_tape():
    expected = np.where(X > 1.0, 3 * X**2, 0.0)
    np.testing.assert_allclose(tg.jacobian(growing, mode="tape")(X), expected)
    expected = np.diag(np.where(X > 1.0, 6 * X, 0.0))
    np.testing.assert_allclose(tg.hessian(growing, mode="tape")(X), expected)
    with pytest.raises(ArgumentError, match="does not run on the tape"):
        tg.vmap(lambda x: x, mode="tape")(X)


def augmented_element(x):
    first = x[0]
    kept = [first]
    first += 1.0
    return x[0] * first * kept[0]


def swapped_elements(x):
    y = x * 2.0
    y[0], y[-1] = y[-1], y[0]
    return 3.0 * y[0] + y[-1] ** 2


def element_before_a_write(x):
    y = np.outer(x, x)
    before, after = y[np.int64(0), 1], y[1, ...]
    y[0, 1] = 7.0
    y[1] *= 2.0
    total = trace = y.sum()
    total -= before
    return before * total * trace + after[0]


@pytest.mark.parametrize(
    "function", [augmented_element, swapped_elements, element_before_a_write]
)
def test_an_element_is_a_number_and_rows_are_views(function):
    x = np.array([2.0, 3.0, -1.0])
    value, slope = tg.value_and_grad(function, mode="tape")(x)
    expected, compiled = tg.value_and_grad(function, mode="compiled")(x)
    np.testing.assert_allclose(value, function(x), rtol=1e-14)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(slope, compiled, rtol=1e-14)


@pytest.mark.parametrize(
    "copies",
    [
        lambda x: +x,
        lambda x: x**1,
        lambda x: x.astype(float),
        lambda x: np.tile(x, 1),
        lambda x: np.roll(x, 0),
        lambda x: np.concatenate([x]),
        lambda x: np.sum(x[None], axis=0),
    ],
)
def test_what_numpy_copies_is_a_copy(copies):
    def written(x):
        y = x * 2.0
        z = copies(y)
        z[0] = 1.0
        return np.sum(y * z)

    x = np.array([2.0, 3.0, -1.0])
    value, slope = tg.value_and_grad(written, mode="tape")(x)
    assert value == written(x)
    np.testing.assert_allclose(slope, [2.0, 24.0, -8.0])


def test_a_diagonal_by_einsum_is_not_written():
    def written(x):
        a = np.outer(x, x)
        np.einsum("ii->i", a)[:] = 1.0
        return np.sum(a)

    x = np.array([2.0, 3.0])
    with pytest.raises(RuntimeError, match="read-only"):
        tg.grad(written, mode="tape")(x)
    with pytest.raises(TracingError, match="view"):
        tg.grad(written, mode="compiled")(x)
