"""Numbers modulo a prime: whether two programs are the same function, by one run each.

A program of any length is, along the path that a point takes, a rational function of
its variables and of values of transcendental functions. Two rational functions that
agree modulo a large prime at a random point are equal, but for a chance of at most
degree / prime (Schwartz 1980, Zippel 1979). An element carries its residue, its formal
derivative along a direction, bounds for its degree, and the real number that it is at
the point, which decides comparisons. A transcendental function of a residue is a random
residue, always the same for the same argument; its derivative is SymPy's. What is equal
by such functions' own identities only, exp(a) exp(b) = exp(a + b), isn't recognised.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tracegrad.traces.algebra import Algebra, NoSymbolicForm
from tracegrad.traces.constants import meaning
from tracegrad.traces.digits import Digits

PRIME = 2**127 - 1
_ATOMS = (
    *("exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh"),
    *("cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "erfinv"),
    *("loggamma", "digamma"),
)
_CHOICES = ("<", ">", "Eq(", "Ne(", "Abs(", "sign(", "Max(", "Min(", "floor(")
_ODD = {*("sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "erf")}
_EVEN = {"cos", "cosh"}
_KNOWN = {(name, 0): 0 for name in (*_ODD, "sqrt", "erfinv")}
_KNOWN |= {(name, 0): 1 for name in (*_EVEN, "exp", "erfc")}
_KNOWN |= {("log", 1): 0, ("sqrt", 1): 1, ("acos", 1): 0, ("acosh", 1): 0}


@dataclass(frozen=True, slots=True, eq=False)
class Residue:
    """An element.

    Attributes:
        value: modulo the prime.
        dot: the derivative along the direction, modulo the prime.
        top: a bound for the degree of the numerator.
        bottom: of the denominator.
        real: what it is at the given point.
    """

    value: int
    dot: int
    top: float
    bottom: float
    real: Any

    def __add__(self, other: Any) -> Residue:
        y = _residue(other, self)
        return Residue(
            (self.value + y.value) % PRIME,
            (self.dot + y.dot) % PRIME,
            max(self.top + y.bottom, y.top + self.bottom),
            self.bottom + y.bottom,
            self.real + y.real,
        )

    __radd__ = __add__

    def __neg__(self) -> Residue:
        return Residue(
            -self.value % PRIME, -self.dot % PRIME, self.top, self.bottom, -self.real
        )

    def __sub__(self, other: Any) -> Residue:
        return self + (-_residue(other, self))

    def __rsub__(self, other: Any) -> Residue:
        return _residue(other, self) + (-self)

    def __mul__(self, other: Any) -> Residue:
        y = _residue(other, self)
        return Residue(
            self.value * y.value % PRIME,
            (self.value * y.dot + self.dot * y.value) % PRIME,
            self.top + y.top,
            self.bottom + y.bottom,
            self.real * y.real,
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Residue:
        y = _residue(other, self)
        if not y.value:
            raise ZeroDivisionError
        inverse = pow(y.value, -1, PRIME)
        quotient = self.value * inverse % PRIME
        return Residue(
            quotient,
            (self.dot - quotient * y.dot) * inverse % PRIME,
            self.top + y.bottom,
            self.bottom + y.top,
            self.real / y.real,
        )

    def __rtruediv__(self, other: Any) -> Residue:
        return _residue(other, self) / self

    def __pow__(self, exponent: Any) -> Residue:
        number = exponent.real if isinstance(exponent, Residue) else exponent
        constant = not isinstance(exponent, Residue) or not exponent.top
        if not constant or number != int(number) or abs(number) > 64:
            raise NoSymbolicForm("a power with a general exponent has no residue.")
        result = _residue(1, self)
        for _ in range(abs(int(number))):
            result = result * self
        return result if number >= 0 else 1 / result

    def __lt__(self, other: Any) -> bool:
        return bool(self.real < _residue(other, self).real)

    def __le__(self, other: Any) -> bool:
        return bool(self.real <= _residue(other, self).real)

    def __gt__(self, other: Any) -> bool:
        return bool(self.real > _residue(other, self).real)

    def __ge__(self, other: Any) -> bool:
        return bool(self.real >= _residue(other, self).real)


def _residue(x: Any, like: Residue) -> Residue:
    if isinstance(x, Residue):
        return x
    return Residue(int(x) % PRIME, 0, 0.0, 0.0, like.real * 0 + int(x))


class Residues(Algebra):
    """Arithmetic modulo a prime along the path of a point.

    Args:
        seed: of the random residues.
        deadline: see ``Algebra``.

    Attributes:
        decisions: how many comparisons the point decided.
    """

    def __init__(self, seed: int, deadline: float | None = None) -> None:
        super().__init__(deadline)
        self._seed = seed
        self._reals = Digits(20)
        self._scope = self._names()
        self._functions: dict[tuple[str, tuple[str, ...]], Callable[..., Any]] = {}
        self.decisions = 0

    def variable(self, name: str, real: float, *, moves: bool) -> Residue:
        """A variable: a random residue, with a random direction if it moves."""
        dot = self._random(f"direction of {name}") if moves else 0
        number = self._reals.number(real)
        return Residue(self._random(f"variable {name}"), dot, 1.0, 0.0, number)

    def direction(self, name: str) -> int:
        """The direction of a variable that moves."""
        return self._random(f"direction of {name}")

    def _random(self, text: str) -> int:
        data = hashlib.sha256(f"{self._seed} {text}".encode()).digest()
        return int.from_bytes(data[:24], "big") % PRIME

    def literal(self, value: float) -> Any:
        """A constant, as what it means."""
        real = self._reals.literal(value)
        if not math.isfinite(value):
            return Residue(self._random(repr(value)), 0, 1.0, 0.0, real)
        ratio, constant = meaning(float(value))
        bottom = pow(ratio.denominator, -1, PRIME)
        number = Residue(ratio.numerator * bottom % PRIME, 0, 0.0, 0.0, real)
        if constant == "1":
            return number
        factor = eval(constant, dict(self._scope))
        value_ = number.value * factor.value % PRIME
        return Residue(value_, 0, factor.top, factor.bottom, real)

    def number(self, value: int) -> Residue:
        """An integer as an element."""
        return Residue(value % PRIME, 0, 0.0, 0.0, self._reals.context.mpf(value))

    def function(self, name: str, text: str, names: tuple[str, ...]) -> Any:
        """See ``Algebra``."""
        key = (name, names)
        if key not in self._functions:
            own = eval(f"lambda {', '.join(names)}: {text}", dict(self._scope))
            chooses = any(sign in text for sign in _CHOICES)
            self._functions[key] = self._counted(own) if chooses else own
        return self._functions[key]

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that asks how large its arguments are."""

        def call(*args: Any, **params: Any) -> Any:
            if any(isinstance(x, Residue) and x.top for x in args):
                self.decisions += 1
            return function(*args, **params)

        return call

    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        """See ``Algebra``."""
        return yes if condition else no

    def decide(self, condition: Any) -> bool:
        """See ``Algebra``."""
        return bool(condition)

    def integer(self, value: Any) -> int | None:
        """See ``Algebra``."""
        if isinstance(value, int):
            return value
        whole = not value.top and value.real == int(value.real)
        return int(value.real) if whole else None

    def pivot(self, column: Any) -> int:
        """The first that isn't zero."""
        return next((k for k, x in enumerate(column) if x.value), 0)

    # --- functions -------------------------------------------------------------------

    def _names(self) -> dict[str, Any]:
        atoms = {name: self._atom(name) for name in _ATOMS}
        return atoms | {
            "pi": self._pi(),
            "sqrt": self._sqrt,
            "Abs": lambda x: -x if x.real < 0 else x,
            "sign": lambda x: self.number((x.real > 0) - (x.real < 0)),
            "Max": lambda x, y: x if x.real > y.real else y,
            "Min": lambda x, y: x if x.real < y.real else y,
            "floor": lambda x: self.number(math.floor(x.real)),
            "ceiling": lambda x: self.number(math.ceil(x.real)),
            "Piecewise": lambda *pairs: next(v for v, c in pairs if c),
            "Rational": lambda p, q: self.number(p) / q,
            "polygamma": self._polygamma,
            "atan2": self._arctan2,
            "Eq": lambda x, y: _real(x) == _real(y),
            "Ne": lambda x, y: _real(x) != _real(y),
            "And": lambda x, y: x and y,
            "Or": lambda x, y: x or y,
            "Not": lambda x: not x,
            "true": True,
            "false": False,
        }

    def _atom(self, name: str) -> Callable[[Any], Any]:
        return lambda x: self._applied(f"{name}(x)", x)

    def _pi(self) -> Residue:
        """A random square, so that it has a root."""
        value = self._random("pi") ** 2 % PRIME
        return Residue(value, 0, 0.0, 0.0, self._reals.context.pi + 0)

    def _sqrt(self, x: Any) -> Any:
        """Of a constant a true root, if there is one; else a function like others."""
        x = x if isinstance(x, Residue) else self.number(x)
        root = pow(x.value, (PRIME + 1) // 4, PRIME)  # the prime is 3 modulo 4
        if x.top or root * root % PRIME != x.value:
            return self._applied("sqrt(x)", x)
        real = self._reals.context.sqrt(x.real)
        return Residue(min(root, PRIME - root), 0, 0.0, 0.0, real)

    def _polygamma(self, n: Any, x: Any) -> Any:
        order = int(_real(n))
        return self._applied(f"polygamma({order}, x)" if order else "digamma(x)", x)

    def _applied(self, text: str, x: Any) -> Any:
        """A transcendental function: random, but a function; SymPy's derivative."""
        x = x if isinstance(x, Residue) else self.number(x)
        real = self._reals.function(text, text, ("x",))(x.real)
        value = self._value(text, x.value)
        if not x.dot:
            return Residue(value, 0, 1.0, 0.0, real)
        still = Residue(x.value, 0, x.top, x.bottom, x.real)
        slope = self.function(f"{text}'", _slope(text), ("x",))(still)
        slope = slope if isinstance(slope, Residue) else self.number(slope)
        return Residue(value, slope.value * x.dot % PRIME, 1.0, 0.0, real)

    def _value(self, text: str, argument: int) -> int:
        """The function's residue: known, or that of the opposite, or random."""
        name = text.partition("(")[0]
        known = _KNOWN.get((name, argument))
        if known is not None:
            return known
        symmetric = name in _ODD or name in _EVEN or name == "exp"
        if not symmetric or argument <= PRIME // 2:
            return self._random(f"{text} of {argument}")
        opposite = self._value(text, PRIME - argument)
        if name == "exp":
            return pow(opposite, -1, PRIME)
        return opposite if name in _EVEN else -opposite % PRIME

    def _arctan2(self, y: Residue, x: Residue) -> Residue:
        quotient = y / x
        angle = self._applied("atan(x)", quotient)
        real = self._reals.function("arctan2", "atan2(y, x)", ("y", "x"))
        return Residue(angle.value, angle.dot, 1.0, 0.0, real(y.real, x.real))


def _real(x: Any) -> Any:
    return x.real if isinstance(x, Residue) else x


@cache
def _slope(text: str) -> str:
    """SymPy's derivative of a function of x, as text."""
    import sympy  # slow to import

    x = sympy.Symbol("x")
    return str(sympy.diff(sympy.sympify(text, {"x": x}), x))
