"""Symbols, by SymPy: what a program computes, as an expression.

A choice between two values is a node of its own, ``Where``: SymPy's Piecewise rewrites
itself whenever it is touched, which costs more than all the rest. For people to look
at, ``readable`` makes Piecewise of it, and Abs, Max and Min again of what they were.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import sympy

from tracegrad.traces.algebra import Algebra, NoSymbolicForm, OutOfTime
from tracegrad.traces.constants import meaning


class Where(sympy.Expr):  # type: ignore[misc]  # SymPy has no types
    """``Where(condition, yes, no)``: one of two values."""

    is_commutative = True

    def __new__(cls, condition: Any, yes: Any, no: Any) -> Any:
        """One of the two, where the condition is known or makes no difference."""
        condition = sympy.sympify(condition)
        yes, no = sympy.sympify(yes), sympy.sympify(no)
        if condition is sympy.true or yes == no:
            return yes
        if condition is sympy.false:
            return no
        return sympy.Expr.__new__(cls, condition, yes, no)

    def _eval_derivative(self, symbol: Any) -> Any:
        condition, yes, no = self.args
        return Where(condition, yes.diff(symbol), no.diff(symbol))

    def _eval_is_extended_real(self) -> bool | None:
        kinds = {branch.is_extended_real for branch in self.args[1:]}
        return kinds.pop() if len(kinds) == 1 else None

    def _eval_is_finite(self) -> bool | None:
        kinds = {branch.is_finite for branch in self.args[1:]}
        return kinds.pop() if len(kinds) == 1 else None

    def _sympystr(self, printer: Any) -> str:
        return f"Where({', '.join(map(printer._print, self.args))})"


class Symbols(Algebra):
    """SymPy expressions.

    Args:
        witness: a point, by symbol, that decides what symbols leave open (loops,
            orders, indices, branches); ``path`` then says what was taken to be true.
            Without one, branches are merged and the others stay undecided.
        deadline: see ``Algebra``.
        largest: how many nodes an expression may have, written out.

    Attributes:
        path: the conditions that the witness decided, as they hold.
    """

    def __init__(
        self,
        witness: Mapping[Any, Any] | None = None,
        deadline: float | None = None,
        largest: int | None = None,
    ) -> None:
        super().__init__(deadline)
        self._largest = largest
        self._nodes: dict[Any, int] = {}
        self._witness = witness
        self.path: dict[Any, None] = {}
        self._functions: dict[tuple[str, tuple[str, ...]], Callable[..., Any]] = {}

    def literal(self, value: float) -> Any:
        """A constant of the program, as what it means."""
        return constant(float(value))

    def function(self, name: str, text: str, names: tuple[str, ...]) -> Any:
        """See ``Algebra``."""
        key = (name, names)
        if key not in self._functions:
            own = eval(f"lambda {', '.join(names)}: {text}", dict(_SCOPE))
            self._functions[key] = functools.partial(self._plain, own)
        return self._functions[key]

    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        """See ``Algebra``."""
        return Where(condition, yes, no)

    def decide(self, condition: Any) -> bool | None:
        """See ``Algebra``."""
        if isinstance(condition, bool):
            return condition
        if condition in (sympy.true, sympy.false):
            return bool(condition)
        if self._witness is None:
            return None
        truth = bool(condition.xreplace(self._witness))
        self.path[condition if truth else sympy.Not(condition)] = None
        return truth

    def integer(self, value: Any) -> int | None:
        """See ``Algebra``."""
        if isinstance(value, int):
            return value
        if value.is_Integer:
            return int(value)
        if self._witness is None:
            return None
        number = int(value.xreplace(self._witness))
        self.path[sympy.Eq(value, number)] = None
        return number

    def pivot(self, column: Any) -> int:
        """The first that isn't zero by inspection: symbols are generic."""
        return next((k for k, x in enumerate(column) if x != 0), 0)

    def _plain(self, function: Callable[..., Any], *args: Any, **params: Any) -> Any:
        """A function's value, truth values as Python's own."""
        try:
            result = function(*map(sympy.sympify, args), **params)
        except TypeError as error:  # a comparison of what has no order
            raise NoSymbolicForm(f"no symbolic meaning: {error}") from None
        if result is sympy.true or result is sympy.false:
            return bool(result)
        if self._largest is not None and self._size(result) > self._largest:
            raise OutOfTime(f"an expression has more than {self._largest:,} terms.")
        return result

    def _size(self, expression: Any) -> int:
        """How many nodes it has, written out."""
        known = self._nodes.get(expression)
        if known is None:
            known = 1 + sum(map(self._size, expression.args))
            self._nodes[expression] = known
        return known


def constant(value: float) -> Any:
    """A constant, as what it means."""
    if value != value:
        return sympy.nan
    if value in (float("inf"), -float("inf")):
        return sympy.oo if value > 0 else -sympy.oo
    ratio, text = meaning(value)
    factor = sympy.S.One if text == "1" else eval(text, dict(_SCOPE))
    return sympy.Rational(ratio.numerator, ratio.denominator) * factor


def _absolute(x: Any) -> Any:
    found = sympy.Abs(x)
    return Where(x > 0, x, -x) if found.has(sympy.Abs) else found


def _sign(x: Any) -> Any:
    found = sympy.sign(x)
    if not found.has(sympy.sign):
        return found
    return Where(x > 0, 1, Where(x < 0, -1, 0))


def _piecewise(*pairs: tuple[Any, Any]) -> Any:
    *others, (last, _) = pairs
    for value, condition in reversed(others):
        last = Where(condition, value, last)
    return last


_SCOPE: dict[str, Any] = vars(sympy) | {
    "Abs": _absolute,
    "sign": _sign,
    "Max": lambda x, y: Where(x > y, x, y),
    "Min": lambda x, y: Where(x < y, x, y),
    "Piecewise": _piecewise,
}


def readable(expression: Any) -> Any:
    """An expression as people write it: extremes, absolute values, Piecewise."""

    def shown(condition: Any, yes: Any, no: Any) -> Any:
        if isinstance(condition, sympy.StrictGreaterThan):
            left, right = condition.args
            if (yes, no) == (left, right):
                return sympy.Max(left, right)
            if (yes, no) == (left, -left) and right == 0:
                return sympy.Abs(left)
        if isinstance(condition, sympy.StrictLessThan) and (yes, no) == condition.args:
            return sympy.Min(yes, no)
        return sympy.Piecewise((yes, condition), (no, True))

    return expression.replace(Where, shown)
