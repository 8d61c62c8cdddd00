"""A run on the tape becomes a compiled kernel: its control flow is the one recorded."""

import numpy as np

import tracegrad.tape as torch
from tracegrad import freeze, value_and_grad


class Spring:
    """Python objects on the way are no obstacle: the record has only operations."""

    def __init__(self, stiffness, ends):
        self.stiffness, self.ends = stiffness, ends

    def energy(self, x):
        a, b = self.ends
        return 0.5 * self.stiffness * (x[b] - x[a] - 1.0) ** 2


def energy(x, stiffness):
    springs = [Spring(stiffness, (k, k + 1)) for k in range(len(x) - 1)]
    total = sum(spring.energy(x) for spring in springs)
    return total * 2.0 if total > 10.0 else total


x = torch.tensor([0.0, 1.5, 2.0, 3.25], requires_grad=True)
k = torch.tensor(4.0)
energy(x, k).backward()
print("on the tape:", x.grad)

fast = value_and_grad(freeze(energy, x, k))
value, gradient = fast(x.detach().numpy(), 4.0)
print("compiled:   ", gradient)
assert np.allclose(gradient, x.grad)

# Where the run would have gone another way, the kernel says so.
try:
    fast(np.array([0.0, 9.0, 2.0, 3.0]), 4.0)
except RuntimeError as error:
    print(error)
else:
    raise AssertionError("a broken decision must raise")
