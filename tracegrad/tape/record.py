"""Apply a primitive to tensors: compute with NumPy, and put a node on the tape.

>>> import numpy as np
>>> from tracegrad.tape.tensor import Tensor
>>> x = Tensor([1.0, 2.0], requires_grad=True)
>>> from tracegrad.primitives.elementwise import exp
>>> y = apply(exp, (x,), {})
>>> edge_of(y), edge_of(x) is x
(<ExpBackward0 object at 0x...>, True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.errors import DifferentiationError
from tracegrad.ir.primitive import Primitive
from tracegrad.primitives import comparisons as cmp
from tracegrad.tape.modes import (
    enable_grad,
    is_inference_mode_enabled,
    recorder,
    recording,
)
from tracegrad.tape.node import LEAF, ManyNode, Node, Shape
from tracegrad.tape.plans import OUT, Plan, plan_for
from tracegrad.tape.value import Value, made

Step = tuple[Primitive, tuple[Any, ...], Mapping[str, Any]]


def edge_of(x: Value) -> Any:
    """The edge to a tensor: a node or port, the tensor itself if a leaf, or None."""
    edge = x._edge
    if edge is LEAF:
        return x
    return edge.current(x) if type(edge) is View else edge


class View:
    """The edge of a tensor that shares the memory of another one, its base.

    When the memory is written to, through whichever tensor, the base gets a new node,
    and the view's own is made anew when it is next asked for.

    Attributes:
        base: the tensor that owns the memory.
        steps: the primitives that lead from the base to the view.
        node: the edge, as of version ``seen``.
        seen: the version counter when it was made.
        bound: why it must not be modified where operations are recorded.
    """

    __slots__ = ("base", "bound", "node", "seen", "steps")

    def __init__(
        self, base: Value, steps: tuple[Step, ...], node: Any, bound: str = ""
    ) -> None:
        self.base = base
        self.steps = steps
        self.node = node
        self.seen = base._cell[0]
        self.bound = bound

    def current(self, x: Value) -> Any:
        """The edge that is true of the memory as it is now."""
        if x._cell[0] != self.seen and self.bound != "no_grad":
            self.seen = x._cell[0]
            self.node = self._again()
        return self.node

    def _again(self) -> Any:
        if edge_of(self.base) is None:
            return None
        result: Any = self.base
        with enable_grad():
            for primitive, others, params in self.steps:
                result = apply(primitive, (result, *others), params)
        return result._edge.node


def apply(
    primitive: Primitive,
    operands: Sequence[Any],
    params: Mapping[str, Any],
) -> Any:
    """The result of a primitive on tensors, arrays and numbers.

    Args:
        primitive: what to apply.
        operands: at least one is a tensor.
        params: its static parameters.

    Returns:
        A tensor, or a tuple of them.
    """
    if primitive is cmp.stop_gradient:
        return detached(operands[0])
    arrays: list[Any] = []
    edges: list[Any] = []
    first: Value | None = None
    for x in operands:
        if isinstance(x, Value):
            first = x if first is None else first
            arrays.append(x._array)
            edges.append(edge_of(x) if x._edge is not None else None)
        else:
            arrays.append(x)
            edges.append(None)
    assert first is not None
    live = tuple([edge is not None for edge in edges])
    plan = plan_for(primitive, len(arrays), live, params)
    if plan.views and first is operands[0]:
        arrays[0] = first._memory()
    out = primitive.numpy(*arrays, **params)
    if type(out) is tuple:
        return _several(plan, operands, arrays, edges, params, out)
    if not out.ndim and type(out) is np.ndarray and not plan.views:
        out = out[()]
    node = None
    state = recording()
    frozen = state is not True and state is not False
    recorded = state and True in live and (frozen or out.dtype.kind == "f")
    if recorded:
        node = _node(plan, operands, arrays, edges, params, out)
    if plan.views and first is operands[0] and shares(out, arrays[0]):
        result = view_of(first, (primitive, tuple(operands[1:]), params), out, node)
    else:
        result = made(first._result, out, node)
        if recorded:
            _stamp_result(node, result)
        if is_inference_mode_enabled():
            result._extra = {"inference": True}
    if frozen and recorded:
        return state.added(result, node, primitive, operands, edges, params)
    return result


def shares(out: Any, array: Any) -> bool:
    """Whether a result is a view; one without elements is by its base."""
    if out.size:
        return np.may_share_memory(out, array)
    return out.base is not None


def _node(
    plan: Plan,
    operands: Sequence[Any],
    arrays: Sequence[Any],
    edges: Sequence[Any],
    params: Mapping[str, Any],
    out: Any,
) -> Node:
    if plan.refused:
        raise DifferentiationError(
            f"{plan.primitive.name} has no derivative: {plan.primitive.refuses}",
            todo="Detach its argument, or write a Function around it.",
        )
    saved, stamps = kept(plan, operands, arrays, out)
    node = Node(plan, params, edges, saved, stamps, out.shape, out.dtype)
    if plan.arrays is None:
        node.shapes = shapes_of(edges, arrays)
    return node


def kept(
    plan: Plan, operands: Sequence[Any], arrays: Sequence[Any], out: Any
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The values that a plan needs, and the stamps of those that are tensors."""
    saved: list[Any] = []
    stamps: list[Any] = []
    for k in plan.needs:
        if k == OUT:
            saved.append(out)
            continue
        x, array = operands[k], arrays[k]
        if isinstance(x, Value):
            if x._extra and "inference" in x._extra:
                raise RuntimeError(
                    "a tensor made in inference_mode can't be saved for a gradient. "
                    "Clone it outside of inference_mode first."
                )
            stamps.append((x._cell, x._cell[0], k))
        elif isinstance(array, np.ndarray):
            array = array.copy()  # the user may write to it before the backward pass
        elif not array:
            array = np.float64(array)  # dividing by a zero of Python's would raise
        saved.append(array)
    return tuple(saved), tuple(stamps)


