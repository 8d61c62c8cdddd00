"""freeze: a run on the tape as a compiled function.

Most programs are compared as evaluated graphs, a few as kernels.
"""

import pickle

import numpy as np
import pytest

import tracegrad.tape as torch
from tests.traces.running import rerun, run, traced
from tracegrad import custom_vjp, freeze, grad, hessian, value_and_grad
from tracegrad.errors import (
    ArgumentError,
    DTypeError,
    ShapeError,
    TracegradError,
    TracingError,
)
from tracegrad.ir.printer import print_graph

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(0.5, 1.5, (2, 4))
M = RNG.uniform(0.5, 1.5, (3, 4))


def weighted(function, weights):
    return lambda *xs: np.sum(function(*xs) * weights)


def agrees(function, *examples, points=2):
    """Value and gradient of the frozen function are those of the tape."""
    frozen = freeze(function, *map(torch.tensor, examples))
    for scale in (1.0, 1.01)[:points]:
        arrays = [x * scale if x.dtype.kind == "f" else x for x in examples]
        tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
        out = function(*tensors)
        np.testing.assert_allclose(run(frozen, *arrays), out.detach(), rtol=1e-13)
        weights = RNG.normal(size=out.shape)
        wanted = [k for k, x in enumerate(tensors) if x.requires_grad]
        expected = torch.autograd.grad(
            out, [tensors[k] for k in wanted], torch.tensor(weights), allow_unused=True
        )
        found = run(grad(weighted(frozen, weights), argnums=wanted), *arrays)
        for got, want in zip(found, expected, strict=True):
            want = np.zeros(got.shape) if want is None else want.numpy()
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


def written(x, y):
    z = torch.zeros(5)
    z[1:] = x * 2
    part = z[::2]
    part += y[0]
    z[[0, 0, 3]] = y[:3]
    z[z > 1.4] = 0.5
    z[-1].fill_(0.25)
    z[1] = y[1:2]
    return z * x.sum()


def in_place(x, y):
    a = x.clone()
    a += y
    a.tanh_()
    a = a.clone()
    b = a.reshape(2, 2)
    b[0] = b[1] * 3
    return a + b.t().reshape(-1)


def pieces(m):
    a, b = m.split([1, 3], dim=1)
    top, index = m.max(dim=0)
    ordered, _ = m.sort(dim=1)
    joined = torch.cat([a.expand(3, 3), b, ordered], dim=1)
    return joined.gather(1, torch.tensor([[0], [4], [9]])) * top[:1] + index.sum()


def switched(x, y):
    with torch.no_grad():
        scale = (x * y).sum()
    return x * scale + y.detach() * x


def slope(x, y):
    """A derivative inside."""
    (first,) = torch.autograd.grad((x**3 * y).sum(), x, create_graph=True)
    (constant,) = torch.autograd.grad((x * y).sum(), y)
    return first * x + constant * y


def branches(x, y):
    out = torch.zeros(4)
    for k in range(int((x > 0.0).sum())):
        if x[k] > y[k]:
            out[k] = x[k].log()
        else:
            out = torch.where(out > 0, out, y * k)
    return out


def layers(x):
    hidden = torch.nn.functional.linear(x, torch.tensor(M), torch.tensor(X[:3]))
    return torch.nn.functional.mse_loss(hidden.tanh(), hidden.softmax(-1) + 0.1)


def decomposed(m):
    square = m @ m.t() + torch.eye(3)
    return torch.linalg.cholesky(square).sum() * torch.linalg.det(square).log()


def filled(x, y):
    z = x * y
    z.zero_()
    z += y
    z[1] = x[0] if bool(torch.tensor(True)) else x[1]
    return z


@pytest.mark.parametrize(
    ("function", "examples"),
    [
        (written, (X, Y)),
        (in_place, (X, Y)),
        (pieces, (M,)),
        (switched, (X, Y)),
        (slope, (X, Y)),
        (branches, (X, Y)),
        (layers, (X,)),
        (decomposed, (M,)),
        (filled, (X, Y)),
        (lambda x, k: x[1:] * k, (X, np.array(3))),
        (lambda x: (x * torch.tensor(X)).norm() + 0.0 * x.sum(), (X,)),
    ],
)
def test_a_frozen_run_is_the_function(function, examples):
    agrees(function, *examples)


def doubled(x):
    while x.norm() < 10:
        x = x * 2
    return x.sum()


@pytest.fixture(scope="module")
def fast():
    return freeze(doubled, torch.tensor([1.0, 2.0]))


def test_the_kernel(fast):
    x = np.array([1.2, 2.0])
    assert fast(x) == doubled(torch.tensor(x)).item()
    np.testing.assert_array_equal(grad(fast)(x), [8.0, 8.0])
    assert fast.__name__ == "doubled"
    assert "while x.norm() < 10:" in fast.source
    assert "multiply x x" in str(fast.graph)
    with pytest.raises(RuntimeError, match=r"another way: test_freeze\.py:\d+ in doub"):
        fast(np.array([5.0, 2.0]))
    with pytest.raises(ShapeError, match=r"frozen for shape \[2\], not \[3\]"):
        fast(np.ones(3))
    with pytest.raises(DTypeError, match="frozen for float64, not float32"):
        fast(np.ones(2, np.float32))


def test_a_kernel_on_tensors_is_one_node(fast):
    x = torch.tensor([1.2, 2.0], requires_grad=True)
    y = fast(x) ** 2
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    assert first.tolist() == [8 * 2 * 8 * 3.2] * 2
    assert torch.autograd.grad(first[0], x)[0].tolist() == [128.0, 128.0]
    assert fast(torch.tensor([1.2, 2.0])).grad_fn is None


