"""Clustering: which loop nests share loops, and which values are worth storing.

What enters are the live equations of a graph and what must be stored; what leaves is a
``Plan``: the roots, and a tree of groups of roots that share a loop.

The tree is built greedily from the outside in. Each root joins the last group with an
equal extent whose members it can follow within one iteration: those that it reads are
complete at that iteration, and are read at that iteration only. Then values that are
cheap to write down but dear to compute twice are stored, and the tree is built again.

    z = dot X w; e = exp(-y z); total = sum(log1p e); z_bar = e / (1 + e) * y
    ->  [library z, group n: [reduce total, store z_bar]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from tracegrad.ir import primitive as table
from tracegrad.ir.graph import Equation, Operand, Value
from tracegrad.lower.access import Affine, Indices, is_map
from tracegrad.lower.alignment import align
from tracegrad.lower.blocking import axis_to_block, block
from tracegrad.lower.ordering import order
from tracegrad.lower.roots import WHOLE, Extent, Root, Roots, block_index, must_store
from tracegrad.lower.sizes import Facts

# Recomputing this many flops costs more than storing and loading the value.
DEAR = 12
# A value worth keeping when an outer loop would compute it again and again.
REPEATED = 2
ROUNDS = 4


@dataclass(slots=True, eq=False)
class Group:
    """Roots under one loop: ``items`` are what the loop's body does, in order."""

    extent: Extent
    depth: int
    roots: list[Root] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


Item: TypeAlias = Group | Root


@dataclass(slots=True)
class Plan:
    """What is stored, by which roots, in which loops.

    packs: copies that blocks read instead of an array, by the array and its axis.
    """

    equations: list[Equation]
    stored: set[Value]
    roots: list[Root]
    items: list[Item]
    packs: Mapping[tuple[Value, int], Value]


def plan(
    equations: list[Equation],
    given: Iterable[Value],
    wanted: Iterable[Operand],
    facts: Facts,
) -> Plan:
    """Cluster live equations.

    Args:
        facts: about sizes; only hints are used, so decisions never need a guard.
        equations: in topological order, each needed.
        given: values that exist already.
        wanted: the results; arrays among them must be stored.
    """
    stored = set(given)
    stored |= {x for x in must_store(equations) if isinstance(x, Value)}
    wanted = list(wanted)
    stored |= {x for x in wanted if isinstance(x, Value) and x.type.ndim}
    scalars = [x for x in wanted if not x.type.ndim]
    costs = Costs(equations, stored)
    stored |= set(costs.repeated())
    for _ in range(ROUNDS):
        maker = Roots(equations, set(stored), scalars)
        roots = order(maker.make(), maker)
        long = axis_to_block(roots, facts)
        if long is not None:
            roots = block(roots, long, maker)
        roots = align(roots, maker)
        items = build(roots, 0)
        _set_paths(items, ())
        more = costs.worth_storing(roots)
        if not more:
            break
        stored |= more
    return Plan(equations, stored, roots, items, maker.packs)


# --- the tree ----------------------------------------------------------------------


def build(roots: Sequence[Root], depth: int) -> list[Item]:
    """The loops of some roots from a level inwards."""
    items: list[Item] = []
    for root in roots:
        if len(root.extents) == depth:
            items.append(root)
        elif not _join(root, items, depth):
            items.append(Group(root.extents[depth], depth, [root]))
    for item in items:
        if isinstance(item, Group):
            item.items = build(item.roots, depth + 1)
    return items


def _join(root: Root, items: list[Item], depth: int) -> bool:
    """Let a root join the last group that it can share a loop with."""
    for position in range(len(items) - 1, -1, -1):
        item = items[position]
        if not isinstance(item, Group) or item.extent != root.extents[depth]:
            continue
        if not _can_follow(root, item.roots, depth):
            continue
        # What follows the group and depends on it stays behind it; the root must not
        # depend on that. All else can move before the group.
        behind: list[Item] = []
        early: list[Item] = []
        for later in items[position + 1 :]:
            sources = [item, *behind]
            dependent = any(_depends(r, s) for r in _members(later) for s in sources)
            (behind if dependent else early).append(later)
        if any(_depends(root, later) for later in behind):
            continue
        items[position:] = [*early, item, *behind]
        item.roots.append(root)
        return True
    return False


def _members(item: Item) -> list[Root]:
    return [item] if isinstance(item, Root) else item.roots


def _depends(root: Root, item: Item) -> bool:
    return any(p.key in root.needs or p.key == root.key for p in _members(item))


def _can_follow(root: Root, group: Sequence[Root], depth: int) -> bool:
    """Whether each iteration of a root needs only the same iteration of a group."""
    for producer in group:
        if producer.key == root.key:
            return False
        if producer.key not in root.needs:
            continue
        if producer.kind in WHOLE or depth in producer.reduced:
            return False
        for value, index in root.reads:
            if value is producer.value and not same_at(producer, root, index, depth):
                return False
    return True


