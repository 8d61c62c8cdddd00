"""autograd.grad: first, second and third derivatives."""

import tracegrad.tape as torch
from tracegrad.tape.autograd import functional, grad

x = torch.tensor(2.0, requires_grad=True)
y = x**4
for order, expected in enumerate((32.0, 48.0, 48.0), start=1):
    (y,) = grad(y, x, create_graph=True)  # so that it can be differentiated again
    print(f"derivative {order} of x⁴ at 2: {y.item()}")
    assert y.item() == expected

v = torch.tensor([1.0, 2.0], requires_grad=True)
hessian = functional.hessian(lambda v: v[0] ** 2 * v[1], v)
print(f"Hessian:\n{hessian}")
assert hessian.tolist() == [[4.0, 2.0], [2.0, 0.0]]
