"""The backward pass: nodes from the latest to the earliest, without recursion.

Every node is passed once, when all that depends on it has been: a heap gives the one
recorded last. Contributions to a value are added in that order, so results are the same
at every run, and from every thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.structural import reduce_sum, reshape
from tracegrad.tape.modes import enable_grad, is_anomaly_enabled, no_grad
from tracegrad.tape.node import Node, Port
from tracegrad.tape.taps import observed, pass_through
from tracegrad.tape.value import Value, made

_float64 = np.float64
_F64 = np.dtype(np.float64)


def sweep(
    roots: Sequence[tuple[Any, Any]],
    targets: Iterable[Any] | None = None,
    *,
    keep: bool = False,
    create: bool = False,
) -> dict[Any, Any]:
    """Cotangents of leaves, or of targets.

    Args:
        roots: edges with their cotangents: arrays, or tensors under ``create``.
        targets: edges whose cotangents are wanted; every leaf reached, if None.
        keep: whether saved values stay.
        create: whether what is computed is recorded in turn.

    Returns:
        A cotangent per target or leaf that was reached, by edge. An array among them is
        nobody else's.
    """
    with enable_grad() if create else no_grad(), np.errstate(all="ignore"):
        run = _Sweep(keep, create, None if targets is None else set(targets))
        run.start(roots)
        run.all_nodes()
        return run.leaves()


class _Sweep:
    """Cotangents on their way."""

    def __init__(self, keep: bool, create: bool, targets: set[Any] | None) -> None:
        self._keep = keep
        self._tensor = _recorded if create else None
        self._targets = targets
        self._needed: set[Node] | None = None
        self._bars: dict[Any, Any] = {}
        self._owned: set[Any] = set()  # whose arrays nobody else holds
        self._found: dict[Any, Any] = {}
        self._heap: list[tuple[int, Node]] = []

    def start(self, roots: Sequence[tuple[Any, Any]]) -> None:
        if self._targets is not None:
            self._needed = _needed((edge for edge, _ in roots), self._targets)
        for edge, bar in roots:
            self._add(edge, bar)

    # --- one contribution after another --------------------------------------------

    def _add(self, edge: Any, bar: Any) -> None:
        """Add a contribution, fitted to what it belongs to."""
        bars, is_node = self._bars, type(edge) is Node
        if self._targets is not None and not self._wanted(edge):
            return
        # A tensor's own shape is dearer than that of its array.
        like = edge if is_node or type(edge) is Port else edge._array
        shape = like.shape
        if type(bar) is _float64 and like.dtype is _F64 and not shape:
            pass
        elif bar.shape != shape or bar.dtype != like.dtype:
            bar = fitted(bar, shape, like.dtype)
        before = bars.get(edge)
        if before is None:
            bars[edge] = bar
            if is_node:
                heappush(self._heap, (edge.order, edge))
            elif type(edge) is Port:
                self._enter(edge)
        elif edge in self._owned:
            before += bar
        else:
            total = bars[edge] = before + bar
            if type(total) is np.ndarray:
                self._owned.add(edge)

    def _leads_on(self, node: Node) -> bool:
        assert self._needed is not None
        assert self._targets is not None
        return node in self._needed or node in self._targets

    def _wanted(self, edge: Any) -> bool:
        assert self._targets is not None
        if edge in self._targets:
            return True
        node = edge.node if type(edge) is Port else edge
        return isinstance(node, Node) and self._leads_on(node)

    def _enter(self, port: Port) -> None:
        """A node with several results enters the heap with the first cotangent."""
        ports = self._bars.setdefault(port.node, {})
        if not ports:
            heappush(self._heap, (port.node.order, port.node))
        ports[port.output_number] = port

    # --- nodes ---------------------------------------------------------------------

    def all_nodes(self) -> None:
        heap, bars, add, owned = self._heap, self._bars, self._add, self._owned
        plainly = (
            self._tensor is None and self._targets is None and not is_anomaly_enabled()
        )
        keep = self._keep
        heapify(heap)
        while heap:
            node = heappop(heap)[1]
            bar = bars.pop(node)
            if owned:
                owned.discard(node)
            if plainly and type(node) is Node and node.taps is None:
                function = node.plan.arrays
                if function is None:
                    pulled = node.pull(bar)
                elif not node.plan.needs:
                    pulled = function(bar)
                else:
                    pulled = function(bar, *node.unpacked())
            else:
                pulled = self._observed(node, bar)
            for edge, part in zip(node.edges, pulled, strict=False):
                if edge is None or part is None:
                    continue
                # Most contributions are the first, and fit: what _add does with those.
                if (
                    plainly
                    and type(edge) is Node
                    and edge not in bars
                    and part.shape == edge.shape
                    and part.dtype is edge.dtype
                ):
                    bars[edge] = part
                    heappush(heap, (edge.order, edge))
                else:
                    add(edge, part)
            if not keep and (node.saved or type(node) is not Node):
                node.release()

    def _observed(self, node: Any, bar: Any) -> Sequence[Any]:
        """The operands' cotangents, with all that listens or waits for them."""
        if type(node) is not Node:
            bar = self._bars_of(node, bar)
        elif node.taps is not None:
            bar = pass_through(node.taps, bar)
        if self._targets is not None and node in self._targets:
            self._found[node] = _apart(bar)
            if self._needed is not None and node not in self._needed:
                return ()
        pulled: Sequence[Any] = node.pull(bar, self._tensor)
        if is_anomaly_enabled():
            _check_finite(node, pulled)
        return pulled if node.taps is None else observed(node.taps, pulled, bar)

    def _bars_of(self, node: Any, ports: dict[int, Port]) -> list[Any]:
        """The cotangents of all results of a node, None where there is none."""
        found: list[Any] = [None] * len(node.ports)
        for number, port in ports.items():
            bar = self._bars.pop(port)
            self._owned.discard(port)
            if port.taps is not None:
                bar = pass_through(port.taps, bar)
            if self._targets is not None and port in self._targets:
                self._found[port] = _apart(bar)
            found[number] = bar
        return found

    # --- leaves --------------------------------------------------------------------

    def leaves(self) -> dict[Any, Any]:
        """What is left are leaves, in the order in which they were reached."""
        for leaf, bar in self._bars.items():
            hooks = leaf._extra.get("taps") if leaf._extra else None
            if hooks:
                bar = pass_through(hooks, bar)
            if hooks or leaf not in self._owned:
                bar = _apart(bar)
            self._found[leaf] = bar
        return self._found


