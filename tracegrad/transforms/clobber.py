"""The clobber test: is a cell that was read still the same when the program has ended?

If so, the reverse sweep reads it again, and nothing needs to be stored. For a read
``r[I]`` and each write ``r[J]``, it has to be shown that a write that comes later, in
the same iteration or in a later one of any loop around both, has ``I`` and ``J`` differ
along some axis. Bounds of indices prove that for factorisations, sweeps over grids,
dynamic programs and recurrences.

Asked of what came before instead, it tells whether a copy made then would do.

A negative index wraps, so an index that isn't proved to be ``>= 0`` proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.primitives.control import for_, while_
from tracegrad.transforms.affine import (
    Bounds,
    Form,
    Prover,
    Renamed,
    Symbol,
    affine,
    combine,
    constant,
    rename,
)
from tracegrad.transforms.cells import Place, place_of
from tracegrad.transforms.regions import (
    Structure,
    carried,
    is_ref,
    walk_in,
    written,
)


class Clobber:
    """Answers for one graph, as it was when asked."""

    def __init__(self, structure: Structure) -> None:
        self._structure = structure
        self._writers: dict[Operand, list[Equation]] = {}
        self._renamed: set[Operand] = set()  # Refs that go by several names
        for equation in structure.place:
            ref = written(equation)
            if ref is not None:
                self._writers.setdefault(ref, []).append(equation)
            for c in carried(equation):
                if is_ref(c.initial):
                    self._renamed |= {c.initial, c.param, c.output}

    def intact(self, place: Place, equation: Equation) -> bool:
        """Whether cells, as they are just after an equation, stay so to the end."""
        if not is_ref(place.base):
            return True
        if place.base in self._renamed:
            return False
        return all(
            self._spares(place, equation, writer)
            for writer in self._writers.get(place.base, [])
        )

    def unchanged(self, place: Place, load: Equation, step: Equation) -> bool:
        """Whether cells, as they are just before a load, are so when a step begins.

        step: the load, or an equation around it.
        """
        around = self._structure.place[step][0]
        return all(
            all(c.initial is not place.base for c in carried(inner))
            and (
                written(inner) is not place.base
                or self._spares(place, load, inner, since=around)
            )
            for inner in walk_in(step)
        )

    def _spares(
        self,
        place: Place,
        equation: Equation,
        writer: Equation,
        since: Graph | None = None,
    ) -> bool:
        """Whether no later run of a writer touches the cells.

        since: no earlier run instead, in the same turn of this region.
        """
        target = place_of(writer)
        if target is None:
            return False
        where = self._structure.place
        (here, k), (there, j) = where[equation], where[writer]
        path, other = self._structure.path(here), self._structure.path(there)
        shared = [a for a, b in zip(path, other, strict=False) if a is b]
        n = len(shared)
        if len(path) > n:
            k = where[self._structure.owner[path[n]]][1]
        if len(other) > n:
            j = where[self._structure.owner[other[n]]][1]
        loops = [g for g in shared if self._structure.is_body(g)]
        if since is not None:
            loops = loops[loops.index(since) + 1 :]
            j, k = k, j
        assert isinstance(place.base, Value)
        fresh = self._structure.path(place.base.graph)
        for loop in loops:
            # A Ref made in the loop is another one in the next iteration.
            moved = other[other.index(loop) :]
            away = self._away(loop, earlier=since is not None)
            if loop not in fresh and not self._apart(place, target, moved, away):
                return False
        if j == k and len(path) > n and len(other) > n:
            inside = self._structure.owner[path[n]]
            return inside.primitive is not while_
        return j <= k or self._apart(place, target, other[n:], {})

    def _apart(
        self,
        place: Place,
        target: Place,
        moved: Sequence[Graph],
        further: dict[Symbol, Bounds],
    ) -> bool:
        """Whether a write in another iteration of regions differs along some axis."""
        prover = Prover(self._structure, moved, further)
        return disjoint(prover, place, target, moved)

    def _away(self, body: Graph, *, earlier: bool) -> dict[Symbol, Bounds]:
        """What bounds the index of a loop in a later or an earlier iteration."""
        loop, index = self._structure.owner[body], body.params[0]
        step, ascending = 1, not earlier
        if loop.primitive is for_:
            step = abs(loop.params["step"])
            ascending ^= (loop.params["step"] < 0) != loop.params["reversed"]
        if ascending:
            return {Renamed(index): ([{index: 1, (): step}], [])}
        return {Renamed(index): ([], [{index: 1, (): -step}])}


def disjoint(
    prover: Prover, place: Place, target: Place, moved: Sequence[Graph] = ()
) -> bool:
    """Whether two places of one array share no cell, whatever the indices are."""
    for axis, size in enumerate(place.base.type.shape):
        first, last = _extent(prover, place, axis)
        low, high = (rename(f, moved) for f in _extent(prover, target, axis))
        if not (
            prover.at_least(combine(low, last, -1), 1)
            or prover.at_least(combine(first, high, -1), 1)
        ):
            continue
        if _unwrapped(prover, first, size) and _unwrapped(prover, low, size):
            return True
    return False


def _extent(prover: Prover, place: Place, axis: int) -> tuple[Form, Form]:
    """The least and greatest index along an axis."""
    start = affine(place.index[axis])
    size, step = place.sizes[axis], place.steps[axis]
    if size is None:
        return start, start
    end = combine(start, combine(prover.size(size), constant(-1)), step)
    return (start, end) if step > 0 else (end, start)


def in_bounds(prover: Prover, place: Place) -> bool:
    """Whether every index is sure to be inside the array."""
    for axis, size in enumerate(place.base.type.shape):
        first, last = _extent(prover, place, axis)
        below = combine(prover.size(size), last, -1)
        if not prover.at_least(first, 0) or not prover.at_least(below, 1):
            return False
    return True


def _unwrapped(prover: Prover, index: Form, size: Dim) -> bool:
    """Whether an index is counted from the front: it is >= 0, or the very last."""
    last = combine(index, prover.size(size), -1)
    return prover.at_least(index, 0) or prover.at_least(last, -1)
