"""Loop expressions as C: the same bits as Python's, no behaviour left undefined.

What enters is a typed ``Expr``; what leaves is C99 text. Where C's operator means
something else than the loop language's (``//``, ``%``, a signed sum that overflows,
a float that fits no integer), a helper of ``codegen.c.helpers`` is called instead.

>>> from codegen.loop_ir import Op, Var, number
>>> x = Var("x", "float64")
>>> square = Op("multiply", (x, x), "float64")
>>> Expressions().text(Op("divide", (number(0.1), square), "float64"))
'0x1.999999999999ap-4 /* 0.1 */ / (x * x)'
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal

import numpy as np

from codegen.c.identifiers import PREFIX, Identifiers
from codegen.expressions import VECTOR_MATH
from codegen.loop_ir import (
    NARROW,
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

CTYPES: dict[DType, str] = {
    "float64": "double",
    "float32": "float",
    "int64": "int64_t",
    "int32": "int32_t",
    "bool": "bool",
    **{dtype: f"{dtype}_t" for dtype in NARROW},
}
FLOATS = ("float64", "float32")
# How tightly C binds: a product tighter than a sum, a call tightest of all.
ATOM, UNARY, PRODUCT, SUM, COMPARISON, LOGICAL, CHOICE = 7, 6, 5, 4, 3, 2, 1
ARITHMETIC = {
    "add": ("+", SUM),
    "subtract": ("-", SUM),
    "multiply": ("*", PRODUCT),
    "divide": ("/", PRODUCT),
}
_COMPARE = {
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
}
_BITS = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
# C's own functions, which compute exactly this; float32's end in f.
_EXACT = ("sqrt", "floor", "ceil", "trunc", "rint", "copysign", "fmod")
_TESTS = ("isnan", "isinf", "isfinite", "signbit")
_SUFFIX: dict[DType, str] = {
    "float64": "f64",
    "float32": "f32",
    "int64": "i64",
    "int32": "i32",
    "bool": "b",
    **{dtype: dtype.replace("int", "") for dtype in NARROW},
}
Cell = Callable[[Load], str]
Axis = Callable[[Size], str]


class Expressions:
    """Prints expressions; the helpers that they call are noted.

    Args:
        names: C's names for the kernel's.

    Attributes:
        cell: how a load is written.
        axis: how an array's size is written.
        helpers: names of ``codegen.c.helpers`` that were used.
        maths: names of ``codegen.vector_math`` that were used.
        small: names of sizes and indices, whose sums and products can't overflow.
        numbers: names of integers that the caller gives, whose sums can't.
        entry: names of all that the caller gives by value: they never change.
    """

    def __init__(self, names: Identifiers | None = None) -> None:
        self.names = names or Identifiers()
        self.cell: Cell | None = None
        self.axis: Axis | None = None
        self.helpers: set[str] = set()
        self.maths: set[str] = set()
        self.small: set[str] = set()
        self.numbers: set[str] = set()
        self.entry: set[str] = set()

    def text(self, expr: Expr, outer: int = 0) -> str:
        """An expression, in parentheses if what is around it binds tighter."""
        text, binding = self._parts(expr)
        return f"({text})" if binding < outer else text

    def helper(self, name: str, dtype: DType, *args: str) -> str:
        """A call of a helper for a dtype."""
        full = f"{name}_{_SUFFIX[dtype]}"
        self.helpers.add(full)
        return f"{PREFIX}{full}({', '.join(args)})"

    def negation(self, cond: Expr) -> str:
        """The opposite of a condition."""
        match cond:
            case Op("not", (arg,)):
                return self.text(arg)
            case Op("equal" | "not_equal" as operation, (left, right)):
                symbol = "!=" if operation == "equal" else "=="
                return self._infix(symbol, COMPARISON, left, right)
            case _:
                return f"!{self.text(cond, UNARY)}"

    def _parts(self, expr: Expr) -> tuple[str, int]:
        match expr:
            case Const(value, dtype):
                return constant(value, dtype)
            case Var(name):
                return self.names.of(name), ATOM
            case Op(operation, args, dtype):
                return self._operation(operation, args, dtype)
            case Convert(arg, dtype):
                return self._convert(arg, dtype)
            case Select(cond, then, otherwise):
                arms = self.text(then, CHOICE + 1), self.text(otherwise, CHOICE + 1)
                test = self.text(cond, CHOICE + 1)
                return f"{test} ? {arms[0]} : {arms[1]}", CHOICE
            case Load():
                assert self.cell is not None
                return self.cell(expr), ATOM
            case Size():
                assert self.axis is not None
                return self.axis(expr), ATOM

    def _operation(
        self, operation: str, args: tuple[Expr, ...], dtype: DType
    ) -> tuple[str, int]:
        kind = args[0].dtype

        def each(outer: int) -> list[str]:
            return [self.text(arg, outer) for arg in args]

        if operation in _COMPARE or operation in ("and", "or"):
            return self._test(operation, args)
        if operation in ARITHMETIC and self.plain(operation, args):
            symbol, binding = ARITHMETIC[operation]
            first = self.text(args[0], binding)
            return f"{first} {symbol} {self.text(args[1], binding + 1)}", binding
        match operation:
            case "not" | "invert":
                symbol = "!" if kind == "bool" else "~"
                return f"{symbol}{each(UNARY)[0]}", UNARY
            case "negative" if kind in FLOATS or self._counts(args[0]):
                # Two minus signs in a row would be another operator.
                inner = each(UNARY)[0]
                return (f"-({inner})" if inner[0] == "-" else f"-{inner}"), UNARY
            case "absolute" if kind in FLOATS:
                return f"{_c_name('fabs', kind)}({each(0)[0]})", ATOM
            case _ if operation in _BITS:
                return f" {_BITS[operation]} ".join(each(UNARY)), LOGICAL
            case _ if operation in (*_TESTS, *_EXACT):
                return f"{_c_name(operation, kind)}({', '.join(each(0))})", ATOM
            case "maximum" | "minimum":
                return self.helper(operation, kind, *each(0)), ATOM
            case "power" if kind in FLOATS:
                return self._vector("pow", each(0), dtype), ATOM
            case _ if operation in VECTOR_MATH:
                return self._vector(operation, each(0), dtype), ATOM
            case _:
                return self.helper(operation, kind, *each(0)), ATOM

    def _test(self, operation: str, args: tuple[Expr, ...]) -> tuple[str, int]:
        """A comparison, or tests joined; C's compilers want mixed ones bracketed."""
        if operation in _COMPARE:
            return self._infix(_COMPARE[operation], COMPARISON, *args), COMPARISON
        symbol = "&&" if operation == "and" else "||"
        sides = []
        for arg in args:
            same = isinstance(arg, Op) and arg.name == operation
            sides.append(self.text(arg, LOGICAL if same else COMPARISON))
        return f" {symbol} ".join(sides), LOGICAL

    def _infix(self, symbol: str, binding: int, left: Expr, right: Expr) -> str:
        sides = self.text(left, binding + 1), self.text(right, binding + 1)
        return f" {symbol} ".join(sides)

    def plain(self, operation: str, args: tuple[Expr, ...]) -> bool:
        """Whether C's own operator means the same: floats, and small integers."""
        whole = Op(operation, args, args[0].dtype)
        return args[0].dtype in FLOATS or self._counts(whole)

    def _counts(self, expr: Expr, numbers: bool = True) -> bool:
        """Whether an integer is made of sizes and indices, whose sums fit 64 bits.

        numbers: whether the caller's own numbers are as good; not in a product.
        """
        if expr.dtype != "int64":
            return False
        match expr:
            case Const(value):
                return abs(value) < 2**31
            case Var(name):
                return name in self.small or (numbers and name in self.numbers)
            case Size():
                return True
            case Op("maximum" | "minimum" | "floor_divide", args):
                return all(map(self._counts, args))
            case Op("add" | "subtract" | "negative", args):
                return all(self._counts(arg, numbers) for arg in args)
            case Op("multiply", args):
                return all(self._counts(arg, False) for arg in args)
            case _:
                return False

    def _vector(self, name: str, args: Iterable[str], dtype: DType) -> str:
        """A function of the vector maths: float32 is computed in float64."""
        self.maths.add(name)
        if dtype == "float32":
            inner = ", ".join(f"(double)({arg})" for arg in args)
            return f"(float)({PREFIX}{name}({inner}))"
        return f"{PREFIX}{name}({', '.join(args)})"

    def _convert(self, arg: Expr, dtype: DType) -> tuple[str, int]:
        source = arg.dtype
        match source, dtype:
            case _ if source == dtype:
                return self._parts(arg)
            case _, "bool":
                return f"{self.text(arg, COMPARISON + 1)} != 0", COMPARISON
            case "float64" | "float32", "int64" | "int32":
                inner = self.text(arg)
                wide = inner if source == "float64" else f"(double)({inner})"
                return self.helper("truncated", dtype, wide), ATOM
            case _:
                return f"({CTYPES[dtype]}){self.text(arg, ATOM)}", UNARY