def shapes_of(edges: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
    """Shapes of the operands that have no edge to tell them."""
    return [
        Shape(np.asarray(x)) if edge is None else None
        for edge, x in zip(edges, arrays, strict=True)
    ]


def _stamp_result(node: Any, result: Value) -> None:
    """The version of the result too, if the rule needs it."""
    if OUT in node.plan.needs:
        node.stamps = (*node.stamps, (result._cell, result._cell[0], OUT))


def _several(
    plan: Plan,
    operands: Sequence[Any],
    arrays: Sequence[Any],
    edges: Sequence[Any],
    params: Mapping[str, Any],
    outs: tuple[Any, ...],
) -> Any:
    first = next(x for x in operands if isinstance(x, Value))
    if not recording() or True not in plan.live:
        return tuple(made(first._result, out, None) for out in outs)
    saved, stamps = kept(plan, operands, arrays, outs)
    ports = [Shape(out) for out in outs]
    node = ManyNode(ports, plan, params, edges, saved, stamps)
    node.shapes = shapes_of(edges, arrays)
    results = tuple(
        made(first._result, out, node.port(k)) for k, out in enumerate(outs)
    )
    state = recorder()
    if state is None:
        return results
    return state.added(results, node, plan.primitive, operands, edges, params)


def view_of(first: Value, step: Step, out: Any, node: Any) -> Any:
    """A result that shares its memory with the first operand."""
    base, bound = first, ""
    steps: tuple[Step, ...] = (step,)
    if type(first._edge) is View:
        base, bound = first._edge.base, first._edge.bound
        steps = (*first._edge.steps, step)
    if not recording():
        bound = "no_grad"
    view = View(base, steps, node, bound)
    return made(first._result, out, view, first._cell)


def detached(x: Value) -> Any:
    """A tensor of the same memory that carries no gradient."""
    state = recorder()
    edge = None if state is None else edge_of(x)
    if edge is None:
        return made(x._result, x._memory(), None, x._cell)
    # In a run being frozen, what carries no gradient depends on inputs all the same.
    primitive, array = cmp.stop_gradient, x._memory()
    plan = plan_for(primitive, 1, (True,), {})
    node = Node(plan, {}, (edge,), (), (), array.shape, array.dtype)
    result = view_of(x, (primitive, (), {}), array, node)
    result._edge.bound = "detached"
    state.add(node, primitive, (x,), (edge,), {})
    return result


def value_of(x: Value, what: str) -> Any:
    """The plain values of a tensor, where they leave the tape.

    Raises:
        TracingError: in a run that is being frozen, for floats that depend on inputs.
    """
    state = recorder()
    if state is not None:
        state.leaves(x, edge_of(x), what)
    return x._array


apply.rank = 2.0  # type: ignore[attr-defined]
Value.__tracegrad_apply__ = staticmethod(apply)  # type: ignore[attr-defined]
