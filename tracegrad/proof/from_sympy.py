"""Functions of ours from SymPy expressions.

An expression is walked with whatever the function is called with: numbers and arrays
compute, tracers record equations. Nothing is printed and read again, so a symbol's name
is never executed; a part that occurs twice is computed once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import scipy.special
import sympy

from tracegrad.errors import ArgumentError
from tracegrad.traces.inputs import identifier
from tracegrad.traces.symbols import Where

_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    sympy.exp: np.exp,
    sympy.log: np.log,
    sympy.sin: np.sin,
    sympy.cos: np.cos,
    sympy.tan: np.tan,
    sympy.asin: np.arcsin,
    sympy.acos: np.arccos,
    sympy.atan: np.arctan,
    sympy.atan2: np.arctan2,
    sympy.sinh: np.sinh,
    sympy.cosh: np.cosh,
    sympy.tanh: np.tanh,
    sympy.asinh: np.arcsinh,
    sympy.acosh: np.arccosh,
    sympy.atanh: np.arctanh,
    sympy.erf: scipy.special.erf,
    sympy.erfc: scipy.special.erfc,
    sympy.erfinv: scipy.special.erfinv,
    sympy.loggamma: scipy.special.gammaln,
    sympy.Abs: np.abs,
    sympy.sign: np.sign,
    sympy.floor: np.floor,
    sympy.ceiling: np.ceil,
    sympy.Mod: np.mod,
    sympy.StrictLessThan: np.less,
    sympy.LessThan: np.less_equal,
    sympy.StrictGreaterThan: np.greater,
    sympy.GreaterThan: np.greater_equal,
    sympy.Eq: np.equal,
    sympy.Ne: np.not_equal,
    sympy.Not: np.logical_not,
    Where: np.where,
}
_FOLDED: dict[Any, Callable[..., Any]] = {
    sympy.Max: np.maximum,
    sympy.Min: np.minimum,
    sympy.And: np.logical_and,
    sympy.Or: np.logical_or,
}


class Expression:
    """A function that computes SymPy expressions.

    Attributes:
        expressions: what it computes.
        arguments: the symbol, or array of symbols, of each argument.
    """

    def __init__(self, expressions: Any, arguments: Sequence[Any], name: str) -> None:
        self.expressions = expressions
        self.arguments = tuple(arguments)
        self.__name__ = name
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names: dict[str, None] = {}
        for position, argument in enumerate(self.arguments):
            names[identifier(_name(argument, position), names)] = None
        self.__signature__ = inspect.Signature(
            [inspect.Parameter(n, kind) for n in names]
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The values."""
        bound = self.__signature__.bind(*args, **kwargs).args
        return Values(self.arguments, bound).of(self.expressions)

    __tracegrad_inline__ = __call__

    def __repr__(self) -> str:
        return f"<{self.__name__}{self.__signature__}: {self.expressions}>"


def _name(argument: Any, position: int) -> str:
    """A symbol's name; of an array of symbols, what their names have in common."""
    if isinstance(argument, sympy.Symbol):
        return str(argument.name)
    names = [s.name for s in np.ravel(np.asarray(argument, object))]
    common = names[0] if names else ""
    while common and not all(name.startswith(common) for name in names):
        common = common[:-1]
    return common.rstrip("_0123456789[") or f"args_{position}"


