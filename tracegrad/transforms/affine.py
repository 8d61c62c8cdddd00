"""Affine forms of integers, and what can be proved of them.

A form is a sum of symbols with integer coefficients; the symbol ``()`` is one. Sizes
are known to be ``>= 0``, an index lies within its loop's bounds, and the guards of the
trace in progress hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tracegrad.ir.graph import Equation, Graph, Operand, Value, named_index
from tracegrad.ir.shapes import Dim, Monomial, guards_in_force
from tracegrad.ir.types import scalar
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.control import for_
from tracegrad.primitives.identities import dim_of
from tracegrad.transforms.regions import Structure, is_loop


@dataclass(frozen=True, slots=True)
class Renamed:
    """The value of the same name in another iteration."""

    value: Value


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """A number of which nothing is known, not even that it equals itself."""


Symbol: TypeAlias = Value | Renamed | Monomial | Unknown
Form: TypeAlias = dict[Symbol, int]
Bounds: TypeAlias = tuple[list[Form], list[Form]]

_INT = scalar("int64")


def constant(number: int) -> Form:
    """A number."""
    return {(): number} if number else {}


def combine(a: Mapping[Symbol, int], b: Mapping[Symbol, int], factor: int = 1) -> Form:
    """``a + factor * b``."""
    total = dict(a)
    for symbol, coefficient in b.items():
        total[symbol] = total.get(symbol, 0) + factor * coefficient
    return {s: c for s, c in total.items() if c}


def affine(operand: Operand) -> Form:
    """The form of an integer: of a size, or by the sums that make it."""
    dim = dim_of(operand)
    if dim is not None:
        indices = named_indices(operand.graph) if isinstance(operand, Value) else {}
        return size_form(dim, indices)
    assert isinstance(operand, Value)
    made = operand.definition
    if made is not None and operand.type == _INT:
        match made.primitive:
            case ew.add:
                return combine(affine(made.inputs[0]), affine(made.inputs[1]))
            case ew.subtract:
                return combine(affine(made.inputs[0]), affine(made.inputs[1]), -1)
            case ew.negative:
                return combine({}, affine(made.inputs[0]), -1)
            case ew.multiply:
                return _product(operand, *map(affine, made.inputs))
    return {operand: 1}


def size_form(dim: Dim, indices: Mapping[str, Value]) -> Form:
    """The form of a size, which may speak of loop indices by their names."""
    total: Form = {}
    for monomial, coefficient in dim.terms:
        symbol: Symbol = monomial
        named = Dim(((monomial, 1),)).symbols() & indices.keys()
        if named:
            lone = len(monomial) == 1 and monomial[0] in named
            symbol = indices[str(monomial[0])] if lone else Unknown()
        total = combine(total, {symbol: coefficient})
    return total


def named_indices(graph: Graph) -> dict[str, Value]:
    """The indices of the loops around a graph, by their names."""
    found: dict[str, Value] = {}
    for region in graph.ancestors():
        if region.parent is not None:
            for name, index in named_index(region).items():
                assert isinstance(index, Value)
                found.setdefault(name, index)
    return found


def _product(operand: Value, a: Form, b: Form) -> Form:
    for number, other in ((a, b), (b, a)):
        if not number.keys() - {()}:
            return combine({}, other, number.get((), 0))
    return {operand: 1}


def rename(form: Form, moved: Any) -> Form:
    """A form in another iteration of the regions in ``moved``."""
    return {
        Renamed(s) if isinstance(s, Value) and s.graph in moved else s: c
        for s, c in form.items()
    }


class Prover:
    """Proves inequalities from what bounds each symbol.

    Args:
        structure: of the graph in question.
        moved: regions whose values are of another iteration where ``Renamed``.
        further: bounds of renamed symbols besides those of the originals.
    """

    def __init__(
        self,
        structure: Structure,
        moved: Iterable[Any] = (),
        further: Mapping[Symbol, Bounds] | None = None,
    ) -> None:
        self._structure = structure
        self._moved = frozenset(moved)
        self._further = further or {}
        self._known: dict[Symbol, Bounds] = {}

    def size(self, size: Dim | int) -> Form:
        """The form of a size in a type or a parameter."""
        dim = Dim.of(size)
        if dim.symbols() & self._structure.index_names:
            return {Unknown(): 1}
        return dict(dim.terms)

    def at_least(self, form: Form, number: int) -> bool:
        """Whether ``form >= number`` is sure."""
        inner = max(form, key=self._depth, default=())
        below, above = self._bounds(inner)
        if not below and not above:
            return _settled(form, number)
        rest = {s: c for s, c in form.items() if s is not inner}
        coefficient = form[inner]
        return any(
            self.at_least(combine(rest, bound, coefficient), number)
            for bound in (below if coefficient > 0 else above)
        )

    def _depth(self, symbol: Symbol) -> tuple[float, int]:
        """Innermost symbols are eliminated first; those without bounds last."""
        below, above = self._bounds(symbol)
        if not below and not above:
            return (-1.0, 0)
        moved = isinstance(symbol, Renamed)
        value = symbol.value if isinstance(symbol, Renamed) else symbol
        assert isinstance(value, Value)
        place = (
            -1
            if value.definition is None
            else self._structure.place.get(value.definition, (None, 0))[1]
        )
        return (len(self._structure.path(value.graph)) + 0.5 * moved, place)

    def _bounds(self, symbol: Symbol) -> Bounds:
        if symbol not in self._known:
            self._known[symbol] = self._find(symbol)
        return self._known[symbol]

    def _find(self, symbol: Symbol) -> Bounds:
        if isinstance(symbol, Value):
            return _value_bounds(self._structure, symbol)
        if not isinstance(symbol, Renamed):
            return [], []
        below, above = _value_bounds(self._structure, symbol.value)
        more = self._further.get(symbol, ([], []))
        return (
            [rename(f, self._moved) for f in below] + more[0],
            [rename(f, self._moved) for f in above] + more[1],
        )


def _value_bounds(structure: Structure, value: Value) -> Bounds:
    loop = structure.loop_of(value)
    if loop is not None:
        return _index_bounds(loop)
    made = value.definition
    if made is None or value.type != _INT:
        return [], []
    if is_loop(made) and value is made.outputs[-1]:
        return [{}], []
    if made.primitive is ew.maximum:
        return [affine(x) for x in made.inputs], []
    if made.primitive is ew.minimum:
        return [], [affine(x) for x in made.inputs]
    return [], []


def _index_bounds(loop: Equation) -> Bounds:
    """Where the index of a loop lies while its body runs."""
    if loop.primitive is not for_:
        return [{}], []
    lo, hi = map(affine, loop.inputs[:2])
    if loop.params["step"] > 0:
        return [lo], [combine(hi, constant(-1))]
    return [combine(hi, constant(1))], [lo]


def _settled(form: Form, number: int) -> bool:
    """Whether a form of free symbols is at least a number, by signs and guards."""
    if _plainly(form, number):
        return True
    facts = (
        size_form(guard.left - guard.right, {})
        for guard in guards_in_force()
        if guard.relation in (">=", "==")
    )
    return any(_plainly(combine(form, fact, -1), number) for fact in facts)


def _plainly(form: Form, number: int) -> bool:
    return form.get((), 0) >= number and all(
        coefficient > 0 and _is_size(symbol)
        for symbol, coefficient in form.items()
        if symbol != ()
    )


def _is_size(symbol: Symbol) -> bool:
    # Sizes are called "x.shape[0]"; an integer argument may be negative.
    return isinstance(symbol, tuple) and all(
        isinstance(atom, str) and atom.endswith("]") for atom in symbol
    )
