"""The vector maths as C, translated from the one source: the Python bodies.

The bodies of ``codegen.vector_math`` are straight arithmetic over a few instructions,
so their syntax is translated expression by expression, in the same order: the C
computes the same bits. Nothing of Numba is imported; the files are only read.

Where the target has a fused multiply-add, both sides use it; else both round twice.

>>> print(definitions(["expit"])[-1])
static inline double tg_expit(double x)
{
    double e = tg_exp(-fabs(x));
    return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from codegen.c.expressions import (
    ATOM,
    CHOICE,
    COMPARISON,
    LOGICAL,
    PRODUCT,
    SUM,
    UNARY,
    constant,
)
from codegen.c.helpers import helper
from codegen.c.identifiers import PREFIX, spelled

_DIRECTORY = Path(__file__).parents[1] / "vector_math"
_FLOATS: dict[type[ast.operator], tuple[str, int]] = {
    ast.Add: ("+", SUM),
    ast.Sub: ("-", SUM),
    ast.Mult: ("*", PRODUCT),
    ast.Div: ("/", PRODUCT),
}
_WRAPPING: dict[type[ast.operator], str] = {
    ast.Add: "add_i64",
    ast.Sub: "subtract_i64",
    ast.Mult: "multiply_i64",
    ast.LShift: "left_shift_i64",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
# What the bodies call, and its C: libm's, or one of the instructions below.
_LIBM = {
    "sqrt": "sqrt",
    "floor": "floor",
    "copysign": "copysign",
    "lgamma": "lgamma",
    "far_sin": "sin",
    "far_cos": "cos",
    "far_tan": "tan",
}
_HELPERS = {"maximum": "maximum_f64", "minimum": "minimum_f64"}
_INSTRUCTIONS = {
    "fma": """
#if defined(FP_FAST_FMA) || defined(__FMA__) || defined(TRACEGRAD_FUSED)
static inline double tg_fma(double a, double b, double c) { return fma(a, b, c); }
#else
static inline double tg_fma(double a, double b, double c) { return a * b + c; }
#endif""",
    "product_error": """
#if defined(FP_FAST_FMA) || defined(__FMA__) || defined(TRACEGRAD_FUSED)
static inline double tg_product_error(double a, double b)
{
    return fma(a, b, -(a * b));
}
#else
/* Dekker's exact product (1971), the factors split into halves of 26 bits. */
static inline double tg_product_error(double a, double b)
{
    double a_scaled = a * 134217729.0, b_scaled = b * 134217729.0;
    double a_high = a_scaled - (a_scaled - a), a_low = a - a_high;
    double b_high = b_scaled - (b_scaled - b), b_low = b - b_high;
    double error = a_high * b_high - a * b;
    return error + a_high * b_low + a_low * b_high + a_low * b_low;
}
#endif""",
    "float_bits": """
static inline int64_t tg_float_bits(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}""",
    "bits_float": """
static inline double tg_bits_float(int64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}""",
}
_KINDS = {"float": "double", "int": "int64_t"}


def definitions(names: Iterable[str]) -> list[str]:
    """C definitions of these functions and of all that they call, callees first."""
    done: dict[str, str] = {}
    for name in sorted(set(names)):
        _define(name, done)
    return list(done.values())


def _define(name: str, done: dict[str, str]) -> None:
    """Add a definition after those that it needs."""
    if name in done:
        return
    if name in _INSTRUCTIONS:
        done[name] = _INSTRUCTIONS[name].strip().replace("tg_", PREFIX)
        return
    functions, constants = _library()
    if name not in functions:
        done[name] = helper(name)
        return
    translation = _Translation(functions[name], functions, constants)
    for needed in translation.needs:
        _define(needed, done)
    # Polynomials come first, once each.
    done.update(
        (key, text) for key, text in translation.polynomials.items() if key not in done
    )
    done[name] = translation.text