def same_at(producer: Root, reader: Root, index: Indices | None, level: int) -> bool:
    """Whether a read at ``index`` is of what this iteration of a loop produced."""
    if index is None:
        return False
    if producer.extents[level].part == "blocks":
        # The same block: each element of it is read by its own iteration.
        place = block_index(producer)
        if not reader.blocked or place not in producer.target:
            return False
        return index[producer.target.index(place)] == block_index(reader)
    for own, read in zip(producer.target, index, strict=True):
        if isinstance(own, Affine) and own.level == level:
            return own == read
    return False


def _set_paths(items: Sequence[Item], path: tuple[object, ...]) -> None:
    for item in items:
        if isinstance(item, Group):
            _set_paths(item.items, (*path, item))
        else:
            item.path = path


# --- what is worth storing ---------------------------------------------------------


class Costs:
    """What it costs to compute values again, and which are therefore stored."""

    def __init__(self, equations: list[Equation], stored: set[Value]) -> None:
        self._equations = equations
        self._stored = stored
        self._users: dict[Value, list[Equation]] = {}
        for equation in equations:
            for operand in equation.inputs:
                if isinstance(operand, Value):
                    self._users.setdefault(operand, []).append(equation)

    def of(self, value: Value) -> tuple[int, bool]:
        """The flops of one element, down to stored values, and whether it gathers.

        Counting ends where the answer is clear: a chain of operations may be long, and
        is asked for each of its values.
        """
        total, gathered = 0, False
        seen: set[Value] = set()
        stack = [value]
        while stack and total < max(DEAR, REPEATED):
            current = stack.pop()
            made = current.definition
            if current in seen or made is None:
                continue
            if current in self._stored and current is not value:
                continue
            seen.add(current)
            if isinstance(made.primitive.lower, table.Scalar):
                total += made.primitive.lower.cost
            gathered = gathered or made.primitive.name == "gather"
            stack += [x for x in made.inputs if isinstance(x, Value)]
        return total, gathered

    def repeated(self) -> list[Value]:
        """Values broadcast along an outer loop, which would compute them again."""
        found = []
        for equation in self._equations:
            if equation.primitive.name != "expand" or not equation.inputs[0].type.ndim:
                continue
            axes = equation.params["axes"]
            if axes == tuple(range(len(axes))):
                continue
            source = equation.inputs[0]
            while (
                isinstance(source, Value)
                and source.definition is not None
                and is_map(source.definition)
                and source.definition.primitive.name != "gather"
            ):
                source = source.definition.inputs[0]
            if not isinstance(source, Value) or not source.type.ndim:
                continue
            if source.definition is None or source in self._stored:
                continue
            flops, gathered = self.of(source)
            if flops >= REPEATED or gathered:
                found.append(source)
        return found

    def worth_storing(self, roots: Sequence[Root]) -> set[Value]:
        """Values that different loops, or different indices, would compute again."""
        leaves: dict[Value, set[object]] = {}
        times: dict[Value, int] = {}
        across: set[Value] = set()
        for root in roots:
            if root.kind in ("library", "view"):
                continue
            leaf = root.path[-1] if root.path else None
            for value, indices in root.sites.items():
                leaves.setdefault(value, set()).add(leaf)
                times[value] = max(times.get(value, 0), len(indices))
                if root.blocked and any(_skips(root, index) for index in indices):
                    across.add(value)
        found: set[Value] = set()
        for value, used in leaves.items():
            if value in self._stored or not value.type.ndim:
                continue
            flops, _ = self.of(value)
            cases = (
                ((times[value] - 1) * flops >= DEAR, partial(_as_often, times, value)),
                (len(used) > 1 and flops >= DEAR, partial(_as_wide, leaves, value)),
                (value in across and flops >= 1, across.__contains__),
            )
            if any(dear and not self._covered(value, t) for dear, t in cases):
                found.add(value)
        return found

    def _covered(self, value: Value, enough: Callable[[Value], bool]) -> bool:
        """Whether storing a value made of this one makes storing this one needless."""
        return any(
            isinstance(user.primitive.lower, table.Scalar)
            and output not in self._stored
            and enough(output)
            for user in self._users.get(value, ())
            for output in user.outputs
        )


def _as_often(times: Mapping[Value, int], value: Value, user: Value) -> bool:
    return times.get(user, 0) >= times[value]


def _as_wide(leaves: Mapping[Value, set[object]], value: Value, user: Value) -> bool:
    return leaves.get(user, set()) >= leaves[value]


def _skips(root: Root, index: Indices) -> bool:
    """Whether a loop around a block computes the same for it again and again."""
    levels = {own.level for own in index if isinstance(own, Affine)}
    last = len(root.extents) - 1
    return last in levels and len(levels) < last
