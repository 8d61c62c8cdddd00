"""A run on the tape recorded in full: what ``freeze`` makes a graph of.

An ordinary tape holds what derivatives need. Here every operation that depends on the
inputs gets a node, also those on integers, and is noted with its operands. Nodes name
the values, so that views and writes in place are what they always are on the tape:
each tensor has the node of its present contents.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.errors import ArgumentError, TracingError
from tracegrad.ir.primitive import Primitive
from tracegrad.ir.source import Location, beginning, users_line
from tracegrad.tape.array import Array
from tracegrad.tape.modes import Recorder, enter_recorder
from tracegrad.tape.natives import converted
from tracegrad.tape.node import Node, Shape
from tracegrad.tape.plans import Plan
from tracegrad.tape.record import View, detached, edge_of
from tracegrad.tape.value import Value, made


@dataclass(frozen=True, slots=True)
class Slot:
    """The name of a value of the run."""

    number: int


@dataclass(frozen=True, slots=True)
class Call:
    """A primitive applied: to slots and to constants.

    Attributes:
        primitive: what was applied.
        operands: slots, arrays and numbers.
        params: its static parameters.
        outputs: its results.
        where: the user's line.
    """

    primitive: Primitive
    operands: tuple[Any, ...]
    params: Mapping[str, Any]
    outputs: tuple[Slot, ...]
    where: Location | None


@dataclass(frozen=True, slots=True)
class Decision:
    """A truth, or whole numbers, that Python code saw: they must come out the same."""

    slot: Slot
    value: Any
    where: Location | None


_INPUT = Primitive("input", lambda: None, lambda: None)


class Run(Recorder):
    """What was done, in order.

    Attributes:
        steps: calls and decisions.
        inputs: the slots of the inputs.
        shapes: their shapes and dtypes.
        outputs: the leaves of what was returned: slots and constants.
        tree: the structure of what was returned.
    """

    outputs: list[Any]
    tree: pytree.Tree

    def __init__(self) -> None:
        self.steps: list[Call | Decision] = []
        self.inputs: list[Slot] = []
        self.shapes: list[Shape] = []
        self._slots: dict[tuple[Any, int], Slot] = {}

    def switched(self, enabled: bool) -> Run:
        """The same record, with gradients wanted or not."""
        other = copy.copy(self)
        other.enabled = enabled
        return other

    # --- what the tape tells -------------------------------------------------------

    def input(self, values: Any) -> Any:
        """A tensor that the function is run on."""
        given = isinstance(values, Value)
        array = np.array(values._array if given else values)
        self.shapes.append(Shape(array))
        node = Node(Plan(_INPUT, (), ()), {}, (), (), (), array.shape, array.dtype)
        self.inputs.append(self._new(node, 0))
        cls = values._result if given else Array
        return made(cls, array if array.ndim else array[()], node)

    def added(
        self,
        results: Any,
        node: Node,
        primitive: Primitive,
        operands: Sequence[Any],
        edges: Sequence[Any],
        params: Mapping[str, Any],
    ) -> Any:
        """The results of an operation, once it is noted; see ``add``."""
        self.add(node, primitive, operands, edges, params)
        if self.enabled:
            return results
        if isinstance(results, tuple):
            return tuple(map(detached, results))
        return detached(results)

    def add(
        self,
        node: Node,
        primitive: Primitive,
        operands: Sequence[Any],
        edges: Sequence[Any],
        params: Mapping[str, Any],
    ) -> None:
        """Note an operation.

        Raises:
            TracingError: if a tensor that carries a gradient comes from outside.
        """
        where = users_line()
        given = tuple(map(self._operand, operands, edges))
        outputs = tuple(self._new(node, k) for k in range(len(_results(node))))
        self.steps.append(Call(primitive, given, params, outputs, where))

    def _operand(self, x: Any, edge: Any) -> Any:
        if edge is None:
            values = x._array if isinstance(x, Value) else x
            return values.copy() if isinstance(values, np.ndarray) else values
        return self._slot(edge)

    def _slot(self, edge: Any) -> Slot:
        slot = self._slots.get((getattr(edge, "node", edge), edge.output_number))
        if slot is None:
            raise TracingError(
                "a tensor that requires gradients is used, but is none of the example "
                "arguments.",
                users_line(),
                "Pass it as an argument, or detach it: then it is a constant.",
            )
        return slot

    def _new(self, node: Node, number: int) -> Slot:
        slot = self._slots[node, number] = Slot(len(self._slots))
        return slot

    def leaves(self, x: Value, edge: Any, what: str) -> None:
        """Note that Python sees the values of a tensor.

        Raises:
            TracingError: if they are floats.
        """
        if edge is None:
            return
        if x._array.dtype.kind == "f":
            raise TracingError(
                f"{what} takes values out of the run that depend on its inputs; they "
                "would become constants.",
                users_line(),
                "Use the tensor itself, or detach() where no gradient is wanted.",
            )
        values = np.array(x._array)
        self.steps.append(Decision(self._slot(edge), values, users_line()))

    def check_writable(self, x: Value) -> None:
        """Refuse writes whose effect on gradients the record can't tell."""
        edge = edge_of(x)
        detached_view = type(x._edge) is View and x._edge.bound == "detached"
        if edge is not None and (detached_view or not self.enabled):
            raise TracingError(
                "writing in place to what is detached, or under no_grad, can't be "
                "frozen.",
                users_line(),
                "Clone it first, or make a new tensor.",
            )

    # --- what was returned ---------------------------------------------------------

    def finish(self, returned: Any) -> None:
        """Take down the outputs."""
        leaves, self.tree = pytree.flatten(returned)
        self.outputs = [self._output(x) for x in leaves]

    def _output(self, x: Any) -> Any:
        if not isinstance(x, Value):
            return x
        return self._operand(x, edge_of(x))


def _results(node: Node) -> Sequence[Any]:
    return getattr(node, "ports", (node,))


def recorded(function: Callable[..., Any], examples: tuple[Any, ...]) -> Run:
    """Run a function on examples, and record everything that depends on them.

    Raises:
        ArgumentError: if an example holds something other than tensors and arrays, the
            function writes to one, or its result doesn't depend on any.
        TracingError: at the line that does what can't be recorded.
    """
    leaves, tree = pytree.flatten(examples)
    for x in leaves:
        if not isinstance(x, (Value, np.ndarray, np.generic)):
            raise ArgumentError(
                f"an example is a {type(x).__name__}; freeze takes tensors and arrays.",
                beginning(function),
                "Bind other arguments: freeze(lambda x: f(x, 3), x).",
            )
    run = Run()
    inputs = [run.input(x) for x in leaves]
    nodes = [x._edge for x in inputs]
    args = pytree.unflatten(tree, inputs)
    natively = not any(isinstance(x, Array) for x in inputs)
    with enter_recorder(run):
        returned = (function if natively else converted(function))(*args)
        run.finish(returned)
        changed = list(_changed(inputs, nodes))
    if changed:
        raise ArgumentError(
            f"the function writes to its argument (array {changed[0]}).",
            beginning(function),
            "Let it write to a clone.",
        )
    if not any(isinstance(x, Slot) for x in run.outputs):
        raise ArgumentError(
            "what the function returns does not depend on its arguments.",
            beginning(function),
            "Return tensors that were computed from the arguments' own.",
        )
    return run


def _changed(inputs: Sequence[Value], nodes: Sequence[Node]) -> Iterator[int]:
    for k, (x, node) in enumerate(zip(inputs, nodes, strict=True)):
        if edge_of(x) is not node:
            yield k
