"""Pads: a sum of windows that don't overlap is their concatenation.

``a, b = x`` leaves the gradient ``pad(a_bar) + pad(b_bar)``, each with zeros around its
own cells, to be tested for cell by cell. Where windows of a sum lie side by side they
are written side by side, with zeros in what static gaps there are; one inside another
is added to it.

    pad[0 of 3](a) + pad[2 of 3](b)  ->  concatenate(a, 0, b)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import sub

from tracegrad.ir.graph import Builder, Equation, Graph, Operand, Value
from tracegrad.ir.shapes import Assumptions, Dim, Shape
from tracegrad.ir.types import ArrayType
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import structural
from tracegrad.primitives.identities import filled, made_by
from tracegrad.primitives.rearrange import simplify
from tracegrad.transforms.regions import (
    adopt,
    clone,
    regions_in,
    substitute_everywhere,
)

LARGE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands in a window: from ``starts``, as large as it is."""

    starts: tuple[Dim, ...]
    operand: Operand

    @property
    def shape(self) -> Shape:
        return self.operand.type.shape

    def end(self, axis: int) -> Dim:
        """Where its window ends along an axis."""
        return self.starts[axis] + self.shape[axis]

    def holds(self, other: _Piece) -> bool:
        """Whether another is known to lie in its window."""
        axes = range(len(self.starts))
        before = ((other.starts[k] - self.starts[k]).value for k in axes)
        behind = ((self.end(k) - other.end(k)).value for k in axes)
        return all(gap is not None and gap >= 0 for gap in (*before, *behind))

    def around(self, axis: int) -> tuple[tuple[Dim, Dim], ...]:
        """Its window along the other axes."""
        windows = enumerate(zip(self.starts, self.shape, strict=True))
        return tuple(window for k, window in windows if k != axis)


def join_pads(graph: Graph) -> Graph:
    """The graph with sums of pads side by side as concatenations."""
    copy = clone(graph)
    uses = Counter(x for g in regions_in(copy) for e in g.equations for x in e.inputs)
    uses.update(x for g in regions_in(copy) for x in g.results)
    known: dict[Value, Operand] = {}
    for region in list(regions_in(copy)):
        inner = {
            x
            for e in region.equations
            if e.primitive is ew.add
            for x in e.inputs
            if made_by(x, ew.add) and uses[x] == 1
        }
        for equation in list(region.equations):
            output = equation.outputs[0] if equation.outputs else None
            if equation.primitive is ew.add and output not in inner:
                made = _joined(equation, inner)
                if made is not None:
                    assert isinstance(output, Value)
                    at = region.equations.index(equation)
                    region.equations[at:at] = adopt(region, made[0])
                    known[output] = made[1]
    substitute_everywhere(copy, known)
    return copy


def _joined(
    equation: Equation, inner: set[Operand]
) -> tuple[list[Equation], Operand] | None:
    """A sum with its pads joined; None if none are side by side."""
    (output,) = equation.outputs
    pads, others = [], []
    for term in _terms(equation, inner):
        made = made_by(term, structural.pad)
        if made is not None and all(step == 1 for step in made.params["steps"]):
            starts = tuple(map(Dim.of, made.params["starts"]))
            pads.append(_Piece(starts, made.inputs[0]))
        else:
            others.append(term)
    apart = Builder(Graph(parent=output.graph), Assumptions(), simplify, exact=False)
    with apart.at(equation.location):
        pieces = _absorbed(apart, pads)
        for axis in reversed(range(output.type.ndim)):
            pieces = list(_side_by_side(apart, pieces, axis, output.type.shape[axis]))
        if len(pieces) == len(pads):
            return None
        for piece in pieces:
            others.append(_placed(apart, piece, output.type.shape))
        total, *rest = others
        for term in rest:
            total = apart.emit1(ew.add, (total, term))
    if isinstance(total, Value) and total.name is None:
        total.name = output.name
    return apart.graph.equations, total


def _terms(equation: Equation, inner: set[Operand]) -> Iterator[Operand]:
    todo = [*reversed(equation.inputs)]
    while todo:
        operand = todo.pop()
        if operand in inner:
            assert isinstance(operand, Value)
            assert operand.definition is not None
            todo += reversed(operand.definition.inputs)
        else:
            yield operand


def _absorbed(builder: Builder, pieces: list[_Piece]) -> list[_Piece]:
    """The pieces, those added to others in whose windows they lie."""
    found: list[_Piece] = []
    for piece in sorted(pieces, key=lambda piece: -_extent(piece)):
        for k, other in enumerate(found):
            if other.holds(piece):
                starts = map(sub, piece.starts, other.starts)
                inner = _placed(builder, _Piece((*starts,), piece.operand), other.shape)
                total = builder.emit1(ew.add, (other.operand, inner))
                found[k] = _Piece(other.starts, total)
                break
        else:
            found.append(piece)
    return found


def _extent(piece: _Piece) -> int:
    """How many elements it has, as far as that is known: the largest come first."""
    return math.prod(LARGE if n.value is None else n.value for n in piece.shape)


def _side_by_side(
    builder: Builder, pieces: Iterable[_Piece], axis: int, size: Dim
) -> Iterator[_Piece]:
    """The pieces, those joined that lie in one row along an axis."""
    rows: dict[object, list[_Piece]] = {}
    for piece in pieces:
        rows.setdefault(piece.around(axis), []).append(piece)
    for row in rows.values():
        parts = _in_order(row, axis, size) if len(row) > 1 else None
        if parts is None:
            yield from row
            continue
        starts, shape = list(row[0].starts), list(row[0].shape)
        starts[axis] = Dim.constant(0)
        operands = []
        for part in parts:
            if isinstance(part, Dim):
                shape[axis] = part
                type_ = ArrayType(row[0].operand.type.dtype, tuple(shape))
                operands.append(filled(builder, 0.0, type_))
            else:
                operands.append(part.operand)
        joined = builder.emit1(structural.concatenate, operands, {"axis": axis})
        yield _Piece(tuple(starts), joined)


def _in_order(row: list[_Piece], axis: int, size: Dim) -> list[_Piece | Dim] | None:
    """Pieces from end to end, with the sizes of gaps; None if that isn't known."""
    found: list[_Piece | Dim] = []
    left, at = list(row), Dim.constant(0)
    while left:
        gaps = [(p.starts[axis] - at).value for p in left]
        gap = min((gap for gap in gaps if gap is not None), default=-1)
        if gap < 0:
            return None
        piece = left.pop(gaps.index(gap))
        found += [Dim.constant(gap), piece] if gap else [piece]
        at = piece.end(axis)
    rest = size - at
    if rest.value is None or rest.value < 0:
        return None
    return [*found, rest] if rest.value else found


def _placed(builder: Builder, piece: _Piece, shape: Shape) -> Operand:
    """A piece with zeros around it, if there is anything around it."""
    if piece.shape == shape:
        return piece.operand
    params = {"starts": piece.starts, "steps": (1,) * len(shape), "shape": shape}
    return builder.emit1(structural.pad, (piece.operand,), params)
