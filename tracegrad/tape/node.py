"""The tape: nodes that remember an operation, and edges to where operands came from.

A *node* keeps the plan of its primitive, the values that the plan needs, and an edge
for each operand that carries a gradient. An edge is a node, a *port* (one of several
results of a node) or a leaf tensor. Edges lead from later to earlier, so nodes in their
order of creation are in an order to differentiate; nothing leads back, so a tape is
freed when nobody uses it, by reference counting alone.

A node keeps arrays, not tensors, with a *stamp* per array: the tensor's version counter
and what it said. An in-place operation counts it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from tracegrad.ir.source import Location, location_at
from tracegrad.tape.plans import OUT, Plan
from tracegrad.transforms import rules

# Later nodes have smaller numbers: a heap pops the latest first.
next_order: Callable[[], int] = count(-1, -1).__next__

_new: Callable[[Any], Any] = object.__new__
_F64 = np.dtype(np.float64)
_NOTHING: dict[str, Any] = {}  # parameters


class Shape:
    """Shape and dtype of a value of which a rule needs nothing else."""

    __slots__ = ("dtype", "shape")

    def __init__(self, array: Any) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape, as rules ask for it."""
        return self.shape


class ModifiedError(RuntimeError):
    """A value that a derivative needs was overwritten.

    Args:
        message: says which.
        where: the line of the last write, if it is known.
    """

    def __init__(self, message: str, where: Location | None) -> None:
        super().__init__(message)
        self.where = where


class Leaf:
    """The edge that says: a tensor that the user made, and wants the gradient of."""


LEAF = Leaf()


class Node:
    """One recorded operation.

    Attributes:
        plan: of the primitive.
        params: the primitive's static parameters.
        edges: one per operand, None where it carries no gradient.
        saved: the needed values in the plan's order; None once they were freed.
        stamps: for each saved tensor its version counter, its version and its position
            among the operands.
        order: counts down from node to node.
        shape: of the result.
        dtype: of the result.
        taps: what is called when the gradient passes: hooks, ``retain_grad``.
    """

    __slots__ = (
        *("__weakref__", "dtype", "edges", "label", "order", "params", "plan"),
        *("saved", "shape", "shapes", "stamps", "taps"),
    )

    # Unset in most nodes, which are made in a hurry.
    label: str
    shapes: Sequence[Any]

    def __init__(
        self,
        plan: Plan,
        params: Mapping[str, Any],
        edges: Sequence[Any],
        saved: Any,
        stamps: tuple[Any, ...],
        shape: tuple[int, ...],
        dtype: Any,
    ) -> None:
        self.plan = plan
        self.params = params
        self.edges = edges
        self.saved = saved
        self.stamps = stamps
        self.order = next_order()
        self.shape = shape
        self.dtype = dtype
        self.taps: list[Any] | None = None

    @property
    def dims(self) -> tuple[int, ...]:
        """The result's shape, as rules ask for it."""
        return self.shape

    # --- what users see ------------------------------------------------------------

    def name(self) -> str:
        """What it is called: ``MulBackward0``."""
        return getattr(self, "label", None) or self.plan.name

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Where each operand came from: (node or None, which of its results)."""
        return tuple(
            (None, 0) if e is None else (e.grad_fn_or_accumulate, e.output_number)
            for e in self.edges
        )

    # As an edge: a node with one result.
    output_number = 0

    @property
    def grad_fn_or_accumulate(self) -> Any:
        """The node that an edge to it leads to."""
        return self

    def saved_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of what it saved.

        Raises:
            RuntimeError: see ``unpacked``.
        """
        for position, value in zip(self.plan.needs, self.unpacked(), strict=True):
            if position == OUT:
                yield "_saved_result", value
            elif len(self.edges) == 1:
                yield "_saved_self", value
            else:
                yield (
                    ("_saved_self", "_saved_other")[position]
                    if len(self.edges) == 2
                    else f"_saved_{position}",
                    value,
                )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):
            for known, value in self.saved_items():
                if known == name:
                    return value
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    # --- backward ------------------------------------------------------------------

    def unpacked(self) -> Sequence[Any]:
        """The saved values, if they are there and unchanged.

        Raises:
            RuntimeError: if they were freed, or one was modified in place.
        """
        saved = self.saved
        if saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly "
                "access saved tensors after they have already been freed). They are "
                "freed by .backward() and autograd.grad(). Specify retain_graph=True "
                "if you need to backward through the graph a second time or access "
                "saved tensors later."
            )
        for cell, version, position in self.stamps:
            if cell[0] != version:
                raise self._modified(cell, version, position)
        return saved  # type: ignore[no-any-return]

    def _modified(self, cell: list[Any], version: int, position: int) -> ModifiedError:
        value = self.saved[self.plan.needs.index(position)]
        edge = self if position == OUT else self.edges[position]
        origin = ""
        if edge is not None:
            made = edge.grad_fn_or_accumulate.name()
            origin = f", which is output {edge.output_number} of {made}"
        where = location_at(cell[1]) if len(cell) > 1 else None
        return ModifiedError(
            "one of the variables needed for gradient computation has been modified "
            f"by an inplace operation: [tensor {value.dtype} {list(value.shape)}]"
            f"{origin}, is at version {cell[0]}; expected version {version} instead."
            + (f"\n  It was last written at {where}" if where else "")
            + "\n  Use an operation that makes a new tensor.",
            where,
        )

    def release(self) -> None:
        """Free the saved values; a node that has none can be passed again."""
        if self.saved:
            self.saved = None
            self.stamps = ()

    def pull(self, bar: Any, tensor: Callable[..., Any] | None = None) -> Sequence[Any]:
        """The operands' cotangents from that of the result.

        Args:
            bar: the cotangent, an array; a tensor if ``tensor`` is given.
            tensor: makes a tensor of a saved array and its edge, so that what the rule
                does with it is recorded.
        """
        plan = self.plan
        if plan is not None and plan.transpose is not None:
            return (plan.transpose(bar, self.edges[0], **self.params),)
        saved = self.unpacked()
        if tensor is not None:
            saved = [
                self.recorded_result(x, tensor)
                if k == OUT
                else tensor(x, self.edges[k])
                for k, x in zip(plan.needs, saved, strict=True)
            ]
        function = plan.arrays if tensor is None else plan.tensors
        if function is not None:
            return function(bar, *saved)  # type: ignore[no-any-return]
        known = dict(zip(plan.needs, saved, strict=True))
        primals = [
            known[k] if k in known else self.shapes[k] if edge is None else edge
            for k, edge in enumerate(self.edges)
        ]
        outs: Any = known.get(OUT)
        if not isinstance(self, ManyNode):
            bar, outs = [bar], [outs]
        return rules.pull(plan.primitive, self.params, primals, outs, bar, plan.live)

    def recorded_result(self, saved: Any, tensor: Callable[..., Any]) -> Any:
        """The saved result as a tensor that leads back to this node."""
        return tensor(saved, self)


