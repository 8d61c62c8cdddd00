"""Place a kernel's workspace arrays in one arena.

A kernel's large scratch arrays are slices of a single float64 array that the caller
keeps between calls, because fresh pages cost more than most kernels. Each slice starts
at a multiple of 64 bytes. Sizes are expressions over what is known at entry.

>>> from codegen.loop_ir import Kernel, dim
>>> h = Array("h", "float32", (dim("n"), integer(4)), role="workspace")
>>> import ast
>>> from codegen.expressions import expression
>>> ast.unparse(expression(workspace_size(Kernel("k", (), (Allocate(h),), ()))))
'(n * 4 + 15) // 16 * 8'
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from codegen.loop_ir import (
    Allocate,
    Array,
    Const,
    DType,
    Expr,
    Kernel,
    Op,
    integer,
    walk,
)

WORKSPACE = "workspace"
ALIGNMENT = 64
WORD = 8
ITEM_SIZE: dict[DType, int] = {
    "float64": 8,
    "float32": 4,
    "int64": 8,
    "int32": 4,
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
}


@dataclass(frozen=True, slots=True)
class Slot:
    """An array of the arena and how many words it takes there, after the one before."""

    array: Array
    words: Expr


def plan(kernel: Kernel) -> tuple[Slot, ...]:
    """The slots of a kernel's workspace arrays, in program order."""
    return tuple(
        Slot(stmt.array, _words(stmt.array))
        for stmt in walk(kernel.body)
        if isinstance(stmt, Allocate) and stmt.array.role == "workspace"
    )


def workspace_size(kernel: Kernel) -> Expr:
    """How many float64 words a kernel's arena needs; the constant 0 if it has none."""
    lengths = Counter(slot.words for slot in plan(kernel))
    result: Expr = integer(0)
    for words, times in lengths.items():
        result = plus(result, _multiply(words, integer(times)))
    return result


def count(array: Array) -> Expr:
    """The number of elements of an array."""
    result: Expr = integer(1)
    for size in array.shape:
        result = _multiply(result, size)
    return result


def _words(array: Array) -> Expr:
    """The float64 words of an array, rounded up to whole cache lines."""
    per_line = ALIGNMENT // ITEM_SIZE[array.dtype]
    total = plus(count(array), integer(per_line - 1))
    if isinstance(total, Const):
        return integer(int(total.value) // per_line * WORD)
    lines = Op("floor_divide", (total, integer(per_line)), "int64")
    return _multiply(lines, integer(WORD))


def plus(left: Expr, right: Expr) -> Expr:
    """The sum of two sizes, constants folded."""
    match left, right:
        case Op("subtract", (base, Const(a))), Const(b):
            return plus(base, integer(int(b) - int(a)))
        case Const(a), Const(b):
            return integer(int(a) + int(b))
        case Const(0), _:
            return right
        case _, Const(0):
            return left
        case _:
            return Op("add", (left, right), "int64")


def _multiply(left: Expr, right: Expr) -> Expr:
    match left, right:
        case Const(a), Const(b):
            return integer(int(a) * int(b))
        case Const(1), _:
            return right
        case _, Const(1):
            return left
        case _:
            return Op("multiply", (left, right), "int64")
