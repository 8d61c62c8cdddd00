"""Tiles: an array of rows that are themselves put together is written cell by cell.

``np.array([[a, b], [c, d]])`` is a concatenation of concatenations. Where nobody else
reads the inner ones, they need no memory: what they hold goes to its window at once.

    concatenate(expand(concatenate(a, b)), expand(concatenate(c, d)))
    ->  tiles[(0, 0), (0, 1), (1, 0), (1, 1)] a b c d
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from tracegrad.ir.graph import Builder, Equation, Graph, Operand
from tracegrad.ir.primitive import IndexMap, Primitive
from tracegrad.ir.shapes import Assumptions, Dim, shape_of
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.identities import core, made_by
from tracegrad.primitives.rearrange import simplify
from tracegrad.primitives.structural import concatenate, expand
from tracegrad.transforms.regions import adopt, clone, regions_in

Starts: TypeAlias = tuple[Dim, ...]


def _tiles(*parts: Any, starts: tuple[tuple[int, ...], ...], shape: Any) -> Any:
    out = np.empty(shape, parts[0].dtype)
    for part, start in zip(parts, starts, strict=True):
        sizes = zip(start, part.shape, strict=True)
        out[tuple(slice(at, at + size) for at, size in sizes)] = part
    return out


def _infer_tiles(*parts: ArrayType, starts: Any, shape: Any) -> ArrayType:
    return parts[0].with_shape(shape_of(shape))


# Only made here, after the last derivative: it has no rule.
tiles = Primitive("tiles", _tiles, _infer_tiles, lower=IndexMap(), operands="joint")


def windows(equation: Equation) -> Iterator[tuple[Operand, Starts]]:
    """The parts of a concatenation or of tiles, and where each begins."""
    if equation.primitive is tiles:
        yield from zip(equation.inputs, equation.params["starts"], strict=True)
        return
    axis, at = equation.params["axis"], Dim.constant(0)
    for part in equation.inputs:
        zeros = [Dim.constant(0)] * part.type.ndim
        yield part, (*zeros[:axis], at, *zeros[axis + 1 :])
        at = at + part.type.shape[axis]


def tiled(graph: Graph) -> Graph:
    """The graph with nested concatenations written as one."""
    copy = clone(graph)
    uses = Counter(x for g in regions_in(copy) for e in g.equations for x in e.inputs)
    uses.update(x for g in regions_in(copy) for x in g.results)
    for region in regions_in(copy):
        for equation in list(region.equations):
            if equation.primitive is concatenate:
                _flatten(equation, region, uses)
    return copy


def _flatten(equation: Equation, region: Graph, uses: Counter[Operand]) -> None:
    apart = Builder(Graph(parent=region), Assumptions(), simplify, exact=True)
    with apart.at(equation.location):
        found = [
            leaf
            for part, starts in windows(equation)
            for leaf in _leaves(apart, part, starts, uses)
        ]
    if len(found) > len(equation.inputs):
        at = region.equations.index(equation)
        region.equations[at:at] = adopt(region, apart.graph.equations)
        equation.primitive = tiles
        equation.inputs = tuple(part for part, _ in found)
        shape = equation.outputs[0].type.shape
        equation.params = {"starts": tuple(s for _, s in found), "shape": shape}


def _leaves(
    builder: Builder, part: Operand, starts: Starts, uses: Counter[Operand]
) -> Iterator[tuple[Operand, Starts]]:
    """What a part is put together from, down to what is not."""
    made = made_by(part, expand)
    base = part if made is None else made.inputs[0]
    kept = tuple(range(part.type.ndim)) if made is None else made.params["axes"]
    shape = part.type.shape
    inner = made_by(base, concatenate)
    # What this made itself is counted nowhere.
    only = uses[part] <= 1 and uses[base] <= 1
    others = [size.value == 1 for k, size in enumerate(shape) if k not in kept]
    same = tuple(shape[k] for k in kept) == base.type.shape
    if inner is None or not (same and all(others) and (only or _of_numbers(inner))):
        yield part, starts
        return
    for leaf, offsets in windows(inner):
        sizes, places = list(shape), list(starts)
        for axis, size, offset in zip(kept, leaf.type.shape, offsets, strict=True):
            sizes[axis], places[axis] = size, starts[axis] + offset
        whole = leaf
        if made is not None:
            params = {"shape": tuple(sizes), "axes": kept}
            whole = builder.emit1(expand, (leaf,), params)
        yield from _leaves(builder, whole, tuple(places), uses)


def _of_numbers(equation: Equation) -> bool:
    """Whether it puts numbers together, which may as well be written twice."""
    return not any(core(part).type.ndim for part in equation.inputs)
