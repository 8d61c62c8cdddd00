"""Reciprocals: what derivatives divide by the same number is divided once.

Each derivative of a quotient divides by its divisor, and a division takes as long as
ten products. Where derivatives in one place share a divisor, or a loop doesn't change
it, they multiply by its reciprocal, which may change their last bit. The user's own
divisions stay what they are: a partial derivative is told from those by where it goes,
into a product that keeps zeros.

    x_bar = zero_safe(u_bar / z);  y_bar = zero_safe(v_bar / z)
    ->  r = 1 / z;  x_bar = zero_safe(u_bar * r);  y_bar = zero_safe(v_bar * r)

The derivative by the divisor is one by the dividend times the quotient, which is there:

    x_bar = zero_safe(u_bar / z);  z_bar = zero_safe(u_bar * (u / z)), u = x / z
    ->  x_bar = zero_safe(u_bar / z);  z_bar = zero_safe(x_bar * u)
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value, users
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.identities import made_by
from tracegrad.transforms.regions import body_of, clone, is_loop, regions_in


def reciprocals(graph: Graph) -> Graph:
    """The graph with one division for all derivatives that share a divisor."""
    copy = clone(graph)
    for region in list(regions_in(copy)):
        _through_dividends(region)
    used = users(copy)
    bodies = {id(body_of(e)) for e in copy.walk() if is_loop(e)}
    returned = {x for region in regions_in(copy) for x in region.results}
    for region in list(regions_in(copy)):
        quotients: dict[Operand, list[Equation]] = {}
        for equation in region.equations:
            if _is_derivative(equation, used, returned):
                quotients.setdefault(equation.inputs[1], []).append(equation)
        for divisor, found in quotients.items():
            if len(found) > 1 or (id(region) in bodies and _is_around(divisor, region)):
                _share(region, divisor, found)
    return copy


def _through_dividends(region: Graph) -> None:
    """Make derivatives by divisors of those by dividends, where both are here."""
    numbers = [e for e in region.equations if _of_numbers(e)]
    by_dividend = {e.inputs: e for e in numbers if e.primitive is cmp.zero_safe_div}
    for equation in numbers:
        over = _over(equation)
        if over is None or over.outputs[0].graph is not region:
            continue
        quotient, divisor = over.inputs
        found = by_dividend.get((equation.inputs[0], divisor))
        if found is not None:
            equation.inputs = (found.outputs[0], quotient)
            _before(region.equations, found, equation)


def _is_around(operand: Operand, region: Graph) -> bool:
    """Whether an operand comes from around a region."""
    return isinstance(operand, Value) and operand.graph is not region


def _of_numbers(equation: Equation) -> bool:
    return not any(x.type.ndim for x in equation.inputs)


def _over(equation: Equation) -> Equation | None:
    """The division that makes the partial that a derivative is multiplied by."""
    if equation.primitive is not cmp.zero_safe_mul:
        return None
    return made_by(equation.inputs[1], ew.divide)


def _before(equations: list[Equation], first: Equation, second: Equation) -> None:
    """Have one equation come before another, whose operands it shares."""
    if equations.index(first) > equations.index(second):
        equations.remove(first)
        equations.insert(equations.index(second), first)


def _is_derivative(
    equation: Equation, used: dict[Value, list[Equation]], returned: set[Operand]
) -> bool:
    """Whether it divides numbers for a derivative alone."""
    if not _of_numbers(equation):
        return False
    if equation.primitive is cmp.zero_safe_div:
        return True
    (made, *_) = equation.outputs or (None,)
    return (
        equation.primitive is ew.divide
        and made is not None
        and made not in returned
        and made in used
        and all(
            user.primitive is cmp.zero_safe_mul and user.inputs[0] is not made
            for user in used[made]
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
