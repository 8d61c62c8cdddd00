"""Buffers: which memory each stored value has.

What enters is a ``Plan`` and the arrays that exist already; what leaves is a
``Buffer`` per stored value. Axes whose loops a value shares with all its readers are
dropped: a whole matrix becomes a row, a row becomes a scalar.

    softmax of rows: s = X W + b is read in the same loop over rows as it is made,
    twice over its columns  ->  s is a row, its maximum and its sum are scalars
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codegen.loop_ir import Allocate, Array, Role, Var
from tracegrad.ir.graph import Value
from tracegrad.ir.shapes import Dim, product
from tracegrad.lower.access import Affine, Indices
from tracegrad.lower.blocking import BLOCK
from tracegrad.lower.cluster import Plan, same_at
from tracegrad.lower.names import Names
from tracegrad.lower.roots import WHOLE, Root, block_index
from tracegrad.lower.sizes import Facts, Sizes

# Up to this many elements scratch is allocated by the kernel itself.
SMALL = 4096


@dataclass(frozen=True, slots=True)
class Buffer:
    """Where a stored value lives.

    axes: of the value, those that the array has, in its order.
    array: None if no axis is left; then it is ``scalar``.
    depth: how many loops its maker shares with all its readers.
    block: the axis of which it holds one block only.
    """

    value: Value
    axes: tuple[int, ...]
    array: Array | None
    scalar: Var | None
    depth: int = 0
    block: int | None = None

    def cells(self, index: Indices) -> Indices:
        """The index into the array for an index into the value."""
        return tuple(index[axis] for axis in self.axes)


def whole(value: Value, array: Array) -> Buffer:
    """A buffer for an array with all its axes."""
    return Buffer(value, tuple(range(len(value.type.shape))), array, None)


@dataclass(slots=True)
class Storage:
    """The buffers of a plan, and the statements that allocate them."""

    buffers: dict[Value, Buffer]
    allocations: list[Allocate]


def allocate(
    plan: Plan, given: Mapping[Value, Buffer], names: Names, sizes: Sizes, facts: Facts
) -> Storage:
    """Place every value that a plan's roots make."""
    storage = Storage(dict(given), [])
    for root in plan.roots:
        if root.kind in ("check", "scalar"):
            continue
        outputs = root.equation.outputs if root.kind == "library" else (root.value,)
        for value in outputs:
            if value not in storage.buffers:
                buffer = _place(plan, root, value, names, sizes, facts)
                storage.buffers[value] = buffer
                if buffer.array is not None and buffer.array.role != "view":
                    storage.allocations.append(Allocate(buffer.array))
    return storage


def _place(
    plan: Plan, root: Root, value: Value, names: Names, sizes: Sizes, facts: Facts
) -> Buffer:
    depth = _shared_depth(plan, root, value)
    axes = _kept_axes(plan, root, value, depth)
    name = value.name or names.fallback(value)
    dtype = value.type.dtype
    if not axes:
        return Buffer(value, (), None, names.variable(name, dtype), depth)
    block: int | None = None
    if root.blocked and depth > 0:
        block = root.target.index(block_index(root))
    shape = tuple(
        Dim.constant(BLOCK) if axis == block else value.type.shape[axis]
        for axis in axes
    )
    role: Role = "view"
    if root.kind != "view":
        fixed = not any(map(facts.varies, shape))
        # Scratch of a block is read in vectors: only the workspace is aligned to them.
        large = block is not None or _large(shape, facts)
        role = "workspace" if fixed and large else "local"
    exprs = tuple(map(sizes.expr, shape))
    array = Array(names.unique(name), dtype, exprs, role)
    return Buffer(value, axes, array, None, depth, block)


def _large(shape: tuple[Dim, ...], facts: Facts) -> bool:
    return facts.hint(product(shape)) > SMALL


def _shared_depth(plan: Plan, root: Root, value: Value) -> int:
    """The number of loops around the maker that every reader shares."""
    if root.kind in WHOLE:
        return 0
    depth = len(root.path)
    for reader in plan.roots:
        for read, index in reader.reads:
            if read is not value:
                continue
            level = 0
            while (
                level < min(depth, len(reader.path))
                and reader.path[level] is root.path[level]
                and same_at(root, reader, index, level)
            ):
                level += 1
            depth = level
    return depth


def _kept_axes(plan: Plan, root: Root, value: Value, depth: int) -> tuple[int, ...]:
    """The axes left, in the order of the loops; natural if it is read whole."""
    rank = len(value.type.shape)
    is_whole = root.kind in WHOLE or any(
        read is value and index is None
        for reader in plan.roots
        for read, index in reader.reads
    )
    if is_whole:
        return tuple(range(rank))
    levels = {
        axis: own.level
        for axis, own in enumerate(root.target)
        if isinstance(own, Affine)
    }
    kept = [axis for axis in range(rank) if levels[axis] >= depth]
    return tuple(sorted(kept, key=lambda axis: levels[axis]))
