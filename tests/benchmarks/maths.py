"""The maths helpers that hand-written kernels are built with.

A kernel takes them as an argument, so that the same kernel can be measured with the
vector maths that tracegrad emits (what is compared) and with libm (what Numba gives).
"""

import math
from types import SimpleNamespace
from typing import Any

from codegen import vector_math


def vector() -> Any:
    """What tracegrad emits."""
    return vector_math


def stock() -> Any:
    """The standard library's functions, as Numba compiles them."""
    names = ("exp", "log", "log1p", "erf", "tanh", "sin", "cos")
    functions = {name: getattr(math, name) for name in names}
    return SimpleNamespace(radd=vector_math.radd, **functions)
