"""Early: what is summed of an array's cells is summed before they are written again.

A reduction that stands after the write would need the array of its terms to be stored
before. It depends on nothing in between, so it moves up to what it reduces.

    t = load u; p = t * v; accumulate u q; s = reduce_sum p
    ->  t = load u; p = t * v; s = reduce_sum p; accumulate u q
"""

from __future__ import annotations

from collections.abc import Iterable

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.ir.primitive import Reduction
from tracegrad.primitives import refs
from tracegrad.transforms.regions import clone, regions_in, walk_in, written


def early(graph: Graph) -> Graph:
    """The graph with reductions moved up before writes to what they read."""
    copy = clone(graph)
    for region in regions_in(copy):
        for equation in list(region.equations):
            if isinstance(equation.primitive.lower, Reduction):
                _move_up(region.equations, equation)
    return copy


def _move_up(equations: list[Equation], reduction: Equation) -> None:
    """Put a reduction after the last of its operands, if a write would part them."""
    at = equations.index(reduction)
    made = [
        equations.index(x.definition) + 1
        for x in reduction.inputs
        if isinstance(x, Value) and x.definition in equations[:at]
    ]
    target = max(made, default=at)
    between = equations[target:at]
    changed = {ref for e in between for ref in map(written, walk_in(e))}
    if changed & _read(reduction.inputs, equations[:target]):
        equations.insert(target, equations.pop(at))


def _read(operands: Iterable[Operand], equations: list[Equation]) -> set[Operand]:
    """The Refs whose cells an expression of some equations is made of."""
    found: set[Operand] = set()
    needed = set(operands)
    for equation in reversed(equations):
        if not needed.intersection(equation.outputs):
            continue
        if equation.primitive is refs.load:
            found.add(equation.inputs[0])
        else:
            needed.update(equation.inputs)
    return found
