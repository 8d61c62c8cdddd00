"""Cotangents of slices and gathers that go straight into a Ref.

Their transposes are whole arrays, padded with zeros. Where the array's cotangent is in
a Ref already, or has to leave a region, only the cells concerned are touched.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegrad.ir.graph import Builder, Equation, Graph, Literal, Operand
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import ArrayType
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.control import for_
from tracegrad.primitives.identities import size_value
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms import cells

_INDEX = ArrayType("int64")
_ZERO = Literal(0, "int64")


def add_slice(builder: Builder, ref: Operand, equation: Equation, bar: Operand) -> None:
    """Add the cotangent of a ``slice`` to its window."""
    params = equation.params
    starts = tuple(size_value(builder, d) for d in params["starts"])
    place = cells.Place(ref, starts, params["sizes"], params["steps"])
    cells.accumulate(builder, place, bar)


def add_gathered(
    builder: Builder, ref: Operand, equation: Equation, bar: Operand
) -> None:
    """Add the cotangent of a ``gather``, with a loop over what was gathered."""
    _, *indices = equation.inputs
    _nest(builder, ref, equation, bar, indices, [])


def _nest(
    builder: Builder,
    ref: Operand,
    equation: Equation,
    bar: Operand,
    indices: Sequence[Operand],
    numbers: list[Operand],
) -> None:
    shape = indices[0].type.shape
    if len(numbers) == len(shape):
        _add_one(builder, ref, equation, bar, indices, numbers)
        return
    body = Graph("gathered")
    number = body.add_param(_INDEX)
    with builder.region(body):
        _nest(builder, ref, equation, bar, indices, [*numbers, number])
    bounds = [_ZERO, size_value(builder, shape[len(numbers)])]
    params = {"step": 1, "reversed": False, "stops": False}
    builder.emit(for_, bounds, params, (body,), (_INDEX,))


def _add_one(
    builder: Builder,
    ref: Operand,
    equation: Equation,
    bar: Operand,
    indices: Sequence[Operand],
    numbers: Sequence[Operand],
) -> None:
    axes, position = equation.params["axes"], equation.params["position"]
    rank = len(numbers)
    points = [
        _point(builder, index, numbers, ref.type.shape[axis])
        for index, axis in zip(indices, axes, strict=True)
    ]
    rest = [d for k, d in enumerate(ref.type.shape) if k not in axes]
    taken = cells.Place(
        bar,
        tuple([_ZERO] * position + [*numbers] + [_ZERO] * (len(rest) - position)),
        (*rest[:position], *(None,) * rank, *rest[position:]),
        (1,) * bar.type.ndim,
    )
    given = cells.Place(
        ref,
        tuple(
            points[axes.index(k)] if k in axes else _ZERO for k in range(ref.type.ndim)
        ),
        tuple(None if k in axes else d for k, d in enumerate(ref.type.shape)),
        (1,) * ref.type.ndim,
    )
    cells.accumulate(builder, given, cells.load(builder, taken))


def _point(
    builder: Builder, index: Operand, numbers: Sequence[Operand], size: Dim
) -> Operand:
    """An element of an index array, counted from the front as places are."""
    if numbers:
        sizes = (None,) * len(numbers)
        place = cells.Place(index, tuple(numbers), sizes, (1,) * len(numbers))
        index = cells.load(builder, place)
    at = Tracer(builder, index)
    count = Tracer(builder, size_value(builder, size))
    wrapped: Tracer = cmp.select(at < 0, at + count, at)
    return wrapped.operand
