"""Loop expressions as Python syntax trees.

What enters is a typed ``Expr``; what leaves is an ``ast`` node whose evaluation gives
the same bits in plain Python on NumPy scalars and compiled by Numba. Precedence and
parentheses are left to ``ast.unparse``.

>>> from codegen.loop_ir import Op, Var, number
>>> x = Var("x", "float64")
>>> square = Op("multiply", (x, x), "float64")
>>> ast.unparse(expression(Op("add", (square, number(-1.0)), "float64")))
'x * x - 1.0'
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Iterable

import numpy as np

from codegen.loop_ir import (
    OPERATIONS,
    Array,
    Const,
    Convert,
    DType,
    Expr,
    Load,
    Op,
    Select,
    Size,
    Var,
)

_DISPLAY = 30
_BINARY: dict[str, type[ast.operator]] = {
    "add": ast.Add,
    "subtract": ast.Sub,
    "multiply": ast.Mult,
    "divide": ast.Div,
    "power": ast.Pow,
    "floor_divide": ast.FloorDiv,
    "remainder": ast.Mod,
    "bitwise_and": ast.BitAnd,
    "bitwise_or": ast.BitOr,
    "bitwise_xor": ast.BitXor,
    "left_shift": ast.LShift,
    "right_shift": ast.RShift,
}
_COMPARE: dict[str, type[ast.cmpop]] = {
    "equal": ast.Eq,
    "not_equal": ast.NotEq,
    "less": ast.Lt,
    "less_equal": ast.LtE,
    "greater": ast.Gt,
    "greater_equal": ast.GtE,
}
_OPPOSITE = {
    "equal": "not_equal",
    "not_equal": "equal",
    "less": "greater_equal",
    "less_equal": "greater",
    "greater": "less_equal",
    "greater_equal": "less",
}
# Functions that Numba compiles to one instruction or an exact libm call.
_NUMPY = frozenset(
    (
        *("sqrt", "floor", "ceil", "trunc", "rint", "copysign", "fmod"),
        *("isnan", "isinf", "isfinite", "signbit"),
    )
)
_INTEGERS = ("int64", "int32")
_BUILTINS = ("range", "float", "int", "abs", "max", "min", "np", "njit")
_INLINE = frozenset({*_BINARY, *_COMPARE, "and", "or", "not", "negative", "invert"})

CHECKED, ASSUME, CARVE, GROWN = "checked", "assume", "carve", "grown"
SUPPORT = frozenset({CHECKED, ASSUME, CARVE, GROWN})
# What of the dense routines is called by a name of ours: see ``dense``.
DENSE = {
    "solve": "linear_solve",
    "inv": "matrix_inverse",
    "cholesky": "cholesky_factor",
    "det": "matrix_determinant",
    "slogdet": "log_determinant",
    "argsort": "stable_argsort",
    "searchsorted": "search_left",
    "searchsorted_right": "search_right",
}
# Scalar operations that vector maths has a function for, and free-order sums.
VECTOR_MATH = frozenset(OPERATIONS) - _NUMPY - _INLINE - {"absolute"} | {
    "pow",
    "radd",
    "rmul",
}
HELPERS = VECTOR_MATH | SUPPORT | frozenset(DENSE.values())
# The lines that take slices of an arena.
ARENA_NAMES = ("taken", "words", "words2", "words3", "words4")
# Names that printed code uses, and that a kernel therefore may not.
RESERVED = (
    HELPERS
    | frozenset(_BUILTINS)
    | {name for name in dir(builtins) if name[0].isupper()}
    | {"GuardFailed", "workspace", *ARENA_NAMES}
)


def name(text: str) -> ast.expr:
    """A name, or a dotted one such as ``np.float32``."""
    head, *rest = text.split(".")
    node: ast.expr = ast.Name(head)
    for part in rest:
        node = ast.Attribute(node, part)
    return node


def call(function: str | ast.expr, *args: ast.expr) -> ast.expr:
    """``function(*args)``."""
    callee = name(function) if isinstance(function, str) else function
    return ast.Call(callee, list(args), [])


def method(receiver: ast.expr, attribute: str, *args: ast.expr) -> ast.expr:
    """``receiver.attribute(*args)``."""
    return call(ast.Attribute(receiver, attribute), *args)


def assign(target: ast.expr, value: ast.expr) -> ast.stmt:
    """``target = value``; ``ast.unparse`` asks an assignment for its line number."""
    return ast.Assign([target], value, lineno=0)


def bundle(items: Iterable[ast.expr]) -> ast.expr:
    """One item as itself, several as a tuple: a shape, an index, a result."""
    nodes = list(items)
    return nodes[0] if len(nodes) == 1 else ast.Tuple(nodes)


def returned(items: Iterable[ast.expr]) -> ast.expr:
    """What a function returns: one item, a tuple, or a sum of short tuples.

    Python fills a longer display piece by piece, and there Numba takes no conditional
    expressions.
    """
    nodes = list(items)
    result = bundle(nodes[:_DISPLAY])
    for first in range(_DISPLAY, len(nodes), _DISPLAY):
        part = ast.Tuple(nodes[first : first + _DISPLAY])
        result = ast.BinOp(result, ast.Add(), part)
    return result


def expression(expr: Expr) -> ast.expr:
    """The syntax tree of an expression."""
    match expr:
        case Const(value, dtype):
            return _constant(value, dtype)
        case Var(text):
            return name(text)
        case Op(operation, args, dtype):
            return _operation(operation, args, dtype)
        case Convert(arg, dtype):
            return _convert(expression(arg), arg.dtype, dtype)
        case Select(cond, then, otherwise):
            test = expression(cond)
            return ast.IfExp(test, expression(then), expression(otherwise))
        case Load(array, index):
            return cell(array, index, expr.in_bounds)
        case Size(array, axis):
            shape = ast.Attribute(name(array.name), "shape")
            return ast.Subscript(shape, ast.Constant(axis))


def cell(array: Array, index: tuple[Expr, ...], in_bounds: bool) -> ast.expr:
    """``array[index]``; an index that is not proven in bounds is checked.

    Numba wraps a negative index as Python does.
    """
    items = [expression(item) for item in index]
    if not in_bounds:
        items = [
            call(CHECKED, item, expression(Size(array, axis)))
            for axis, item in enumerate(items)
        ]
    return ast.Subscript(name(array.name), bundle(items))


def negation(cond: Expr) -> ast.expr:
    """The opposite of a condition, exact for NaN too."""
    match cond:
        case Op("not", (arg,)):
            return expression(arg)
        case Op("equal" | "not_equal" as operation, args):
            return _operation(_OPPOSITE[operation], args, "bool")
        case Op(operation, args) if (
            operation in _OPPOSITE and args[0].dtype in _INTEGERS
        ):
            return _operation(_OPPOSITE[operation], args, "bool")
        case Op("or", (left, right)):
            return _chain(ast.And(), negation(left), negation(right))
        case Op("and", (left, right)):
            return _chain(ast.Or(), negation(left), negation(right))
        case _:
            return ast.UnaryOp(ast.Not(), expression(cond))


def any_of(conditions: Iterable[ast.expr]) -> ast.expr:
    """The disjunction of conditions."""
    first, *rest = conditions
    for condition in rest:
        first = _chain(ast.Or(), first, condition)
    return first


def typed(node: ast.expr, dtype: DType) -> ast.expr:
    """A result of int32 arithmetic made int32 again: Numba computes it in int64."""
    return call("np.int32", node) if dtype == "int32" else node


def combine(operation: str, left: ast.expr, right: ast.expr, dtype: DType) -> ast.expr:
    """A binary operation on nodes that are syntax already."""
    match operation:
        case "and" | "or":
            return _chain(ast.And() if operation == "and" else ast.Or(), left, right)
        case "maximum" | "minimum" if dtype in _INTEGERS:
            return typed(call(operation[:3], left, right), dtype)
        case "power" if dtype not in _INTEGERS:
            return call("pow", left, right)
        case _ if operation in _BINARY:
            return typed(ast.BinOp(left, _BINARY[operation](), right), dtype)
        case _ if operation in _NUMPY:
            return call(f"np.{operation}", left, right)
        case _:
            return call(operation, left, right)


def _operation(operation: str, args: tuple[Expr, ...], dtype: DType) -> ast.expr:
    if operation in _COMPARE:
        left, right = map(expression, args)
        return ast.Compare(left, [_COMPARE[operation]()], [right])
    if len(args) == 2:
        operation, second = signed(operation, args[1])
        return combine(operation, expression(args[0]), expression(second), dtype)
    return _unary(operation, expression(args[0]), dtype)


def _unary(operation: str, arg: ast.expr, dtype: DType) -> ast.expr:
    match operation:
        case "negative":
            return typed(ast.UnaryOp(ast.USub(), arg), dtype)
        case "not":
            return ast.UnaryOp(ast.Not(), arg)
        case "invert" if dtype == "bool":
            return ast.UnaryOp(ast.Not(), arg)
        case "invert":
            return typed(ast.UnaryOp(ast.Invert(), arg), dtype)
        case "absolute":
            return typed(call("abs", arg), dtype)
        case _ if operation in _NUMPY:
            return call(f"np.{operation}", arg)
        case _:
            return call(operation, arg)


def signed(operation: str, second: Expr) -> tuple[str, Expr]:
    """``a + -b`` as ``a - b``, and the reverse: the same to the last bit."""
    if operation in ("add", "subtract"):
        opposite = _opposite(second)
        if opposite is not None:
            return ("subtract" if operation == "add" else "add"), opposite
    return operation, second


def _opposite(expr: Expr) -> Expr | None:
    """What a visibly negative expression is the negative of."""
    match expr:
        case Op("negative", (arg,)):
            return arg
        case Const(value, dtype) if dtype != "bool" and math.copysign(1.0, value) < 0:
            smallest = dtype in _INTEGERS and value == np.iinfo(dtype).min
            return None if smallest or math.isnan(value) else Const(-value, dtype)
        case Op("multiply" | "divide" as operation, (left, right), dtype):
            opposite = _opposite(left)
            return None if opposite is None else Op(operation, (opposite, right), dtype)
        case _:
            return None


def _chain(operator: ast.boolop, left: ast.expr, right: ast.expr) -> ast.expr:
    """``left and right``, keeping a run of the same operator flat."""
    values = []
    for node in (left, right):
        same = isinstance(node, ast.BoolOp) and isinstance(node.op, type(operator))
        values += node.values if same and isinstance(node, ast.BoolOp) else [node]
    return ast.BoolOp(operator, values)


def _constant(value: float | int | bool, dtype: DType) -> ast.expr:
    match dtype:
        case "bool":
            return ast.Constant(bool(value))
        case "int64":
            return _signed(int(value))
        case "float64":
            return _signed(float(value))
        case "float32":
            # The shortest decimal that rounds to this float32.
            text = str(np.float32(value))
            return call("np.float32", _signed(float(text)))
        case _:
            return call(f"np.{dtype}", _signed(int(value)))


def _signed(value: float | int) -> ast.expr:
    """A number without a sign inside a constant, where precedence would miss it."""
    if isinstance(value, float):
        if math.isnan(value):
            return name("np.nan")
        if math.copysign(1.0, value) < 0.0:
            return ast.UnaryOp(ast.USub(), _signed(-value))
        return name("np.inf") if math.isinf(value) else ast.Constant(value)
    if value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def _convert(node: ast.expr, source: DType, target: DType) -> ast.expr:
    match source, target:
        case _ if source == target:
            return node
        case "float64" | "float32", "bool":
            return ast.Compare(node, [ast.NotEq()], [_constant(0, source)])
        case _, "bool":
            return ast.Compare(node, [ast.NotEq()], [ast.Constant(0)])
        case "int64" | "int32", "float64":
            return call("float", node)
        case "float64" | "float32", "int64":
            return call("int", node)
        case _:  # Numba's int() of an int32 stays int32, and it has no float(bool)
            return call(f"np.{target}", node)
