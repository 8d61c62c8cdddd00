"""Emission: from a plan and its buffers to statements of the loop language.

What enters is the tree of groups and roots; what leaves, in the open scope, are loops
and stores. Around each loop a root may have something to say before it (reset an
accumulator) and after it (write the accumulator back).

    [group n: [reduce total, store z_bar]]
    ->  total = 0.0; for i in range(n): ...; total = total + ...; z_bar[i] = ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from codegen import loop_ir
from codegen.loop_ir import (
    Accumulate,
    Array,
    Assign,
    Combine,
    Const,
    DType,
    Expr,
    Fill,
    For,
    If,
    Library,
    Op,
    Reshape,
    Stmt,
    Store,
    Var,
    View,
)
from codegen.loop_ir import Operand as Matrix
from tracegrad.ir import primitive as table
from tracegrad.ir.graph import Operand, Value
from tracegrad.lower import edges, element
from tracegrad.lower.access import Affine, Gathered, variable
from tracegrad.lower.blocking import BLOCK
from tracegrad.lower.buffers import Buffer
from tracegrad.lower.cluster import Group, Item
from tracegrad.lower.edges import Segment
from tracegrad.lower.locations import location_of
from tracegrad.lower.names import Names
from tracegrad.lower.roots import Check, Root, stored_source, strided_pad
from tracegrad.lower.scalars import Block, Scalars

LETTERS = "ijklpqrs"


@dataclass(slots=True)
class _Progress:
    """The accumulators of a root whose loops are open."""

    names: dict[str, Var] = field(default_factory=dict)


class Emitter:
    """Writes roots and groups into the scopes of a ``Scalars``."""

    def __init__(self, scalars: Scalars, names: Names) -> None:
        self.scalars = scalars
        self.scopes = scalars.scopes
        self.names = names
        self._progress: dict[Root, _Progress] = {}

    def items(self, items: Sequence[Item], depth: int) -> None:
        """Write what a loop's body (or the kernel's) does."""
        for item in items:
            if isinstance(item, Group):
                self._group(item, depth)
            else:
                self._leaf(item)

    # --- loops ---------------------------------------------------------------------

    def _group(self, group: Group, depth: int) -> None:
        for root in group.roots:
            self._before(root, depth)
        match group.extent.part:
            case "axis":
                for segment in self._segments(group, depth):
                    self._segment(group, depth, segment)
            case "blocks":
                self._blocks(group, depth)
            case "block":
                self._inside_block(group, depth)
        for root in group.roots:
            self._after(root, depth)

    def _segments(self, group: Group, depth: int) -> list[Segment]:
        windows = [w for root in group.roots for w in root.windows.get(depth, ())]
        sizes, facts = self.scalars.sizes, self.scalars.facts
        outer = self.scalars.segments.values()
        if not windows or not all(segment.interior for segment in outer):
            return [edges.whole(group.extent.size, sizes)]
        return edges.split(group.extent.size, windows, sizes, facts)

    def _segment(self, group: Group, depth: int, segment: Segment) -> None:
        self.scalars.segments[depth] = segment
        letter = depth if self.scalars.block is None else depth - 1
        var = self.names.variable(LETTERS[letter % len(LETTERS)], "int64")
        self.scopes.levels[var.name] = depth + 1
        self.scalars.loops[depth] = var
        with self.scopes.block(depth + 1) as scope:
            self.items(group.items, depth + 1)
        del self.scalars.segments[depth]
        if segment.single is not None:
            self.scopes.here.body += scope.body
        else:
            loop = For(var, segment.lo, segment.hi, 1, tuple(scope.body))
            self.scopes.emit(loop)

    def _blocks(self, group: Group, depth: int) -> None:
        """A loop over blocks, the last of which may be short."""
        start = self.names.variable("start", "int64")
        count = self.names.variable("count", "int64", kept=True)
        extent = self.scalars.sizes.expr(group.extent.size)
        rest = Op("subtract", (extent, start), "int64")
        size = Op("minimum", (loop_ir.integer(BLOCK), rest), "int64")
        self.scopes.levels[start.name] = self.scopes.levels[count.name] = depth + 1
        self.scalars.block = Block(start, count, variable(-1))
        with self.scopes.block(depth + 1) as scope:
            self.scopes.emit(Assign(count, size))
            self.items(group.items, depth + 1)
        self.scalars.block = None
        body = tuple(scope.body)
        self.scopes.emit(For(start, loop_ir.integer(0), extent, BLOCK, body))

    def _inside_block(self, group: Group, depth: int) -> None:
        assert self.scalars.block is not None
        var = self.names.variable(LETTERS[(depth - 1) % len(LETTERS)], "int64")
        self.scopes.levels[var.name] = depth + 1
        self.scalars.loops[depth] = var
        self.scalars.block.index = variable(depth)
        with self.scopes.block(depth + 1) as scope:
            self.items(group.items, depth + 1)
        size = self.scalars.block.size
        self.scalars.block.index = variable(-1)
        self.scopes.emit(For(var, loop_ir.integer(0), size, 1, tuple(scope.body)))

    # --- before and after a loop ---------------------------------------------------

    def _before(self, root: Root, depth: int) -> None:
        if depth == 0:
            self._open(root)
        inner = root.inner
        match root.kind:
            case "reduce":
                self._reset(root, depth, inner)
            case "scan" if depth == len(root.extents) - 1:
                start = 1 if root.equation.primitive.name == "cumprod" else 0
                dtype = root.value.type.dtype
                self._start(root, "run", element.literal(start, dtype))
            case "position" if depth == inner:
                dtype = root.body.type.dtype
                largest = root.equation.primitive.name == "argmax"
                worst = neutral("maximum" if largest else "minimum", dtype)
                self._start(root, "best", worst)
                self._start(root, "where", loop_ir.integer(0))

    def _open(self, root: Root) -> None:
        """What a root needs before the outermost of its loops."""
        self._progress[root] = _Progress()
        if root.kind == "scatter" or (
            root.kind == "part" and strided_pad(root.equation)
        ):
            array = self._array(root)
            self.scopes.emit(Fill(array, element.literal(0, array.dtype)))
        if root.kind == "check":
            dtype = root.body.type.dtype
            self._start(root, "low", element.literal(0, dtype))
            self._start(root, "high", element.literal(-1, dtype))
        self._refuse_empty(root)

    def _refuse_empty(self, root: Root) -> None:
        """A maximum of nothing has no value."""
        name = "" if root.kind in ("check", "scalar") else root.equation.primitive.name
        words = {"reduce_max": "maximum", "reduce_min": "minimum"}
        if name in words:
            message = (
                "zero-size array to reduction operation "
                f"{words[name]} which has no identity"
            )
        elif name in ("argmax", "argmin"):
            message = f"attempt to get {name} of an empty sequence"
        else:
            return
        sizes, facts = self.scalars.sizes, self.scalars.facts
        for level in sorted(root.reduced):
            size = root.extents[level].size
            if not facts.at_least(size, edges.ONE):
                cond = Op(
                    "greater_equal", (sizes.expr(size), loop_ir.integer(1)), "bool"
                )
                where = location_of(root.equation)
                self.scopes.emit(loop_ir.Check(cond, "ValueError", message, where))

    def _start(self, root: Root, name: str, value: Expr) -> Var:
        var = self.names.variable(name, value.dtype, kept=True)
        self._progress[root].names[name] = var
        self.scopes.levels[var.name] = self.scopes.here.level
        self.scopes.emit(Assign(var, value))
        return var

    def _reset(self, root: Root, depth: int, inner: int) -> None:
        buffer, outer = self.scalars.buffers[root.value], min(root.reduced)
        zero = neutral(self._combine(root), root.value.type.dtype)
        whole = outer == inner
        if depth == outer and not whole:
            self._clear(root, buffer, zero, depth)
        if depth == inner < len(root.extents):
            if whole and buffer.scalar is not None:
                self._progress[root].names["total"] = buffer.scalar
                self.scopes.levels[buffer.scalar.name] = buffer.depth
                self.scopes.emit(Assign(buffer.scalar, zero, self._where(root)))
            else:
                base = root.value.name or self.names.fallback(root.value)
                var = self._start(root, "total", zero)
                del base, var

    def _clear(self, root: Root, buffer: Buffer, zero: Const, depth: int) -> None:
        """Fill the part of a buffer that the open loops accumulate into."""
        if buffer.array is None:
            assert buffer.scalar is not None
            self.scopes.levels[buffer.scalar.name] = buffer.depth
            self.scopes.emit(Assign(buffer.scalar, zero))
            return
        levels = [
            own.level for own in buffer.cells(root.target) if isinstance(own, Affine)
        ]
        leading = [level for level in levels if level < depth]
        if levels[: len(leading)] == leading:
            cells = buffer.cells(root.target)[: len(leading)]
            prefix = tuple(map(self.scalars.position, cells))
            self.scopes.emit(Fill(buffer.array, zero, prefix))
        else:
            self.scopes.stack[0].body.append(Fill(buffer.array, zero))

    def _after(self, root: Root, depth: int) -> None:
        match root.kind:
            case "reduce" if depth == root.inner < len(root.extents):
                buffer = self.scalars.buffers[root.value]
                total = self._progress[root].names["total"]
                if total is not buffer.scalar:
                    whole = min(root.reduced) == root.inner
                    self._write(root, total, None if whole else self._combine(root))
            case "position" if depth == root.inner:
                self._write(root, self._progress[root].names["where"])
            case "check" if depth == 0:
                self._check(root, *self._progress[root].names.values())

    # --- the innermost statements --------------------------------------------------

    def _leaf(self, root: Root) -> None:
        """One iteration of a root, unless it is outside of the root's windows."""
        tests: list[Expr] = []
        for span in root.spans:
            found = self.scalars.tests(span)
            if found is None:
                return
            tests += found
        if not tests:
            self._iteration(root)
            return
        with self.scopes.guarded(tests):
            self._iteration(root)

    def _iteration(self, root: Root) -> None:
        if not root.extents:
            self._open(root)
        match root.kind:
            case "store":
                self.scalars.making = root.value
                value = self.scalars.at(root.value, root.index, fresh=True)
                self.scalars.making = None
                self._write(root, value)
            case "fill":
                value = self.scalars.at(root.body, ())
                self.scopes.emit(Fill(self._array(root), value))
            case "scalar":
                self.scalars.at(root.body, ())
            case "part" | "scatter":
                combine: Combine | None = "add" if root.kind == "scatter" else None
                self._write(root, self.scalars.at(root.body, root.index), combine)
            case "reduce":
                self._accumulate(root)
            case "scan":
                self._scan(root)
            case "position":
                self._position(root)
            case "check":
                self._extremes(root)
            case "library":
                self._library(root)
            case "view":
                base = self._stored(root.body)
                self.scopes.emit(Reshape(self._array(root), base))

    def _write(self, root: Root, value: Expr, combine: Combine | None = None) -> None:
        """Store an element; whoever reads it in this iteration has it already."""
        buffer = self.scalars.buffers[root.value]
        where = self._where(root)
        if buffer.array is None:
            assert buffer.scalar is not None
            if combine is not None:
                accumulate = Accumulate(buffer.scalar, combine, value, True, where)
                self.scopes.emit(accumulate)
                return
            if isinstance(value, Const | Var):
                self.scopes.learn(root.value, root.target, value)
                return
            self.scopes.emit(Assign(buffer.scalar, value, where))
            return
        array, cells = self.scalars.cell(buffer, root.target)
        plain = not any(isinstance(own, Gathered) for own in root.target)
        self.scopes.emit(
            Store(array, cells, value, combine, nonnegative=plain, location=where)
        )
        if combine is None and root.kind == "store" and isinstance(value, Const | Var):
            self.scopes.learn(root.value, root.target, value)

    def _accumulate(self, root: Root) -> None:
        value = self.scalars.at(root.body, root.index)
        combine = self._combine(root)
        if root.inner < len(root.extents):
            total = self._progress[root].names["total"]
            where = self._where(root)
            self.scopes.emit(Accumulate(total, combine, value, True, where))
        else:
            self._write(root, value, combine)

    def _scan(self, root: Root) -> None:
        run = self._progress[root].names["run"]
        value = self.scalars.at(root.body, root.index)
        where = self._where(root)
        if root.equation.primitive.name == "recurrence":
            added = self.scalars.at(root.equation.inputs[1], root.index)
            scaled = element.operation("multiply", value, run)
            self.scopes.emit(Assign(run, element.operation("add", scaled, added), where))
        else:
            times = root.equation.primitive.name == "cumprod"
            combine: Combine = "multiply" if times else "add"
            self.scopes.emit(Accumulate(run, combine, value, False, where))
        # Readers take what the accumulator is now: it goes on in the next iteration.
        held = self.scalars.held(root.value, root.target, run, len(root.extents))
        buffer = self.scalars.buffers[root.value]
        if buffer.array is not None:
            array, cells = self.scalars.cell(buffer, root.target)
            self.scopes.emit(Store(array, cells, held, location=where))

    def _position(self, root: Root) -> None:
        """Keep the position of the first NaN, else of the first extreme."""
        best, at = self._progress[root].names.values()
        value = self.scalars.at(root.body, root.index)
        name = "greater" if root.equation.primitive.name == "argmax" else "less"
        better: Expr = Op(name, (value, best), "bool")
        if value.dtype in ("float64", "float32"):
            known = Op("equal", (best, best), "bool")
            lost = Op("not_equal", (value, value), "bool")
            better = Op("or", (better, Op("and", (lost, known), "bool")), "bool")
        index = self.scalars.loops[len(root.extents) - 1]
        self.scopes.emit(If(better, (Assign(best, value), Assign(at, index))))

    # --- checks of index arrays ----------------------------------------------------

    def _extremes(self, root: Root) -> None:
        low, high = self._progress[root].names.values()
        value = self.scalars.at(root.body, root.index)
        self.scopes.emit(Accumulate(low, "minimum", value, False))
        self.scopes.emit(Accumulate(high, "maximum", value, False))
        if not root.extents:
            self._check(root, low, high)

    def _check(self, root: Root, low: Var, high: Var) -> None:
        assert isinstance(root.key, Check)
        size = self.scalars.sizes.expr(root.key.size)
        start: Expr = Op("negative", (size,), "int64")
        if isinstance(size, Const):
            start = loop_ir.integer(-int(size.value))
        tests = (
            Op("greater_equal", (low, start), "bool"),
            Op("less", (high, size), "bool"),
        )
        where = location_of(root.equation)
        message = "an index is out of bounds"
        cond = Op("and", tests, "bool")
        self.scopes.emit(loop_ir.Check(cond, "IndexError", message, where))

    # --- library calls -------------------------------------------------------------

    def _library(self, root: Root) -> None:
        equation = root.equation
        lower = equation.primitive.lower
        assert isinstance(lower, table.Library)
        batch = tuple(self.scalars.position(own) for own in root.index)
        matrices = []
        for operand in equation.inputs:
            source = stored_source(operand)
            array = self._view(self._stored(source), batch)
            matrices.append(Matrix(array, source is not operand))
        outputs: list[Array | Var] = []
        numbers: list[tuple[Value, Var]] = []
        for value in equation.outputs:
            buffer = self.scalars.buffers[value]
            if buffer.array is None:
                assert buffer.scalar is not None
                outputs.append(buffer.scalar)
            elif buffer.array.rank > len(batch):
                outputs.append(self._view(buffer.array, batch))
            else:
                var = self.names.variable("t", buffer.array.dtype)
                numbers.append((value, var))
                outputs.append(var)
        where = self._where(root)
        call = Library(lower.routine, tuple(outputs), tuple(matrices), where)
        self.scopes.emit(call)
        for value, var in numbers:
            array = self.scalars.buffers[value].array
            assert array is not None
            self.scopes.emit(Store(array, batch, var))

    def _view(self, array: Array, batch: tuple[Expr, ...]) -> Array:
        """One matrix of a batch."""
        if not batch:
            return array
        shape = array.shape[len(batch) :]
        base = array.name.split("%")[0]
        view = Array(self.names.unique(base + "_i"), array.dtype, shape, "view")
        starts = (loop_ir.integer(0),) * len(shape)
        self.scopes.emit(View(view, array, starts, batch))
        return view

    # --- lookups -------------------------------------------------------------------

    def _array(self, root: Root) -> Array:
        array = self.scalars.buffers[root.value].array
        assert array is not None
        return array

    def _stored(self, operand: Operand) -> Array:
        assert isinstance(operand, Value)
        array = self.scalars.buffers[operand].array
        assert array is not None
        return array

    def _combine(self, root: Root) -> Combine:
        lower = root.equation.primitive.lower
        assert isinstance(lower, table.Reduction)
        return lower.combine

    def _where(self, root: Root) -> loop_ir.Location | None:
        return location_of(root.equation)


def neutral(combine: Combine, dtype: DType) -> Const:
    """What combines with anything to give just that."""
    match combine:
        case "add":
            return element.literal(0, dtype)
        case "multiply":
            return element.literal(1, dtype)
        case "or" | "and":
            return Const(combine == "and", "bool")
    largest = combine == "minimum"
    if dtype == "bool":
        return Const(largest, dtype)
    if dtype in ("int64", "int32"):
        limits = np.iinfo(dtype)
        return Const(int(limits.max if largest else limits.min), dtype)
    return Const(math.inf if largest else -math.inf, dtype)


def statements(scalars: Scalars) -> list[Stmt]:
    """What has been written."""
    return scalars.scopes.stack[0].body
