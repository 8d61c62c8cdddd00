"""Blocking: a long axis is taken in blocks, each of them the innermost loop.

Where short loops contract (a matrix product with a 10 × 10 matrix per point), neither
vectorises. What enters are the roots of such a program; what leaves are the same roots
with the long axis split: its blocks are the outermost loop, and the elements of a block
the innermost one, over which everything vectorises. Scratch of a block stays in cache.

Arrays that have the long axis first are copied once per block with that axis last.

    y[n, i] = sum_j Q[i, j] x[n, j], loops (n, i, j)
    ->  loops (blocks of n, i, j, n in block): y[i, v] += Q[i, j] * x_b[j, v]
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegrad.ir.graph import Equation, Value
from tracegrad.ir.shapes import Dim
from tracegrad.lower.access import identity
from tracegrad.lower.composites import copy
from tracegrad.lower.ordering import FREE, relevelled
from tracegrad.lower.roots import Extent, Root, Roots, block_index, crosses
from tracegrad.lower.sizes import Facts

BLOCK = 128
# Nests at least so deep are blocked, along an axis so long, if they contract so short.
DEEP = 3
LONG = 2 * BLOCK
SHORT = 32


def axis_to_block(roots: Sequence[Root], facts: Facts) -> Dim | None:
    """The size of the axis that is worth blocking, if there is one."""
    found: dict[Dim, int] = {}
    for root in roots:
        if root.kind != "reduce" or len(root.extents) < DEEP:
            continue
        hints = [facts.hint(extent.size) for extent in root.extents]
        longest = max(range(len(hints)), key=lambda level: hints[level])
        if hints[longest] < LONG or root.extents[longest].size.value is not None:
            continue
        others = [h for level, h in enumerate(hints) if level != longest]
        contracts = [hints[k] for k in root.reduced if k != longest]
        if contracts and max(contracts) <= SHORT and max(others) < LONG:
            size = root.extents[longest].size
            found[size] = found.get(size, 0) + 1
    return max(found, key=lambda size: found[size]) if found else None


def block(roots: Sequence[Root], size: Dim, maker: Roots) -> list[Root]:
    """The roots, with every loop over an axis of this size blocked."""
    found = [_blocked(root, size, maker) for root in roots]
    made = {root.key for root in found if root.blocked}
    result: list[Root] = []
    for root in found:
        if root.blocked:
            result += _packs(root, made, size, maker)
        result.append(root)
    if len(result) > len(found):
        for root in result:
            root.reads.clear()
            root.needs.clear()
            root.sites.clear()
            maker.visit(root)
    return result


def _blocked(root: Root, size: Dim, maker: Roots) -> Root:
    levels = [k for k, extent in enumerate(root.extents) if extent.size == size]
    if root.kind not in FREE or len(levels) != 1 or levels[0] in root.windows:
        return root
    (level,) = levels
    last = len(root.extents)
    moved = {k: k + 1 if k < level else k for k in range(last)}
    moved[level] = last
    others = [extent for k, extent in enumerate(root.extents) if k != level]
    reduced = {moved[k] for k in root.reduced}
    if last in reduced:
        reduced.add(0)
    made = Root(
        root.kind,
        root.key,
        root.value,
        root.body,
        (Extent(size, "blocks"), *others, Extent(size, "block")),
        relevelled(root.index, moved),
        relevelled(root.target, moved),
        frozenset(reduced),
    )
    maker.visit(made)
    return made


def _packs(root: Root, made: set[object], size: Dim, maker: Roots) -> list[Root]:
    """Copies, with the blocked axis last, of the arrays that a root reads across."""
    found = []
    for value, index in root.reads:
        if index is None or value in made or not crosses(root, index):
            continue
        axis = index.index(block_index(root))
        if (value, axis) not in maker.packs:
            found.append(_pack(value, axis, size, maker))
    return found


def _pack(value: Value, axis: int, size: Dim, maker: Roots) -> Root:
    twin = Value(value.type, None, value.graph)
    twin.name = f"{value.name}_b" if value.name else None
    twin.definition = Equation(copy, (value,), {}, (), (twin,), None)
    rank = len(value.type.shape)
    moved = {k: k + 1 if k < axis else k for k in range(rank)}
    moved[axis] = rank
    others = [Extent(d) for k, d in enumerate(value.type.shape) if k != axis]
    index = relevelled(identity(rank), moved)
    extents = (Extent(size, "blocks"), *others, Extent(size, "block"))
    maker.packs[value, axis] = twin
    maker.store(twin)
    return Root("store", twin, twin, twin, extents, index, index)
