"""Where an exact zero must stay one: cotangents of what isn't chosen.

The cotangent of the branch that a ``select`` doesn't take is exactly zero. Times a
partial that is infinite there, it would be NaN. A partial that its own rule calls
singular is always multiplied safely; that of a product is the other factor, and matters
only if that was made by something singular.

    d = 1 / x; where(x > 0, d * d, 0)     # at x = 0, d_bar = 0, times d = inf
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracegrad.ir.graph import Equation, Operand, Value
from tracegrad.ir.primitive import Elementwise
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.traces.tracer import Tracer


class Poison:
    """Answers for one sweep, whose values it has seen before."""

    def __init__(self) -> None:
        self._chosen: dict[Value, bool] = {}
        self._infinite: dict[Value, bool] = {}

    def threatens(self, cotangent: Any, partial: Any) -> bool:
        """Whether a zero that a choice left may meet an infinity, both traced."""
        if not isinstance(cotangent, Tracer) or not isinstance(partial, Tracer):
            return False
        return _asked(cotangent.operand, self._chosen, _chooses) and _asked(
            partial.operand, self._infinite, _is_singular
        )


def _asked(
    operand: Operand, known: dict[Value, bool], test: Callable[[Equation], bool]
) -> bool:
    """Whether a test holds for any of the equations that a value is made by."""
    if not isinstance(operand, Value):
        return False
    pending = [operand]
    while pending:
        value = pending[-1]
        if value in known:
            pending.pop()
            continue
        made = value.definition
        sources = _sources(made)
        if made is None or not sources:
            known[value] = made is not None and test(made)
        elif test(made):
            known[value] = True
        else:
            unknown = [x for x in sources if x not in known]
            if unknown:
                pending += unknown
                continue
            known[value] = any(known[x] for x in sources)
        pending.pop()
    return known[operand]


def _sources(equation: Equation | None) -> list[Value]:
    """The floats that an equation without effects or regions calculates with."""
    if equation is None or equation.regions or equation.primitive.effect != "pure":
        return []
    return [
        x for x in equation.inputs if isinstance(x, Value) and x.type.differentiable
    ]


def _chooses(equation: Equation) -> bool:
    return equation.primitive is cmp.select


def _is_singular(equation: Equation) -> bool:
    """Whether finite operands may give an infinity or a NaN."""
    rule = equation.primitive.rule
    if equation.primitive in (ew.divide, cmp.zero_safe_div):
        return isinstance(equation.inputs[1], Value)
    return isinstance(rule, Elementwise) and bool(rule.singular)
