"""Numbers of many digits, by mpmath: what a program computes, without its rounding.

Conventions are those of IEEE 754 and NumPy: what is no real number is NaN, and a
division by zero is infinite.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tracegrad.traces.algebra import Algebra
from tracegrad.traces.constants import meaning


class Digits(Algebra):
    """Numbers of a given precision.

    Args:
        digits: decimal digits.
        deadline: see ``Algebra``.

    Attributes:
        context: mpmath's, with its functions at this precision.
        path: a fingerprint of every choice that was made.
    """

    def __init__(self, digits: int = 50, deadline: float | None = None) -> None:
        import mpmath  # slow to import

        super().__init__(deadline)
        self.context = mpmath.mp.clone()
        self.context.dps = digits
        self.path = 0
        self._scope = _scope(self.context, self._took)
        self._own = _ieee(self.context, self._took)
        self._functions: dict[tuple[str, tuple[str, ...]], Callable[..., Any]] = {}

    def _took(self, condition: Any) -> bool:
        """A condition, which becomes part of the path."""
        truth = bool(condition)
        self.path = hash((self.path, truth))
        return truth

    def literal(self, value: float) -> Any:
        """A constant of the program: what it means, not the nearest double."""
        number = float(value)
        if number != number or number in (float("inf"), -float("inf")):
            return self.context.mpf(number)
        ratio, constant = meaning(number)
        factor = 1 if constant == "1" else eval(constant, dict(self._scope))
        return self.context.mpf(ratio.numerator) / ratio.denominator * factor

    def number(self, value: Any) -> Any:
        """A double of the data, exactly."""
        return self.context.mpf(float(value))

    def function(self, name: str, text: str, names: tuple[str, ...]) -> Any:
        """See ``Algebra``."""
        key = (name, names)
        if key not in self._functions:
            own = self._own.get(name)
            if own is None:
                code = f"lambda {', '.join(names)}: {text}"
                own = eval(code, dict(self._scope))
            self._functions[key] = functools.partial(self._real, own)
        return self._functions[key]

    def _real(self, function: Callable[..., Any], *args: Any, **params: Any) -> Any:
        """A function's value if it is real, else NaN."""
        try:
            result = function(*args, **params)
        except (ZeroDivisionError, ValueError, OverflowError):
            return self.context.nan
        return self.context.nan if isinstance(result, self.context.mpc) else result

    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        """See ``Algebra``."""
        return yes if self._took(condition) else no

    def decide(self, condition: Any) -> bool:
        """See ``Algebra``."""
        return self._took(condition)

    def integer(self, value: Any) -> int | None:
        """See ``Algebra``."""
        if isinstance(value, int):
            return value
        return int(value) if self.context.isint(value) else None

    def pivot(self, column: Any) -> int:
        """The largest."""
        return max(range(len(column)), key=lambda k: abs(column[k]))


Took = Callable[[Any], bool]


def _scope(mp: Any, took: Took) -> dict[str, Any]:
    """SymPy's names as functions of mpmath's numbers."""
    scope = {
        name: getattr(mp, name)
        for name in (
            *("sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan"),
            *("atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "floor"),
            *("erf", "erfc", "erfinv", "digamma", "pi"),
        )
    }
    return scope | {
        "ceiling": mp.ceil,
        "loggamma": lambda x: mp.log(abs(mp.gamma(x))),
        "polygamma": mp.psi,
        "Abs": lambda x: -x if took(x < 0) else x,
        "sign": lambda x: mp.sign(x) if took(x > 0) or took(x < 0) else mp.zero,
        "Max": lambda x, y: x if took(x > y) else y,
        "Min": lambda x, y: x if took(x < y) else y,
        "Piecewise": lambda *pairs: next(v for v, c in pairs if took(c)),
        "Rational": lambda p, q: mp.mpf(p) / q,
        "Eq": lambda x, y: x == y,
        "Ne": lambda x, y: x != y,
        "And": lambda x, y: x and y,
        "Or": lambda x, y: x or y,
        "Not": lambda x: not x,
        "true": True,
        "false": False,
    }


def _ieee(mp: Any, took: Took) -> dict[str, Callable[..., Any]]:
    """What the SymPy text says of finite numbers only."""

    def divide(x: Any, y: Any) -> Any:
        if y == 0 and x != 0 and not mp.isnan(x):
            return mp.inf * mp.sign(x)
        return x / y

    def extreme(x: Any, y: Any, sign: int) -> Any:
        if mp.isnan(x) or mp.isnan(y):
            return mp.nan
        return x if took(sign * x > sign * y) else y

    return {
        "divide": divide,
        "zero_safe_mul": lambda x, y: x if x == 0 else x * y,
        "zero_safe_div": lambda x, y: x if x == 0 else divide(x, y),
        "isnan": mp.isnan,
        "isinf": mp.isinf,
        "isfinite": mp.isfinite,
        "maximum": lambda x, y: extreme(x, y, 1),
        "minimum": lambda x, y: extreme(x, y, -1),
        "larger": lambda x, y: y if took(y > x) else x,
        "smaller": lambda x, y: y if took(y < x) else x,
    }
