"""Dead code elimination: keep what a result or a raised exception depends on.

A write is kept if its Ref is read or returned. A carried value that nobody needs, or
that a loop only passes on, is dropped from the loop; so is what all branches return.
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Graph, Operand, Value, values_of
from tracegrad.primitives.control import cond
from tracegrad.transforms.regions import (
    Carried,
    body_of,
    carried,
    clone,
    is_loop,
    regions_in,
    set_carried,
    substitute_everywhere,
    written,
)


def dce(graph: Graph) -> Graph:
    """The graph without equations that nobody needs. Parameters stay."""
    copy = clone(graph)
    prune(copy)
    return copy


def prune(graph: Graph) -> None:
    """Drop, in place, what nobody needs."""
    _unwind(graph)
    alive = _Liveness(graph)
    for region in regions_in(graph):
        region.equations[:] = [e for e in region.equations if e in alive.equations]
        for equation in region.equations:
            _narrow(equation, alive.values)


def _unwind(graph: Graph) -> None:
    """Make what loops never change, and branches have in common, what it is outside."""
    while True:
        known: dict[Value, Operand] = {}
        for equation in graph.walk():
            if is_loop(equation):
                entries = carried(equation)
                still = [c for c in entries if _is_constant(c)]
                if still:
                    set_carried(equation, [c for c in entries if c not in still])
                for c in still:
                    known |= {c.param: c.initial, c.output: c.initial}
                    if c.tested is not None:
                        known[c.tested] = c.initial
            elif equation.primitive is cond:
                known |= _in_common(equation)
        if not known:
            return
        substitute_everywhere(graph, known)


def _in_common(branches: Equation) -> dict[Value, Operand]:
    """Outputs that are the same value whichever branch runs; they are taken away."""
    first, *others = (region.results for region in branches.regions)
    same = [
        isinstance(x, Value) and all(results[k] is x for results in others)
        for k, x in enumerate(first)
    ]
    known = {o: first[k] for k, o in enumerate(branches.outputs) if same[k]}
    if known:
        kept = [k for k, common in enumerate(same) if not common]
        branches.outputs = tuple(branches.outputs[k] for k in kept)
        for region in branches.regions:
            region.results[:] = [region.results[k] for k in kept]
    return known


def _is_constant(c: Carried) -> bool:
    literal = not isinstance(c.initial, Value) and c.next == c.initial
    return c.next is c.param or literal


def _narrow(equation: Equation, alive: set[Value]) -> None:
    """Keep only the outputs that are needed."""
    if is_loop(equation):
        set_carried(equation, [c for c in carried(equation) if c.output in alive])
    elif equation.regions:
        kept = [k for k, o in enumerate(equation.outputs) if o in alive]
        equation.outputs = tuple(equation.outputs[k] for k in kept)
        for region in equation.regions:
            region.results[:] = [region.results[k] for k in kept]


class _Liveness:
    """The values and equations that are needed: a fixpoint, as loops feed back."""

    def __init__(self, graph: Graph) -> None:
        self.values = set(values_of(graph.results))
        self.equations: set[Equation] = set()
        size = -1
        while size != len(self.values) + len(self.equations):
            size = len(self.values) + len(self.equations)
            self._block(graph)

    def _block(self, graph: Graph) -> None:
        for equation in reversed(graph.equations):
            if is_loop(equation):
                self._carried(equation)
            needed = self._needed(equation)
            if needed and equation.regions:
                self._results(equation)
            for region in equation.regions:
                self._block(region)
            if needed or any(e in self.equations for e in _inside(equation)):
                self.equations.add(equation)
                self._control(equation)

    def _needed(self, equation: Equation) -> bool:
        if equation.primitive.effect == "check":
            return True
        target = written(equation)
        if target is not None:
            return target in self.values
        return any(o in self.values for o in equation.outputs)

    def _carried(self, loop: Equation) -> None:
        for c in carried(loop):
            if self.values & {c.output, c.param, c.tested}:
                self.values |= {c.output, c.param}
                self.values.update(values_of([c.initial, c.next]))

    def _results(self, equation: Equation) -> None:
        if is_loop(equation):
            return
        for region in equation.regions:
            pairs = zip(equation.outputs, region.results, strict=True)
            self.values.update(
                values_of([result for output, result in pairs if output in self.values])
            )

    def _control(self, equation: Equation) -> None:
        """What an equation reads, other than what it carries."""
        if not is_loop(equation):
            self.values.update(values_of(equation.inputs))
            return
        count, results = len(carried(equation)), body_of(equation).results
        self.values.update(values_of(equation.inputs[: len(equation.inputs) - count]))
        self.values.update(values_of(results[: len(results) - count]))
        if len(equation.regions) > 1:
            self.values.update(values_of(equation.regions[0].results))


def _inside(equation: Equation) -> list[Equation]:
    return [e for region in equation.regions for e in region.equations]
