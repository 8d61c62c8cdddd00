"""Splitting: a small array whose cells are known one by one is as many numbers.

A gradient with respect to fifteen parameters is added up cell by cell; a state of two
components is put together, taken apart and carried by a loop. As numbers they need no
memory, and what was written to a cell is at hand where the cell is read. Which arrays
are split is decided in ``splittable``. (Callahan, Carr, Kennedy 1990, "scalar
replacement"; here of whole arrays, as LLVM can't do once they are memory.)

    s = alloc[3] 0; accumulate s[1] a; accumulate s[1] b; store J[i, 0:3] s
    ->  c = add a b; store J[i, 0] 0; store J[i, 1] c; store J[i, 2] 0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from tracegrad.ir.graph import (
    Builder,
    Equation,
    Graph,
    Literal,
    Operand,
    Value,
    substitute,
)
from tracegrad.ir.shapes import Assumptions, Dim
from tracegrad.ir.types import DType, Type, scalar
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs, structural
from tracegrad.primitives.control import cond, while_
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.evaluate import concretise
from tracegrad.transforms.cells import place_of
from tracegrad.transforms.cellwise import (
    Cells,
    Unfolding,
    each_cell,
    filled,
    is_cellwise,
)
from tracegrad.transforms.dce import prune
from tracegrad.transforms.regions import (
    Carried,
    adopt,
    body_of,
    carried,
    clone_region,
    is_loop,
    regions_in,
    set_carried,
)
from tracegrad.transforms.splittable import (
    Splittable,
    splittable,
    written_cells,
)


def split(graph: Graph) -> Graph:
    """The graph with small arrays as numbers where that can be done all through."""
    plan = splittable(graph)
    if not plan.values:
        return graph
    known: dict[Value, Operand] = {}
    copy = clone_region(graph, known, graph.parent)
    _Splitter(plan.among(known)).graph(copy)
    prune(copy)
    return copy


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell of a Ref."""

    ref: Value
    index: tuple[int, ...]

    @property
    def name(self) -> str | None:
        """What a number in its place is called."""
        return _spelled(self.ref.name, self.index)


