"""Identities that may change rounding, for the arithmetic of derivatives only.

They do what one would do by hand with an adjoint: pull signs and factors outwards, turn
a product with a reciprocal into a quotient and a product with a mask into a select, and
drop zero-safety where a cotangent can't be zero. ``simplify`` is what a ``Builder`` is
given: these where ``builder.exact`` is False, and ``identities`` always.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tracegrad.ir.graph import Builder, Equation, Literal, Operand
from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import product
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import reductions, structural
from tracegrad.primitives.identities import (
    Identity,
    Inputs,
    Params,
    constant,
    expand,
    filled,
    made_by,
    never_zero,
    simplify_exactly,
    size_value,
)
from tracegrad.primitives.sums import factored_sum


def simplify(
    builder: Builder,
    primitive: Primitive,
    inputs: tuple[Operand, ...],
    params: Mapping[str, Any],
) -> Operand | None:
    """A simpler operand that equals ``primitive[params](inputs)``, or None."""
    found = simplify_exactly(builder, primitive, inputs, params)
    if found is None and not builder.exact:
        identity = _REARRANGED.get(primitive)
        found = identity(builder, inputs, params) if identity else None
    return found


def _scaled(operand: Operand) -> tuple[float, Operand] | None:
    """(c, x) if an operand is c * x, with a finite c that is not zero."""
    equation = made_by(operand, ew.multiply)
    if equation is not None:
        for k in (0, 1):
            c = constant(equation.inputs[k])
            if isinstance(c, (int, float)) and c != 0 and math.isfinite(c):
                return c, equation.inputs[1 - k]
    return None


def _reciprocal(b: Builder, operand: Operand) -> Operand | None:
    """The divisor, if an operand is one divided by it, in this region.

    A reciprocal from a region around a loop is there already: a product is cheaper.
    """
    equation = made_by(operand, ew.divide)
    if equation is None or constant(equation.inputs[0]) != 1:
        return None
    here = any(output.graph is b.graph for output in equation.outputs)
    return equation.inputs[1] if here else None


def _mask(operand: Operand) -> tuple[Operand, bool] | None:
    """(c, True) if an operand is 1 where c else 0; (c, False) the other way round."""
    equation = made_by(operand, cmp.select)
    if equation is not None:
        c, x, y = equation.inputs
        match constant(x), constant(y):
            case 1, 0:
                return c, True
            case 0, 1:
                return c, False
    return None


def _times(b: Builder, c: float, x: Operand) -> Operand:
    if c == 1:
        return x
    if c == -1:
        return b.emit1(ew.negative, (x,))
    return b.emit1(ew.multiply, (filled(b, c, x.type), x))


def _multiply_rearranged(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    for position in (0, 1):
        x, y = inputs[position], inputs[1 - position]
        c = constant(x)
        if isinstance(c, (int, float)) and c != 0 and math.isfinite(c):
            found = _multiply_by_constant(b, c, x, y)
            if found is None and position == 1:  # constants first
                found = b.emit1(ew.multiply, (x, y))
        else:
            found = _multiply_by_factor(b, x, y, swapped=position == 1)
        if found is not None:
            return found
    return None


def _multiply_by_constant(
    b: Builder, c: float, x: Operand, y: Operand
) -> Operand | None:
    scaled = _scaled(y)
    if scaled is not None:
        return _times(b, c * scaled[0], scaled[1])
    inner = made_by(y, ew.negative)
    if inner is not None:
        return _times(b, -c, inner.inputs[0])
    return b.emit1(ew.negative, (y,)) if c == -1 else None


def _multiply_by_factor(
    b: Builder, x: Operand, y: Operand, *, swapped: bool
) -> Operand | None:
    """``x * y`` (or ``y * x`` if swapped), by what x or y is made of."""

    def product_of(first: Operand, second: Operand) -> Operand:
        pair = (second, first) if swapped else (first, second)
        return b.emit1(ew.multiply, pair)

    inner = made_by(x, ew.negative)
    if inner is not None:
        return b.emit1(ew.negative, (product_of(inner.inputs[0], y),))
    divisor = _reciprocal(b, y)
    if divisor is not None and x != y:  # a square needs no second division
        return b.emit1(ew.divide, (x, divisor))
    mask = _mask(y)
    if mask is not None:
        zero = filled(b, 0, x.type)
        arms = (x, zero) if mask[1] else (zero, x)
        return b.emit1(cmp.select, (mask[0], *arms))
    scaled = _scaled(y)
    if scaled is not None and x != y:  # a square is not worth another one
        return _times(b, scaled[0], product_of(x, scaled[1]))
    return None


def _add_rearranged(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    x, y = inputs
    if constant(x) == 0:
        return y
    if constant(y) == 0:
        return x
    if x == y:
        return _times(b, 2.0, x)
    for first, second in ((x, y), (y, x)):
        inner = made_by(second, ew.negative)
        if inner is not None:
            return b.emit1(ew.subtract, (first, inner.inputs[0]))
    return None


def _subtract_rearranged(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    x, y = inputs
    if constant(y) == 0:
        return x
    if constant(x) == 0:
        return b.emit1(ew.negative, (y,))
    inner = made_by(y, ew.negative)
    return b.emit1(ew.add, (x, inner.inputs[0])) if inner else None


def _negative_rearranged(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    (x,) = inputs
    scaled = _scaled(x)
    if scaled is not None:
        return _times(b, -scaled[0], scaled[1])
    inner = made_by(x, ew.subtract)
    return b.emit1(ew.subtract, inner.inputs[::-1]) if inner else None


def _divide_rearranged(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    x, y = inputs
    inner = made_by(x, ew.negative)
    if inner is not None:
        return b.emit1(ew.negative, (b.emit1(ew.divide, (inner.inputs[0], y)),))
    over = made_by(x, ew.divide)
    if over is not None and over.inputs[1] == y and constant(over.inputs[0]) == 1:
        return b.emit1(ew.multiply, (x, x))  # as in the derivative of 1 / y
    spread = made_by(y, structural.expand)
    if spread is not None and constant(x) is None and constant(y) is None:
        # One division per element of the smaller array, and products after that.
        divisor = spread.inputs[0]
        one = filled(b, 1, divisor.type)
        inverse = b.emit1(ew.divide, (one, divisor))
        return b.emit1(ew.multiply, (x, expand(b, inverse, **spread.params)))
    return None


def _zero_safe_mul_rearranged(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    x, y = inputs
    c = constant(y)
    if never_zero(x) or (c is not None and math.isfinite(c)):
        return b.emit1(ew.multiply, inputs)
    divisor = _reciprocal(b, y)
    if divisor is not None:
        return b.emit1(cmp.zero_safe_div, (x, divisor))
    share = _share(b, x, y)
    if share is not None:
        return share
    inner = made_by(y, ew.negative)
    if inner is not None:
        safe = b.emit1(cmp.zero_safe_mul, (x, inner.inputs[0]))
        return b.emit1(ew.negative, (safe,))
    return None


def _share(b: Builder, x: Operand, y: Operand) -> Operand | None:
    """A constant that a comparison chooses, times a value: the choice of a product."""
    tied = made_by(x, cmp.tie)
    if tied is not None:
        even = b.emit1(cmp.equal, tied.inputs)
        half = _select(b, even, _times(b, 0.5, y), filled(b, 0, y.type))
        return _select(b, b.emit1(cmp.greater, tied.inputs), y, half)
    chosen = made_by(x, cmp.select)
    if chosen is None:
        return None
    test, *sides = chosen.inputs
    parts = []
    for side in sides:
        c = constant(side)
        part = _share(b, side, y) if c is None else _part(b, c, y)
        if part is None:
            return None
        parts.append(part)
    return _select(b, test, *parts)


def _part(b: Builder, factor: float, y: Operand) -> Operand | None:
    if factor == 0:
        return filled(b, 0, y.type)
    if factor == 1:
        return y
    return _times(b, factor, y) if math.isfinite(factor) else None


def _select(b: Builder, test: Operand, then: Operand, otherwise: Operand) -> Operand:
    return b.emit1(cmp.select, (test, then, otherwise))


def _zero_safe_div_rearranged(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    x, y = inputs
    c = constant(y)
    if never_zero(x) or (c is not None and c != 0):
        return b.emit1(ew.divide, inputs)
    inner = made_by(x, ew.negative)
    if inner is not None:
        safe = b.emit1(cmp.zero_safe_div, (inner.inputs[0], y))
        return b.emit1(ew.negative, (safe,))
    return None


def _reduce_sum_rearranged(
    b: Builder, inputs: Inputs, params: Params
) -> Operand | None:
    """Sums of broadcasts are products with a size; signs and factors move out."""
    (x,) = inputs
    axes = params["axes"]
    expanded = made_by(x, structural.expand)
    if expanded is not None:
        kept = expanded.params["axes"]
        free = [a for a in axes if a not in kept]
        if free:
            return _sum_ofexpand(b, x, expanded, axes, free)
    negated = made_by(x, ew.negative)
    if negated is not None:
        total = b.emit1(reductions.reduce_sum, negated.inputs, params)
        return b.emit1(ew.negative, (total,))
    scaled = _scaled(x)
    if scaled is not None:
        total = b.emit1(reductions.reduce_sum, (scaled[1],), params)
        return _times(b, scaled[0], total)
    return factored_sum(b, x, axes)


def _sum_ofexpand(
    b: Builder, x: Operand, expanded: Equation, axes: tuple[int, ...], free: list[int]
) -> Operand:
    kept = expanded.params["axes"]
    inner_axes = tuple(kept.index(a) for a in axes if a in kept)
    inner = expanded.inputs[0]
    if inner_axes:
        inner = b.emit1(reductions.reduce_sum, (inner,), {"axes": inner_axes})
    left = [k for k in range(x.type.ndim) if k not in axes]
    shape = tuple(x.type.shape[k] for k in left)
    spread = tuple(left.index(a) for a in kept if a not in axes)
    count = size_value(b, product(x.type.shape[a] for a in free))
    factor = (
        Literal(float(count.value), x.type.dtype)
        if isinstance(count, Literal)
        else b.emit1(cmp.convert, (count,), {"dtype": x.type.dtype})
    )
    whole = b.emit1(ew.multiply, (expand(b, factor, inner.type.shape), inner))
    return expand(b, whole, shape, spread)


_REARRANGED: dict[Primitive, Identity] = {
    ew.multiply: _multiply_rearranged,
    ew.add: _add_rearranged,
    ew.subtract: _subtract_rearranged,
    ew.negative: _negative_rearranged,
    ew.divide: _divide_rearranged,
    cmp.zero_safe_mul: _zero_safe_mul_rearranged,
    cmp.zero_safe_div: _zero_safe_div_rearranged,
    reductions.reduce_sum: _reduce_sum_rearranged,
}
