"""Small rewrites of what the reverse sweep leaves behind.

- A cell set to zero and then added to is set to what is added.
- Zeros to which a whole array is added are a copy of it.
- An accumulation into a cell that the loop doesn't change becomes a carried scalar,
  added to the cell once, after the loop. No compiler does this: a store to any other
  cell could touch the same memory.
- A result that reads a whole array made here is that array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tracegrad.ir.graph import (
    Builder,
    Equation,
    Graph,
    Literal,
    Operand,
    Value,
    values_of,
)
from tracegrad.ir.shapes import Assumptions
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs
from tracegrad.primitives.rearrange import simplify
from tracegrad.transforms.affine import Prover, affine
from tracegrad.transforms.cells import Place, named, place_of, whole
from tracegrad.transforms.clobber import disjoint, in_bounds
from tracegrad.transforms.regions import (
    Structure,
    adopt,
    body_of,
    carried,
    carry,
    clone,
    is_loop,
    is_ref,
    regions_in,
    set_carried,
    substitute_everywhere,
    walk_in,
    written,
)

# --- zeros -------------------------------------------------------------------------


def set_once(graph: Graph) -> Graph:
    """The graph with zeros replaced by what is added to them first."""
    copy = clone(graph)
    prover = Prover(Structure(copy))
    for region in list(regions_in(copy)):
        for equation in list(region.equations):
            if equation.primitive is refs.store and _is_zero(equation.inputs[1]):
                _merge_store(prover, region, equation)
            elif equation.primitive is refs.alloc and equation.params["fill"] == 0:
                _merge_alloc(copy, region, equation)
    return copy


def _is_zero(operand: Operand) -> bool:
    return isinstance(operand, Literal) and operand.value == 0


def _merge_store(prover: Prover, region: Graph, zero: Equation) -> None:
    place = place_of(zero)
    assert place is not None
    for later in region.equations[region.equations.index(zero) + 1 :]:
        target = place_of(later)
        if (
            later.primitive is refs.accumulate
            and target is not None
            and same(place, target)
        ):
            later.primitive = refs.store
            region.equations.remove(zero)
            return
        if _touches(prover, later, place):
            return


def _merge_alloc(graph: Graph, region: Graph, zeros: Equation) -> None:
    (ref,) = zeros.outputs
    for later in region.equations[region.equations.index(zeros) + 1 :]:
        if ref in _reads(later):
            place = place_of(later)
            if later.primitive is refs.accumulate and place == whole(ref):
                made = Value(ref.type, ref.name, region)
                inputs = later.inputs[1:2]
                copied = Equation(refs.copy, inputs, {}, (), (made,), later.location)
                made.definition = copied
                region.equations[region.equations.index(later)] = copied
                region.equations.remove(zeros)
                substitute_everywhere(graph, {ref: made})
            return


def same(a: Place, b: Place) -> bool:
    """Whether two places are the same cells, by their affine forms."""
    return (
        a.base is b.base
        and a.sizes == b.sizes
        and a.steps == b.steps
        and list(map(affine, a.index)) == list(map(affine, b.index))
    )


def _reads(equation: Equation) -> Iterator[Operand]:
    for inner in walk_in(equation):
        yield from inner.inputs
        for region in inner.regions:
            yield from region.results


def _touches(prover: Prover, equation: Equation, place: Place) -> bool:
    """Whether an equation may use cells of a place."""
    return any(
        _uses(prover, inner, place)
        for inner in walk_in(equation)
        if place.base in inner.inputs
    )


def _uses(prover: Prover, equation: Equation, place: Place) -> bool:
    target = place_of(equation)
    return target is None or not disjoint(prover, place, target)


# --- accumulations -----------------------------------------------------------------


def sink(graph: Graph) -> Graph:
    """The graph with accumulations into invariant cells carried by their loops."""
    copy = clone(graph)
    _sink_in(Prover(Structure(copy)), copy)
    return copy


def _sink_in(prover: Prover, graph: Graph) -> None:
    found: list[Equation] = []
    for equation in graph.equations:
        for region in equation.regions:
            _sink_in(prover, region)
        found.append(equation)
        if is_loop(equation):
            found += _sunk(prover, equation)
    graph.equations[:] = found


def _sunk(prover: Prover, loop: Equation) -> list[Equation]:
    """What has to be done after a loop for what was taken out of it."""
    inner = {g for region in loop.regions for g in regions_in(region)}
    after: list[Equation] = []
    body, graph = body_of(loop), loop.outputs[-1].graph
    for equation in list(body.equations):
        if equation.primitive is not refs.accumulate or equation.inputs[1].type.ndim:
            continue
        ref, value, *index = equation.inputs
        if any(x.graph in inner for x in values_of([ref, *index])):
            continue
        if not _is_own(prover, loop, equation):
            continue
        assert isinstance(ref, Value)
        total = carry(loop, Literal(0.0, value.type.dtype), ref.name)
        apart = Builder(Graph(parent=body), Assumptions(), simplify, exact=False)
        grown = apart.emit1(ew.add, (total, value))
        at = body.equations.index(equation)
        body.equations[at : at + 1] = adopt(body, apart.graph.equations)
        *entries, last = carried(loop)
        set_carried(loop, [*entries, replace(last, next=grown)])
        equation.inputs = (ref, last.output, *index)
        after += adopt(graph, [equation])
    return after


def _is_own(prover: Prover, loop: Equation, equation: Equation) -> bool:
    """Whether a loop only ever adds to a cell, which is sure to exist."""
    place = place_of(equation)
    assert place is not None
    others = (e for e in walk_in(loop) if place.base in e.inputs and e is not equation)
    return in_bounds(prover, place) and all(
        e.primitive is refs.accumulate or not _uses(prover, e, place) for e in others
    )


# --- results -----------------------------------------------------------------------


def results_in_place(graph: Graph) -> Graph:
    """The graph with arrays made here returned themselves, not read as a whole."""
    copy = clone(graph)
    for k, result in enumerate(copy.results):
        if not isinstance(result, Value) or result.definition is None:
            continue
        made = result.definition
        if made.primitive is not refs.load:
            continue
        ref = made.inputs[0]
        own = isinstance(ref, Value) and ref.graph is copy and is_ref(ref)
        if own and ref not in copy.results and place_of(made) == whole(ref):
            later = copy.equations[copy.equations.index(made) + 1 :]
            if not _changed(ref, later):
                copy.results[k] = named(ref, result.name)
    return copy


def _changed(ref: Operand, equations: Iterable[Equation]) -> bool:
    return any(
        written(inner) is ref or (inner.regions and ref in inner.inputs)
        for equation in equations
        for inner in walk_in(equation)
    )