@cache
def _library() -> tuple[dict[str, ast.FunctionDef], dict[str, Any]]:
    """Every function body of the vector maths, and every constant, by name."""
    functions: dict[str, ast.FunctionDef] = {}
    scope: dict[str, Any] = {"coefficients": _coefficients}
    # In the order in which they import each other.
    for file in ("exponential", "trigonometry", "special"):
        for node in ast.parse((_DIRECTORY / f"{file}.py").read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and _is_vector(node):
                functions[node.name] = node
            elif isinstance(node, ast.Assign) and not _is_instruction(node):
                module = ast.Module([node], [])
                exec(compile(module, f"<{file}>", "exec"), scope)
    return functions, scope


def _is_vector(node: ast.FunctionDef) -> bool:
    names = [d.id for d in node.decorator_list if isinstance(d, ast.Name)]
    return "vector_function" in names


def _is_instruction(node: ast.Assign) -> bool:
    call = node.value
    return isinstance(call, ast.Call) and ast.unparse(call.func) == "_far"


def _coefficients(table: str) -> tuple[float, ...]:
    return tuple(float(number) for number in table.split())


class _Translation:
    """One function: its C text, and what that calls."""

    def __init__(
        self,
        node: ast.FunctionDef,
        functions: dict[str, ast.FunctionDef],
        constants: dict[str, Any],
    ) -> None:
        self._functions = functions
        self._constants = constants
        self._types = {argument.arg: "double" for argument in node.args.args}
        self._results = _result_types(node)
        self._lines: list[str] = []
        self._indent = 4
        self.needs: list[str] = []
        self.polynomials: dict[str, str] = {}
        parameters = [f"double {argument.arg}" for argument in node.args.args]
        result = self._results[0]
        if len(self._results) > 1:
            result = "void"
            kinds = enumerate(self._results)
            parameters += [f"{kind} *result{k}" for k, kind in kinds]
        self._block(node.body)
        head = f"static inline {result} {PREFIX}{node.name}({', '.join(parameters)})"
        self.text = "\n".join((head, "{", *self._lines, "}"))

    # --- statements ----------------------------------------------------------------

    def _block(self, body: list[ast.stmt]) -> None:
        for stmt in body:
            self._statement(stmt)

    def _statement(self, stmt: ast.stmt) -> None:
        match stmt:
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Call() as c):
                self._several(targets, c)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assign(name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._assign(name, value)
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                symbol, _ = _FLOATS[type(operator)]
                self._line(f"{name} {symbol}= {self._text(value)};")
            case ast.Return(value=ast.Tuple(elts=values)):
                for k, value in enumerate(values):
                    self._line(f"*result{k} = {self._text(value)};")
            case ast.Return(value=ast.expr() as value):
                self._line(f"return {self._text(value)};")
            case ast.If(test=test, body=body, orelse=[]):
                self._nested(f"if ({self._text(test)})", body)
            case ast.While(test=test, body=body):
                self._nested(f"while ({self._text(test)})", body)
            case ast.For(target=ast.Name(id=name), iter=ast.Call(args=[end])):
                self._types[name] = "int64_t"
                head = f"for (int64_t {name} = 0; {name} < {self._text(end)}; ++{name})"
                self._nested(head, stmt.body)
            case _:
                raise NotImplementedError(f"no C for {ast.unparse(stmt)}")

    def _line(self, text: str) -> None:
        self._lines.append(" " * self._indent + text)

    def _nested(self, head: str, body: list[ast.stmt]) -> None:
        self._line(f"{head} {{")
        self._indent += 4
        self._block(body)
        self._indent -= 4
        self._line("}")

    def _assign(self, name: str, value: ast.expr) -> None:
        text = self._text(value)
        if name in self._types:
            self._line(f"{spelled(name)} = {text};")
            return
        self._types[name] = self._type(value)
        self._line(f"{self._types[name]} {spelled(name)} = {text};")

    def _several(self, targets: list[ast.expr], call: ast.Call) -> None:
        """``a, b = f(x)``: through pointers."""
        name = ast.unparse(call.func)
        names = [ast.unparse(target) for target in targets]
        kinds = _result_types(self._functions[name])
        for target, kind in zip(names, kinds, strict=True):
            if target not in self._types:
                self._types[target] = kind
                self._line(f"{kind} {target};")
        args = [*map(self._text, call.args), *(f"&{target}" for target in names)]
        self._line(f"{self._called(name)}({', '.join(args)});")

    # --- expressions ---------------------------------------------------------------

    def _text(self, node: ast.expr, outer: int = 0) -> str:
        text, binding = self._parts(node)
        return f"({text})" if binding < outer else text

    def _parts(self, node: ast.expr) -> tuple[str, int]:
        known = self._known(node)
        if known is not None:
            return constant(known, "int64" if isinstance(known, int) else "float64")
        match node:
            case ast.Name(id=name):
                return spelled(name), ATOM
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._text(operand, UNARY)
                return (f"-({inner})" if inner[0] == "-" else f"-{inner}"), UNARY
            case ast.BinOp():
                return self._binary(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.BoolOp(op=operator, values=values):
                symbol = " && " if isinstance(operator, ast.And) else " || "
                return symbol.join(self._text(v, COMPARISON) for v in values), LOGICAL
            case ast.IfExp(test=test, body=body, orelse=orelse):
                parts = [self._text(n, CHOICE + 1) for n in (test, body, orelse)]
                return f"{parts[0]} ? {parts[1]} : {parts[2]}", CHOICE
            case ast.Call():
                return self._call(node), ATOM
            case ast.Subscript(value=ast.Name(id=table), slice=index):
                return f"{self._table(table)}[{self._text(index)}]", ATOM
            case _:
                raise NotImplementedError(f"no C for {ast.unparse(node)}")

    def _known(self, node: ast.expr) -> int | float | None:
        """The number that an expression of constants is."""
        names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
        calls = any(isinstance(n, ast.Call | ast.Subscript) for n in ast.walk(node))
        if calls or any(name in self._types for name in names):
            return None
        value = eval(ast.unparse(node), dict(self._constants))
        return value if type(value) in (int, float) else None

    def _type(self, node: ast.expr) -> str:
        """``double``, ``int64_t`` or ``bool``."""
        known = self._known(node)
        if known is not None:
            return "int64_t" if isinstance(known, int) else "double"
        match node:
            case ast.Name(id=name):
                return self._types[name]
            case ast.UnaryOp(operand=operand):
                return self._type(operand)
            case ast.BinOp(left=left, op=operator, right=right):
                kinds = {self._type(left), self._type(right)}
                whole = kinds == {"int64_t"} and not isinstance(operator, ast.Div)
                return "int64_t" if whole else "double"
            case ast.Compare() | ast.BoolOp():
                return "bool"
            case ast.IfExp(body=body):
                return self._type(body)
            case ast.Call(func=ast.Name(id="float_bits" | "int")):
                return "int64_t"
            case _:
                return "double"

    def _binary(self, node: ast.BinOp) -> tuple[str, int]:
        operator = type(node.op)
        if self._type(node) == "double":
            symbol, binding = _FLOATS[operator]
            right = self._text(node.right, binding + 1)
            return f"{self._text(node.left, binding)} {symbol} {right}", binding
        sides = self._text(node.left, UNARY), self._text(node.right, UNARY)
        if operator in (ast.RShift, ast.BitAnd):
            symbol = " >> " if operator is ast.RShift else " & "
            return symbol.join(sides), LOGICAL
        sides = self._text(node.left), self._text(node.right)
        return f"{self._called(_WRAPPING[operator])}({', '.join(sides)})", ATOM

    def _comparison(self, node: ast.Compare) -> tuple[str, int]:
        sides = [node.left, *node.comparators]
        texts = [self._text(side, COMPARISON + 1) for side in sides]
        tests = [
            f"{texts[k]} {_COMPARE[type(operator)]} {texts[k + 1]}"
            for k, operator in enumerate(node.ops)
        ]
        return " && ".join(tests), COMPARISON if len(tests) == 1 else LOGICAL

    def _call(self, node: ast.Call) -> str:
        name = ast.unparse(node.func)
        if name == "polynomial":
            x, table = node.args
            return f"{self._polynomial(ast.unparse(table))}({self._text(x)})"
        args = ", ".join(map(self._text, node.args))
        match name:
            case "abs":
                return f"fabs({args})"
            case "float":
                return f"(double)({args})"
            case "int":
                return f"{self._called('truncated_i64')}({args})"
            case _ if name in _LIBM:
                return f"{_LIBM[name]}({args})"
            case _:
                return f"{self._called(_HELPERS.get(name, name))}({args})"

    def _called(self, name: str) -> str:
        """The C name of a function, which is needed from here on."""
        if name not in self.needs:
            self.needs.append(name)
        return f"{PREFIX}{name}"

    def _table(self, name: str) -> str:
        values = ", ".join(constant(v, "float64")[0] for v in self._constants[name])
        symbol = f"{PREFIX}{name.lower()}"
        self.polynomials[name] = f"static const double {symbol}[] = {{{values}}};"
        return symbol

    def _polynomial(self, table: str) -> str:
        """A function for a polynomial, in Estrin's scheme as ``polynomial`` does it."""
        self._called("fma")
        symbol = f"{PREFIX}polynomial_{table.lower()}"
        terms = [constant(value, "float64")[0] for value in self._constants[table]]
        lines, power, level = [], "x", 1
        while len(terms) > 1:
            pairs = []
            for i in range(0, len(terms) - 1, 2):
                name = f"t{level}_{i // 2}"
                fused = f"{PREFIX}fma({terms[i + 1]}, {power}, {terms[i]})"
                lines.append(f"    double {name} = {fused};")
                pairs.append(name)
            terms = pairs + terms[2 * len(pairs) :]
            if len(terms) > 1:
                lines.append(f"    double x{2**level} = {power} * {power};")
                power, level = f"x{2**level}", level + 1
        head = f"static inline double {symbol}(double x)"
        lines = [head, "{", *lines, f"    return {terms[0]};", "}"]
        self.polynomials[f"polynomial {table}"] = "\n".join(lines)
        return symbol


def _result_types(node: ast.FunctionDef) -> list[str]:
    """C types of what a body returns."""
    returns = node.returns
    if isinstance(returns, ast.Subscript) and isinstance(returns.slice, ast.Tuple):
        return [_KINDS[ast.unparse(kind)] for kind in returns.slice.elts]
    return ["double"]
