"""Writing in place: what is found out, and what is fine."""

import tracegrad.tape as torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
try:
    x += 1
except RuntimeError as error:
    print(f"a leaf: {error}")

y = x.exp()  # whose derivative needs the result
y *= 2
try:
    y.sum().backward()
except RuntimeError as error:
    print(f"a saved value: {error}")
else:
    raise AssertionError("a wrong gradient passed")

y = x + 1  # whose derivative needs nothing
y *= 2
y[0] = 100.0
y.sum().backward()
print(f"entry 0 was overwritten: {x.grad}")
assert x.grad.tolist() == [0.0, 2.0]
