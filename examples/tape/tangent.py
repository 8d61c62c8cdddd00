"""A curve and its tangent line; drawn if Matplotlib is installed."""

from importlib.util import find_spec

import numpy as np

import tracegrad.tape as torch

x = torch.tensor(1.0, requires_grad=True)
y = 3 * x**2 - 4 * x
y.backward()
slope, value = x.grad.item(), y.item()
print(f"tangent at 1: y = {slope} (x - 1) + {value}")
assert (slope, value) == (2.0, -1.0)

grid = np.linspace(0.0, 3.0, 31)
line = slope * (grid - 1.0) + value
curve = 3 * grid**2 - 4 * grid
assert (curve >= line - 1e-12).all()  # convex: it lies above its tangent

if find_spec("matplotlib"):
    import matplotlib.pyplot as plt

    plt.plot(grid, curve, label="3x² - 4x")
    plt.plot(grid, line, "--", label="tangent at 1")
    plt.legend()
    plt.savefig("tangent.png")
