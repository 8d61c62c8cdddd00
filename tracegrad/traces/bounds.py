"""What is known of integers in loops: whether an index provably lies within its array.

An integer is seen as a polynomial over sizes, integer arguments, loop indices and
other integers of which nothing is known. A loop's index lies between bounds; so do
remainders, quotients, minima and maxima. An integer is shown to be >= 0 by putting in
the worst of each, innermost loops first; what remains speaks of sizes and becomes a
guard, if it holds in the example call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tracegrad.ir.graph import Builder, Literal, Operand, Value
from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import Dim
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.identities import dim_of

_ARITHMETIC: dict[Primitive, Callable[..., Dim]] = {
    ew.add: lambda a, b: a + b,
    ew.subtract: lambda a, b: a - b,
    ew.multiply: lambda a, b: a * b,
    ew.negative: lambda a: -a,
}
_DEPTH = 24  # a proof that takes more steps than this is given up
_FACTS = 16  # how many of the latest facts are tried


@dataclass(frozen=True, slots=True)
class _Atom:
    """An integer that is no polynomial, and what it lies between.

    floors: it is at least each of them. ceilings: at most each of them.
    one_of: it equals one of them.
    """

    floors: tuple[Dim, ...] = ()
    ceilings: tuple[Dim, ...] = ()
    one_of: tuple[Dim, ...] = ()


class Bounds:
    """The integers of one trace."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._assumptions = assumptions = builder.assumptions
        self._forms: dict[Value, Dim] = {}
        self._atoms: dict[str, _Atom] = {}  # in the order in which they appeared
        self._facts: list[Dim] = []
        assumptions.prover = self.proves

    # --- integers as polynomials -----------------------------------------------------

    def affine(self, x: Operand) -> Dim:
        """An integer as a polynomial."""
        if isinstance(x, Literal):
            return Dim.constant(int(x.value))
        if x not in self._forms:
            self._forms[x] = self._form(x)
        return self._forms[x]

    def _form(self, x: Value) -> Dim:
        size = dim_of(x)
        if size is not None:
            return size
        equation = x.definition
        if equation is None or x.type.dtype != "int64":
            return self._atom(x, _Atom())
        primitive, inputs = equation.primitive, equation.inputs
        if primitive in _ARITHMETIC:
            return _ARITHMETIC[primitive](*map(self.affine, inputs))
        return self._atom(x, self._between(primitive, inputs))

    def _between(self, primitive: Primitive, inputs: Sequence[Operand]) -> _Atom:
        zero = Dim.constant(0)
        if primitive in (ew.maximum, ew.minimum):
            pair = tuple(map(self.affine, inputs))
            at_least = primitive is ew.maximum
            return _Atom(pair if at_least else (), () if at_least else pair, pair)
        if primitive is cmp.select:
            return _Atom(one_of=tuple(map(self.affine, inputs[1:])))
        if primitive is ew.remainder:
            divisor = self.affine(inputs[1])
            if self.proves(divisor - 1):
                return _Atom((zero,), (divisor - 1,))
        if primitive is ew.floor_divide:
            top, divisor = map(self.affine, inputs)
            if self.proves(divisor - 1) and self.proves(top):
                return _Atom((zero,), (top,))
        return _Atom()

    def _atom(self, x: Value, between: _Atom) -> Dim:
        symbol = f"${len(self._atoms)}"
        self._atoms[symbol] = between
        self._assumptions.signed.add(symbol)
        return Dim.symbol(symbol)

    def affine_of(self, number: Any) -> Dim:
        """An integer, traced or not, as a polynomial."""
        operand = getattr(number, "operand", None)
        return Dim.constant(int(number)) if operand is None else self.affine(operand)

    def limit(self, x: Value, floor: Dim | None, ceiling: Dim | None) -> None:
        """Let an integer of which nothing is known lie between others."""
        (symbol,) = self.affine(x).symbols()
        floors = () if floor is None else (floor,)
        self._atoms[symbol] = _Atom(floors, () if ceiling is None else (ceiling,))

    def identify(self, x: Value, other: Value) -> None:
        """Let an integer be the same as another."""
        self._forms[x] = self.affine(other)

    def small(self) -> set[str]:
        """The symbols of sizes, arguments and indices: of what isn't calculated."""
        return {*self._assumptions.hints, *self._builder.indices}

    def is_size(self, form: Dim) -> bool:
        """Whether sizes and the indices of loops around determine it."""
        known = {*self._assumptions.hints, *self._builder.indices}
        return form.symbols() <= known

    def is_foreign(self, form: Dim) -> bool:
        """Whether a size has no meaning here, as its loop is over."""
        return not self.is_size(form)

    # --- what is known in a region ---------------------------------------------------

    def unique(self, name: str) -> str:
        """A name that no size, argument or loop around has."""
        unique, k = name, 2
        taken = {*self._assumptions.hints, *self._builder.indices}
        while unique in taken:
            unique, k = f"{name}_{k}", k + 1
        return unique

    @contextmanager
    def within(self, index: Value, lo: Dim, hi: Dim, step: int) -> Iterator[None]:
        """In the body of a loop whose index counts from lo, while it is before hi."""
        symbol = str(index.name)
        ends = (lo, hi - 1) if step > 0 else (hi + 1, lo)
        self._atoms.pop(symbol, None)
        self._atoms[symbol] = _Atom((ends[0],), (ends[1],))
        self._assumptions.signed.add(symbol)
        self._forms[index] = Dim.symbol(symbol)
        self._builder.indices[symbol] = index
        trips = (hi - lo if step > 0 else lo - hi) - 1
        try:
            with self.given([trips]):
                yield
        finally:
            del self._builder.indices[symbol]

    @contextmanager
    def given(self, facts: Sequence[Dim]) -> Iterator[None]:
        """Where these are >= 0."""
        count = len(self._facts)
        self._facts.extend(facts)
        try:
            yield
        finally:
            del self._facts[count:]

    def implied(self, predicate: Operand, truth: bool) -> list[Dim]:
        """What is >= 0 where a condition is true (or false)."""
        if isinstance(predicate, Literal) or predicate.definition is None:
            return []
        primitive, inputs = predicate.definition.primitive, predicate.definition.inputs
        if primitive is cmp.logical_not:
            return self.implied(inputs[0], not truth)
        if primitive is (cmp.logical_and if truth else cmp.logical_or):
            return [f for x in inputs for f in self.implied(x, truth)]
        if any(x.type.ndim or x.type.dtype != "int64" for x in inputs):
            return []
        relation = primitive if truth else _OPPOSITE.get(primitive)
        if relation not in _ORDER:
            return []
        difference = self.affine(inputs[1]) - self.affine(inputs[0])
        return [sign * difference - margin for sign, margin in _ORDER[relation]]

    # --- proofs ----------------------------------------------------------------------

    def proves(self, form: Dim) -> bool:
        """Whether an integer is >= 0 here, by a guard on sizes if need be."""
        for fact in (Dim.constant(0), *self._facts[: -_FACTS - 1 : -1]):
            needed = self._search(form - fact, _DEPTH)
            if needed is not None:
                for size in needed:
                    self._assumptions.assume(size, ">=", Dim.constant(0))
                return True
        return False

    def proves_freely(self, form: Dim) -> bool:
        """Whether an integer is >= 0 here, whatever the sizes."""
        needed = self._search(form, _DEPTH)
        return needed == []

    def _search(self, form: Dim, depth: int) -> list[Dim] | None:
        """The sizes that must be >= 0 for it, all of which are in the example call."""
        if form.value is not None:
            return [] if form.value >= 0 else None
        symbol = self._innermost(form)
        if symbol is None:
            return self._at_entry(form)
        if depth == 0:
            return None
        factor, rest = _split(form, symbol)
        if factor is None:
            return None
        positive = self._search(factor, depth - 1)
        negative = None if positive is not None else self._search(-factor, depth - 1)
        if positive is None and negative is None:
            return None
        atom = self._atoms[symbol]
        ends = atom.floors if positive is not None else atom.ceilings
        for end in ends:
            found = self._search(factor * end + rest, depth - 1)
            if found is not None:
                return [*(positive or negative or []), *found]
        if not atom.one_of:
            return None
        every = [self._search(factor * x + rest, depth - 1) for x in atom.one_of]
        if any(found is None for found in every):
            return None
        return [size for found in every for size in found or []]

    def _innermost(self, form: Dim) -> str | None:
        """The symbol that came last of those that are no size of the inputs."""
        found = form.symbols() & self._atoms.keys()
        return next((s for s in reversed(self._atoms) if s in found), None)

    def _at_entry(self, form: Dim) -> list[Dim] | None:
        if not form.symbols() <= self._assumptions.hints.keys():
            return None
        if self._assumptions.nonnegative(form):
            return []
        return [form] if self._assumptions.hint(form) >= 0 else None


