"""Reciprocals: what derivatives divide by the same number is divided once.

Each derivative of a quotient divides by its divisor, and a division takes as long as
ten products. Where derivatives in one place share a divisor they multiply by its
reciprocal, which may change their last bit. The user's own divisions stay what they
are: a partial derivative is told from those by where it goes, into a product that keeps
zeros.

    x_bar = zero_safe(u_bar / z);  y_bar = zero_safe(v_bar / z)
    ->  r = 1 / z;  x_bar = zero_safe(u_bar * r);  y_bar = zero_safe(v_bar * r)
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value, users
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.transforms.regions import clone, regions_in


def reciprocals(graph: Graph) -> Graph:
    """The graph with one division for all derivatives that share a divisor."""
    copy = clone(graph)
    used = users(copy)
    returned = {x for region in regions_in(copy) for x in region.results}
    for region in list(regions_in(copy)):
        quotients: dict[Operand, list[Equation]] = {}
        for equation in region.equations:
            if _is_derivative(equation, used, returned):
                quotients.setdefault(equation.inputs[1], []).append(equation)
        for divisor, found in quotients.items():
            if len(found) > 1:
                _share(region, divisor, found)
    return copy


def _is_derivative(
    equation: Equation, used: dict[Value, list[Equation]], returned: set[Operand]
) -> bool:
    """Whether it divides numbers for a derivative alone."""
    if any(x.type.ndim for x in equation.inputs):
        return False
    if equation.primitive is cmp.zero_safe_div:
        return True
    (made, *_) = equation.outputs or (None,)
    return (
        equation.primitive is ew.divide
        and made is not None
        and made not in returned
        and all(
            user.primitive is cmp.zero_safe_mul and user.inputs[0] is not made
            for user in used.get(made, [])
        )
    )


def _share(region: Graph, divisor: Operand, found: list[Equation]) -> None:
    inverse = Value(divisor.type, None, region)
    one = Literal(1.0, divisor.type.dtype)
    made = Equation(ew.divide, (one, divisor), {}, (), (inverse,), found[0].location)
    inverse.definition = made
    region.equations.insert(region.equations.index(found[0]), made)
    for equation in found:
        kept = equation.primitive is cmp.zero_safe_div
        equation.primitive = cmp.zero_safe_mul if kept else ew.multiply
        equation.inputs = (equation.inputs[0], inverse)
