"""Minimum cut by augmenting paths.

Networks here have a few hundred edges, so the simplest algorithm will do, and thirty
lines are cheaper to own than a dependency.

>>> cut = Network()
>>> cut.edge("s", "a", 3), cut.edge("a", "t", 2)
(None, None)
>>> sorted(cut.source_side("s", "t"))
['a', 's']
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import pairwise

UNCUTTABLE = 10**200
"""More than all that may be cut together, however deep the loops it lies in."""


class Network:
    """Directed edges with integer capacities."""

    def __init__(self) -> None:
        self._left: dict[Hashable, dict[Hashable, int]] = {}

    def edge(self, source: Hashable, target: Hashable, capacity: int) -> None:
        """Add an edge, or to an edge's capacity."""
        forth = self._left.setdefault(source, {})
        forth[target] = forth.get(target, 0) + capacity
        self._left.setdefault(target, {}).setdefault(source, 0)

    def source_side(self, source: Hashable, sink: Hashable) -> set[Hashable]:
        """The nodes on the source's side of a minimum cut.

        Raises:
            ValueError: if every cut has an edge that must not be cut.
        """
        while True:
            before = self._reach(source)
            if sink not in before:
                return set(before)
            path = [sink]
            while path[-1] != source:
                path.append(before[path[-1]])
            path.reverse()
            edges = list(pairwise(path))
            flow = min(self._left[a][b] for a, b in edges)
            if flow >= UNCUTTABLE // 2:
                raise ValueError("no cut separates the source from the sink")
            for a, b in edges:
                self._left[a][b] -= flow
                self._left[b][a] += flow

    def _reach(self, source: Hashable) -> dict[Hashable, Hashable]:
        """Nodes that more can flow to, each with the one before it."""
        before: dict[Hashable, Hashable] = {source: source}
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for target, left in self._left.get(node, {}).items():
                if left > 0 and target not in before:
                    before[target] = node
                    queue.append(target)
        return before
