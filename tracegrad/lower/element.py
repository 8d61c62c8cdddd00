"""Scalar expressions: from a primitive's source template to loop-IR expressions.

What enters is ``Scalar("x / (1.0 + x)", ("x",))`` and the operand's expression; what
leaves is that operation on it, fully typed.

>>> from codegen.loop_ir import Var
>>> build(Scalar("2.0 * x", ("x",)), (Var("a", "float32"),), "float32")
Op(name='multiply', args=(Const(value=2.0, dtype='float32'), Var(name='a', dtype='float32')), dtype='float32')
"""  # noqa: E501

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from functools import lru_cache

from codegen.loop_ir import OPERATIONS, Const, DType, Expr, Op, Select
from tracegrad.ir.primitive import Scalar

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or",
    ast.BitXor: "bitwise_xor",
    ast.LShift: "left_shift",
    ast.RShift: "right_shift",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
_UNARY: dict[type[ast.unaryop], str] = {
    ast.USub: "negative",
    ast.Not: "not",
    ast.Invert: "invert",
}
_LOGIC: dict[type[ast.boolop], str] = {ast.And: "and", ast.Or: "or"}
_ALIASES = {"abs": "absolute"}
_NUMBERS = {"inf": math.inf, "nan": math.nan, "pi": math.pi}


def build(scalar: Scalar, operands: Sequence[Expr], result: DType) -> Expr:
    """The expression of a template on operands, for a result of a given dtype."""
    known = dict(zip(scalar.names, operands, strict=True))
    numbers = [x.dtype for x in operands if x.dtype != "bool"]
    constants: DType = numbers[0] if numbers else result
    return _convert(_parse(scalar.source), known, constants)


@lru_cache(maxsize=1024)
def _parse(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def _convert(node: ast.expr, known: dict[str, Expr], constants: DType) -> Expr:
    def inner(part: ast.expr) -> Expr:
        return _convert(part, known, constants)

    match node:
        case ast.Name(name) if name in known:
            return known[name]
        case ast.Name(name) if name in _NUMBERS:
            return Const(_NUMBERS[name], constants)
        case ast.Constant(bool() as value):
            return Const(value, "bool")
        case ast.Constant(int() | float() as value):
            return literal(value, constants)
        case ast.BinOp(left, operator, right):
            return operation(_BINARY[type(operator)], inner(left), inner(right))
        case ast.Compare(left, [operator], [right]):
            return operation(_COMPARE[type(operator)], inner(left), inner(right))
        case ast.BoolOp(operator, [first, *rest]):
            total = inner(first)
            for part in rest:
                total = operation(_LOGIC[type(operator)], total, inner(part))
            return total
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return literal(-value, constants)
        case ast.UnaryOp(operator, operand):
            return operation(_UNARY[type(operator)], inner(operand))
        case ast.IfExp(test, then, otherwise):
            arm = inner(then)
            return Select(inner(test), arm, inner(otherwise), arm.dtype)
        case ast.Call(ast.Name(name), args):
            return operation(_ALIASES.get(name, name), *map(inner, args))
    raise ValueError(f"a scalar source can't contain {ast.unparse(node)!r}")


def literal(value: float | int | bool, dtype: DType) -> Const:
    """A number of a dtype."""
    match dtype:
        case "bool":
            return Const(bool(value), dtype)
        case "int64" | "int32":
            return Const(int(value), dtype)
        case _:
            return Const(float(value), dtype)


def operation(name: str, *args: Expr) -> Expr:
    """A typed operation; logic, like ``~`` and ``&``, also of booleans."""
    first = args[0].dtype
    result: DType = "bool" if OPERATIONS[name].result == "bool" else first
    return Op(name, args, result)
