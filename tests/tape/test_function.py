"""Functions with a backward pass of their own."""

import gc
import weakref

import pytest

import tracegrad.tape as torch
from tracegrad.tape.autograd import Function, once_differentiable


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        assert not torch.is_grad_enabled()
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        ctx.seen = torch.is_grad_enabled()
        return 2 * x * g


def make(backward, forward=None):
    return type(
        "F",
        (Function,),
        {
            "forward": staticmethod(forward or (lambda ctx, x, k=None: x * 2)),
            "backward": staticmethod(backward),
        },
    )


def leaf(*numbers):
    return torch.tensor(list(numbers), requires_grad=True)


def test_forward_runs_without_grad_and_backward_with_it_under_create_graph():
    x = leaf(3.0)
    y = Square.apply(x)
    assert y.grad_fn.name() == "SquareBackward"
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert y.grad_fn.seen
    assert torch.autograd.grad(first.sum(), x)[0].tolist() == [2.0]
    y.sum().backward()
    assert not y.grad_fn.seen
    assert x.grad.tolist() == [6.0]
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("backward", "error", "message"),
    [
        (lambda ctx, g: g, RuntimeError, r"incorrect number of gradients \(expected 2"),
        (lambda ctx, g: (g, g), RuntimeError, "different than None at position 2"),
        (
            lambda ctx, g: (torch.ones(3), None),
            RuntimeError,
            r"invalid gradient at index 0 - got \[3\] but expected shape compatible",
        ),
        (lambda ctx, g: (1.0, None), TypeError, "expected Variable or None"),
    ],
)
def test_wrong_results_of_backward(backward, error, message):
    with pytest.raises(error, match=message):
        make(backward).apply(leaf(1.0, 2.0), 3).sum().backward()


def test_extra_trailing_nones_and_broadcast_gradients_are_fine():
    x = leaf(1.0, 2.0)
    make(lambda ctx, g: (g, None, None, None)).apply(x, 3).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    make(lambda ctx, g: (torch.ones(3, 2), None)).apply(x, 3).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]


def test_missing_backward():
    forward_only = type("F", (Function,), {"forward": staticmethod(lambda c, x: x * 2)})
    with pytest.raises(NotImplementedError, match="implement backward"):
        forward_only.apply(leaf(1.0)).sum().backward()
    with pytest.raises(RuntimeError, match="should not be instantiated"):
        Square()


def test_only_tensors_are_saved():
    def forward(ctx, x):
        ctx.save_for_backward(3.0)
        return x

    with pytest.raises(TypeError, match="save_for_backward can only save variables"):
        make(None, forward).apply(leaf(1.0))


def test_absent_gradients_are_zeros_or_none():
    seen = []

    def forward(ctx, x, zeros):
        ctx.set_materialize_grads(zeros)
        return x * 1, x * 2

    def backward(ctx, a, b):
        seen.append(None if b is None else b.tolist())
        return a, None

    for zeros in (True, False):
        first, _ = make(backward, forward).apply(leaf(1.0), zeros)
        first.sum().backward()
    assert seen == [[0.0], None]


def test_marks():
    def forward(ctx, x, y):
        y.add_(1)
        ctx.mark_dirty(y)
        order = x * 0
        ctx.mark_non_differentiable(order)
        return x * 2, y, order, "text"

    cls = make(lambda ctx, a, b, c: (a * 2, b), forward)
    x, base = leaf(1.0), leaf(5.0)
    y = base * 1
    double, same, order, text = cls.apply(x, y)
    assert same is y
    assert (y.tolist(), y._version, text) == ([6.0], 2, "text")
    assert not order.requires_grad
    (double + same).sum().backward()
    assert (x.grad.tolist(), base.grad.tolist()) == ([2.0], [1.0])
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        cls.apply(x, base)


def test_needs_input_grad_and_setup_context():
    class Product(Function):
        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.out = output.tolist()

        @staticmethod
        def backward(ctx, g):
            _, y = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return g * y, None

    x = leaf(2.0)
    Product.apply(x, torch.tensor([7.0])).sum().backward()
    assert x.grad.tolist() == [7.0]


def test_a_returned_input_is_a_view():
    x = leaf(1.0)
    y = make(lambda ctx, g: g * 5, lambda ctx, x: x).apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [5.0]


def test_saved_outputs_make_no_cycle_and_are_checked():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            out = x.exp()
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx, g):
            (out,) = ctx.saved_tensors
            return g * out

    x = torch.tensor(0.0, requires_grad=True)
    assert torch.autograd.gradcheck(Exp.apply, x)
    assert torch.autograd.gradgradcheck(Exp.apply, x)
    y = Exp.apply(x)
    y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    gc.collect()
    gc.disable()
    try:
        y = Exp.apply(x)
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_once_differentiable_refuses_the_second_time():
    class Cube(Square):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    x = leaf(2.0)
    Cube.apply(x).sum().backward()
    assert x.grad.tolist() == [12.0]
    (first,) = torch.autograd.grad((Cube.apply(x) * x).sum(), x, create_graph=True)
    assert first.tolist() == [8.0 + 24.0]
    for differentiate in (
        lambda: torch.autograd.grad(first.sum(), x, retain_graph=True),
        lambda: first.sum().backward(),
    ):
        with pytest.raises(RuntimeError, match="once_differentiable"):
            differentiate()
