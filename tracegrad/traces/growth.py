"""Whether an integer that a loop carries may outgrow 64 bits, as Python's doesn't mind.

A counter can't in any time that a loop may take; a product in each iteration soon does.
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Literal, Operand, Value
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.control import cond, for_, while_
from tracegrad.traces.bounds import Bounds


def creeps(bounds: Bounds, end: Operand, start: Value) -> bool:
    """Whether an iteration adds at most sizes, indices and constants to an integer.

    end: what it is after the iteration, on every path: that, or no more than these.
    start: what it is before it.
    """
    if isinstance(end, Literal) or end is start:
        return True
    form, small = bounds.affine(end), bounds.small()
    added = form - bounds.affine(start)
    if form.symbols() <= small or added.symbols() <= small:
        return True
    made = end.definition
    if made is None:
        return False
    if made.primitive in (ew.add, ew.subtract):
        left, right = made.inputs
        if bounds.affine(right).symbols() <= small:
            return creeps(bounds, left, start)
        plus = made.primitive is ew.add and bounds.affine(left).symbols() <= small
        return plus and creeps(bounds, right, start)
    paths = _paths(made, end, start)
    return bool(paths) and all(creeps(bounds, x, before) for x, before in paths)


def _paths(made: Equation, end: Value, start: Value) -> list[tuple[Operand, Value]]:
    """What a choice may give, and what loops make of it, each with what it was."""
    place = next(k for k, x in enumerate(made.outputs) if x is end)
    if made.primitive is cmp.select:
        return [(x, start) for x in made.inputs[1:]]
    if made.primitive is cond:
        return [(region.results[place], start) for region in made.regions]
    if made.primitive not in (for_, while_) or place == len(made.outputs) - 1:
        return []
    body = made.regions[-1]
    leading = 2 if made.primitive is for_ else 0
    flags = len(body.results) - len(made.outputs) + 1
    before, after = made.inputs[leading + place], body.results[flags + place]
    if after is body.params[0]:  # the index itself lies between the loop's bounds
        return [(x, start) for x in (before, *made.inputs[:leading])]
    return [(before, start), (after, body.params[1 + place])]
