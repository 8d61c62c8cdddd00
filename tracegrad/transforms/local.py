"""Local Jacobians: the body of a loop differentiated once, for all tangents that pass.

Tangents that a loop carries along several directions would each go through all of its
arithmetic. Here the derivatives of what an iteration computes by what it starts from
are found once, backwards, and each tangent is multiplied by them: section 10.2 of
Griewank and Walther (2008), Evaluating Derivatives.

    while ...: y = y - f(y) / g(y)
    ->  slope = 1 + (q * g'(y) - f'(y)) / g(y);  y_dot = slope * y_dot, along each
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from tracegrad.ir.graph import Builder, Equation, Literal, Operand, Value, substitute
from tracegrad.ir.primitive import Elementwise
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.identities import made_by, never_zero
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms.bodies import Body
from tracegrad.transforms.poison import Poison
from tracegrad.transforms.rules import pull

Row: TypeAlias = dict[Value, tuple[Any, bool]]
"""Of one value, a derivative by each value that it depends on, as a tracer, and whether
finite numbers may make it infinite."""


class Rows:
    """Local Jacobians of a body, emitted where their builder is.

    Args:
        builder: where they go.
        body: of which loop.
        known: what became of the body's values.
    """

    def __init__(
        self, builder: Builder, body: Body, known: Mapping[Value, Operand]
    ) -> None:
        self._builder, self._body, self._known = builder, body, known
        self._poison = Poison()
        self._rows: dict[Value, Row] = {}

    def tangent(self, x: Operand, dots: dict[Value, Operand | None]) -> Operand | None:
        """The tangent of a value, from those of what an iteration starts from."""
        if not isinstance(x, Value) or x not in self._body.found:
            return None
        x = self._body.aliases.get(x, x)
        if x not in dots:
            total = None
            for start, (partial, singular) in self._row(x).items():
                dot = self.tangent(start, dots)
                if dot is not None:
                    # A zero stays one, whatever it is multiplied by.
                    times = cmp.zero_safe_mul if singular else ew.multiply
                    term = times(Tracer(self._builder, dot), partial)
                    total = term if total is None else total + term
            dots[x] = None if total is None else total.operand
        return dots[x]

    def _row(self, target: Value) -> Row:
        """Pull one back to what it depends on."""
        if target not in self._rows:
            equations, starts = self._body.cone(target)
            bars = {target: _Sum(self._builder)}
            bars[target].add(Literal(1.0, target.type.dtype))
            for equation in equations:
                bar = bars.pop(equation.outputs[0], None)
                if bar is not None:  # else what follows has no derivative by it
                    with self._builder.at(equation.location):
                        self._pull(equation, bar, bars)
            self._rows[target] = {
                x: (bar.total(), bar.singular) for x, bar in bars.items() if x in starts
            }
        return self._rows[target]

    def _pull(self, equation: Equation, bar: _Sum, bars: dict[Value, _Sum]) -> None:
        primals = [Tracer(self._builder, self._new(x)) for x in equation.inputs]
        out = Tracer(self._builder, self._new(equation.outputs[0]))
        constant = bar.constant()
        if equation.primitive is ew.divide and constant is not None:
            divisor: Operand | None = primals[1].operand
            found = [constant, -(constant * out)]
        else:
            bar.merge()
            (divisor,) = bar.parts
            found = self._pulled(equation, primals, out, bar.part(divisor))
        rule = equation.primitive.rule
        assert isinstance(rule, Elementwise)
        for k, term in enumerate(found):
            for x in self._body.varying([equation.inputs[k]]):
                if term is not None:
                    total = bars.setdefault(x, _Sum(self._builder))
                    total.add(term.operand, divisor)
                    total.singular |= bar.singular or k in rule.singular

    def _pulled(
        self, equation: Equation, primals: list[Any], out: Any, bar: Any
    ) -> list[Any]:
        live = [bool(self._body.varying([x])) for x in equation.inputs]
        return pull(
            equation.primitive,
            equation.params,
            primals,
            [out],
            [bar],
            live,
            equation.location,
            self._poison,
        )

    def _new(self, x: Operand) -> Operand:
        return substitute(x, self._known)


class _Sum:
    """A derivative under way: a sum of terms, some over a divisor, like ones counted.

    Attributes:
        parts: by divisors (None for what isn't divided), the count of each term.
        singular: whether finite numbers may make it infinite.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.parts: dict[Operand | None, dict[Operand, float]] = {}
        self.singular = False

    def add(self, term: Operand, divisor: Operand | None = None) -> None:
        """Add to it."""
        count, base = _counted(term)
        counts = self.parts.setdefault(divisor, {})
        counts[base] = counts.get(base, 0.0) + count

    def constant(self) -> Any:
        """It, if it is not divided and can't be zero."""
        if list(self.parts) == [None]:
            total = self.total()
            return total if never_zero(total.operand) else None
        return None

    def merge(self) -> None:
        """Make it one term, if it isn't."""
        if len(self.parts) > 1:
            total = self.total().operand
            self.parts = {None: {total: 1.0}}

    def part(self, divisor: Operand | None) -> Any:
        """What is over a divisor, as a tracer."""
        total = None
        for base, count in self.parts[divisor].items():
            term = Tracer(self._builder, base)
            if count != 1:
                factor = Literal(count, base.type.dtype)
                term = Tracer(self._builder, factor) * term
            total = term if total is None else total + term
        return total

    def total(self) -> Any:
        """All of it, as a tracer."""
        total = None
        for divisor in self.parts:
            term = self.part(divisor)
            if divisor is not None:
                term = _divided(term, divisor)
            total = term if total is None else total + term
        return total


def _counted(x: Operand) -> tuple[float, Operand]:
    """How often a term has what it is a multiple of, and that."""
    if isinstance(x, Literal):
        return float(x.value), Literal(1.0, x.dtype)
    inner = made_by(x, ew.negative)
    if inner is not None:
        count, base = _counted(inner.inputs[0])
        return -count, base
    inner = made_by(x, ew.multiply)
    if inner is not None:
        for factor, other in (inner.inputs, inner.inputs[::-1]):
            if isinstance(factor, Literal) and math.isfinite(factor.value):
                count, base = _counted(other)
                return float(factor.value) * count, base
    return 1.0, x


def _divided(x: Any, divisor: Operand) -> Any:
    """A quotient as a product: others have the same divisor."""
    builder = x.builder
    inverse = 1.0 / Tracer(builder, divisor)
    with builder.rearranging(isinstance(x.operand, Literal)):
        return x * inverse
