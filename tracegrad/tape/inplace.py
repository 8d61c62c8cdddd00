"""Operations that write to a tensor: values, versions and history.

An in-place operation is the ordinary one, whose result then moves into the tensor: the
memory gets its values, the tensor its node, and the version counter goes up, so that a
saved value that has been overwritten is found out. Where only a part of the memory is
written, through a view or an index, its owner gets a ``place`` node: entries that were
overwritten have gradient zero, and what was written gets theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegrad.ir.primitive import Linear, Primitive
from tracegrad.ir.source import users_place
from tracegrad.numpy_api.indexing import getitem
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives.indexing import gather
from tracegrad.tape.modes import recorder, recording
from tracegrad.tape.node import LEAF, Node
from tracegrad.tape.parts import basic, part
from tracegrad.tape.plans import OUT, plan_for
from tracegrad.tape.record import Step, View, edge_of, kept, shapes_of
from tracegrad.tape.shaping import plain
from tracegrad.tape.taps import Retain
from tracegrad.tape.value import Value

# --- a part of an array replaced ---------------------------------------------------


def follow(x: Any, steps: Sequence[Step]) -> Any:
    """The part of an array that steps lead to."""
    for primitive, others, params in steps:
        x = primitive(x, *others, **params)
    return x


def _positions(shape: tuple[int, ...], steps: Sequence[Step]) -> Any:
    """Where the part's elements lie among all elements in order."""
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    return np.asarray(follow(numbers, steps))


def _place(base: Any, value: Any, *, steps: Sequence[Step], winners: Any) -> Any:
    out = np.array(base)
    place = _positions(out.shape, steps)
    out.reshape(-1)[place] = value
    return out


def _outside(ct: Any, base: Any, value: Any, *, steps: Any, winners: Any) -> Any:
    """The cotangent of what stayed: zero where something was written."""
    if isinstance(ct, np.ndarray):
        rest = np.array(ct, order="C")
        part = follow(rest, steps)
        if part.flags.writeable and np.may_share_memory(part, rest):
            part[...] = 0
            return rest
    covered = np.zeros(ct.shape, bool)
    covered.reshape(-1)[_positions(ct.shape, steps)] = True
    return cmp.select(covered, 0.0, ct)


def _inside(ct: Any, base: Any, value: Any, *, steps: Any, winners: Any) -> Any:
    """The cotangent of what was written."""
    part = follow(ct, steps)
    return part if winners is None else cmp.select(winners, part, 0.0)


place = Primitive(
    "place",
    _place,
    lambda base, value, *, steps, winners: base,
    rule=Linear({0: _outside, 1: _inside}, joint=True),
)


# Constant, and so with a derivative of zero.
fill = Primitive(
    "fill",
    lambda x, *, value: np.full_like(x, value),
    lambda x, *, value: x,
)


def _winners(shape: tuple[int, ...], steps: Sequence[Step]) -> Any:
    """Of several writes to one cell the last counts; None if there are none such."""
    if not any(primitive is gather for primitive, _, _ in steps):
        return None
    cells = _positions(shape, steps)
    if np.unique(cells).size == cells.size:
        return None
    order = np.arange(cells.size).reshape(cells.shape)
    last = np.zeros(int(np.prod(shape)), int)
    last[cells] = order
    return last[cells] == order


# --- values, versions, history -----------------------------------------------------


def check_writable(x: Value, source: Any = None) -> None:
    """Refuse to write where the history could not be kept.

    Raises:
        RuntimeError: for a leaf that requires gradients, and views of one.
    """
    state = recording()
    if not state:
        return
    edge = x._edge
    if state is not True:
        state.check_writable(x)
    if edge is LEAF:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place "
            "operation. Do it inside no_grad(), or on a clone."
        )
    if type(edge) is not View:
        return
    if edge.base._edge is LEAF:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place "
            "operation. Do it inside no_grad(), or on a clone."
        )
    carries = edge_of(edge.base) is not None or (
        isinstance(source, Value) and edge_of(source) is not None
    )
    if carries and edge.bound == "no_grad":
        raise RuntimeError(
            "A view was created in no_grad mode and is being modified inplace with "
            "grad mode enabled. Make the view where you modify it."
        )
    if carries and edge.bound == "many":
        raise RuntimeError(
            "A view that was returned with others by one function (unbind, split) is "
            "being modified inplace. Use indexing to make the view, or clone it."
        )


def write(x: Value, values: Any) -> None:
    """Write to a tensor's memory, and count its version up."""
    array = x._memory()
    values = np.asarray(values)
    if values.shape != array.shape:
        raise RuntimeError(
            f"output with shape {list(array.shape)} doesn't match the broadcast "
            f"shape {list(values.shape)}"
        )
    _check_cast(values, array)
    if not array.flags.writeable:
        raise RuntimeError(
            "unsupported operation: the written-to tensor is read-only, or several of "
            "its elements share one place in memory. Clone it before the operation."
        )
    np.copyto(array, values, casting="same_kind")
    _written(x)