class _Splitter:
    """Rewrites the regions of a graph in order, in place.

    cells: of the values that are split or opened, and what Refs hold at this point.
    known: the numbers that others have become.
    """

    def __init__(self, plan: Splittable) -> None:
        self._plan = plan
        self._cells: dict[Value, Cells] = {}
        self._known: dict[Value, Operand] = {}
        self._unfolding = Unfolding()

    def graph(self, graph: Graph) -> None:
        """Rewrite a graph and all its regions."""
        self._end(graph, *self._block(graph))

    # --- regions -------------------------------------------------------------------

    def _block(self, region: Graph) -> tuple[list[Equation], Builder]:
        """Rewrite a region up to its results; what it consists of, and a builder."""
        found: list[Equation] = []
        apart = Graph(region.name, parent=region)
        builder = Builder(apart, Assumptions(), simplify, exact=True)
        for param in region.params:
            if param in self._plan.opened:
                self._cells[param] = self._taken_apart(builder, param, param.type)
        for equation in region.equations:
            equation.inputs = tuple(map(self._now, equation.inputs))
            with builder.at(equation.location):
                kept = self._equation(builder, equation)
            found += _flush(region, builder)
            if kept:
                found.append(equation)
                with builder.at(equation.location):
                    for output in equation.outputs:
                        if output in self._plan.opened:
                            self._cells[output] = self._opened(builder, output)
                found += _flush(region, builder)
        return found, builder

    def _end(self, region: Graph, found: list[Equation], builder: Builder) -> None:
        region.equations[:] = [*found, *_flush(region, builder)]
        region.results[:] = map(self._now, region.results)

    def _now(self, operand: Operand) -> Operand:
        return substitute(operand, self._known)

    def _equation(self, builder: Builder, equation: Equation) -> bool:
        """Rewrite an equation; whether it stays."""
        plan, primitive = self._plan, equation.primitive
        if is_loop(equation):
            self._loop(builder, equation)
            return True
        if primitive is cond:
            self._cond(equation)
            return True
        if primitive in (refs.alloc, refs.copy):
            return not self._new(builder, equation)
        if primitive is refs.load:
            return not self._load(builder, equation)
        if primitive in (refs.store, refs.accumulate):
            return not self._write(builder, equation)
        if plan.unfolds(equation):
            self._give(equation.outputs[0], self._computed(builder, equation))
            return False
        return True

    def _give(self, value: Value, cells: Cells) -> None:
        """Let a value be these cells from now on."""
        if value.type.ndim:
            self._cells[value] = cells
            for index in np.ndindex(cells.shape):
                _name(cells[index], _spelled(value.name, index))
        else:
            operand = cells[()]
            self._known[value] = operand
            _name(operand, value.name)

    # --- cells ---------------------------------------------------------------------

    def _of(
        self, builder: Builder, operand: Operand, type_: Type | None = None
    ) -> Cells:
        """The cells of an array, or of a number.

        type_: of what it becomes, if its own may only be assumed to be the same.
        """
        if isinstance(operand, Value) and operand in self._cells:
            return self._cells[operand]
        if operand.type.ndim:
            return self._taken_apart(builder, operand, type_ or operand.type)
        cells = np.empty((), object)
        cells[()] = operand
        return cells

    def _taken_apart(self, builder: Builder, operand: Operand, type_: Type) -> Cells:
        """The cells of an array that stays, each read by itself."""
        made = operand.definition if isinstance(operand, Value) else None
        loaded = made is None or bool(made.regions)
        rank = operand.type.ndim

        def cell(index: tuple[int, ...]) -> Operand:
            if loaded:
                at = [Literal(k, "int64") for k in index]
                return builder.emit1(refs.load, (operand, *at), _point(operand))
            starts, ones = tuple(map(Dim.of, index)), (Dim.of(1),) * rank
            window = {"starts": starts, "steps": (1,) * rank, "sizes": ones}
            part = builder.emit1(structural.slice_, (operand,), window)
            axes = tuple(range(rank))
            return builder.emit1(structural.squeeze, (part,), {"axes": axes})

        return filled(type_, cell)

    def _opened(self, builder: Builder, value: Value) -> Cells:
        """The cells of an array that stays, made where it is."""
        made = value.definition
        assert made is not None
        if is_cellwise(made):
            return self._computed(builder, made)
        if made.primitive is refs.load:
            return self._points(builder, made)
        return self._taken_apart(builder, value, value.type)

    def _computed(self, builder: Builder, equation: Equation) -> Cells:
        """What an operation gives, cell by cell."""
        operands = [self._of(builder, x) for x in equation.inputs]
        return self._unfolding.cells(builder, equation, operands)

    # --- effects -------------------------------------------------------------------

    def _new(self, builder: Builder, equation: Equation) -> bool:
        """A Ref that is split starts with these cells."""
        (ref,) = equation.outputs
        if ref not in self._plan.values:
            return False
        if equation.primitive is refs.copy:
            self._cells[ref] = self._of(builder, equation.inputs[0], ref.type).copy()
        else:
            fill = equation.params["fill"] or 0
            number = Literal(np.dtype(ref.type.dtype).type(fill).item(), ref.type.dtype)
            cell = self._unfolding.zero(ref.type.dtype) if fill == 0 else number
            self._cells[ref] = filled(ref.type, lambda _: cell)
        return True

    def _load(self, builder: Builder, equation: Equation) -> bool:
        (output,), base = equation.outputs, equation.inputs[0]
        if isinstance(base, Value) and base in self._plan.values:
            self._give(output, _part(self._cells[base], equation).copy())
            return True
        if output in self._plan.values:
            self._give(output, self._points(builder, equation))
            return True
        return False

    def _write(self, builder: Builder, equation: Equation) -> bool:
        ref, value = equation.inputs[:2]
        assert isinstance(ref, Value)
        if ref not in self._plan.values:
            if value not in self._plan.values:
                return False
            cells = self._of(builder, value)
            for index, place in _each(builder, equation, cells.shape):
                inputs = (ref, cells[index], *place)
                builder.emit(equation.primitive, inputs, _point(ref))
            return True
        type_ = refs.window_type(ref.type, equation.params["sizes"])
        cells = self._of(builder, value, type_)
        held, window = self._cells[ref], _window(equation)
        if equation.primitive is refs.accumulate:
            before, added = _part(held, equation).copy(), cells

            def cell(index: tuple[int, ...]) -> Operand:
                return self._unfolding.sum(builder, before[index], added[index])

            cells = filled(type_, cell)
        held[window] = cells if cells.ndim else cells[()]
        return True

    def _points(self, builder: Builder, load: Equation) -> Cells:
        """What a window shows, each cell loaded by itself."""
        base, type_ = load.inputs[0], load.outputs[0].type
        found = np.empty(tuple(int(n.value or 0) for n in type_.shape), object)
        for index, place in _each(builder, load, found.shape):
            found[index] = builder.emit1(refs.load, (base, *place), _point(base))
        return found

    # --- loops and branches --------------------------------------------------------

    def _loop(self, builder: Builder, loop: Equation) -> None:
        """Carry cells in the place of arrays, and of the Refs that are written."""
        cells = self._written(loop)
        numbers = [_carried(loop, x.name, self._held(x)) for x in cells]
        kept: list[Carried] = []
        arrays: list[tuple[Carried, Cells]] = []
        for c in carried(loop):
            if c.param not in self._plan.values:
                kept.append(c)
                continue
            initial = self._of(builder, c.initial, c.param.type)
            row = filled(c.param.type, partial(_carried_at, loop, c, initial))
            arrays.append((c, row))
        rows = [entry for _, row in arrays for entry in row.flat]
        set_carried(loop, [*kept, *rows, *numbers])
        for c, row in arrays:
            self._cells[c.param] = each_cell(row, attrgetter("param"))
            self._cells[c.output] = each_cell(row, attrgetter("output"))
            if c.tested is not None:
                self._cells[c.tested] = each_cell(row, attrgetter("tested"))
        if loop.primitive is while_:
            self._hold(cells, [x.tested or x.param for x in numbers])
            self._end(loop.regions[0], *self._block(loop.regions[0]))
        self._hold(cells, [x.param for x in numbers])
        body = body_of(loop)
        found, inner = self._block(body)
        ends = [
            end
            for c, _ in arrays
            for end in self._of(inner, self._now(c.next), c.param.type).flat
        ]
        ends += map(self._held, cells)
        changing = zip([*rows, *numbers], ends, strict=True)
        set_carried(loop, [*kept, *(replace(x, next=end) for x, end in changing)])
        self._end(body, found, inner)
        self._hold(cells, [x.output for x in numbers])

    def _cond(self, equation: Equation) -> None:
        """Let branches give cells in the place of arrays, and of what they write."""
        cells = self._written(equation)
        before = [*map(self._held, cells)]
        for region in equation.regions:
            self._hold(cells, before)
            found, inner = self._block(region)
            results: list[Operand] = []
            for output, result in zip(equation.outputs, region.results, strict=True):
                end = self._now(result)
                whole = output not in self._plan.values
                results += [end] if whole else self._of(inner, end, output.type).flat
            region.results[:] = [*results, *map(self._held, cells)]
            self._end(region, found, inner)
        outputs: list[Value] = []
        for output in equation.outputs:
            if output not in self._plan.values:
                outputs.append(output)
                continue
            self._give(
                output, filled(output.type, partial(_result_at, equation, output))
            )
            outputs += self._cells[output].flat
        numbers = [_result(equation, x.ref.type.dtype, x.name) for x in cells]
        equation.outputs = (*outputs, *numbers)
        self._hold(cells, numbers)

    def _written(self, equation: Equation) -> list[_Cell]:
        """The cells that an equation's regions write, of Refs from around it."""
        inner = {g for region in equation.regions for g in regions_in(region)}
        found: dict[_Cell, None] = {}
        for write in written_cells(equation):
            ref = write.inputs[0]
            split = isinstance(ref, Value) and ref in self._plan.values
            if isinstance(ref, Value) and split and ref.graph not in inner:
                grid = filled(ref.type, partial(_Cell, ref))
                found.update(dict.fromkeys(_part(grid, write).flat))
        return list(found)

    def _held(self, cell: _Cell) -> Operand:
        held: Operand = self._cells[cell.ref][cell.index]
        return held

    def _hold(self, cells: Sequence[_Cell], operands: Sequence[Operand]) -> None:
        for cell, operand in zip(cells, operands, strict=True):
            self._cells[cell.ref][cell.index] = operand


