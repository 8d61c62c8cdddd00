"""Comparisons, logic, bits and selection: the elementwise primitives that choose.

None of the comparisons has a derivative; ``select`` passes the cotangent to the branch
it takes. ``tie`` and the zero-safe products are what partials are made of where a
function has a kink or a pole.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad.ir.primitive import Linear, Primitive, Scalar, elementwise
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import ArrayType, DType, scalar


def _comparison(numpy: np.ufunc, sign: str, sympy: str | None) -> Primitive:
    return elementwise(
        numpy,
        source=f"x {sign} y",
        sympy=sympy,
        partials=None,
        operands="joint",
        result="bool",
        domain=((-2.0, 2.0), (-2.0, 2.0)),
    )


equal = _comparison(np.equal, "==", "Eq(x, y)")
not_equal = _comparison(np.not_equal, "!=", "Ne(x, y)")
less = _comparison(np.less, "<", "x < y")
less_equal = _comparison(np.less_equal, "<=", "x <= y")
greater = _comparison(np.greater, ">", "x > y")
greater_equal = _comparison(np.greater_equal, ">=", "x >= y")


def _logic(numpy: np.ufunc, source: str, sympy: str) -> Primitive:
    return elementwise(
        numpy,
        source=source,
        sympy=sympy,
        partials=None,
        operands="bool",
        result="bool",
    )


logical_and = _logic(np.logical_and, "x and y", "And(x, y)")
logical_or = _logic(np.logical_or, "x or y", "Or(x, y)")
logical_not = _logic(np.logical_not, "not x", "Not(x)")


def _test(numpy: np.ufunc, sympy: str) -> Primitive:
    """A question that floating-point numbers answer; a symbol is a finite number."""
    return elementwise(
        numpy,
        source=f"{numpy.__name__}(x)",
        sympy=sympy,
        partials=None,
        result="bool",
        domain=((-2.0, 2.0),),
    )


isnan = _test(np.isnan, "false")
isinf = _test(np.isinf, "false")
isfinite = _test(np.isfinite, "true")
signbit = _test(np.signbit, "x < 0")


def _bits(numpy: np.ufunc, sign: str) -> Primitive:
    return elementwise(
        numpy, source=f"x {sign} y", sympy=None, partials=None, operands="integer"
    )


bitwise_and = _bits(np.bitwise_and, "&")
bitwise_or = _bits(np.bitwise_or, "|")
bitwise_xor = _bits(np.bitwise_xor, "^")
left_shift = _bits(np.left_shift, "<<")
right_shift = _bits(np.right_shift, ">>")
invert = elementwise(
    np.invert, source="~x", sympy=None, partials=None, operands="integer"
)

# Linear in both branches together. Its adjoint selects, rather than multiply by a mask:
# a branch that isn't taken never poisons the gradient.
select: Primitive = Primitive(
    "select",
    np.where,
    lambda c, x, y: x,
    rule=Linear(
        {
            1: lambda ct, c, x, y: select(c, ct, 0.0),
            2: lambda ct, c, x, y: select(c, 0.0, ct),
        },
        joint=True,
    ),
    lower=Scalar("x if c else y", ("c", "x", "y")),
    sympy="Piecewise((x, c), (y, True))",
    operands="mask",
    domain=((0.0, 1.0), (-2.0, 2.0), (-2.0, 2.0)),
)

tie = elementwise(
    lambda x, y: np.where(x > y, 1.0, np.where(x == y, 0.5, 0.0)).astype(
        np.result_type(x, y)
    ),
    "tie",
    source="1.0 if x > y else 0.5 if x == y else 0.0",
    sympy="Piecewise((1, x > y), (Rational(1, 2), Eq(x, y)), (0, True))",
    partials=None,
    cost=2,
    domain=((-2.0, 2.0), (-2.0, 2.0)),
)


def _pythons(beats: Primitive, sign: str, name: str, sympy: str) -> Primitive:
    """Python's max or min: the second only if it beats the first; a NaN never does."""
    return elementwise(
        lambda x, y: np.asarray(np.where(beats.numpy(y, x), y, x))[()],
        name,
        source=f"y if y {sign} x else x",
        sympy=sympy,
        partials=lambda out, x, y: (
            select(beats(y, x), 0.0, select(equal(x, y), 0.5, 1.0)),
            select(beats(y, x), 1.0, select(equal(x, y), 0.5, 0.0)),
        ),
        chooses=(0, 1),
        operands="number",
        domain=((-2.0, 2.0), (-2.0, 2.0)),
        kink="a tie is split evenly",
    )


larger = _pythons(greater, ">", "larger", "Max(x, y)")
smaller = _pythons(less, "<", "smaller", "Min(x, y)")


def _zero_safe_mul(x: Any, y: Any) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(x == 0, x, x * y)[()]


def _zero_safe_div(x: Any, y: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.where(x == 0, x, x / y)[()]


# A cotangent of exactly zero contributes exactly zero, whatever the partial is: a
# select, not a product with a mask, so that 0 * inf never makes a NaN. So it does
# whatever the partial's own derivative is, to second order.
zero_safe_mul = elementwise(
    _zero_safe_mul,
    "zero_safe_mul",
    source="0.0 if x == 0.0 else x * y",
    sympy="x * y",
    partials=lambda out, x, y: (y, x),
    singular=(0,),
    chooses=(1,),
    domain=((-2.0, 2.0), (-2.0, 2.0)),
)
zero_safe_div: Primitive = elementwise(
    _zero_safe_div,
    "zero_safe_div",
    source="0.0 if x == 0.0 else x / y",
    sympy="x / y",
    partials=lambda out, x, y: (1.0 / y, zero_safe_div(-out, y)),
    singular=(0, 1),
    chooses=(1,),
    cost=4,
    domain=((-2.0, 2.0), (0.5, 2.0)),
)

stop_gradient = elementwise(
    lambda x: x,
    "stop_gradient",
    source="x",
    sympy="x",
    partials=None,
    operands="any",
    cost=0,
    domain=((-2.0, 2.0),),
)


def _infer_convert(x: ArrayType, *, dtype: DType) -> ArrayType:
    return x.with_dtype(dtype)


# Between floats a conversion is linear; from and to integers it has no derivative.
convert: Primitive = Primitive(
    "convert",
    lambda x, *, dtype: np.asarray(x).astype(dtype)[()],
    _infer_convert,
    rule=Linear({0: lambda ct, x, *, dtype: convert(ct, dtype=str(x.dtype))}),
    lower=Scalar("x", ("x",), 0),
    sympy="x",
    domain=((-2.0, 2.0),),
)


def _infer_size(*, dim: Dim) -> ArrayType:
    return scalar("int64")


# The bridge from shapes to numbers: a size of the inputs as an integer value.
size = Primitive("size", lambda *, dim: int(dim), _infer_size, lower=Scalar("dim", ()))
