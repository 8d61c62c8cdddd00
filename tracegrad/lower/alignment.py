"""Alignment: sums over the interior of an array join the loop over the whole array.

What enters are roots; what leaves are the same roots, some of them on longer loops: a
reduction over exactly the window in which another root's pad is not zero is run by that
root's loop, and does nothing outside of the window. The pad splits the loop there
anyhow, so this costs nothing, and the arrays are read once.

    total over n - 1 of a;  x_bar over n with pad[1:](a_bar)
    ->  total over n, window [0, n - 1);  x_bar over n
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracegrad.lower.access import Affine, Indices, Window
from tracegrad.lower.roots import Extent, Root, Roots

# A longer loop is run in place of a shorter one only if they nearly are the same.
NEAR = 8


def align(roots: Sequence[Root], maker: Roots) -> list[Root]:
    """The roots, with reductions moved onto the loops of others where that helps."""
    found = list(roots)
    for position, root in enumerate(found):
        if root.kind != "reduce" or len(root.reduced) != len(root.extents):
            continue
        for host in found:
            spans = _spans(root, host)
            if spans and not _related(root, host, found):
                found[position] = _moved(root, host.extents, spans, maker)
                break
    return found


def _spans(root: Root, host: Root) -> list[Window]:
    """The windows of a host's pads over which a root runs, one per loop."""
    same_rank = len(root.extents) == len(host.extents)
    if host is root or not same_rank or host.extents == root.extents:
        return []
    spans: list[Window] = []
    for level, extent in enumerate(root.extents):
        longer = host.extents[level]
        gap = (longer.size - extent.size).value
        if gap is None or not 0 <= gap <= NEAR or extent.part != longer.part:
            return []
        if gap == 0:
            continue
        fitting = [
            w
            for w in host.windows.get(level, ())
            if w.inside and w.end - w.start == extent.size
        ]
        if not fitting:
            return []
        spans.append(min(fitting, key=lambda w: str(w.start)))
    return spans


def _related(root: Root, host: Root, roots: Sequence[Root]) -> bool:
    """Whether one of two roots needs the other, directly or through more."""
    makers = {r.key: r for r in roots}

    def reaches(start: Root, goal: Root) -> bool:
        stack, seen = [start], set()
        while stack:
            current = stack.pop()
            if current is goal:
                return True
            if current in seen:
                continue
            seen.add(current)
            stack += [makers[key] for key in current.needs if key in makers]
        return False

    return reaches(root, host) or reaches(host, root)


def _moved(
    root: Root, extents: tuple[Extent, ...], spans: list[Window], maker: Roots
) -> Root:
    """A root on other loops, each of its iterations where the window has it."""
    starts = {span.level: span.start for span in spans}
    index: Indices = tuple(
        replace(own, offset=own.offset - starts[own.level])
        if isinstance(own, Affine) and own.level in starts
        else own
        for own in root.index
    )
    moved = Root(
        root.kind,
        root.key,
        root.value,
        root.body,
        extents,
        index,
        root.target,
        root.reduced,
        spans=tuple(spans),
    )
    maker.visit(moved)
    for span in spans:
        moved.windows.setdefault(span.level, {})[span] = None
    return moved