def _written(x: Value) -> None:
    """Count the version up, and remember the line for an error yet to come."""
    x._cell[0] += 1
    x._cell[1:] = (users_place(),)


def _check_cast(values: Any, array: Any) -> None:
    if not np.can_cast(values.dtype, array.dtype, "same_kind"):
        raise RuntimeError(
            f"result type {values.dtype} can't be cast to the desired output type "
            f"{array.dtype}"
        )


def assign(x: Any, result: Any) -> Any:
    """Give a tensor the values and the history of another; the tensor."""
    if not isinstance(result, Value):
        write(x, result)
        return x
    edge, before = (edge_of(result), edge_of(x)) if recording() else (None, None)
    write(x, result._array)
    if edge is None and before is None:
        return x
    if type(edge) is Node and edge.saved and edge.saved[-1] is result._array:
        # The rule needs the result: from now on, that is this tensor.
        edge.saved = (*edge.saved[:-1], x._array)
        edge.stamps = (*edge.stamps[:-1], (x._cell, x._cell[0], OUT))
    if type(x._edge) is View:
        _rebase(x._edge.base, x._edge.steps, result)
    else:
        _replace_edge(x, edge)
    return x


def _replace_edge(x: Value, edge: Any) -> None:
    """The new history; what retains its gradient retains the new value's."""
    old = x._edge
    x._edge = edge
    taps = getattr(old, "taps", None)
    if not taps:
        return
    for tap in [t for t in taps if isinstance(t, Retain) and t.tensor() is x]:
        taps.remove(tap)
        edge.taps = [*(edge.taps or ()), tap]


def _rebase(base: Value, steps: Sequence[Step], source: Any) -> None:
    """A node for a tensor of which a part has been overwritten."""
    if isinstance(source, Value):
        edges = (edge_of(base), edge_of(source))
        array = source._array
    else:
        edges, array = (edge_of(base), None), np.asarray(source)
    if edges == (None, None):
        return
    live = (edges[0] is not None, edges[1] is not None)
    whole = base._array
    params = {"steps": tuple(steps), "winners": _winners(whole.shape, steps)}
    plan = plan_for(place, 2, live, params)
    arrays = (whole, array)
    saved, stamps = kept(plan, (base, source), arrays, None)
    node = Node(plan, params, edges, saved, stamps, whole.shape, whole.dtype)
    node.shapes = shapes_of(edges, arrays)
    _replace_edge(base, node)
    state = recorder()
    if state is not None:
        state.add(node, place, (base, source), edges, params)


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that writes a function's result into its first argument."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_writable(self, args[0] if args else None)
        result = function(self, *args, **kwargs)
        if isinstance(result, Value) and type(result._edge) is Node:
            _keep_before(result._edge, self)
        return assign(self, result)

    return method


def _keep_before(node: Node, x: Value) -> None:
    """Let a node that needs what is about to be overwritten keep a copy of it.

    Only as its first operand: ``y *= y`` needs the other one, too, and is refused.
    """
    positions = [position for cell, _, position in node.stamps if cell is x._cell]
    if positions == [0]:
        node.saved = (x._array.copy(), *node.saved[1:])
        node.stamps = node.stamps[1:]


# --- indexed assignment ------------------------------------------------------------


class _Path:
    """Follows an index through an array, and remembers the steps."""

    __slots__ = ("array", "steps")

    def __init__(self, array: Any, steps: tuple[Step, ...] = ()) -> None:
        self.array = array
        self.steps = steps

    @property
    def dims(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype


def _step(primitive: Primitive, operands: Any, params: Any) -> _Path:
    path, *others = operands
    array = primitive.numpy(path.array, *others, **params)
    return _Path(np.asarray(array), (*path.steps, (primitive, tuple(others), params)))


_step.rank = 3.0  # type: ignore[attr-defined]
_Path.__tracegrad_apply__ = staticmethod(_step)  # type: ignore[attr-defined]


def table_steps(array: Any, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps from an array to a part of it, by primitives of the table alone."""
    found: list[Step] = []
    for step in steps:
        primitive, _, params = step
        if primitive is part:
            found += getitem(_Path(array), params["index"]).steps
        else:
            found.append(step)
        array = follow(array, [step])
    return tuple(found)


def set_item(x: Any, index: Any, value: Any) -> None:
    """``x[index] = value``."""
    check_writable(x, value)
    array = x._memory()
    key = plain(index)
    place = basic(key)
    if place is None:
        path = getitem(_Path(array), key)
    else:
        path = _Path(array[place], ((part, (), {"index": place}),))
    values = np.asarray(value._array if isinstance(value, Value) else value)
    if isinstance(value, Value):
        _check_cast(values, array)
    while values.ndim > path.array.ndim and values.shape[0] == 1:
        values = values[0]
    if not array.flags.writeable:
        write(x, array)  # raises
    try:
        array[key] = values
    except ValueError as error:
        raise RuntimeError(f"shape mismatch: {error}") from None
    _written(x)
    if not recording():
        return
    if type(x._edge) is View:
        _rebase(x._edge.base, (*x._edge.steps, *path.steps), value)
    else:
        _rebase(x, path.steps, value)
