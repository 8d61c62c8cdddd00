"""Fusion: a reverse loop whose order doesn't matter joins the forward loop.

Where a sum over iterations is reversed, the mirror runs the same iterations, needs what
the forward loop computes, and only accumulates. Run together, nothing is computed
twice. (Loops over array expressions are fused when they are lowered.)
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Graph, Value
from tracegrad.primitives import refs
from tracegrad.primitives.control import for_
from tracegrad.transforms.cse import cse
from tracegrad.transforms.licm import sizes_named_in
from tracegrad.transforms.order import is_order_free, refs_written
from tracegrad.transforms.regions import (
    adopt,
    body_of,
    captured,
    carried,
    clone,
    is_ref,
    set_carried,
    substitute_everywhere,
    walk_in,
    written,
)

_MOVABLE = (refs.alloc,)


def fuse(graph: Graph) -> Graph:
    """The graph with order-free loops joined to earlier ones of the same range."""
    copy = clone(graph)
    level = [copy]
    depth = 0
    while level:
        joined = [region for region in level if _fuse_all(region)]
        if joined:  # the bounds of inner loops are the same once they are merged
            copy = cse(copy)
            level = _level(copy, depth)
        level = [r for region in level for e in region.equations for r in e.regions]
        depth += 1
    return copy


def _level(graph: Graph, depth: int) -> list[Graph]:
    """The regions at a depth of nesting."""
    level = [graph]
    for _ in range(depth):
        level = [r for region in level for e in region.equations for r in e.regions]
    return level


def _fuse_all(graph: Graph) -> bool:
    joined = False
    while _fuse_once(graph):
        joined = True
    return joined


def _fuse_once(graph: Graph) -> bool:
    loops = [e for e in graph.equations if e.primitive is for_]
    for k, later in enumerate(loops):
        if not is_order_free(later):
            continue
        for earlier in loops[:k]:
            if _same_range(earlier, later):
                moved = _movable(graph, earlier, later)
                if moved is not None:
                    _join(graph, earlier, later, moved)
                    return True
    return False


def _same_range(earlier: Equation, later: Equation) -> bool:
    return (
        earlier.inputs[:2] == later.inputs[:2]
        and earlier.params["step"] == later.params["step"]
        and not earlier.params["stops"]
        and (_index_name(earlier) == _index_name(later) or not _is_named(later))
    )


def _index_name(loop: Equation) -> str:
    return str(body_of(loop).params[0].name)


def _is_named(loop: Equation) -> bool:
    """Whether a size in a loop speaks of its index, by name."""
    name = _index_name(loop)
    return any(name in sizes_named_in(inner) for inner in walk_in(loop))


# --- when it is allowed ------------------------------------------------------------


def _movable(graph: Graph, earlier: Equation, later: Equation) -> list[Equation] | None:
    """What must move before the earlier loop for the later to join; None if can't."""
    start, end = graph.equations.index(earlier), graph.equations.index(later)
    between = graph.equations[start + 1 : end]
    before, reads, writes = refs_written([earlier]), _read(later), refs_written([later])
    if before & (reads | writes) or writes & _read(earlier):
        return None
    for equation in between:
        if refs_written([equation]) & (reads | writes) or writes & _read(equation):
            return None
    moved: list[Equation] = []
    todo = [*captured(later)]
    while todo:
        value = todo.pop()
        made = value.definition
        if made is earlier:
            return None
        if made in between and made not in moved:
            assert made is not None
            pure = made.primitive.effect == "pure" and not made.regions
            if not pure and made.primitive not in _MOVABLE:
                return None
            moved.append(made)
            todo += captured(made)
    return [e for e in between if e in moved]


def _read(equation: Equation) -> set[Value]:
    """The Refs from which an equation reads."""
    return {
        x
        for inner in walk_in(equation)
        if written(inner) is None
        for x in inner.inputs
        if isinstance(x, Value) and is_ref(x)
    }


# --- doing it ----------------------------------------------------------------------


def _join(
    graph: Graph, earlier: Equation, later: Equation, moved: list[Equation]
) -> None:
    first, second = body_of(earlier), body_of(later)
    for param in second.params[1:]:
        param.graph = first
    entries = [*carried(earlier), *carried(later)]
    first.equations += adopt(first, second.equations)
    for c in carried(later):
        c.output.definition = earlier
    set_carried(earlier, entries)
    trips = {later.outputs[-1]: earlier.outputs[-1]}
    substitute_everywhere(graph, {second.params[0]: first.params[0], **trips})
    at = graph.equations.index(earlier)
    rest = [e for e in graph.equations if e not in moved and e is not later]
    graph.equations[:] = [*rest[:at], *moved, *rest[at:]]
