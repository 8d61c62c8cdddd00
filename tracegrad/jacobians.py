"""Jacobians and Hessians: one kernel with a loop over columns, or over rows.

By columns, each iteration pushes a basis vector of an argument forward, or a few of
them at a time; by rows, it pulls one of a result back. What doesn't depend on the basis
vector leaves the loop, as any invariant does. Numbers have no loop: theirs are pushed,
or pulled, along with nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, Literal

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder, Selection
from tracegrad.derivatives import (
    Function,
    Recorded,
    check_selected,
    record,
)
from tracegrad.errors import ArgumentError, DifferentiationError
from tracegrad.ir import graph as ir
from tracegrad.ir.graph import Operand
from tracegrad.ir.shapes import Dim, Shape, product, size_at_least
from tracegrad.ir.types import ArrayType
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.elementwise import minimum
from tracegrad.primitives.identities import filled
from tracegrad.primitives.structural import expand, iota
from tracegrad.traces.regions import nest
from tracegrad.traces.stacking import allocate, put
from tracegrad.traces.tracer import Tracer, convert, dtype_name, size_tracer
from tracegrad.traces.views import View

Direction = Literal["auto", "forward", "reverse"]

TOGETHER = 4
"""How many columns are computed at a time at most."""

_EQUATIONS = 500
"""How many equations of the function that may take together: they are compiled."""


def jacobian_of(function: Function, selection: Selection, mode: Direction) -> Function:
    """The Jacobian as traced code calls it: see ``tracegrad.jacobian``."""
    if mode not in ("auto", "forward", "reverse"):
        raise ArgumentError(
            f"mode={mode!r} is not a mode of jacobian.",
            todo='Use "auto", "forward" or "reverse".',
        )
    binder = Binder(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = binder.bind(args, kwargs)
        groups = selection.groups(binder, args, kwargs)
        chosen = [k for group in groups for k in group]
        check_selected(binder, groups, args, kwargs)
        recorded = record(function, binder, args, kwargs, chosen)
        for output in recorded.region.outputs:
            _check_output(output, recorded, binder.title)
        forward = mode == "forward" or (mode == "auto" and _by_columns(recorded))
        blocks = _Columns(recorded).blocks() if forward else _Rows(recorded).blocks()
        trees = selection.structures(binder, args, kwargs)
        outputs = []
        for row in blocks:
            remaining = iter(row)
            parts = [
                pytree.unflatten(t, [next(remaining) for _ in range(t.num_leaves)])
                for t in trees
            ]
            outputs.append(selection.joined(parts))
        return pytree.unflatten(recorded.region.tree, outputs)

    return call


def _check_output(output: Any, recorded: Recorded, title: str) -> None:
    """Refuse results that have no derivative."""
    if isinstance(output, (Tracer, np.ndarray, np.generic, int, float)):
        kind: str = dtype_name(output)
        if kind.startswith("float"):
            return
    else:
        kind = type(output).__name__
    raise DifferentiationError(
        f"jacobian needs floating-point results, but {title} returned {kind}.",
        recorded.machine.builder.location,
        "Return the values to differentiate.",
    )


def _by_columns(recorded: Recorded) -> bool:
    """Whether there are at most twice as many columns as rows: a row costs more."""
    columns = _count(x.dims for x in recorded.arguments)
    rows = _count(map(_shape, recorded.region.outputs))
    return size_at_least(2 * rows, columns)


def _count(shapes: Iterable[Shape]) -> Dim:
    return sum(map(product, shapes), start=Dim.constant(0))


def _shape(leaf: Any) -> Shape:
    if isinstance(leaf, Tracer):
        return leaf.dims
    return tuple(map(Dim.constant, np.shape(leaf)))


class _Blocks:
    """The blocks of a Jacobian: of each result with respect to each argument.

    Args:
        recorded: the function.
    """

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._memory = recorded.machine.memory
        self._builder = recorded.machine.builder
        self._outputs = recorded.region.outputs
        self._arguments = recorded.arguments

    def _allocated(self, output: Any, argument: Tracer) -> View:
        shape = (*_shape(output), *argument.dims)
        graph = self._builder.graph
        return allocate(self._memory, graph, shape, dtype_name(output))

    def _one_hot(self, like: Tracer, index: Sequence[Any]) -> Operand:
        """An array of zeros with a one."""
        if not like.ndim:
            return ir.Literal(1.0, like.type.dtype)
        hits = []
        for axis, (size, k) in enumerate(zip(like.dims, index, strict=True)):
            params = {"size": size, "dtype": "int64"}
            line = Tracer(self._builder, self._builder.emit1(iota, (), params))
            hits.append(cmp.equal(expand(line, shape=like.dims, axes=(axis,)), k))
        hit = reduce(cmp.bitwise_and, hits)
        return convert(self._builder, hit.operand, like.type.dtype)


class _Columns(_Blocks):
    """By columns: pushes basis vectors of the arguments forward."""

    def blocks(self) -> list[list[Any]]:
        """A row of blocks for each result."""
        found: dict[int, list[Any]] = {}
        numbers = [k for k, x in enumerate(self._arguments) if not x.ndim]
        for at in range(0, len(numbers), TOGETHER):
            some = numbers[at : at + TOGETHER]
            found |= zip(some, self._pushed([self._unit(k) for k in some]), strict=True)
        for k, x in enumerate(self._arguments):
            if x.ndim:
                found[k] = self._filled(k)
        return [
            [found[k][j] for k in range(len(self._arguments))]
            for j in range(len(self._outputs))
        ]

    def _pushed(self, directions: Sequence[Sequence[Operand | None]]) -> list[Any]:
        return self._recorded.push_all(directions)[1]

    def _unit(self, k: int, index: Sequence[Any] = ()) -> list[Operand | None]:
        """A basis vector of the k-th argument."""
        direction: list[Operand | None] = [None] * len(self._arguments)
        direction[k] = self._one_hot(self._arguments[k], index)
        return direction

    def _filled(self, k: int) -> list[View]:
        """The blocks with respect to an array, filled by a loop over its elements."""
        argument = self._arguments[k]
        targets = [self._allocated(y, argument) for y in self._outputs]
        together = self._together()
        end = size_tracer(self._builder, argument.dims[-1] - 1)

        def columns(index: tuple[Any, ...]) -> None:
            *outer, first = index
            # Those past the last column are the last one again.
            lasts = [first, *(minimum(first + j, end) for j in range(1, together))]
            found = self._pushed([self._unit(k, (*outer, x)) for x in lasts])
            for last, dots in zip(lasts, found, strict=True):
                for target, dot in zip(targets, dots, strict=True):
                    put(target, (..., *outer, last), dot)

        nest(self._memory, argument.dims, columns, together)
        return targets

    def _together(self) -> int:
        """How many columns to compute at a time."""
        graph = self._recorded.region.graph
        if not any(e.regions for e in graph.equations):
            return 1  # what they could share leaves the loop anyway
        count = sum(1 for _ in graph.walk())
        return max(1, min(TOGETHER, _EQUATIONS // count))


class _Rows(_Blocks):
    """By rows: pulls basis vectors of the results back."""

    def blocks(self) -> list[list[Any]]:
        """A row of blocks for each result."""
        found: list[list[Any]] = []
        for j, y in enumerate(self._outputs):
            if not isinstance(y, Tracer):
                found.append([self._zeros(y, x) for x in self._arguments])
            elif y.ndim:
                found.append(self._filled(j, y))
            else:
                found.append([self._of(y, bar) for bar in self._pulled(j, y)])
        return found

    def _pulled(self, j: int, y: Tracer, index: Sequence[Any] = ()) -> list[Any]:
        """The cotangents of the arguments for an element of the j-th result."""
        seeds: list[Operand | None] = [
            self._one_hot(y, index) if k == j else None
            for k, x in enumerate(self._outputs)
            if isinstance(x, Tracer)
        ]
        return self._recorded.pull(seeds)[1]

    def _of(self, y: Tracer, bar: Tracer) -> Tracer:
        """A cotangent as a part of the Jacobian, of the result's dtype."""
        operand = convert(self._builder, bar.operand, y.type.dtype)
        return Tracer(self._builder, operand, y.weak)

    def _zeros(self, y: Any, x: Tracer) -> Tracer:
        """The block of a constant result."""
        type_ = ArrayType(dtype_name(y), (*_shape(y), *x.dims))
        weak = isinstance(y, float)
        return Tracer(self._builder, filled(self._builder, 0, type_), weak)

    def _filled(self, j: int, y: Tracer) -> list[View]:
        """The blocks of an array, filled by a loop over its elements."""
        targets = [self._allocated(y, x) for x in self._arguments]

        def row(index: tuple[Any, ...]) -> None:
            for target, bar in zip(targets, self._pulled(j, y, index), strict=True):
                put(target, index, bar)

        nest(self._memory, y.dims, row)
        return targets
