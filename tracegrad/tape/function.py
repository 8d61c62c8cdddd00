"""``Function``: an operation with a backward pass of the user's own.

>>> from tracegrad.tape.creation import tensor
>>> class Square(Function):
...     @staticmethod
...     def forward(ctx, x):
...         ctx.save_for_backward(x)
...         return x * x
...     @staticmethod
...     def backward(ctx, grad_output):
...         (x,) = ctx.saved_tensors
...         return 2 * x * grad_output
>>> x = tensor(3.0, requires_grad=True)
>>> Square.apply(x)
tensor(9., grad_fn=<SquareBackward>)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from tracegrad.tape.engine import fitted
from tracegrad.tape.modes import is_grad_enabled, no_grad, refuse_frozen
from tracegrad.tape.node import LEAF, ManyNode, Port, Shape
from tracegrad.tape.record import edge_of
from tracegrad.tape.value import Value, made


class Context:
    """What ``forward`` leaves to ``backward``; attributes of any name may be set.

    Attributes:
        needs_input_grad: for each input, whether its gradient is wanted.
    """

    needs_input_grad: tuple[bool, ...]

    def __init__(self) -> None:
        self._to_save: tuple[Any, ...] = ()
        self._saved: tuple[Any, ...] | None = ()
        self._dirty: tuple[Any, ...] = ()
        self._constant: tuple[Any, ...] = ()
        self._materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors, inputs or outputs, for ``backward``.

        Raises:
            TypeError: for anything that is neither a tensor nor None.
        """
        for x in tensors:
            if x is not None and not isinstance(x, Value):
                raise TypeError(
                    "save_for_backward can only save variables, but got "
                    f"{type(x).__name__}: set an attribute of ctx instead"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept.

        Raises:
            RuntimeError: if it was freed, or modified in place.
        """
        if self._saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly "
                "access saved tensors after they have already been freed). Specify "
                "retain_graph=True the first time."
            )
        return tuple(None if s is None else s.tensor() for s in self._saved)

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs ``forward`` modified in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether absent gradients reach ``backward`` as zeros, or as None."""
        self._materialize = value


class _Saved:
    """A tensor kept: its array, where it came from, and its version."""

    def __init__(self, x: Value, edge: Any) -> None:
        self._class = x._result
        self._array = x._array
        self._edge = edge
        self._leaf = x if edge is x else None
        self._cell = x._cell
        self._version = x._cell[0]

    def tensor(self) -> Any:
        if self._cell[0] != self._version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been "
                f"modified by an inplace operation: [tensor {self._array.dtype} "
                f"{list(self._array.shape)}], saved by save_for_backward, is at "
                f"version {self._cell[0]}; expected version {self._version} instead."
            )
        if self._leaf is not None:
            return self._leaf
        edge = self._edge() if callable(self._edge) else self._edge
        return made(self._class, self._array, edge, self._cell)


class FunctionNode(ManyNode):
    """An application of a ``Function``."""

    __slots__ = ("cls", "ctx", "inputs")

    def __init__(
        self, cls: Any, ctx: Context, edges: Sequence[Any], inputs: Any, outs: Any
    ) -> None:
        super().__init__([Shape(out._array) for out in outs], None, {}, edges, (), ())
        self.cls = cls
        self.ctx = ctx
        self.inputs = inputs  # per input: the class of a tensor, or None

    def name(self) -> str:
        """What it is called."""
        return f"{self.cls.__name__}Backward"

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "ctx"), name)

    def saved_items(self) -> Any:
        """Names and values of the tensors that it saved."""
        for k, x in enumerate(self.ctx.saved_tensors):
            yield f"_saved_{k}", None if x is None else x._array

    def release(self) -> None:
        """Free the saved tensors."""
        if self.ctx._saved:
            self.ctx._saved = None

    def pull(self, bar: Any, tensor: Callable[..., Any] | None = None) -> Sequence[Any]:
        """The inputs' cotangents, as the user's ``backward`` gives them."""
        cls = next(c for c in self.inputs if c is not None)
        given = [
            self._given(b, shape, cls) for b, shape in zip(bar, self.ports, strict=True)
        ]
        backward = self.cls.backward
        once = getattr(backward, "once_differentiable", False)
        if once and tensor is not None:
            with no_grad():
                found = self._checked(backward(self.ctx, *given))
            return _undifferentiable(self, found, given)
        found = self._checked(backward(self.ctx, *given))
        if tensor is not None:
            return found
        return [None if x is None else x._array for x in found]

    def _given(self, bar: Any, shape: Shape, cls: Any) -> Any:
        if bar is None:
            if not self.ctx._materialize:
                return None
            return made(cls, np.zeros(shape.shape, shape.dtype)[()], None)
        return bar if isinstance(bar, Value) else made(cls, bar, None)

    def _checked(self, found: Any) -> list[Any]:
        results = list(found) if isinstance(found, tuple) else [found]
        count = len(self.inputs)
        while len(results) > count and results[-1] is None:
            results.pop()
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {count}, got {len(results)})"
            )
        return [self._one(k, x) for k, x in enumerate(results)]

    def _one(self, k: int, bar: Any) -> Any:
        if bar is None:
            return None
        if not isinstance(bar, Value):
            raise TypeError(
                f"expected Variable or None (got {type(bar).__name__}) as gradient "
                f"{k} of {self.name()}"
            )
        if self.inputs[k] is None:
            raise RuntimeError(
                f"function {self.name()} returned a gradient different than None at "
                f"position {k + 1}, but the corresponding forward input was not a "
                "Variable"
            )
        edge = self.edges[k]
        if edge is None:
            return None
        try:
            fits = np.broadcast_shapes(bar._array.shape, edge.shape)
        except ValueError:
            fits = None
        if fits != bar._array.shape:
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {k} - "
                f"got {list(bar._array.shape)} but expected shape compatible with "
                f"{list(edge.shape)}"
            )
        return fitted(bar, edge.shape, edge.dtype)


