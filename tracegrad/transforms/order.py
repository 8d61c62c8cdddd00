"""Order: loops whose iterations may run in any order run forwards.

The mirror of a loop runs backwards. Where its iterations only add to what they share,
and otherwise keep to cells of their own, that makes no difference to the result, but
it does to the reader, to the processor and to the loops that it could be fused with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs
from tracegrad.primitives.control import for_
from tracegrad.transforms.affine import Form, Prover, affine
from tracegrad.transforms.cells import place_of
from tracegrad.transforms.clobber import in_bounds
from tracegrad.transforms.regions import (
    Carried,
    Structure,
    body_of,
    carried,
    clone,
    is_ref,
    regions_in,
    walk_in,
    written,
)


def forwards(graph: Graph) -> Graph:
    """The graph with reversed loops turned round where that changes nothing."""
    copy = clone(graph)
    prover = Prover(Structure(copy))
    for equation in copy.walk():
        if equation.primitive is for_ and equation.params["reversed"]:
            own = _own_cells(prover, equation)
            if is_order_free(equation, own):
                equation.params = {**equation.params, "reversed": False}
    return copy


def _own_cells(prover: Prover, loop: Equation) -> set[Value]:
    """Refs of which each iteration uses cells that no other one does."""
    index = body_of(loop).params[0]
    accesses: dict[Operand, list[Equation]] = {}
    for equation in body_of(loop).walk():
        for operand in equation.inputs:
            accesses.setdefault(operand, []).append(equation)
    return {
        ref
        for ref in refs_written([loop])
        if _has_own(prover, index, ref, accesses.get(ref, []))
    }


def _has_own(
    prover: Prover, index: Value, ref: Value, accesses: list[Equation]
) -> bool:
    """Whether all accesses have the loop's index, and the same, along some axis."""
    places = [place_of(equation) for equation in accesses]
    for axis in range(ref.type.ndim):
        forms: list[Form] = []
        for place in places:
            if place is None or place.base is not ref or place.sizes[axis] is not None:
                return False
            forms.append(affine(place.index[axis]))
        plain = all(set(form) <= {index, ()} and index in form for form in forms)
        if plain and all(form == forms[0] for form in forms):
            return all(place and in_bounds(prover, place) for place in places)
    return False


def is_order_free(loop: Equation, own: Iterable[Value] = ()) -> bool:
    """Whether iterations only add to what they share.

    own: Refs of which they share no cell.
    """
    body = body_of(loop)
    if loop.params["stops"]:
        return False
    uses = Counter(operands(body))
    if not all(is_sum(body, uses, c) for c in carried(loop)):
        return False
    inner = {g for region in loop.regions for g in regions_in(region)}
    shared = {r for r in refs_written([loop]) if r.graph not in inner} - set(own)
    return all(_only_adds(e, shared) for e in body.walk())


def is_sum(body: Graph, uses: Mapping[Operand, int], entry: Carried) -> bool:
    """Whether a loop only adds to what it carries.

    uses: how often the body uses each operand.
    """
    made = entry.next.definition if isinstance(entry.next, Value) else None
    if made is None or made.outputs[0].graph is not body:
        return False
    first, *_ = made.inputs
    adds = made.primitive is ew.add and entry.param in made.inputs
    takes = made.primitive is ew.subtract and first is entry.param
    return (adds or takes) and uses[entry.param] == 1 and uses[entry.next] == 1


def _only_adds(equation: Equation, shared: set[Value]) -> bool:
    """Whether an equation leaves shared Refs alone, other than adding to them."""
    if equation.primitive is refs.accumulate:
        return True
    if equation.primitive.effect == "check":
        return False
    return not any(x in shared for x in equation.inputs)


def refs_written(equations: Iterable[Equation]) -> set[Value]:
    """The Refs that equations and their regions change."""
    found = {written(inner) for e in equations for inner in walk_in(e)}
    # A loop that carries Refs may write them under other names.
    carried_ = {
        c.initial
        for e in equations
        for inner in walk_in(e)
        for c in carried(inner)
        if is_ref(c.initial)
    }
    return {r for r in found | carried_ if isinstance(r, Value)}


def operands(graph: Graph) -> Iterator[Operand]:
    """What equations and regions use, as often as they do."""
    for region in regions_in(graph):
        for equation in region.equations:
            yield from equation.inputs
        yield from region.results
