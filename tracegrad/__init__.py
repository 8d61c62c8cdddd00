"""A gradient compiler for NumPy and Numba users.

>>> import numpy as np
>>> from tracegrad import grad
>>> @grad
... def energy(x, k):
...     return 0.5 * k * np.sum(np.diff(x) ** 2)
>>> energy(np.array([0.0, 1.0, 3.0]), 2.0)
array([-2., -2.,  4.])
"""

from tracegrad import errors, logging
from tracegrad.api import (
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    stop_gradient,
    value_and_grad,
    vmap,
)
from tracegrad.checks import check_grads
from tracegrad.custom import custom_jvp, custom_vjp
from tracegrad.products import jvp, linearize, vjp

__all__ = [
    "check_grads",
    "custom_jvp",
    "custom_vjp",
    "errors",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "linearize",
    "logging",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
__version__ = "0.1.0"
