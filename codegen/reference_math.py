"""What every name of the vector maths means in plain Python: NumPy and SciPy.

A printed kernel calls `exp`, `radd`, `gammaln`, ... Compiled, these are the helpers of
`codegen.vector_math`; run without Numba, they are the
functions of the table `reference` here. This module imports neither Numba nor LLVM, and
SciPy only when one of its functions is first called:

>>> float(reference["radd"](1.0, 2.0)), float(reference["erf"](0.0))
(3.0, 0.0)
"""

import operator
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np


def _scipy_special(name: str) -> Callable[..., Any]:
    """The function `scipy.special.<name>`, looked up when first called.

    Importing scipy.special takes 0.3 s, which a kernel without it should not pay.
    """

    def call(*arguments: Any) -> Any:
        return getattr(import_module("scipy.special"), name)(*arguments)

    call.__name__ = name
    return call


def _trigamma(x: Any) -> Any:
    return reference["polygamma"](1, x)


NUMPY_NAMES = [
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "cbrt",
    "copysign",
    "cos",
    "cosh",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "hypot",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "maximum",
    "minimum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]

SCIPY_NAMES = [
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "expit",
    "gammaln",
    "log_expit",
    "polygamma",
    "xlog1py",
    "xlogy",
]

reference: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in NUMPY_NAMES},
    **{name: _scipy_special(name) for name in SCIPY_NAMES},
    "pow": np.power,
    "radd": operator.add,
    "rmul": operator.mul,
    "trigamma": _trigamma,
}

_HOMES = {
    "instructions": "copysign floor maximum minimum radd rmul sqrt",
    "exponential": "cbrt exp exp2 expm1 hypot log log10 log1p log2 pow",
    "special": "digamma erf erfc erfinv expit gammaln log_expit logaddexp polygamma "
    "trigamma xlog1py xlogy",
}


def home(name: str) -> str:
    """The module in which `name` is defined; `codegen.vector_math` offers all."""
    if name not in reference:
        raise KeyError(f"{name!r} is not one of the vector maths functions")
    for module, names in _HOMES.items():
        if name in names.split():
            return f"codegen.vector_math.{module}"
    return "codegen.vector_math.trigonometry"
