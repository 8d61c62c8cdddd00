r"""Statements as lines of text, long ones broken at their operators.

``ast.unparse`` writes each statement on one line, however long. This module breaks a
line that does not fit, in the style of common Python formatters, without changing what
it parses to.

>>> node = ast.parse("total = alpha * beta + gamma(delta, epsilon)").body[0]
>>> print("\n".join(lines(node, 0, 30)))
total = (
    alpha * beta
    + gamma(delta, epsilon)
)
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from textwrap import wrap

WIDTH = 88
INDENT = 4
_PLACE = ast.Name("_")
_LEVELS = ((ast.Add, ast.Sub), (ast.Mult, ast.Div, ast.FloorDiv, ast.Mod))


def lines(stmt: ast.stmt, indent: int, width: int = WIDTH) -> list[str]:
    """The lines of a simple statement at an indentation."""
    text = ast.unparse(stmt)
    if isinstance(stmt, ast.Return) and isinstance(stmt.value, ast.Tuple):
        text = f"return {text[len('return (') : -1]}"
    pad = " " * indent
    if indent + len(text) <= width:
        return [pad + text]
    match stmt:
        case ast.Assign(targets=[target], value=value):
            head = f"{ast.unparse(target)} = "
        case ast.AugAssign(value=value):
            head = text[: text.index("= ") + 2]
        case ast.Return(value=ast.expr() as value):
            head = "return "
        case ast.Expr(value=value):
            head = ""
        case _:
            return [pad + text]
    return _join(head, _broken(value, indent, width), "", indent)


def header(head: str, value: ast.expr, indent: int, width: int = WIDTH) -> list[str]:
    """The lines of ``if value:`` or ``while value:``."""
    text = f"{head} {ast.unparse(value)}:"
    if indent + len(text) <= width:
        return [" " * indent + text]
    return _join(f"{head} ", _broken(value, indent, width), ":", indent)


def signature(name: str, parameters: Sequence[str], width: int = WIDTH) -> list[str]:
    """The lines of ``def name(parameters):``."""
    text = f"def {name}({', '.join(parameters)}):"
    if len(text) <= width:
        return [text]
    pad = " " * INDENT
    return [f"def {name}(", *(f"{pad}{item}," for item in parameters), "):"]


def import_lines(module: str, names: Sequence[str], width: int = WIDTH) -> list[str]:
    """The lines of ``from module import names``."""
    text = f"from {module} import {', '.join(names)}"
    if len(text) <= width:
        return [text]
    pad = " " * INDENT
    inner = wrap(", ".join(names), width - INDENT - 1)
    inner[-1] += ","
    return [f"from {module} import (", *(pad + line for line in inner), ")"]


def _join(head: str, body: list[str], tail: str, indent: int) -> list[str]:
    """Put a head before the first line and a tail behind the last."""
    first, *rest = body
    result = [" " * indent + head + first, *rest]
    result[-1] += tail
    return result


def _broken(node: ast.expr, indent: int, width: int) -> list[str]:
    """An expression over several lines; the first line carries no indentation."""
    inner = indent + INDENT
    match node:
        case ast.Call(func=func, args=args, keywords=[]) if args:
            opening, closing = f"{ast.unparse(func)}(", ")"
            comma = "," if len(args) > 1 else ""
            parts = [_piece("", item, "", comma, inner, width) for item in args]
        case ast.Tuple(elts=items):
            opening, closing = "(", ")"
            parts = [_piece("", item, "", ",", inner, width) for item in items]
        case ast.UnaryOp(op=ast.USub(), operand=ast.BinOp() as operand):
            first, *rest = _broken(operand, indent, width)
            return ["-" + first, *rest]
        case ast.BinOp() | ast.BoolOp() | ast.IfExp() | ast.Compare():
            opening, closing = "(", ")"
            parts = [
                _piece(operator, operand, text, "", inner, width)
                for operator, operand, text in _operands(node)
            ]
        case _:
            return [ast.unparse(node)]
    return [opening, *(line for part in parts for line in part), " " * indent + closing]


def _piece(
    operator: str, node: ast.expr, text: str, tail: str, indent: int, width: int
) -> list[str]:
    """One operand on its own line, or broken in turn when it is too long."""
    one = operator + (text or ast.unparse(node)) + tail
    if indent + len(one) <= width:
        return [" " * indent + one]
    return _join(operator, _broken(node, indent, width), tail, indent)


def _operands(
    node: ast.BinOp | ast.BoolOp | ast.IfExp | ast.Compare,
) -> list[tuple[str, ast.expr, str]]:
    """The operator before each operand, the operand, and its text in place."""
    if isinstance(node, ast.IfExp):
        test = _enclosed(node.test, ast.unparse(node.test))
        other = ast.unparse(node.orelse)
        whole = ast.unparse(node)
        body = whole[: len(whole) - len(f" if {test} else {other}")]
        tail = ("else ", node.orelse, other)
        return [("", node.body, body), ("if ", node.test, test), tail]
    if isinstance(node, ast.BoolOp):
        word = "and " if isinstance(node.op, ast.And) else "or "
        empty = len(ast.unparse(ast.BoolOp(node.op, [_PLACE, _PLACE]))) - 1
        texts = [
            ast.unparse(ast.BoolOp(node.op, [_PLACE, value]))[empty:]
            for value in node.values
        ]
        heads = ["", *[word] * (len(texts) - 1)]
        return list(zip(heads, node.values, texts, strict=True))
    if isinstance(node, ast.Compare):
        return _comparison(node)
    return _arithmetic(node)


def _comparison(node: ast.Compare) -> list[tuple[str, ast.expr, str]]:
    """Both sides of one comparison."""
    (operator,), (right,) = node.ops, node.comparators
    whole = ast.unparse(ast.Compare(_PLACE, [operator], [right]))
    symbol, text = whole[2:].split(" ", 1)
    whole = ast.unparse(ast.Compare(node.left, [operator], [_PLACE]))
    left = whole[: len(whole) - len(f" {symbol} _")]
    return [("", node.left, left), (f"{symbol} ", right, text)]


def _enclosed(node: ast.expr, text: str) -> str:
    """A test of a conditional that is one itself needs its parentheses."""
    return f"({text})" if isinstance(node, ast.IfExp) else text


def _arithmetic(node: ast.BinOp) -> list[tuple[str, ast.expr, str]]:
    """A left-to-right run of operators of one precedence level."""
    level = next((same for same in _LEVELS if isinstance(node.op, same)), None)
    result: list[tuple[str, ast.expr, str]] = []
    current: ast.expr = node
    while isinstance(current, ast.BinOp) and (
        current is node or (level is not None and isinstance(current.op, level))
    ):
        whole = ast.unparse(ast.BinOp(_PLACE, current.op, current.right))
        symbol, text = whole[2:].split(" ", 1)
        result.append((f"{symbol} ", current.right, text))
        first, operator = current.left, current.op
        current = first
    text = ast.unparse(ast.BinOp(current, operator, _PLACE))
    result.append(("", current, text[: text.rindex(" ", 0, -2)]))
    return result[::-1]