# --- arrays of operands ------------------------------------------------------------


def _window(access: Equation) -> tuple[Any, ...]:
    """The NumPy index of an access to known cells."""
    place = place_of(access)
    assert place is not None
    starts = tuple(int(x.value) for x in place.index if isinstance(x, Literal))
    return refs.window(starts, concretise(place.sizes, {}), place.steps)


def _part(cells: Cells, access: Equation) -> Cells:
    """What an access to known cells shows of them."""
    found = np.empty((), object)
    shown = cells[_window(access)]
    if isinstance(shown, np.ndarray):
        return shown
    found[()] = shown
    return found


def _each(
    builder: Builder, access: Equation, shape: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[Operand, ...]]]:
    """Each cell of a window: its index there, and where it is in the base."""
    place = place_of(access)
    assert place is not None
    for index in np.ndindex(shape):
        rest = iter(index)
        at: list[Operand] = []
        for start, size, step in zip(
            place.index, place.sizes, place.steps, strict=True
        ):
            offset = 0 if size is None else next(rest) * step
            more = Literal(offset, "int64")
            at.append(builder.emit1(ew.add, (start, more)) if offset else start)
        yield index, tuple(at)


def _point(base: Operand) -> Mapping[str, Any]:
    rank = base.type.ndim
    return {"sizes": (None,) * rank, "steps": (1,) * rank}


