"""Emission: from a plan and its buffers to statements of the loop language.

What enters is the tree of groups and roots; what leaves, in the open scope, are loops
and stores. Around each loop a root may have something to say before it (reset an
accumulator) and after it (write the accumulator back).

    [group n: [reduce total, store z_bar]]
    ->  total = 0.0; for i in range(n): ...; total = total + ...; z_bar[i] = ...
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen import loop_ir
from codegen.loop_ir import Assign, Const, Expr, Fill, For, Op, Stmt, Store
from tracegrad.lower import edges, element
from tracegrad.lower.access import Affine, variable
from tracegrad.lower.blocking import BLOCK
from tracegrad.lower.buffers import Buffer
from tracegrad.lower.cluster import Group, Item
from tracegrad.lower.edges import Segment
from tracegrad.lower.leaves import Leaves, neutral
from tracegrad.lower.locations import location_of
from tracegrad.lower.names import Names
from tracegrad.lower.roots import Root
from tracegrad.lower.scalars import Block, Scalars

LETTERS = "ijklpqrs"


class Emitter:
    """Writes roots and groups into the scopes of a ``Scalars``."""

    def __init__(self, scalars: Scalars, names: Names, around: int = 0) -> None:
        self._around = around  # how many loops of the program there are around
        self.scalars = scalars
        self.scopes = scalars.scopes
        self.names = names
        self.leaves = Leaves(scalars, names)

    def items(self, items: Sequence[Item], depth: int) -> None:
        """Write what a loop's body (or the kernel's) does."""
        for item in items:
            if isinstance(item, Group):
                self._group(item, depth)
            else:
                self.leaves.leaf(item)

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
        letter = self._around + (depth if self.scalars.block is None else depth - 1)
        var = self.names.variable(LETTERS[letter % len(LETTERS)], "int64")
        self.scopes.levels[var.name] = depth + 1
        self.names.trips[var.name] = self.scalars.facts.hint(group.extent.size)
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
        var = self.names.variable(
            LETTERS[(self._around + depth - 1) % len(LETTERS)], "int64"
        )
        self.scopes.levels[var.name] = depth + 1
        self.names.lanes.add(var.name)
        self.scalars.loops[depth] = var
        self.scalars.block.index = variable(depth)
        with self.scopes.block(depth + 1) as scope:
            self.items(group.items, depth + 1)
        # Scratch may as well be computed beyond the end of the last block: a length
        # that the compiler knows makes the loop a third faster.
        size: Expr = self.scalars.block.size
        if self._within_scratch(scope.body):
            size = loop_ir.integer(BLOCK)
        self.scalars.block.index = variable(-1)
        self.scopes.emit(For(var, loop_ir.integer(0), size, 1, tuple(scope.body)))

    def _within_scratch(self, body: Sequence[Stmt]) -> bool:
        """Whether statements read and write scratch of a block and nothing else."""
        scratch = {
            buffer.array.name
            for buffer in self.scalars.buffers.values()
            if buffer.array is not None and buffer.block is not None
        }
        return all(
            isinstance(stmt, Assign)
            or (isinstance(stmt, Store) and stmt.array.name in scratch)
            for stmt in body
        ) and all(
            part.array.name in scratch
            for stmt in body
            for expr in loop_ir.expressions(stmt)
            for part in loop_ir.nested(expr)
            if isinstance(part, loop_ir.Load)
        )

    # --- before and after a loop ---------------------------------------------------

    def _before(self, root: Root, depth: int) -> None:
        if depth == 0:
            self.leaves.open(root)
        inner = root.inner
        match root.kind:
            case "reduce":
                self._reset(root, depth, inner)
            case "scan" if depth == len(root.extents) - 1:
                start = 1 if root.equation.primitive.name == "cumprod" else 0
                dtype = root.value.type.dtype
                self.leaves.start(root, "run", element.literal(start, dtype))
            case "position" if depth == inner:
                dtype = root.body.type.dtype
                largest = root.equation.primitive.name == "argmax"
                worst = neutral("maximum" if largest else "minimum", dtype)
                self.leaves.start(root, "best", worst)
                self.leaves.start(root, "where", loop_ir.integer(0))

    def _reset(self, root: Root, depth: int, inner: int) -> None:
        buffer, outer = self.scalars.buffers[root.value], min(root.reduced)
        zero = neutral(self.leaves.combine(root), root.value.type.dtype)
        whole = outer == inner
        if depth == outer and not whole:
            self._clear(root, buffer, zero, depth)
        if depth == inner < len(root.extents):
            if whole and buffer.scalar is not None:
                self.leaves.progress[root]["total"] = buffer.scalar
                self.scopes.levels[buffer.scalar.name] = buffer.depth
                where = location_of(root.equation)
                self.scopes.emit(Assign(buffer.scalar, zero, where))
            else:
                self.leaves.start(root, "total", zero)

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
        # An array of all blocks is not to be cleared by each of them.
        whole = root.blocked and depth > 0 and buffer.block is None
        if not whole and levels[: len(leading)] == leading:
            cells = buffer.cells(root.target)[: len(leading)]
            prefix = tuple(map(self.scalars.position, cells))
            self.scopes.emit(Fill(buffer.array, zero, prefix))
        else:
            self.scopes.stack[0].body.append(Fill(buffer.array, zero))

    def _after(self, root: Root, depth: int) -> None:
        match root.kind:
            case "reduce" if depth == root.inner < len(root.extents):
                buffer = self.scalars.buffers[root.value]
                total = self.leaves.progress[root]["total"]
                if total is not buffer.scalar:
                    whole = min(root.reduced) == root.inner
                    combine = None if whole else self.leaves.combine(root)
                    self.leaves.write(root, total, combine)
            case "position" if depth == root.inner:
                self.leaves.write(root, self.leaves.progress[root]["where"])
            case "check" if depth == 0:
                self.leaves.check(root, *self.leaves.progress[root].values())
