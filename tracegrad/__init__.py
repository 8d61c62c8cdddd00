"""A gradient compiler for NumPy and Numba users.

>>> import numpy as np
>>> from tracegrad import grad
>>> @grad
... def energy(x, k):
...     return 0.5 * k * np.sum(np.diff(x) ** 2)
>>> energy(np.array([0.0, 1.0, 3.0]), 2.0)
array([-2., -2.,  4.])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# What is imported here is imported on first use: a program that only loads a compiled
# library starts without the compiler.
if TYPE_CHECKING:
    from tracegrad import cache, errors, logging
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
    from tracegrad.freezing import freeze
    from tracegrad.native import load_library
    from tracegrad.objective import scipy_objective, scipy_system
    from tracegrad.products import jvp, linearize, vjp
    from tracegrad.proof.expressions import symbolic
    from tracegrad.proof.from_sympy import from_sympy
    from tracegrad.proof.nans import debug_nans
    from tracegrad.proof.verify import verify
    from tracegrad.shipping import export_c, export_python
    from tracegrad.traces.iteration import checkpoint

__all__ = [
    "cache",
    "check_grads",
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "debug_nans",
    "errors",
    "export_c",
    "export_python",
    "freeze",
    "from_sympy",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "linearize",
    "load_library",
    "logging",
    "scipy_objective",
    "scipy_system",
    "stop_gradient",
    "symbolic",
    "value_and_grad",
    "verify",
    "vjp",
    "vmap",
]
__version__ = "0.1.0"

_HOMES = {
    "tracegrad": "cache errors logging",
    "tracegrad.api": "grad hessian hvp jacobian jit stop_gradient value_and_grad vmap",
    "tracegrad.checks": "check_grads",
    "tracegrad.custom": "custom_jvp custom_vjp",
    "tracegrad.freezing": "freeze",
    "tracegrad.native": "load_library",
    "tracegrad.objective": "scipy_objective scipy_system",
    "tracegrad.products": "jvp linearize vjp",
    "tracegrad.proof.expressions": "symbolic",
    "tracegrad.proof.from_sympy": "from_sympy",
    "tracegrad.proof.nans": "debug_nans",
    "tracegrad.proof.verify": "verify",
    "tracegrad.shipping": "export_c export_python",
    "tracegrad.traces.iteration": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """A public name, from the module where it lives."""
    for home, names in _HOMES.items():
        if name in names.split():
            if home == __name__:
                return import_module(f"{home}.{name}")
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