class _Refusal(ManyNode):
    """Stands for derivatives that a once-differentiable function doesn't have."""

    __slots__ = ("title",)

    title: str

    def name(self) -> str:
        return f"{self.title}Once"

    def pull(self, bar: Any, tensor: Callable[..., Any] | None = None) -> Sequence[Any]:
        raise RuntimeError(
            f"trying to differentiate twice {self.title}, whose backward was marked "
            "with @once_differentiable"
        )


def _undifferentiable(
    node: FunctionNode, found: Sequence[Any], given: Sequence[Any]
) -> list[Any]:
    """The cotangents, with an edge that refuses to be differentiated again."""
    sources = [*node.edges, *(None if b is None else edge_of(b) for b in given)]
    if all(edge is None for edge in sources):
        return list(found)
    tensors = [x for x in found if x is not None]
    refusal = _Refusal([Shape(x._array) for x in tensors], None, {}, sources, (), ())
    refusal.title = node.name()
    ports = iter(range(len(tensors)))
    return [
        None if x is None else made(x._result, x._array, refusal.port(next(ports)))
        for x in found
    ]


class Function:
    """The base of operations with a backward pass of their own.

    A subclass defines two static methods: ``forward(ctx, *inputs)``, or
    ``forward(*inputs)`` with ``setup_context(ctx, inputs, output)``; and
    ``backward(ctx, *grad_outputs)``, which returns a gradient, or None, per input.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; nothing in it is recorded."""
        raise NotImplementedError("You must implement forward for a custom Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The inputs' gradients from those of the outputs."""
        raise NotImplementedError(
            "You must implement backward for your custom Function to use it with "
            "backward mode."
        )

    vjp = backward
    setup_context: Callable[..., Any] | None = None

    def __init__(self) -> None:
        raise RuntimeError(
            f"{type(self).__name__} should not be instantiated: its methods are all "
            f"static. Call {type(self).__name__}.apply(...)."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """The operation on tensors and other things, recorded.

        Raises:
            RuntimeError: if ``forward`` modified a leaf that requires gradients.
        """
        refuse_frozen(
            f"{cls.__name__}, a Function with a backward pass of its own,",
            "Leave the derivative to tracegrad, or state it with custom_vjp and use "
            "jit instead.",
        )
        ctx = Context()
        edges = [edge_of(x) if isinstance(x, Value) else None for x in args]
        recorded = is_grad_enabled() and any(edge is not None for edge in edges)
        ctx.needs_input_grad = tuple(recorded and e is not None for e in edges)
        with no_grad():
            if cls.setup_context is None:
                returned = cls.forward(ctx, *args, **kwargs)
            else:
                returned = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, returned)
        outs = returned if isinstance(returned, tuple) else (returned,)
        if not recorded:
            return returned
        finished = _finished(cls, ctx, args, edges, outs)
        return finished if isinstance(returned, tuple) else finished[0]


def _finished(
    cls: Any,
    ctx: Context,
    args: tuple[Any, ...],
    edges: list[Any],
    outs: tuple[Any, ...],
) -> tuple[Any, ...]:
    """The outputs with their edges, and the node that they lead to."""
    for x in ctx._dirty:
        if x._edge is LEAF:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place "
                "operation."
            )
        x._cell[0] += 1
    tensors = [x for x in outs if isinstance(x, Value)]
    classes = [x._result if isinstance(x, Value) else None for x in args]
    node = FunctionNode(cls, ctx, edges, classes, tensors)
    ports: dict[int, Port] = {}
    results: list[Any] = []
    for out in outs:
        if not isinstance(out, Value):
            results.append(out)
            continue
        number = len(ports)
        ports[number] = port = node.port(number)
        constant = any(out is x for x in ctx._constant)
        constant = constant or out._array.dtype.kind != "f"
        is_input = any(out is x for x in args)
        if is_input and not any(out is x for x in ctx._dirty):
            out = made(out._result, out._memory(), None, out._cell)  # a view of it
        if not constant:
            out._edge = port
        results.append(out)
    _keep(ctx, node, args, edges, outs, results)
    return tuple(results)


def _keep(
    ctx: Context,
    node: FunctionNode,
    args: tuple[Any, ...],
    edges: list[Any],
    outs: tuple[Any, ...],
    results: list[Any],
) -> None:
    saved: list[Any] = []
    for x in ctx._to_save:
        if x is None:
            saved.append(None)
            continue
        place = next((k for k, out in enumerate(results) if out is x), None)
        if place is not None and isinstance(x._edge, Port) and x._edge.node is node:
            saved.append(_Saved(x, _Again(node, x._edge.output_number)))
            continue
        edge = next((e for a, e in zip(args, edges, strict=True) if a is x), edge_of(x))
        saved.append(_Saved(x, edge))
    ctx._saved = tuple(saved)
    ctx._to_save = ()


class _Again:
    """A port made anew: a node that held its own ports would be a cycle."""

    def __init__(self, node: FunctionNode, number: int) -> None:
        self._node = ref(node)
        self._number = number

    def __call__(self) -> Any:
        node = self._node()
        return None if node is None else node.port(self._number)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a ``backward`` whose own operations can't be differentiated.

    Differentiating it a second time raises.
    """

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grad_outputs: Any) -> Any:
        with no_grad():
            return backward(ctx, *grad_outputs)

    wrapped.once_differentiable = True  # type: ignore[attr-defined]
    return wrapped
