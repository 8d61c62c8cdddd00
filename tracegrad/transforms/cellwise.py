"""Operations on small arrays, done on the numbers in their cells.

``Cells`` is an array of operands, one for each cell: of dtype object. To move elements
is to name other cells, and a product of matrices is sums of products.

    add(concatenate(a, b), c)  ->  add a c[0], add b c[1]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from tracegrad.ir.graph import Builder, Equation, Literal, Operand
from tracegrad.ir.primitive import Scalar
from tracegrad.ir.types import DType, Type
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import reductions, structural
from tracegrad.primitives.linalg import dot
from tracegrad.traces.evaluate import concretise

Cells: TypeAlias = Any

MOST = 64
"""The most cells of an array that is split."""
WORK = 32
"""The most numbers that one operation on arrays becomes."""

MOVES = frozenset(
    {
        structural.concatenate,
        structural.expand,
        structural.pad,
        structural.reshape,
        structural.slice_,
        structural.squeeze,
        structural.transpose,
    }
)
"""What only says where elements go."""


def small(type_: Type) -> bool:
    """Whether it is an array of a few cells, so many on every call."""
    sizes = [size.value for size in type_.shape]
    known = [size for size in sizes if size is not None]
    return bool(sizes) and len(known) == len(sizes) and 0 < math.prod(known) <= MOST


def shape_in_cells(type_: Type) -> tuple[int, ...]:
    """The shape of a small array."""
    return tuple(int(size.value or 0) for size in type_.shape)


def is_cellwise(equation: Equation) -> bool:
    """Whether it can be done on numbers, each cell of the result by itself."""
    primitive = equation.primitive
    if len(equation.outputs) != 1 or equation.regions:
        return False
    (output,) = equation.outputs
    arrays = [x.type for x in (*equation.inputs, output) if x.type.ndim]
    if not arrays or not all(map(small, arrays)):
        return False
    if primitive in MOVES:
        return True
    cells = math.prod(shape_in_cells(arrays[0]))
    if primitive is dot:
        second = shape_in_cells(arrays[1])
        return cells * math.prod(second[1:]) <= WORK
    elementwise = isinstance(primitive.lower, Scalar)
    return (elementwise or primitive is reductions.reduce_sum) and cells <= WORK


class Unfolding:
    """Does operations on cells; knows the zeros that nobody wrote."""

    def __init__(self) -> None:
        self._absent: dict[DType, Literal] = {}

    def zero(self, dtype: DType) -> Literal:
        """A zero that nobody wrote: where it is added to, it is left out."""
        zero = Literal(np.dtype(dtype).type(0).item(), dtype)
        return self._absent.setdefault(dtype, zero)

    def sum(self, builder: Builder, a: Operand, b: Operand) -> Operand:
        """The sum of two numbers."""
        for one, other in ((a, b), (b, a)):
            if one is self._absent.get(one.type.dtype):
                return other
        return builder.emit1(ew.add, (a, b))

    def cells(
        self, builder: Builder, equation: Equation, operands: Sequence[Cells]
    ) -> Cells:
        """What an operation gives, from the cells of its operands."""
        (output,), primitive = equation.outputs, equation.primitive
        if primitive in MOVES:
            return self._moved(equation, operands)
        if primitive is reductions.reduce_sum:
            (summed,) = operands
            return self._sums(builder, summed, equation.params["axes"], output.type)
        if primitive is dot:
            left, right = operands
            return self._products(builder, left, right, output.type)

        def cell(index: tuple[int, ...]) -> Operand:
            parts = [x[index] for x in operands]
            if primitive is ew.add:
                return self.sum(builder, *parts)
            return builder.emit1(primitive, parts, equation.params)

        return filled(output.type, cell)

    def _moved(self, equation: Equation, operands: Sequence[Cells]) -> Cells:
        """Cells in other places: where they go is found by moving their numbers."""
        (output,) = equation.outputs
        table: list[Operand] = [self.zero(output.type.dtype)]
        places = []
        for cells in operands:
            first = len(table)
            places.append(np.arange(first, first + cells.size).reshape(cells.shape))
            table += cells.flat
        params = {k: concretise(v, {}) for k, v in equation.params.items()}
        moved = np.asarray(equation.primitive.numpy(*places, **params))
        return filled(output.type, lambda index: table[int(moved[index])])

    def _sums(
        self, builder: Builder, cells: Cells, axes: tuple[int, ...], type_: Type
    ) -> Cells:
        kept = [k for k in range(cells.ndim) if k not in axes]
        rows = cells.transpose((*kept, *axes))
        return filled(type_, lambda index: self._total(builder, rows[index].flat))

    def _products(self, builder: Builder, a: Cells, b: Cells, type_: Type) -> Cells:
        def cell(index: tuple[int, ...]) -> Operand:
            row, column = a[index[: a.ndim - 1]], b[:, *index[a.ndim - 1 :]]
            pairs = zip(row.flat, column.flat, strict=True)
            return self._total(builder, (builder.emit1(ew.multiply, p) for p in pairs))

        return filled(type_, cell)

    def _total(self, builder: Builder, terms: Iterable[Operand]) -> Operand:
        return reduce(lambda a, b: self.sum(builder, a, b), terms)


def filled(type_: Type, cell: Callable[[tuple[int, ...]], Any]) -> Cells:
    """An array of a type's shape, of what a function gives for each index."""
    found = np.empty(shape_in_cells(type_), object)
    for index in np.ndindex(found.shape):
        found[index] = cell(index)
    return found


def each_cell(cells: Cells, function: Callable[[Any], Any]) -> Cells:
    """The same array with a function of each entry."""
    found = np.empty(cells.shape, object)
    for index in np.ndindex(cells.shape):
        found[index] = function(cells[index])
    return found