def _split(form: Dim, symbol: str) -> tuple[Dim | None, Dim]:
    """(a, b) with ``form == a * symbol + b``; no a if the symbol occurs otherwise."""
    factor, rest = Dim.constant(0), Dim.constant(0)
    for monomial, coefficient in form.terms:
        term = Dim(((monomial, coefficient),))
        if monomial.count(symbol) == 1:
            without = term.divide(Dim.symbol(symbol))
            assert without is not None
            factor = factor + without
        else:
            rest = rest + term
    if symbol in factor.symbols() or symbol in rest.symbols():
        return None, rest
    return factor, rest


_OPPOSITE: dict[Primitive, Primitive] = {
    cmp.less: cmp.greater_equal,
    cmp.less_equal: cmp.greater,
    cmp.greater: cmp.less_equal,
    cmp.greater_equal: cmp.less,
    cmp.equal: cmp.not_equal,
    cmp.not_equal: cmp.equal,
}
# a < b means that +1 * (b - a) - 1 >= 0.
_ORDER: dict[Primitive | None, tuple[tuple[int, int], ...]] = {
    cmp.less: ((1, 1),),
    cmp.less_equal: ((1, 0),),
    cmp.greater: ((-1, 1),),
    cmp.greater_equal: ((-1, 0),),
    cmp.equal: ((1, 0), (-1, 0)),
}