def test_nests_go_in_and_out():
    def model(weights, x):
        return {"out": weights["a"] * x + weights["b"], "twice": (x * 2, 3)}

    weights = {"a": torch.tensor(X), "b": torch.tensor(Y)}
    frozen = freeze(model, weights, torch.tensor(X))
    found = run(frozen, {"a": X, "b": Y}, X)
    np.testing.assert_array_equal(found["out"], X * X + Y)
    np.testing.assert_array_equal(found["twice"][0], X * 2)
    assert found["twice"][1] == 3
    with pytest.raises(ArgumentError, match="were"):
        run(frozen, {"a": X}, X)


def test_a_function_of_numpy_arrays_is_frozen():
    def f(x):
        kept = [v for v in x if v > 0.8]
        total = np.zeros(2)
        total[0] = np.sum(np.stack(kept) ** 2)
        return total + len(kept)

    frozen = freeze(f, X)
    np.testing.assert_allclose(run(frozen, X), f(X))
    expected = np.where(X > 0.8, 2 * X, 0.0)
    np.testing.assert_allclose(run(grad(lambda x: frozen(x)[0]), X), expected)


def test_transformations_of_it():
    frozen = freeze(lambda x: (x**3).sum(), torch.tensor(X))
    value, gradient = run(value_and_grad(frozen), X)
    np.testing.assert_allclose(value, np.sum(X**3))
    np.testing.assert_allclose(gradient, 3 * X**2)
    np.testing.assert_allclose(run(hessian(frozen), X), np.diag(6 * X))


def test_closed_over_values_are_constants():
    scale, array = torch.tensor(2.0), np.array([1.0, 2.0, 3.0, 4.0])
    frozen = freeze(lambda x: x * scale + torch.from_numpy(array), torch.tensor(X))
    before = X * 2 + array
    scale.fill_(5.0)
    array[:] = 0.0
    np.testing.assert_array_equal(run(frozen, X), before)


def test_a_decision_on_whole_numbers_is_checked():
    frozen = freeze(lambda x: x[x.argmax()] * 2, torch.tensor([1.0, 3.0, 2.0]))
    assert run(frozen, np.array([1.0, 4.0, 2.0])) == 8.0
    recorded = str(frozen.stages(np.array([1.0, 4.0, 2.0])))
    assert "went another way" in recorded


def entries(x):
    y = torch.zeros(3)
    for k in range(3):
        y[k] = x[k] * 2
    before = y
    z = y * 1
    z[0] = y[1]
    return before, z


def test_assignments_write_to_one_array_unless_the_old_contents_are_used():
    recorded = traced(freeze(entries, torch.tensor(X)), X)
    text = print_graph(recorded.graph)
    assert text.count("store") == 4
    assert text.count("copy") == 2
    before, z = rerun(recorded, X)
    np.testing.assert_array_equal(before, 2 * X[:3])
    np.testing.assert_array_equal(z, 2 * X[[1, 1, 2]])


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x

    @staticmethod
    def backward(ctx, bar):
        return bar


@custom_vjp
def ruled(x):
    return x * x


ruled.defvjp(lambda x: (x * x, x), lambda x, bar: (bar,))


def shifted(x):
    x += 1
    return x


def quietly(x):
    y = x * 1
    with torch.no_grad():
        y *= 2
    return y


WEIGHT = torch.tensor(X, requires_grad=True)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * x.sum().item(), r"item\(\) takes values out"),
        (lambda x: x * x.detach().numpy()[0], r"numpy\(\) takes values out"),
        (lambda x: x * float(x[0]), r"item\(\) takes values out"),
        (lambda x: x * torch.tensor([x[0], x[1], 1, 1]), "a new tensor takes values"),
        (lambda x: x * torch.rand(4), "random number"),
        (lambda x: x.sum().backward(), r"backward\(\) can't be frozen"),
        (lambda x: Square.apply(x), "Square, a Function"),
        (lambda x: ruled(x), "ruled, a Function"),
        (lambda x: x.register_hook(print), "a hook can't"),
        (lambda x: x * WEIGHT, "none of the example arguments"),
        (lambda x: x * (WEIGHT * 2), "none of the example arguments"),
        (quietly, "under no_grad"),
        (lambda x: x.detach().zero_(), "detached"),
        (lambda x: (x * 1).detach_(), r"detach_\(\) can't"),
        (lambda x: torch.nn.init.zeros_(x * 1), "filling a parameter"),
        (lambda x: torch.allclose(x, x), "a test or index takes values"),
    ],
)
def test_what_the_record_could_not_hold_is_refused(function, message):
    with pytest.raises(TracingError, match=message) as caught:
        freeze(function, torch.tensor(X))
    assert "test_freeze.py" in str(caught.value.where)
    assert caught.value.todo
    assert torch.is_grad_enabled()


def test_arguments_and_results_are_checked():
    x = torch.tensor(X)
    with pytest.raises(ArgumentError, match="writes to its argument"):
        freeze(shifted, x)
    with pytest.raises(ArgumentError, match="does not depend"):
        freeze(lambda x: torch.ones(2), x)
    with pytest.raises(ArgumentError, match="an example is a float"):
        freeze(lambda x, k: x * k, x, 2.0)
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(freeze(lambda x: x * 2, x))
    assert issubclass(ArgumentError, TracegradError)