class Values:
    """What expressions are, given what their symbols are."""

    def __init__(self, symbols: Sequence[Any], given: Sequence[Any]) -> None:
        self._known: dict[Any, Any] = {}
        for symbol, value in zip(symbols, given, strict=True):
            if isinstance(symbol, sympy.Symbol):
                self._known[symbol] = value
                continue
            cells = np.asarray(symbol, object)
            for index in np.ndindex(*cells.shape):
                self._known[cells[index]] = value[index]

    def of(self, nest: Any) -> Any:
        """An expression's value; of a matrix, array or list of them, an array."""
        if isinstance(nest, tuple):
            return tuple(map(self.of, nest))
        if isinstance(nest, (list, np.ndarray, sympy.MatrixBase, sympy.NDimArray)):
            cells = np.array(nest.tolist() if hasattr(nest, "tolist") else nest, object)
            values = [self.value(e) for e in cells.ravel()]
            like = next((v for v in self._known.values()), 0.0)
            whole = np.stack([v + 0.0 * like for v in values])
            return np.reshape(whole, (*cells.shape, *np.shape(whole)[1:]))
        return self.value(nest)

    def value(self, e: Any) -> Any:
        """One expression's value."""
        e = sympy.sympify(e)
        if e not in self._known:
            self._known[e] = self._computed(e)
        return self._known[e]

    def _computed(self, e: Any) -> Any:
        if e.is_Symbol:
            raise ArgumentError(f"{e} is no argument.", todo="Add it to the arguments.")
        if e in (sympy.true, sympy.false):
            return bool(e)
        if e.is_Integer:
            return int(e)
        if e.is_number and e.is_real and not e.args:
            return float(e)
        if e.is_Rational:
            return float(e)
        if e.is_Add:
            return self._sum(e)
        if e.is_Mul:
            return self._product(e)
        if e.is_Pow:
            return self._power(*e.as_base_exp())
        if isinstance(e, sympy.Piecewise):
            return self._piecewise(e)
        if isinstance(e, sympy.Heaviside):
            x = self.value(e.args[0])
            return np.where(x > 0, 1.0, np.where(x < 0, 0.0, self.value(e.args[1])))
        if isinstance(e, sympy.polygamma):
            order, x = e.args
            if order == 0:
                return scipy.special.digamma(self.value(x))
            return scipy.special.polygamma(int(order), self.value(x))
        return self._applied(e)

    def _applied(self, e: Any) -> Any:
        values = [self.value(a) for a in e.args]
        if e.func in _FOLDED:
            return reduce(_FOLDED[e.func], values)
        if e.func not in _FUNCTIONS:
            raise ArgumentError(
                f"{e.func.__name__} has no tracegrad function.",
                todo="Rewrite it in functions that have: e.rewrite(sympy.exp), say.",
            )
        return _FUNCTIONS[e.func](*values)

    def _sum(self, e: Any) -> Any:
        """Terms in order, those with a minus sign subtracted."""
        total: Any = None
        for term in e.as_ordered_terms():
            negative = term.could_extract_minus_sign()
            value = self.value(-term if negative else term)
            if total is None:
                total = -value if negative else value
            else:
                total = total - value if negative else total + value
        return total

    def _product(self, e: Any) -> Any:
        """One quotient of products; a fraction's parts each where it belongs."""
        above, below = sympy.fraction(e, exact=True)
        if below != 1:
            if above.is_number and below.is_number:
                return float(e)
            return self.value(above) / self.value(below)
        coefficient, rest = e.as_coeff_Mul()
        factors = [self.value(f) for f in rest.as_ordered_factors()]
        product = reduce(lambda a, b: a * b, factors)
        if coefficient == 1:
            return product
        return -product if coefficient == -1 else self.value(coefficient) * product

    def _power(self, base: Any, exponent: Any) -> Any:
        if base == sympy.E:
            return np.exp(self.value(exponent))
        if exponent.could_extract_minus_sign():
            return 1.0 / self.value(base**-exponent)
        if exponent == sympy.Rational(1, 2):
            return np.sqrt(self.value(base))
        if exponent == sympy.Rational(1, 3):
            return np.cbrt(self.value(base))
        return self.value(base) ** self.value(exponent)

    def _piecewise(self, e: Any) -> Any:
        *others, (last, condition) = e.args
        total = self.value(last) if condition == sympy.true else float("nan")
        pairs = others if condition == sympy.true else e.args
        for value, test in reversed(pairs):
            total = np.where(self.value(test), self.value(value), total)
        return total


def from_sympy(
    expressions: Any, args: Sequence[Any], name: str = "expression"
) -> Expression:
    """A function from SymPy expressions, to be differentiated and compiled.

    Args:
        expressions: one, for a function of that value; a list, matrix or array, for one
            of an array; a tuple, for one of several results.
        args: a symbol for each argument, or a list (or array) of symbols for an
            argument that is an array. Where it is a lone symbol, the argument may be an
            array too: the expressions are taken element by element.
        name: of the function.

    Returns:
        A function of the arguments, called as the symbols are; ``jit``, ``grad`` and
        the others take it. What occurs several times in the expressions is computed
        once.

    Raises:
        ArgumentError: when called, for a symbol that is no argument, and for a function
            that tracegrad doesn't have.

    >>> from tracegrad import value_and_grad
    >>> x, k = sympy.symbols("x k")
    >>> decay = from_sympy(sympy.exp(-k * x) * sympy.sin(x), [x, k])
    >>> value_and_grad(decay)(0.0, 2.0)
    (0.0, 1.0)
    """
    return Expression(expressions, args, name)


__all__ = ["Expression", "Values", "from_sympy"]
