"""Scalar expressions: from a primitive's source template to loop-IR expressions.

What enters is ``Scalar("x / (1.0 + x)", ("x",))`` and the operand's expression; what
leaves is that operation on it, fully typed.

>>> from codegen.loop_ir import Var
>>> double = build(Scalar("2.0 * x", ("x",)), (Var("a", "float32"),), "float32")
>>> double.name, double.args
('multiply', (Const(value=2.0, dtype='float32'), Var(name='a', dtype='float32')))
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from functools import lru_cache, partial, reduce

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
    match node:
        case ast.Name(name):
            return known.get(name) or Const(_NUMBERS[name], constants)
        case ast.Constant(bool() as value):
            return Const(value, "bool")
        case ast.Constant(int() | float() as value):
            return literal(value, constants)
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return literal(-value, constants)
    name, parts = _shape(node)
    args = [_convert(part, known, constants) for part in parts]
    match name:
        case "select":
            return Select(args[0], args[1], args[2], args[1].dtype)
        case "and" | "or":
            return reduce(partial(operation, name), args)
        case _:
            return operation(name, *args)


def _shape(node: ast.expr) -> tuple[str, list[ast.expr]]:
    """The operation at the top of a template, and its operands."""
    match node:
        case ast.BinOp(left, binary, right):
            return _BINARY[type(binary)], [left, right]
        case ast.Compare(left, [comparison], [right]):
            return _COMPARE[type(comparison)], [left, right]
        case ast.BoolOp(logic, values):
            return _LOGIC[type(logic)], values
        case ast.UnaryOp(unary, operand):
            return _UNARY[type(unary)], [operand]
        case ast.IfExp(test, then, otherwise):
            return "select", [test, then, otherwise]
        case ast.Call(ast.Name(name), args):
            return _ALIASES.get(name, name), args
    raise ValueError(f"a scalar source can't contain {ast.unparse(node)!r}")


def literal(value: float | int | bool, dtype: DType) -> Const:
    """A number of a dtype."""
    match dtype:
        case "bool":
            return Const(bool(value), dtype)
        case "float64" | "float32":
            return Const(float(value), dtype)
        case _:
            return Const(int(value), dtype)


def operation(name: str, *args: Expr) -> Expr:
    """A typed operation; logic, like ``~`` and ``&``, also of booleans."""
    first = args[0].dtype
    result: DType = "bool" if OPERATIONS[name].result == "bool" else first
    return Op(name, args, result)
