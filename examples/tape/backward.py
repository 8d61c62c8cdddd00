"""backward: of a scalar, of a vector with gradient=, and of a sum."""

import tracegrad.tape as torch

x = torch.tensor(3.0, requires_grad=True)
y = x**2 + 2 * x
y.backward()
print(f"d(x² + 2x)/dx at 3: {x.grad}")
assert x.grad == 8.0

v = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
w = v * v
w.backward(gradient=torch.tensor([1.0, 0.1, 0.01]))  # a vector times the Jacobian
print(f"weights times the Jacobian of v²: {v.grad}")
assert v.grad.allclose(torch.tensor([2.0, 0.4, 0.06]))

v.grad = None
(v * v).sum().backward()  # the same as gradient=torch.ones(3)
assert v.grad.tolist() == [2.0, 4.0, 6.0]
