"""Special methods of the user's own classes: interpreted, like all else they wrote.

Python would run ``__add__`` natively, on stand-ins: a branch in it couldn't be traced,
what it reads from outside would be frozen, and its errors would name another line.
"""

from __future__ import annotations

import ast
from functools import reduce
from types import FunctionType
from typing import Any

import numpy as np

from tracegrad.traces.operators import BINARY, COMPARE, IN_PLACE, UNARY
from tracegrad.traces.outside import is_trusted
from tracegrad.traces.scope import Machine
from tracegrad.traces.tracer import Tracer

_BUILTIN = frozenset({int, float, bool, str, tuple, list, dict, np.ndarray})
_UNARY = {ast.USub: "__neg__", ast.UAdd: "__pos__", ast.Invert: "__invert__"}
_COMPARE = {
    ast.Eq: ("__eq__", "__eq__"),
    ast.NotEq: ("__ne__", "__ne__"),
    ast.Lt: ("__lt__", "__gt__"),
    ast.LtE: ("__le__", "__ge__"),
    ast.Gt: ("__gt__", "__lt__"),
    ast.GtE: ("__ge__", "__le__"),
}
_CONVERSIONS = {
    id(function): f"__{function.__name__}__"
    for function in (abs, bool, float, int, len, round)
}


def lookup(kind: type, name: str) -> Any:
    """What a class, or one it inherits from, has under a name."""
    return next((vars(k)[name] for k in kind.__mro__ if name in vars(k)), None)


def own_method(value: Any, name: str) -> FunctionType | None:
    """The method of a name that the user wrote for a value's class."""
    if type(value) in _BUILTIN or isinstance(value, Tracer):
        return None
    found = lookup(type(value), name)
    users = isinstance(found, FunctionType) and not is_trusted(found)
    return found if users else None


def conversion(function: Any, args: tuple[Any, ...]) -> FunctionType | None:
    """The user's method that ``abs(x)``, ``len(x)`` and their like stand for."""
    name = _CONVERSIONS.get(id(function))
    return own_method(args[0], name) if name and args else None


def truth_of(machine: Machine, value: Any) -> Any:
    """What decides whether a value is true: itself, or what its class says."""
    for name in ("__bool__", "__len__"):
        method = own_method(value, name)
        if method is not None:
            return machine.call(method, value)
        if lookup(type(value), name) is not None:
            break
    return value


def unary(machine: Machine, kind: type[ast.unaryop], value: Any) -> Any:
    """``-value`` and its like."""
    method = own_method(value, _UNARY[kind])
    return UNARY[kind](value) if method is None else machine.call(method, value)


def binary(machine: Machine, kind: type[ast.operator], left: Any, right: Any) -> Any:
    """``left <op> right``."""
    stem = IN_PLACE[kind][3:]
    own, mirrored = f"__{stem}", f"__r{stem}"
    if own_method(left, own) is None and own_method(right, mirrored) is None:
        return BINARY[kind](left, right)
    one_kind = type(left) is type(right)
    found = _tried(machine, (left, own), (right, None if one_kind else mirrored))
    if found is NotImplemented:
        raise TypeError(
            f"unsupported operand type(s) for {_sign(ast.BinOp(_A, kind(), _A))}: "
            f"{type(left).__name__!r} and {type(right).__name__!r}"
        )
    return found


def compare(machine: Machine, kind: type[ast.cmpop], left: Any, right: Any) -> Any:
    """``left <op> right`` for operators that compare."""
    own, mirrored = _COMPARE.get(kind, ("", ""))
    methods = (own_method(left, own), own_method(right, mirrored))
    if methods == (None, None):
        unequal = kind is ast.NotEq and _is_derived(left, right)
        if not unequal:
            return COMPARE[kind](left, right)
        equal = compare(machine, ast.Eq, left, right)
        return equal == 0 if isinstance(equal, Tracer) else not equal
    found = _tried(machine, (left, own), (right, mirrored))
    if found is not NotImplemented:
        return found
    if kind in (ast.Eq, ast.NotEq):
        return (left is right) is (kind is ast.Eq)
    raise TypeError(
        f"{_sign(ast.Compare(_A, [kind()], [_A]))!r} not supported between instances "
        f"of {type(left).__name__!r} and {type(right).__name__!r}"
    )


def _is_derived(left: Any, right: Any) -> bool:
    """Whether ``!=`` is what Python makes of an ``__eq__`` of the user's."""
    return any(
        own_method(x, "__eq__") and lookup(type(x), "__ne__") is object.__ne__
        for x in (left, right)
    )


def _tried(
    machine: Machine, first: tuple[Any, str], second: tuple[Any, str | None]
) -> Any:
    """What two operands make of each other: a subclass of the other is asked first."""
    (left, own), (right, mirrored) = first, second
    asked = [(left, own, right), (right, mirrored, left)]
    if type(right) is not type(left) and isinstance(right, type(left)):
        asked.reverse()
    for owner, name, other in asked:
        method = lookup(type(owner), name) if name else None
        if method is not None:
            found = machine.call(method, owner, other)
            if found is not NotImplemented:
                return found
    return NotImplemented


_A = ast.Name("a")


def _sign(node: ast.expr) -> str:
    """The operator between two names, as it is written."""
    return ast.unparse(node).split()[1]


def total(machine: Machine, parts: list[Any], start: Any) -> Any:
    """``sum(parts, start)``."""
    if not any(own_method(x, n) for x in parts for n in ("__add__", "__radd__")):
        return sum(parts, start)
    return reduce(lambda a, b: binary(machine, ast.Add, a, b), parts, start)