def _apart(bar: Any) -> Any:
    """An array of its own; contributions may share theirs."""
    return bar.copy() if isinstance(bar, np.ndarray) else bar


def _recorded(array: Any, edge: Any) -> Any:
    """A saved value as a tensor again, or as it is if it carries no gradient."""
    if edge is None:
        return array
    if isinstance(edge, Value):
        return edge
    return made(TENSOR[0], array, edge)


TENSOR: list[Any] = []
"""The class that saved values become; ``tensor`` puts its own here."""


def fitted(bar: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """A cotangent in the shape and dtype of its value: sums where that was stretched.

    Elementwise rules leave broadcasting to the drivers; this is the tape's.
    """
    own = bar.shape
    if own != shape:
        extra = len(own) - len(shape)
        axes = tuple(
            k for k, n in enumerate(own) if k < extra or (shape[k - extra] == 1 != n)
        )
        if axes:
            bar = reduce_sum(bar, axes=axes)
        if bar.shape != shape:
            bar = reshape(bar, shape=shape)
    if bar.dtype != dtype:
        bar = cmp.convert(bar, dtype=str(dtype))
    return bar


def _needed(roots: Iterable[Any], targets: set[Any]) -> set[Node]:
    """The nodes from which a target is reached, and that are no dead end."""
    reached: set[Node] = set()
    waiting = [getattr(edge, "node", edge) for edge in roots]
    while waiting:
        node = waiting.pop()
        if node in reached or not isinstance(node, Node):
            continue
        reached.add(node)
        waiting += (getattr(e, "node", e) for e in node.edges if e is not None)
    needed: set[Node] = set()
    for node in sorted(reached, key=_order, reverse=True):  # the earliest first
        if any(
            e in targets or getattr(e, "node", e) in needed
            for e in node.edges
            if e is not None
        ):
            needed.add(node)
    return needed


def _order(node: Node) -> int:
    return node.order


def _check_finite(node: Node, pulled: Sequence[Any]) -> None:
    for number, bar in enumerate(pulled):
        if bar is not None and np.isnan(getattr(bar, "_array", bar)).any():
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {number}th "
                "output."
            )