def linked(cls: Any, out: Any, plan: Plan, edges: tuple[Any, ...]) -> Any:
    """A tensor that an elementwise operation made, with a node that keeps nothing yet.

    What ``made`` and ``Node`` do, in one go: half of what is recorded comes this way.
    """
    node = _new(Node)
    node.plan = plan
    node.params = _NOTHING
    node.edges = edges
    node.saved = node.stamps = ()
    node.order = next_order()
    node.taps = None
    if type(out) is np.float64:
        node.shape = ()
        node.dtype = _F64
    else:
        node.shape = out.shape
        node.dtype = out.dtype
    x = _new(cls)
    x._array = out
    x._edge = node
    x._cell = [0]
    x._grad = x._extra = None
    return x


class ManyNode(Node):
    """An operation with several results; edges to it are ports.

    Attributes:
        ports: shape and dtype of each result.
    """

    __slots__ = ("_known", "ports")

    def __init__(
        self,
        ports: Sequence[Shape],
        plan: Any,
        params: Mapping[str, Any],
        edges: Sequence[Any],
        saved: Any,
        stamps: tuple[Any, ...],
    ) -> None:
        super().__init__(plan, params, edges, saved, stamps, (), None)
        self.ports = ports
        self._known: WeakValueDictionary[int, Port] = WeakValueDictionary()

    def recorded_result(self, saved: Any, tensor: Callable[..., Any]) -> Any:
        """The saved results as tensors."""
        return tuple(tensor(x, self.port(k)) for k, x in enumerate(saved))

    def port(self, number: int) -> Port:
        """The edge to a result: always the same one while anybody uses it."""
        found = self._known.get(number)
        if found is None:
            found = self._known[number] = Port(self, number)
        return found


class Port:
    """One of the results of a node.

    Attributes:
        node: that made it.
        output_number: which of its results.
        shape: of the result.
        dtype: of the result.
        taps: see ``Node``.
    """

    __slots__ = ("__weakref__", "dtype", "node", "output_number", "shape", "taps")

    def __init__(self, node: ManyNode, number: int) -> None:
        self.node = node
        self.output_number = number
        self.shape = node.ports[number].shape
        self.dtype = node.ports[number].dtype
        self.taps: list[Any] | None = None

    @property
    def dims(self) -> tuple[int, ...]:
        """The result's shape, as rules ask for it."""
        return self.shape

    @property
    def grad_fn_or_accumulate(self) -> Any:
        """The node."""
        return self.node


class AccumulateGrad:
    """Stands for a leaf among a node's ``next_functions``.

    Attributes:
        variable: the leaf tensor.
    """

    __slots__ = ("variable",)
    next_functions: tuple[Any, ...] = ()

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def name(self) -> str:
        """What it is called."""
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self.variable):#x}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self) -> int:
        return id(self.variable)
