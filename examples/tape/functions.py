"""Functions with a backward pass of their own: a square, a line, a relu."""

import tracegrad.tape as torch
from tracegrad.tape.autograd import Function


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return 2 * x * grad_output


class Line(Function):
    @staticmethod
    def forward(ctx, w, x, b):
        ctx.save_for_backward(w, x)
        return w * x + b

    @staticmethod
    def backward(ctx, grad_output):
        w, x = ctx.saved_tensors
        return grad_output * x, grad_output * w, grad_output


class Relu(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * (x > 0)


x = torch.tensor(3.0, requires_grad=True)
y = Square.apply(x)
y.backward()
print(y, x.grad)
assert x.grad == 6.0

w, x, b = (torch.tensor(v, requires_grad=True) for v in (2.0, 5.0, 1.0))
Line.apply(w, x, b).backward()
assert (w.grad, x.grad, b.grad) == (5.0, 2.0, 1.0)

v = torch.tensor([-1.0, 2.0], requires_grad=True)
Relu.apply(v).sum().backward()
assert v.grad.tolist() == [0.0, 1.0]
assert torch.autograd.gradcheck(Square.apply, torch.randn(3, requires_grad=True))
