"""detach: a value without its history."""

import tracegrad.tape as torch

x = torch.arange(4.0, requires_grad=True)
y = x * x
u = y.detach()  # a constant from here on
z = u * x
z.sum().backward()
print(f"z = u x with u held fixed: {x.grad}")
assert x.grad.tolist() == u.tolist()

x.grad = None
y.sum().backward()  # the history of y itself is still there
assert x.grad.tolist() == (2 * x).tolist()
