"""Clip gradients by their norm and by value."""

import tracegrad.tape as torch
from tracegrad.tape.nn.utils import clip_grad_norm_, clip_grad_value_

w = torch.tensor([3.0, 4.0], requires_grad=True)
(w * w).sum().backward()  # (6, 8): norm 10
before = clip_grad_norm_([w], max_norm=1.0)
print(f"norm before {before.item()}, gradient now {w.grad}")
assert before.item() == 10.0
assert w.grad.allclose(torch.tensor([0.6, 0.8]))

w.grad = None
(w * w).sum().backward()
clip_grad_value_([w], 7.0)
assert w.grad.tolist() == [6.0, 7.0]
