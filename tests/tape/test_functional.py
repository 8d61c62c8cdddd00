"""autograd.functional, gradcheck and gradgradcheck."""

import numpy as np
import pytest

import tracegrad.tape as torch
from tracegrad.tape.autograd import functional as af
from tracegrad.tape.autograd import gradcheck, gradgradcheck

X = torch.tensor([1.0, 2.0])
Y = torch.tensor([0.5, -1.0, 2.0])


def outer(x, y):
    return x[:, None] * y**2


def total(x, y):
    return (outer(x, y) * x[0]).sum()


# Derivatives of ``total``: x0² + x0 x1 times s, with s the sum of squares of y.
S = 5.25


def test_jacobians_are_nested_outputs_first():
    whole = af.jacobian(lambda x: x**2, X)
    assert whole.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    by_x, by_y = af.jacobian(outer, (X, Y))
    assert by_x.shape == (2, 3, 2)
    assert by_y.shape == (2, 3, 3)
    np.testing.assert_allclose(by_x[0, :, 0].numpy(), Y.numpy() ** 2)
    (one, two) = af.jacobian(lambda x: (x.sum(), x), X)
    assert one.tolist() == [1.0, 1.0]
    assert two.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_hessians():
    whole = af.hessian(lambda x: x[0] ** 2 * x[1], X)
    assert whole.tolist() == [[4.0, 2.0], [2.0, 0.0]]
    ((xx, xy), (yx, yy)) = af.hessian(total, (X, Y))
    np.testing.assert_allclose(xx.numpy(), [[2 * S, S], [S, 0.0]])
    np.testing.assert_allclose(xy.numpy(), yx.numpy().T)
    np.testing.assert_allclose(yy.numpy(), np.diag([6.0] * 3))
    with pytest.raises(RuntimeError, match="single element"):
        af.hessian(lambda x: x, X)


def test_products():
    value, pulled = af.vjp(outer, (X, Y), torch.ones(2, 3))
    assert value.tolist() == outer(X, Y).tolist()
    assert pulled[0].tolist() == [S, S]
    np.testing.assert_allclose(pulled[1].numpy(), 6.0 * Y.numpy())
    value, pushed = af.jvp(lambda x: x**3, X, torch.tensor([1.0, 10.0]))
    assert pushed.tolist() == [3.0, 120.0]
    for product in (af.hvp, af.vhp):
        value, found = product(lambda x: x.prod() * x[0], X, torch.tensor([1.0, 0.5]))
        assert value == 2.0
        assert found.tolist() == [5.0, 2.0]
    assert af.vjp(lambda x: x.sum(), X)[1].tolist() == [1.0, 1.0]


def test_directions_are_checked():
    with pytest.raises(RuntimeError, match="only be None"):
        af.vjp(lambda x: x, X)
    with pytest.raises(RuntimeError, match="invalid size at index 0"):
        af.vjp(lambda x: x, X, torch.ones(3))
    with pytest.raises(TypeError, match="must return tensors"):
        af.jacobian(lambda x: 3.0, X)


def test_create_graph_leads_to_the_inputs():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    whole = af.jacobian(lambda x: x**3, x, create_graph=True)
    (again,) = torch.autograd.grad(whole.sum(), x)
    assert again.tolist() == [6.0, 12.0]
    assert not af.jacobian(lambda x: x**3, x).requires_grad


def test_strict_mode_refuses_independence():
    assert af.jacobian(lambda x: torch.ones(1), X).tolist() == [[0.0, 0.0]]
    with pytest.raises(RuntimeError, match="independent of all inputs"):
        af.jacobian(lambda x: torch.ones(1), X, strict=True)
    with pytest.raises(RuntimeError, match="independent of an input"):
        af.jacobian(lambda x, y: x, (X, Y), strict=True)


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x

    @staticmethod
    def backward(ctx, bar):
        return bar * 3.0


def leaf(x):
    return x.clone().requires_grad_()


def test_gradcheck_finds_a_wrong_gradient():
    x = leaf(X)
    assert gradcheck(lambda x: x.exp() * x, x)
    assert gradcheck(lambda x, n: x**n, (x, 3))
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with"):
        gradcheck(Wrong.apply, x)
    assert not gradcheck(Wrong.apply, x, raise_exception=False)
    assert gradcheck(Wrong.apply, x, atol=10.0)
    assert gradcheck(lambda x: (x * 2, x.sum()), (x,), eps=1e-4)


def test_gradcheck_needs_float64_that_requires_gradients():
    with pytest.raises(ValueError, match="at least one input"):
        gradcheck(torch.exp, X)
    with pytest.raises(ValueError, match="float32"):
        gradcheck(torch.exp, torch.ones(1, dtype=torch.float32, requires_grad=True))


class FirstOnly(torch.autograd.Function):
    """A gradient that is right, and whose own gradient is lost."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, bar):
        (x,) = ctx.saved_tensors
        return bar * 3.0 * x.detach() ** 2


def test_gradgradcheck_looks_at_second_derivatives():
    x = leaf(X)
    assert gradgradcheck(lambda x: x**3, x)
    assert gradgradcheck(lambda x: x**3, x, grad_outputs=leaf(torch.ones(2)))
    assert gradcheck(FirstOnly.apply, x)
    with pytest.raises(RuntimeError, match="mismatch"):
        gradgradcheck(FirstOnly.apply, x)
    assert not gradgradcheck(FirstOnly.apply, x, raise_exception=False)
