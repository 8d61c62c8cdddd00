"""Integers that are calculated from sizes, where a program needs them as sizes.

``n - 1`` and ``n // 2`` are sizes themselves. The larger of two sizes is one of them:
which one is decided by the call at hand, under a guard. Of anything else, such as
``int(0.3 * n)`` or ``int(np.log2(n))``, the number is taken, under guards that the
sizes in it stay as they are: another size is another kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.graph import Equation, Literal, Operand, Value
from tracegrad.ir.primitive import Primitive, Scalar
from tracegrad.ir.shapes import Dim, concrete_size, size_at_least
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.identities import dim_of


def computed_size(operand: Operand) -> Dim | None:
    """The size that an integer is in this call, if nothing but sizes decides it."""
    if operand.type.dtype != "int64" or not is_of_sizes(operand):
        return None
    try:
        with np.errstate(all="raise", under="ignore"):
            return _size(operand)
    except (ArithmeticError, ValueError):
        return None  # division by zero, log(0), … : the program itself will say so


def is_of_sizes(operand: Operand) -> bool:
    """Whether an operand is a scalar calculated from sizes and constants alone."""
    todo, seen = [operand], {operand}
    for part in todo:  # grows
        if part.type.ndim:
            return False
        if isinstance(part, Literal) or dim_of(part) is not None:
            continue
        equation = part.definition
        if equation is None or not isinstance(equation.primitive.lower, Scalar):
            return False
        todo += (x for x in equation.inputs if x not in seen)
        seen.update(equation.inputs)
    return True


def _size(operand: Operand) -> Dim:
    """A size, decided or taken as a number where it has to be."""
    size = dim_of(operand)
    if size is not None:
        return size
    assert isinstance(operand, Value)
    assert operand.definition is not None
    equation = operand.definition
    integers = all(x.type.dtype == "int64" for x in equation.inputs)
    combine = _COMBINED.get(equation.primitive) if integers else None
    if combine is not None:
        return combine(*map(_size, equation.inputs))
    return Dim.constant(int(_number(operand)))


def _number(operand: Operand) -> Any:
    """A scalar, with guards that the sizes in it stay as they are."""
    if isinstance(operand, Literal):
        return operand.value
    size = dim_of(operand)
    if size is not None:
        return concrete_size(size)
    assert isinstance(operand.definition, Equation)
    equation = operand.definition
    inputs = [np.asarray(_number(x), x.type.dtype)[()] for x in equation.inputs]
    number = equation.primitive.numpy(*inputs, **equation.params)
    if not math.isfinite(number):
        raise ArithmeticError
    return number


_COMBINED: dict[Primitive, Callable[..., Dim]] = {
    ew.add: lambda a, b: a + b,
    ew.subtract: lambda a, b: a - b,
    ew.multiply: lambda a, b: a * b,
    ew.negative: lambda a: -a,
    ew.maximum: lambda a, b: a if size_at_least(a, b) else b,
    ew.minimum: lambda a, b: b if size_at_least(a, b) else a,
}
