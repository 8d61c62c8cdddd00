"""A graph is freed by backward, unless it is retained."""

import tracegrad.tape as torch

x = torch.tensor(3.0, requires_grad=True)
y = x * x
y.backward(retain_graph=True)
y.backward()
assert x.grad == 12.0
try:
    y.backward()
except RuntimeError as error:
    print(f"the third time: {str(error).split('(')[0]}")
else:
    raise AssertionError("the graph was still there")
