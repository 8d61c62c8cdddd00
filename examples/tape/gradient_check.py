"""Check gradients against differences, first and second order."""

import tracegrad.tape as torch
from tracegrad.tape.autograd import Function, GradcheckError, gradcheck, gradgradcheck

torch.manual_seed(1)
x = torch.rand(3, requires_grad=True)
w = torch.rand(2, 3, requires_grad=True)
assert gradcheck(lambda w, x: (w @ x).tanh(), (w, x))
assert gradgradcheck(lambda x: x.exp() * x, x)


class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return 2 * x**2 * grad_output  # should be 3 x²


try:
    gradcheck(Wrong.apply, x)
except GradcheckError as error:
    print(f"found: {str(error).splitlines()[0]}")
else:
    raise AssertionError("a wrong gradient passed")
