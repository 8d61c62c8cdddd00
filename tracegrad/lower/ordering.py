"""Ordering: in which order a root's loops nest.

What enters are roots whose loops follow the axes of what they evaluate; what leaves are
the same roots, some with their loops permuted so that readers and makers can share
them. Readers come first: what is read as ``t[v1, v2, v0]`` is best made with its last
axis outermost.

    t[k, i, n] = sum_j L[k, i, j] x[n, j];  y[n, k, i] = t[k, i, n]
    ->  the sum's loops are (n, k, i, j), and t is one number
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tracegrad.lower.access import Affine, Gathered, Index, Indices
from tracegrad.lower.roots import Root, Roots

# These have loops that may nest in any order.
FREE = ("store", "reduce")


def order(roots: Sequence[Root], maker: Roots) -> list[Root]:
    """The roots with their loops in the order that their readers prefer."""
    found = list(roots)
    for position in range(len(found) - 1, -1, -1):
        root = found[position]
        if root.kind not in FREE or len(root.target) < 2:
            continue
        levels = _preferred(root, found)
        if levels is not None:
            root = renumbered(root, levels, maker)
        levels = _contracted_last(root)
        if levels is not None:
            root = renumbered(root, levels, maker)
        found[position] = root
    return found


def _contracted_last(root: Root) -> dict[int, int] | None:
    """New levels by which sums move inwards, so that outer loops can be shared.

    A sum over leading axes stays where it is, and the last axis stays last: both read
    memory in order.
    """
    levels = range(len(root.extents))
    leading = next((k for k in levels if k not in root.reduced), len(levels))
    reduced = [k for k in levels if k in root.reduced and k >= leading]
    free = [k for k in levels if k not in root.reduced]
    last = free[-1:] if levels[-1] not in root.reduced else []
    rest = free[: len(free) - len(last)]
    sequence = [*range(leading), *rest, *reduced, *last]
    if sequence == list(levels):
        return None
    return {old: new for new, old in enumerate(sequence)}


def _preferred(root: Root, roots: Sequence[Root]) -> dict[int, int] | None:
    """New levels of a root's loops, if all its readers want the same other order."""
    own = [index.level for index in root.target if isinstance(index, Affine)]
    wanted: set[tuple[int, ...]] = set()
    for reader in roots:
        for value, index in reader.reads:
            if value is not root.value:
                continue
            levels = _plain_levels(index)
            if levels is None:
                return None
            # The root's own levels, in the order of the reader's loops.
            wanted.add(
                tuple(level for _, level in sorted(zip(levels, own, strict=True)))
            )
    if len(wanted) != 1:
        return None
    (sequence,) = wanted
    places = sorted(own)
    if list(sequence) == places:
        return None
    moved = dict(zip(sequence, places, strict=True))
    return {level: moved.get(level, level) for level in range(len(root.extents))}


def _plain_levels(index: Indices | None) -> list[int] | None:
    """The loops of a read that has one plain loop per axis."""
    if index is None:
        return None
    levels = [own.level for own in index if isinstance(own, Affine)]
    plain = len(levels) == len(index) == len(set(levels))
    return levels if plain else None


def renumbered(root: Root, levels: Mapping[int, int], maker: Roots) -> Root:
    """A root with its loops permuted."""
    extents = list(root.extents)
    for old, new in levels.items():
        extents[new] = root.extents[old]
    moved = Root(
        root.kind,
        root.key,
        root.value,
        root.body,
        tuple(extents),
        relevelled(root.index, levels),
        relevelled(root.target, levels),
        frozenset(levels[level] for level in root.reduced),
    )
    maker.visit(moved)
    return moved


def relevelled(indices: Indices, levels: Mapping[int, int]) -> Indices:
    """Indices with other numbers for their loops."""
    return tuple(_relevelled(index, levels) for index in indices)


def _relevelled(index: Index, levels: Mapping[int, int]) -> Index:
    match index:
        case Affine(level=level):
            return replace(index, level=levels[level])
        case Gathered(at=at):
            return replace(index, at=relevelled(at, levels))
        case _:
            return index
