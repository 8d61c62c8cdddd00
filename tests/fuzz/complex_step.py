"""The slope of a program by a complex step: plain Python on complex numbers, no more.

A program that is run at ``x + i h v`` has ``h`` times its slope along ``v`` as the
imaginary part of what it gives. No digits cancel, however small ``h`` is, so this slope
is as good as the program's own numbers. Nothing of tracegrad is used.

Numbers are compared by their real parts, as NumPy does. What takes no complex numbers,
or means something else of them, is replaced here, or there is no such slope.

Reference: Squire and Trapp, "Using complex variables to estimate derivatives of real
functions", SIAM Review 40 (1998).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.fuzz.comparing import all_leaves, copied, is_float

STEP = 1e-30


class Unfit(Exception):
    """A function of complex numbers that isn't the real one's continuation."""


def _abs(z: Any) -> Any:
    if not isinstance(z, int | float | complex | np.ndarray | np.generic):
        return abs(z)  # an object of the program's, which knows
    return np.where(np.real(z) < 0, -z, z)[()]


def _sign(z: Any) -> Any:
    return np.sign(np.real(z)) + 0j


def _arctan2(y: Any, x: Any) -> Any:
    a, b = np.real(y), np.real(x)
    turned = (b * np.imag(y) - a * np.imag(x)) / (a * a + b * b)
    return np.arctan2(a, b) + 1j * turned


def _hypot(x: Any, y: Any) -> Any:
    return np.sqrt(x * x + y * y)


def _erf(z: Any) -> Any:
    x = float(np.real(z))
    slope = 2.0 / math.sqrt(math.pi) * math.exp(-x * x)
    return np.complex128(math.erf(x) + 1j * slope * np.imag(z))


_REPLACED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("abs", "absolute", "fabs"), _abs),
    "sign": _sign,
    "arctan2": _arctan2,
    "hypot": _hypot,
    "erf": _erf,
}
# Those that take conjugates or absolute values, and those that go by polar angles.
_UNFIT = {
    "angle",
    "cholesky",
    "conj",
    "conjugate",
    "copysign",
    "correlate",
    "cov",
    "corrcoef",
    "eigh",
    "eigvalsh",
    "heaviside",
    "imag",
    "lstsq",
    "nan_to_num",
    "norm",
    "pinv",
    "qr",
    "real",
    "slogdet",
    "std",
    "svd",
    "var",
    "vdot",
    "vecdot",
}
_AS_NUMPY = {"atan2": "arctan2", "fabs": "abs", "atan": "arctan", "pow": "power"}
_BUILT_IN: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "float": lambda z: z,
    "int": lambda z: int(np.real(z)),
    "round": lambda z: round(np.real(z)),
}


class _Function:
    """A function that gives complex arrays in place of real ones."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._function(*args, **kwargs)
        real = isinstance(result, np.ndarray) and is_float(result)
        return result.astype(complex) if real else result

    def __getattr__(self, name: str) -> Any:
        return _Function(getattr(self._function, name))


class _Complex:
    """A module of NumPy, of such functions."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name in _UNFIT:
            raise Unfit(name)
        if name in _REPLACED:
            return _Function(_REPLACED[name])
        try:
            found = getattr(self._module, name)
        except AttributeError:
            raise Unfit(name) from None
        if isinstance(found, ModuleType):
            return _Complex(found)
        plain = isinstance(found, type) or not callable(found)
        return found if plain else _Function(found)


class _Math(_Complex):
    """``math`` by NumPy's functions."""

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(_AS_NUMPY.get(name, name))


def complex_step(
    function: Callable[..., Any],
    spaces: Sequence[dict[str, Any]],
    arguments: Sequence[Any],
    direction: Sequence[Any],
    expected: Any,
    weights: Any,
) -> float | None:
    """The slope of a weighted sum of all results; None if there is no such slope.

    Args:
        function: the program.
        spaces: the global names that it and its helpers see.
        arguments: where.
        direction: along what; None for what stays.
        expected: the program's results, from which those here may not depart.
        weights: of each element of them.
    """
    moved = [
        x if d is None else x + STEP * 1j * d
        for x, d in zip(copied(arguments), direction, strict=True)
    ]
    moved = [np.complex128(x) if isinstance(x, complex) else x for x in moved]
    names = {**_BUILT_IN, "np": _Complex(np), "math": _Math(np)}
    with ExitStack() as stack:
        for space in spaces:
            stack.enter_context(patch.dict(space, names))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            found = all_leaves(function(*moved))
        except (Unfit, TypeError, ValueError, np.exceptions.ComplexWarning):
            return None
    total = 0.0
    for x, z, w in zip(all_leaves(expected), found, all_leaves(weights), strict=True):
        if w is None:
            continue
        if not np.allclose(np.real(z), x, rtol=1e-9, atol=1e-9):
            return None
        total += float(np.sum(w * np.imag(z))) / STEP
    return total


__all__ = ["complex_step"]
