"""What a primitive's rule says, read once for every mode.

The record of a primitive states partials, transposes or a pair of rules; ``pull`` and
``push`` turn them into cotangents and tangents. The values may be tracers, arrays or
tape tensors: the table's functions decide what happens to them.

>>> import numpy as np
>>> from tracegrad.primitives.elementwise import multiply
>>> x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
>>> pull(multiply, {}, [x, y], [x * y], [np.ones(2)], [True, False])
[array([3., 4.]), None]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracegrad.errors import DifferentiationError
from tracegrad.ir.primitive import Elementwise, General, Linear, Primitive
from tracegrad.ir.source import Location
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.structural import dims, filled
from tracegrad.transforms.poison import Poison


def pull(
    primitive: Primitive,
    params: Mapping[str, Any],
    primals: Sequence[Any],
    outs: Sequence[Any],
    bars: Sequence[Any],
    live: Sequence[bool],
    where: Location | None = None,
    poison: Poison | None = None,
) -> list[Any]:
    """The operands' cotangents.

    Args:
        primitive: what was applied.
        params: its static parameters.
        primals: its operands.
        outs: its results.
        bars: a cotangent per result, None where it is zero.
        live: which operands' cotangents are wanted.
        where: the user's line, for an error.
        poison: knows, of recorded values, where a product must keep an exact zero.

    Returns:
        A cotangent per operand; None where it is zero or not wanted.
    """
    found: list[Any] = [None] * len(primals)
    match primitive.rule:
        case Elementwise(partials) as rule if partials is not None:
            for k, partial in enumerate(partials(*outs, *primals, **params)):
                if partial is not None and live[k]:
                    found[k] = scale(bars[0], partial, rule, k, poison)
        case Linear(transposes):
            for k in range(len(primals)):
                if live[k] and k in transposes:
                    found[k] = transposes[k](bars[0], *primals, **params)
        case General(vjp=rule):
            found = list(rule(bars, primals, outs, **params))
        case _:
            raise DifferentiationError(
                f"{primitive.name} has no derivative.",
                where,
                "Wrap it in stop_gradient, or give it a custom_vjp.",
            )
    return found


def push(
    primitive: Primitive,
    params: Mapping[str, Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    outs: Sequence[Any],
) -> list[Any]:
    """The tangents of the results, from those of the operands; None is zero."""
    match primitive.rule:
        case None:
            return [None] * len(outs)
        case Elementwise(partials) as rule if partials is not None:
            found = partials(*outs, *primals, **params)
            return [_weighted_sum(found, rule, tangents)]
        case Linear() as rule:
            return [_linear(primitive, params, rule, primals, tangents)]
        case General(jvp=rule):
            result = rule(primals, tangents, outs, **params)
            return list(result) if isinstance(result, tuple) else [result]
    raise DifferentiationError(f"{primitive.name} has no derivative.")


def _weighted_sum(
    partials: Sequence[Any], rule: Elementwise, tangents: Sequence[Any]
) -> Any:
    total = None
    for k, partial in enumerate(partials):
        if partial is None or tangents[k] is None:
            continue
        term = scale(tangents[k], partial, rule, k)
        total = term if total is None else total + term
    return total


def _linear(
    primitive: Primitive,
    params: Mapping[str, Any],
    rule: Linear,
    primals: Sequence[Any],
    tangents: Sequence[Any],
) -> Any:
    positions = [
        k for k, t in enumerate(tangents) if t is not None and k in rule.transposes
    ]
    if rule.joint:
        operands = [
            (tangents[k] if tangents[k] is not None else filled(x, 0, dims(x)))
            if k in rule.transposes
            else x
            for k, x in enumerate(primals)
        ]
        return primitive(*operands, **params) if positions else None
    total = None
    for k in positions:
        term = primitive(*primals[:k], tangents[k], *primals[k + 1 :], **params)
        total = term if total is None else total + term
    return total


def scale(
    direction: Any,
    partial: Any,
    rule: Elementwise,
    operand: int,
    poison: Poison | None = None,
) -> Any:
    """A (co)tangent times a partial; exact zeros stay exact zeros, as the rule says."""
    if type(partial) in (int, float):  # not a NumPy scalar: those may be singular
        if partial == 1:
            return direction
        return -direction if partial == -1 else partial * direction
    if partial.dtype != direction.dtype:  # a mask of plain numbers
        partial = cmp.convert(partial, dtype=str(direction.dtype))
    threat = poison is not None and poison.threatens(direction, partial)
    singular, chooses = operand in rule.singular or threat, operand in rule.chooses
    if chooses and not singular:
        return cmp.zero_safe_mul(partial, direction)
    term = cmp.zero_safe_mul(direction, partial) if singular else direction * partial
    return cmp.select(partial == 0.0, 0.0, term) if chooses else term
