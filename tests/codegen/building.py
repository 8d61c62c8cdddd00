"""Short ways to write loop IR in tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.loop_ir import (
    OPERATIONS,
    Array,
    For,
    Kernel,
    Location,
    Op,
    Var,
    dim,
    integer,
)

N, M, K = dim("n"), dim("m"), dim("k")
AT, J = Var("i", "int64"), Var("j", "int64")
S, T = Var("s", "float64"), Var("t", "float64")


@dataclass(frozen=True)
class Example:
    """A kernel, arguments for it, and whether compiled code gives Python's very bits.

    Sums in free order and the vector maths are only close.
    """

    kernel: Kernel
    arguments: Callable[[np.random.Generator], tuple[Any, ...]]
    tolerance: float = 0.0


def array(name, *shape, dtype="float64", role="input", contiguous=True):
    return Array(name, dtype, shape, role, contiguous)


def op(name, *args):
    result = OPERATIONS[name].result
    return Op(name, args, "bool" if result == "bool" else args[0].dtype)


def add(a, b):
    return op("add", a, b)


def sub(a, b):
    return op("subtract", a, b)


def mul(a, b):
    return op("multiply", a, b)


def up_to(size, *body, var=AT, start=0, location=None):
    return For(var, integer(start), size, 1, body, location)


def at(line, text):
    return Location("/somewhere/model.py", line, "energy", text)
