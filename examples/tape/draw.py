"""Draw the backward graph, and the graph of a compiled gradient."""

import numpy as np

import tracegrad
import tracegrad.tape as torch

w = torch.tensor([1.0, -2.0], requires_grad=True)
x = torch.tensor([3.0, 4.0])
loss = (w * x).tanh().sum()
picture = torch.make_dot(loss, params={"w": w}, show_saved=True)
print(picture.source)  # a notebook shows the picture itself
assert "MulBackward0" in picture.source
assert "AccumulateGrad" in picture.source

gradient = tracegrad.grad(lambda x: np.sum(np.tanh(x) ** 2)).compile(np.ones(3))
assert "tanh" in gradient.picture().source
