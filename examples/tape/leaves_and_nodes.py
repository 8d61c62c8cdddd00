"""Leaves, grad_fn, retain_grad, accumulation and zeroing."""

import tracegrad.tape as torch

w = torch.tensor([1.0, 2.0], requires_grad=True)
y = w * 3
z = y.sum()
print(w.is_leaf, y.is_leaf, y.grad_fn, z.grad_fn.next_functions)
assert w.is_leaf
assert not y.is_leaf
assert z.grad_fn.next_functions[0][0] is y.grad_fn

y.retain_grad()  # only leaves keep their gradient, unless told
z.backward()
assert w.grad.tolist() == [3.0, 3.0]
assert y.grad.tolist() == [1.0, 1.0]

(w * 3).sum().backward()  # gradients accumulate …
assert w.grad.tolist() == [6.0, 6.0]
w.grad.zero_()  # … until they are zeroed
(w * 3).sum().backward()
print(f"after zeroing: {w.grad}")
assert w.grad.tolist() == [3.0, 3.0]
