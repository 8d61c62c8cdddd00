"""The type rules of expressions and library calls: no implicit promotion anywhere."""

from __future__ import annotations

import numpy as np

from codegen.loop_ir import (
    NARROW,
    OPERATIONS,
    Array,
    Const,
    Convert,
    DType,
    Expr,
    Library,
    Load,
    Op,
    Select,
    Size,
    Var,
    children,
    nested,
)

_FLOATS = ("float64", "float32")
_INTEGERS = ("int64", "int32")
_DTYPES = (*_FLOATS, *_INTEGERS, "bool", *NARROW)
# routine: the ranks that its operands and outputs may have, 0 for a scalar.
_RANKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "dot": ((2, 2, 2), (2, 1, 1), (1, 2, 1), (1, 1, 0)),
    "solve": ((2, 2, 2), (2, 1, 1)),
    "inv": ((2, 2),),
    "cholesky": ((2, 2),),
    "slogdet": ((2, 0, 0),),
    "det": ((2, 0),),
    "eigh": ((2, 1, 2),),
    "qr": ((2, 2, 2),),
    "svd": ((2, 2, 1, 2),),
    "pinv": ((2, 2),),
    "argsort": ((1, 1),),
    "searchsorted": ((1, 1, 1),),
    "searchsorted_right": ((1, 1, 1),),
}
_POSITIONS = frozenset({"argsort", "searchsorted", "searchsorted_right"})


# Python's own compiler and ``ast.unparse`` recurse, and give up some way above.
DEPTH = 100


class TypeRuleError(Exception):
    """An expression or a call breaks a type rule."""


def check_expression(expr: Expr) -> None:
    """Raise TypeRuleError unless every part of an expression has its dtype."""
    _require(_depth(expr) <= DEPTH, f"nested deeper than {DEPTH}: bind parts of it")
    for part in nested(expr):
        if part.dtype not in _DTYPES:
            raise TypeRuleError(f"there is no dtype {part.dtype}")
        match part:
            case Const(value, dtype):
                _check_constant(value, dtype)
            case Op():
                _check_operation(part)
            case Select(cond, then, otherwise, dtype):
                _require(cond.dtype == "bool", f"a condition is {cond.dtype}")
                agree = then.dtype == otherwise.dtype == dtype
                _require(agree, "the arms of a select disagree")
            case Load(array, index, dtype):
                rank = f"{array.name} has rank {array.rank}, not {len(index)}"
                _require(len(index) == array.rank, rank)
                _require(array.dtype == dtype, f"{array.name} is {array.dtype}")
                check_index(array, index, part.nonnegative)
            case Size(array, axis, dtype):
                _require(0 <= axis < array.rank, f"{array.name} has no axis {axis}")
                _require(dtype == "int64", "a size is int64")
            case Var() | Convert():
                pass


def check_index(array: Array, index: tuple[Expr, ...], nonnegative: bool) -> None:
    """Raise TypeRuleError for an index that is no int64, or visibly negative."""
    for item in index:
        wrong = f"an index of {array.name} is {item.dtype}"
        _require(item.dtype == "int64", wrong)
        negative = isinstance(item, Const) and item.value < 0
        wrong = f"an index of {array.name} is said not to be negative"
        _require(not (nonnegative and negative), wrong)


def check_library(stmt: Library) -> None:
    """Raise TypeRuleError unless a routine's ranks, dtypes and layouts agree."""
    operands = [operand.array for operand in stmt.operands]
    ranks = tuple(array.rank for array in operands)
    ranks += tuple(getattr(output, "rank", 0) for output in stmt.outputs)
    _require(ranks in _RANKS[stmt.routine], f"{stmt.routine} has no ranks {ranks}")
    dtypes = {array.dtype for array in operands}
    _require(len(dtypes) == 1, f"{stmt.routine} of different dtypes")
    (dtype,) = dtypes
    sorts = stmt.routine in _POSITIONS
    _require(sorts or dtype in _FLOATS, f"{stmt.routine} of {dtype}")
    for output in stmt.outputs:
        wanted: DType = "int64" if sorts else dtype
        wrong = f"{stmt.routine} gives {wanted}, not {output.dtype}"
        _require(output.dtype == wanted, wrong)
        contiguous = isinstance(output, Var) or output.contiguous
        _require(contiguous, f"the output {output.name} is not contiguous")


def _depth(expr: Expr) -> int:
    """How deep an expression is nested, found without recursion."""
    level, depth = [expr], 0
    while level:
        level = [child for part in level for child in children(part)]
        depth += 1
    return depth


def _check_constant(value: float | int | bool, dtype: DType) -> None:
    wrong = f"{value!r} is no {dtype} constant"
    if dtype == "bool":
        _require(isinstance(value, bool), wrong)
    elif dtype in _INTEGERS:
        _require(isinstance(value, int) and not isinstance(value, bool), wrong)
        limits = np.iinfo(dtype)
        _require(limits.min <= value <= limits.max, wrong)
    else:
        _require(isinstance(value, int | float) and not isinstance(value, bool), wrong)


def _check_operation(part: Op) -> None:
    operation = OPERATIONS.get(part.name)
    if operation is None:
        raise TypeRuleError(f"there is no operation {part.name}")
    _require(len(part.args) == operation.arity, f"{part.name} of {len(part.args)}")
    dtypes = {arg.dtype for arg in part.args}
    _require(len(dtypes) == 1, f"{part.name} of {' and '.join(sorted(dtypes))}")
    (dtype,) = dtypes
    _require(dtype in operation.dtypes, f"{part.name} of {dtype}")
    wanted = "bool" if operation.result == "bool" else dtype
    _require(part.dtype == wanted, f"{part.name} gives {wanted}, not {part.dtype}")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise TypeRuleError(problem)
