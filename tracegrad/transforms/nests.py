"""Whole nests that do the same in each iteration of a loop, found to leave it.

A loop, a branch or a write inside another loop can leave that if it depends on nothing
of an iteration, and if whatever it writes is made there and only written by what leaves
with it: then each iteration would make the same arrays with the same contents. So the
forward sweep of a function leaves the loop over the rows of its Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.primitives.control import check, for_, while_
from tracegrad.transforms.regions import (
    body_of,
    captured,
    carried,
    is_ref,
    regions_in,
    walk_in,
    written,
)


def invariant_nests(
    loop: Equation, movable: Callable[[Equation], bool], *, runs: bool
) -> list[Equation]:
    """The equations of a loop's body that can be run once before it, in order.

    Args:
        loop: a ``for_``.
        movable: whether an equation without regions may move, if what it reads is
            there; a load or a write: whether its cells are sure to exist.
        runs: whether the loop is sure to have an iteration.

    Returns:
        Nothing unless there is a nest, or a write, among them.
    """
    if loop.primitive is not for_:
        return []
    body = body_of(loop)
    foreign = _Foreign(loop)
    moved = [e for e in body.equations if _fixed(e, loop, movable, runs=runs)]
    count = -1
    while count != len(moved):
        count = len(moved)
        here: set[Value] = set()
        inside = {inner for e in moved for inner in walk_in(e)}
        still = []
        for e in moved:
            known = (x in here or x.graph not in foreign.inner for x in captured(e))
            if all(known) and all(foreign.may_touch(x, inside) for x in _touched(e)):
                here.update(e.outputs)
                still.append(e)
        moved = still
    return moved if any(e.regions or written(e) for e in moved) else []


def _fixed(
    equation: Equation,
    loop: Equation,
    movable: Callable[[Equation], bool],
    *,
    runs: bool,
) -> bool:
    """Whether an equation, and all inside it, could be run before a loop."""
    for inner in walk_in(equation):
        if inner.primitive is check or (inner.primitive is while_ and not runs):
            return False
        if not inner.regions and not movable(inner):
            return False
    return True


def _touched(equation: Equation) -> Iterator[Operand]:
    """The Refs that an equation makes, reads or writes, those inside it included."""
    for inner in walk_in(equation):
        yield from filter(is_ref, inner.outputs)
        yield from filter(is_ref, inner.inputs)


class _Foreign:
    """What else a loop does to its Refs.

    Attributes:
        inner: the loop's own graphs.
    """

    def __init__(self, loop: Equation) -> None:
        self.inner: set[Graph] = {g for r in loop.regions for g in regions_in(r)}
        self._body = body_of(loop)
        self._writers: dict[Operand, list[Equation]] = {}
        self._renamed: set[Operand] = set(self._body.results)
        for equation in walk_in(loop):
            target = written(equation)
            if target is not None:
                self._writers.setdefault(target, []).append(equation)
            for c in carried(equation):
                self._renamed |= {c.initial, c.param, c.output}
            if equation.regions:
                self._renamed.update(equation.outputs)

    def may_touch(self, ref: Operand, moved: set[Equation]) -> bool:
        """Whether a Ref is the same in each iteration once some equations have left."""
        writers = self._writers.get(ref, [])
        assert isinstance(ref, Value)
        if ref.graph not in self.inner:
            return not writers and ref not in self._renamed
        if ref.definition is None or ref in self._renamed:
            return False
        return ref.definition in moved and all(w in moved for w in writers)
