"""Gradients for several inputs and several outputs."""

import tracegrad.tape as torch
from tracegrad.tape.autograd import functional, grad

x = torch.tensor(2.0, requires_grad=True)
y = torch.tensor(3.0, requires_grad=True)
product, total = x * y, x + y

dx, dy = grad(product, (x, y), retain_graph=True)
print(f"d(xy): {dx.item()}, {dy.item()}")
assert (dx.item(), dy.item()) == (3.0, 2.0)

# Several outputs: the gradients of their sum, or of a weighted sum.
dx, dy = grad(
    (product, total), (x, y), grad_outputs=(torch.tensor(1.0), torch.tensor(10.0))
)
assert (dx.item(), dy.item()) == (13.0, 12.0)

rows = functional.jacobian(lambda x, y: torch.stack([x * y, x / y]), (x, y))
print(f"Jacobian of (xy, x/y), a column per input: {rows}")
assert rows[0].allclose(torch.tensor([3.0, 1 / 3]))
assert rows[1].allclose(torch.tensor([2.0, -2 / 9]))
