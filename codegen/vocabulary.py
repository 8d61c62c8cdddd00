"""The vocabulary of the loop language: its scalar operations and library routines.

>>> OPERATIONS["divide"].result, LIBRARY["dot"]
('float', (2, 1))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Operation:
    """How a scalar operation behaves: its arity, and its dtype rule.

    result: "same" as its arguments, "bool", or "float" (arguments are floats too).
    """

    arity: int
    result: Literal["same", "bool", "float"] = "same"
    dtypes: frozenset[str] = field(default_factory=frozenset)


_FLOATS = frozenset({"float64", "float32"})
_NUMBERS = _FLOATS | {"int64", "int32"}
_INTEGERS = frozenset({"int64", "int32"})

OPERATIONS: dict[str, Operation] = {
    **{
        name: Operation(2, "same", _NUMBERS)
        for name in ("add", "subtract", "multiply", "maximum", "minimum")
    },
    # Python's floor division and modulo, of floats as numpy defines them.
    **{name: Operation(2, "same", _NUMBERS) for name in ("floor_divide", "remainder")},
    "divide": Operation(2, "float", _FLOATS),
    "power": Operation(2, "same", _NUMBERS),
    "negative": Operation(1, "same", _NUMBERS),
    "absolute": Operation(1, "same", _NUMBERS),
    **{
        name: Operation(2, "bool", _NUMBERS | {"bool"})
        for name in ("equal", "not_equal", "less", "less_equal")
    },
    **{name: Operation(2, "bool", _NUMBERS) for name in ("greater", "greater_equal")},
    **{name: Operation(2, "bool", frozenset({"bool"})) for name in ("and", "or")},
    "not": Operation(1, "bool", frozenset({"bool"})),
    **{name: Operation(1, "bool", _FLOATS) for name in ("isnan", "isinf", "isfinite")},
    **{
        name: Operation(2, "same", _INTEGERS | {"bool"})
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    },
    **{name: Operation(2, "same", _INTEGERS) for name in ("left_shift", "right_shift")},
    "invert": Operation(1, "same", _INTEGERS | {"bool"}),
    "signbit": Operation(1, "bool", _FLOATS),
    **{name: Operation(2, "float", _FLOATS) for name in ("copysign", "arctan2")},
    **{
        name: Operation(1, "float", _FLOATS)
        for name in (
            *("sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
            *("sin", "cos", "tan", "arcsin", "arccos", "arctan"),
            *("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
            *("floor", "ceil", "trunc", "rint"),
            *("erf", "erfc", "erfinv", "gammaln", "digamma", "expit", "log_expit"),
        )
    },
    **{
        name: Operation(2, "float", _FLOATS)
        for name in ("hypot", "logaddexp", "xlogy", "xlog1py", "fmod")
    },
    # polygamma(order, x): the order is a float with an integer value, as in scipy.
    "polygamma": Operation(2, "float", _FLOATS),
}

LIBRARY: dict[str, tuple[int, int]] = {
    # routine: (number of operands, number of outputs)
    "dot": (2, 1),
    "solve": (2, 1),
    "inv": (1, 1),
    "cholesky": (1, 1),
    "slogdet": (1, 2),
    "det": (1, 1),
    "eigh": (1, 2),
    "qr": (1, 2),
    "svd": (1, 3),
    "pinv": (1, 1),
    "argsort": (1, 1),
    # Where the second operand's elements belong in the first, before equals or after.
    "searchsorted": (2, 1),
    "searchsorted_right": (2, 1),
}