def constant(value: float | int | bool, dtype: DType) -> tuple[str, int]:
    """A literal: decimal where that is exact, else hexadecimal; and how it binds."""
    if dtype == "bool":
        return ("true" if value else "false"), ATOM
    if dtype == "int64":
        return _integer(int(value), "INT64_C({})", -(2**63), "INT64_MIN")
    if dtype == "int32":
        return _integer(int(value), "{}", -(2**31), "INT32_MIN")
    if dtype in NARROW:
        return f"({CTYPES[dtype]})({int(value)})", UNARY
    number = float(np.float32(value)) if dtype == "float32" else float(value)
    suffix = "f" if dtype == "float32" else ""
    if math.isnan(number):
        return f"({CTYPES[dtype]})NAN", UNARY
    if math.copysign(1.0, number) < 0.0:
        return f"-{constant(-number, dtype)[0]}", UNARY
    if math.isinf(number):
        return f"({CTYPES[dtype]})INFINITY", UNARY
    shown = str(np.float32(value)) if dtype == "float32" else repr(number)
    if len(shown) < 10 and Decimal(shown) == Decimal(number):
        return shown + suffix, ATOM
    digits, exponent = number.hex().split("p")
    digits = digits.rstrip("0") if "." in digits else digits
    return f"{digits.rstrip('.')}p{exponent}{suffix} /* {shown} */", ATOM


def _integer(value: int, form: str, least: int, name: str) -> tuple[str, int]:
    if value == least:
        return name, ATOM
    text = str(abs(value)) if abs(value) < 2**31 else form.format(abs(value))
    return (f"-{text}", UNARY) if value < 0 else (text, ATOM)


def _c_name(name: str, dtype: DType) -> str:
    """C's name of a function; its tests take every type."""
    return f"{name}f" if dtype == "float32" and name not in _TESTS else name
