"""Minimise a quadratic with SGD."""

import tracegrad.tape as torch

x = torch.tensor(0.0, requires_grad=True)
optimizer = torch.optim.SGD([x], lr=0.1, momentum=0.5)
for step in range(100):
    optimizer.zero_grad()
    loss = 2 * x**2 - 8 * x + 3
    loss.backward()
    optimizer.step()
    if step % 25 == 0:
        print(f"step {step}: x = {x.item():.6f}, loss = {loss.item():.6f}")
print(f"minimum at {x.item():.6f}")
assert abs(x.item() - 2.0) < 1e-9
assert abs(loss.item() + 5.0) < 1e-9