def _flush(region: Graph, builder: Builder) -> list[Equation]:
    """What a builder has made since, as a region's own."""
    found = adopt(region, builder.graph.equations)
    builder.graph.equations = []
    return found


# --- names -------------------------------------------------------------------------


def _spelled(name: str | None, index: tuple[int, ...]) -> str | None:
    """``x_0`` for a cell of x."""
    return f"{name}_{''.join(map(str, index))}" if name else None


def _name(operand: Operand, name: str | None) -> None:
    if isinstance(operand, Value) and operand.name is None:
        operand.name = name


def _result(equation: Equation, dtype: DType, name: str | None) -> Value:
    """A number that branches give."""
    graph = equation.regions[0].parent
    assert graph is not None
    made = Value(scalar(dtype), name, graph)
    made.definition = equation
    return made


def _result_at(equation: Equation, array: Value, index: tuple[int, ...]) -> Value:
    return _result(equation, array.type.dtype, _spelled(array.name, index))


def _carried(loop: Equation, name: str | None, initial: Operand) -> Carried:
    """A number that a loop carries; for now it doesn't change."""
    output = Value(initial.type, name, loop.outputs[-1].graph)
    output.definition = loop
    tested = None
    if loop.primitive is while_:
        tested = Value(initial.type, name, loop.regions[0])
    param = Value(initial.type, name, body_of(loop))
    return Carried(initial, param, tested, param, output)


def _carried_at(
    loop: Equation, c: Carried, initial: Cells, index: tuple[int, ...]
) -> Carried:
    return _carried(loop, _spelled(c.param.name, index), initial[index])
