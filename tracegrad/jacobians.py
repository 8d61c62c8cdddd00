"""Jacobians and Hessians: a compiled kernel for one column or row, called for each.

The kernel is given the number of the column and makes the basis vector itself, so that
nothing is allocated per column but the column. Inside a trace the columns are emitted
one after another.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from types import MethodType
from typing import Any, Literal

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder, ColumnBinder, Selection
from tracegrad.compiled import Compiled, Stages, Text
from tracegrad.derivatives import (
    Function,
    Recorded,
    check_selected,
    machine_in_progress,
    record,
)
from tracegrad.errors import ArgumentError, DifferentiationError
from tracegrad.ir import graph as ir
from tracegrad.ir.shapes import product
from tracegrad.numpy_api import table as numpy_table
from tracegrad.primitives import comparisons
from tracegrad.primitives.structural import iota
from tracegrad.traces.scope import current
from tracegrad.traces.sequences import check_unrolled
from tracegrad.traces.tracer import Tracer, convert, dtype_name, size_tracer

Direction = Literal["auto", "forward", "reverse"]
_FEW_COLUMNS = 32


class Jacobian:
    """The Jacobian of a function, column by column or row by row.

    Attributes:
        signatures: the argument types compiled so far.
        source: the Python source of the kernel used last: of one column, or one row.
        graph: what that kernel computes, as text.
    """

    def __init__(
        self, function: Function, selection: Selection, direction: Direction
    ) -> None:
        if direction not in ("auto", "forward", "reverse"):
            raise ArgumentError(
                f"mode={direction!r} is not a mode of jacobian.",
                todo='Use "auto", "forward" or "reverse".',
            )
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._selection = selection
        self._direction = direction
        self._binder = Binder(function)
        binder = ColumnBinder(function)
        self._column = Compiled(self._emit_column, function, "_column", binder=binder)
        self._row = Compiled(self._emit_row, function, "_row", binder=binder)
        self._last = self._column

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method, when it is looked up on an instance."""
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<tracegrad jacobian of {self._binder.title}>"

    # --- kernels -------------------------------------------------------------------

    def _emit_column(self, args: Any, kwargs: Any, k: Any) -> Any:
        """The result's derivative along the k-th basis vector of the arguments."""
        recorded = self._recorded(args, kwargs)
        return recorded.push(_basis(recorded.arguments, k))[1]

    def _emit_row(self, args: Any, kwargs: Any, k: Any) -> Any:
        """The gradient of the k-th element of the result, and the result."""
        recorded = self._recorded(args, kwargs)
        outputs = [x for x in recorded.region.outputs if isinstance(x, Tracer)]
        returned, bars = recorded.pull(_basis(outputs, k))
        return bars, returned

    def _recorded(self, args: Any, kwargs: Any) -> Recorded:
        groups = self._selection.groups(self._binder, args, kwargs)
        chosen = [k for group in groups for k in group]
        check_selected(self._binder, groups, args, kwargs)
        recorded = record(self._function, self._binder, args, kwargs, chosen)
        for output in recorded.region.outputs:
            _check_output(output, recorded, self._binder.title)
        return recorded

    # --- calls ---------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The Jacobian at these arguments: out.shape + argument.shape, nested."""
        if current() is not None:
            return self.__tracegrad_inline__(*args, **kwargs)
        args, kwargs = self._binder.bind(args, kwargs)
        leaves = pytree.leaves((args, kwargs))
        groups = self._selection.groups(self._binder, args, kwargs)
        shapes = [np.shape(leaves[k]) for group in groups for k in group]
        if self._forward(args, kwargs, sum(map(math.prod, shapes))):
            self._last = self._column
            blocks, tree = self._from_columns(args, kwargs, shapes)
        else:
            self._last = self._row
            blocks, tree = self._from_rows(args, kwargs)
        return self._nested(args, kwargs, blocks, tree)

    def _forward(self, args: Any, kwargs: Any, columns: int) -> bool:
        """Whether to go by columns: if they are fewer than the rows, or just few."""
        if self._direction != "auto":
            return self._direction == "forward"
        if columns <= _FEW_COLUMNS:
            return True
        _, out = self._row(args, kwargs, 0)
        return columns <= sum(map(np.size, pytree.leaves(out)))

    def _from_columns(
        self, args: Any, kwargs: Any, shapes: Sequence[tuple[int, ...]]
    ) -> tuple[list[list[Any]], pytree.Tree]:
        """Blocks by output leaf and argument leaf."""
        examples, tree = pytree.flatten(self._column(args, kwargs, 0))
        blocks = [
            [np.empty(np.shape(x) + shape, _dtype(x)) for shape in shapes]
            for x in examples
        ]
        column = 0
        for position, shape in enumerate(shapes):
            matrices = [
                row[position].reshape(np.size(x), math.prod(shape))
                for row, x in zip(blocks, examples, strict=True)
            ]
            for k in range(math.prod(shape)):
                parts = (
                    pytree.leaves(self._column(args, kwargs, column))
                    if column
                    else examples
                )
                for matrix, part in zip(matrices, parts, strict=True):
                    matrix[:, k] = part.reshape(-1) if np.ndim(part) else part
                column += 1
        scalars = [
            [_as_scalar(block, x) for block in row]
            for row, x in zip(blocks, examples, strict=True)
        ]
        return scalars, tree

    def _from_rows(self, args: Any, kwargs: Any) -> tuple[list[list[Any]], pytree.Tree]:
        """Blocks by output leaf and argument leaf."""
        first, out = self._row(args, kwargs, 0)
        outputs, tree = pytree.flatten(out)
        rows = sum(map(np.size, outputs))
        bars = [first, *(self._row(args, kwargs, k)[0] for k in range(1, rows))]
        blocks, start = [], 0
        for output in outputs:
            stop = start + np.size(output)
            blocks.append(
                [
                    _as_scalar(
                        np.array(
                            [row[j] for row in bars[start:stop]], _dtype(example)
                        ).reshape(np.shape(output) + np.shape(example)),
                        example,
                    )
                    for j, example in enumerate(first)
                ]
            )
            start = stop
        return blocks, tree

    def _nested(
        self, args: Any, kwargs: Any, blocks: list[list[Any]], tree: pytree.Tree
    ) -> Any:
        """Blocks in the nest of the result, each entry in that of the arguments."""
        trees = self._selection.structures(self._binder, args, kwargs)
        outputs = []
        for row in blocks:
            remaining = iter(row)
            parts = [
                pytree.unflatten(t, [next(remaining) for _ in range(t.num_leaves)])
                for t in trees
            ]
            outputs.append(self._selection.joined(parts))
        return pytree.unflatten(tree, outputs)

    # --- inside a trace ------------------------------------------------------------

    def __tracegrad_inline__(self, *args: Any, **kwargs: Any) -> Any:
        """Emit every column into the trace in progress."""
        args, kwargs = self._binder.bind(args, kwargs)
        recorded = self._recorded(args, kwargs)
        machine = machine_in_progress()
        assumptions = machine.builder.assumptions
        sizes = [assumptions.concrete(product(x.dims)) for x in recorded.arguments]
        check_unrolled(machine, sum(sizes))
        nests = [
            recorded.push(_basis(recorded.arguments, k))[1] for k in range(sum(sizes))
        ]
        flat = [pytree.leaves(nest) for nest in nests]
        blocks = []
        for position in range(len(flat[0])):
            row, start = [], 0
            for argument, size in zip(recorded.arguments, sizes, strict=True):
                parts = [flat[k][position] for k in range(start, start + size)]
                row.append(_stacked(parts, argument))
                start += size
            blocks.append(row)
        return self._nested(args, kwargs, blocks, pytree.structure(nests[0]))

    # --- looking inside ------------------------------------------------------------

    def compile(self, *args: Any, **kwargs: Any) -> Jacobian:
        """Compile ahead of the first call, for arguments like these."""
        args, kwargs = self._binder.bind(args, kwargs)
        self._last = self._row if self._direction == "reverse" else self._column
        self._last.compile(args, kwargs, 0)
        return self

    @property
    def signatures(self) -> list[str]:
        """The argument types compiled so far."""
        return [*self._column.signatures, *self._row.signatures]

    @property
    def source(self) -> Text:
        """The Python source of the kernel used last."""
        return self._last.source

    @property
    def graph(self) -> Text:
        """What that kernel computes."""
        return self._last.graph

    def stages(self) -> Stages:
        """Every stage of the compilation of the kernel used last."""
        return self._last.stages()


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


def _basis(values: Sequence[Tracer], k: Any) -> list[ir.Operand]:
    """The k-th basis vector of all elements together, as one operand per value."""
    result = []
    for x in values:
        builder, count = x.builder, product(x.dims)
        params = {"size": count, "dtype": "int64"}
        line = Tracer(builder, builder.emit1(iota, (), params))
        hit = comparisons.equal(line, k)
        shaped = numpy_table.lookup(np.reshape)(hit, x.shape)
        result.append(convert(builder, shaped.operand, x.type.dtype))
        k = k - size_tracer(builder, count)
    return result


def _stacked(parts: list[Any], argument: Tracer) -> Any:
    """Columns side by side, the argument's axes last."""
    if not argument.ndim:
        return parts[0]
    stacked = numpy_table.lookup(np.stack)(parts, axis=-1)
    shape = (*parts[0].shape, *argument.shape)
    return numpy_table.lookup(np.reshape)(stacked, shape)


def _as_scalar(block: Any, example: Any) -> Any:
    """A block without axes as a scalar like the example; others as they are."""
    return block if block.ndim else type(example)(block.item())


def _dtype(example: Any) -> Any:
    return getattr(example, "dtype", np.float64)
