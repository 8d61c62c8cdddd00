"""Bodies of loops, as what carries tangents from one iteration to the next.

A carried number that is the same function of others before the loop and after each
iteration is *derived*: its tangents follow from theirs, and are not carried.

    f = F(y)                   # f_dot is F'(y) * y_dot, at the head of the body too
    while abs(f) > tolerance:
        y = y - f / g(y)
        f = F(y)
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegrad.ir.graph import Equation, Graph, Operand, Value, substitute, values_of
from tracegrad.ir.primitive import Elementwise
from tracegrad.transforms.regions import (
    Carried,
    body_of,
    captured,
    carried,
    clone_equation,
)


class Body:
    """The arithmetic of a loop's iterations that carries tangents.

    Args:
        loop: all that is differentiated in it are scalars, and operations on them.
        found: the values that have tangents.

    Attributes:
        loop: the loop.
        found: the same, and the values of the equations that were added.
        bases: what is carried with a tangent.
        derived: how carried values whose tangents follow from others' are made, and by
            which of these; by their parameters, what they are in ``equations``.
        equations: of the body, after those that make the derived values.
    """

    def __init__(self, loop: Equation, found: set[Value]) -> None:
        self.loop, self.found = loop, set(found)
        self.equations = list(body_of(loop).equations)
        self.aliases: dict[Value, Value] = {}
        self.derived: dict[Carried, Formula] = {}
        self._derive([c for c in carried(loop) if c.output in found])
        self.bases = [
            c for c in carried(loop) if c.output in found and c not in self.derived
        ]
        inside = {o for e in body_of(loop).equations for o in e.outputs}
        nexts = values_of([c.next for c in self.bases])
        self.targets = [x for x in dict.fromkeys(nexts) if x in found and x in inside]
        around = [x for x in captured(loop) if x in found]
        self.starts = {*(c.param for c in self.bases), *around, *self.targets}

    def _derive(self, entries: Sequence[Carried]) -> None:
        needed: set[Carried] = set()
        for c in entries:
            formula = Formula(self.loop, c)
            if c in needed or not formula.holds or formula.bases & set(self.derived):
                continue
            needed |= formula.bases
            self.derived[c] = formula
            known: dict[Value, Operand] = {
                b.next: b.param for b in formula.bases if isinstance(b.next, Value)
            }
            added = formula.cloned(known, body_of(self.loop))
            for e in added:
                if e.primitive.rule and any(x in self.found for x in e.inputs):
                    self.found.update(o for o in e.outputs if o.type.differentiable)
            made = substitute(c.next, known)
            assert isinstance(made, Value)
            self.aliases[c.param] = made
            self.equations[:0] = added

    def cone(self, target: Value) -> tuple[list[Equation], set[Value]]:
        """The equations through which a target depends on starts, last first."""
        stops = self.starts - {target}
        reached, used = {target}, set[Value]()
        equations = []
        for equation in reversed(self.equations):
            if reached.isdisjoint(equation.outputs):
                continue
            equations.append(equation)
            for x in self.varying(equation.inputs):
                (used if x in stops else reached).add(x)
        return equations, used

    def varying(self, operands: Sequence[Operand]) -> list[Value]:
        """Those of some operands that have tangents, as ``equations`` make them."""
        return [self.aliases.get(x, x) for x in values_of(operands) if x in self.found]

    def fits(self) -> bool:
        """Whether rules say all there is to a product of local Jacobians.

        What chooses doesn't: where a value isn't taken, its tangent must not be
        multiplied by zero but dropped.
        """
        used = [e for e in self.equations if self.varying(e.outputs)]
        rules = [e.primitive.rule for e in used]
        dtypes = {x.type.dtype for e in used for x in self.varying(e.inputs)}
        return len(dtypes) == 1 and all(
            isinstance(rule, Elementwise) and not rule.chooses for rule in rules
        )

    def saves(self, directions: int) -> bool:
        """Whether local Jacobians take fewer operations than tangents by themselves."""
        alone = sum(
            len(self.varying(e.inputs))
            for e in body_of(self.loop).equations
            if self.varying(e.outputs)
        )
        local = 0
        for target in self.targets:
            equations, used = self.cone(target)
            local += sum(len(self.varying(e.inputs)) for e in equations)
            local += directions * len(used & {c.param for c in self.bases})
        return local < directions * alone


class Formula:
    """How a carried value follows from others, before the loop and in it.

    Attributes:
        holds: whether it does.
        bases: the carried values that it follows from.
    """

    def __init__(self, loop: Equation, entry: Carried) -> None:
        self._entry, self._entries = entry, carried(loop)
        self._body = body_of(loop)
        self._steps: dict[Equation, None] = {}
        self.bases: set[Carried] = set()
        self.holds = self._matches(entry.next, entry.initial) and bool(self._steps)

    def _matches(self, later: Operand, first: Operand) -> bool:
        """Whether the value after an iteration is computed like that before all."""
        for c in self._entries:
            if c != self._entry and c.next is later and c.initial == first:
                self.bases.add(c)
                return True
        if later == first:
            return True
        if not isinstance(later, Value) or not isinstance(first, Value):
            return False
        a, b = later.definition, first.definition
        if a is None or b is None or later.graph is not self._body:
            return False
        alike = a.primitive is b.primitive and a.params == b.params
        if not alike or a.regions or a.primitive.effect != "pure" or len(a.outputs) > 1:
            return False
        if not all(map(self._matches, a.inputs, b.inputs)):
            return False
        self._steps[a] = None
        return True

    def cloned(self, known: dict[Value, Operand], graph: Graph) -> list[Equation]:
        """The equations that make it, from what is known; extends that."""
        return [clone_equation(e, known, graph) for e in self._steps]
