"""Layout: rows of a few numbers are kept as columns while inner loops go along them.

A loop over particles that adds to ``f[j, 0]``, ``f[j, 1]`` and ``f[j, 2]`` touches
memory in strides, and each of its vector instructions becomes many. An array that the
program makes itself may lie in memory as it likes: with its axes exchanged each column
is contiguous, and one pass after the loops puts them in the order that is returned.
Of an argument whose rows are read along, again and again, such an array is a copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tracegrad.ir.graph import Builder, Equation, Graph, Literal, Value
from tracegrad.ir.shapes import Assumptions
from tracegrad.ir.types import ArrayType, RefType
from tracegrad.primitives import refs
from tracegrad.primitives.control import for_
from tracegrad.primitives.rearrange import simplify
from tracegrad.primitives.structural import transpose
from tracegrad.transforms import cells
from tracegrad.transforms.affine import affine
from tracegrad.transforms.regions import (
    Structure,
    adopt,
    clone,
    substitute_everywhere,
)

WIDEST = 16
"""The most columns an array may have: more are worth a loop along them."""


@dataclass(slots=True)
class _Uses:
    """How an array is used.

    points: the equations that use one cell each.
    whole: those that read all of it.
    """

    points: list[Equation] = field(default_factory=list)
    whole: list[Equation] = field(default_factory=list)


def columns(graph: Graph) -> Graph:
    """The graph with arrays of rows kept by columns, where inner loops gain by it."""
    copy = clone(graph)
    made = [e for e in copy.equations if e.primitive is refs.alloc]
    arguments = [x for x in copy.params if isinstance(x.type, ArrayType)]
    structure = Structure(copy)
    for equation in made:
        (ref,) = equation.outputs
        uses = _uses(copy, ref) if _has_short_rows(ref) else None
        if uses is not None and _goes_along(structure, uses.points):
            _exchange(copy, equation, uses)
    for argument in filter(_has_short_rows, arguments):
        reads = [e for e in copy.walk() if _reads_along(structure, e, argument)]
        if reads:
            _copy(copy, argument, reads)
    return copy


def _has_short_rows(array: Value) -> bool:
    if len(array.type.shape) != 2:
        return False
    rows, width = array.type.shape
    return rows.value is None and width.value in range(2, WIDEST + 1)


def _uses(graph: Graph, ref: Value) -> _Uses | None:
    """How an array is used; None if it is not only cell by cell and as a whole."""
    found = _Uses()
    if ref in graph.results:
        return None
    for equation in graph.walk():
        if any(ref in region.results for region in equation.regions):
            return None
        if ref not in equation.inputs:
            continue
        place = cells.place_of(equation)
        if place is None or place.base is not ref or ref in equation.inputs[1:]:
            return None
        if place.sizes == (None, None):
            found.points.append(equation)
        elif place == cells.whole(ref) and equation.primitive is refs.load:
            found.whole.append(equation)
        else:
            return None
    return found


def _goes_along(structure: Structure, points: list[Equation]) -> bool:
    """Whether each inner loop takes cells of one column, one after the other."""
    moves = False
    for equation in points:
        loops = structure.loops(structure.place[equation][0])
        if len(loops) < 2:
            continue  # no more work than to put the columns in order
        place = cells.place_of(equation)
        assert place is not None
        row, column = place.index
        counted = structure.owner[loops[-1]].primitive is for_
        if not isinstance(column, Literal) or not counted:
            return False
        pace = affine(row).get(loops[-1].params[0], 0)
        if abs(pace) > 1:
            return False
        moves = moves or pace != 0
    return moves


def _reads_along(structure: Structure, equation: Equation, argument: Value) -> bool:
    """Whether an inner loop takes a column's cells, and one around it takes them again.

    Then there are far more reads than cells to copy.
    """
    place = cells.place_of(equation)
    if place is None or place.base is not argument or place.sizes != (None, None):
        return False
    loops = structure.loops(structure.place[equation][0])
    row, column = place.index
    if len(loops) < 2 or not isinstance(column, Literal):
        return False
    form = affine(row)
    pace = form.pop(loops[-1].params[0], 0)
    counted = structure.owner[loops[-1]].primitive is for_
    return counted and abs(pace) == 1 and set(form) <= {()}


def _copy(graph: Graph, argument: Value, reads: list[Equation]) -> None:
    """Let an argument be read by columns."""
    builder = Builder(Graph(parent=graph), Assumptions(), simplify)
    turned = builder.emit1(transpose, (argument,), {"perm": (1, 0)})
    new = builder.emit1(refs.copy, (turned,))
    cells.named(new, _name(argument))
    graph.equations[:0] = adopt(graph, builder.graph.equations)
    for equation in reads:
        _, row, column = equation.inputs
        equation.inputs = (new, column, row)


def _name(array: Value) -> str | None:
    return f"{array.name}_columns" if array.name else None


def _exchange(graph: Graph, made: Equation, uses: _Uses) -> None:
    """Let an array have its axes exchanged."""
    (old,) = made.outputs
    rows, width = made.params["shape"]
    type_ = RefType(old.type.dtype, (width, rows))
    new = Value(type_, _name(old), graph)
    new.definition = made
    made.outputs = (new,)
    made.params = {**made.params, "shape": (width, rows)}
    for equation in uses.points:
        *others, row, column = equation.inputs
        equation.inputs = (*others, column, row)
    for equation in uses.whole:
        region = equation.outputs[0].graph
        builder = Builder(Graph(parent=region), Assumptions(), simplify)
        found = cells.load(builder, cells.whole(new))
        turned = builder.emit1(transpose, (found,), {"perm": (1, 0)})
        at = region.equations.index(equation)
        region.equations[at : at + 1] = adopt(region, builder.graph.equations)
        cells.named(turned, equation.outputs[0].name or old.name)
        substitute_everywhere(graph, {equation.outputs[0]: turned})
    substitute_everywhere(graph, {old: new})
