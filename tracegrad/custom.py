"""Derivative rules of the user's own: ``custom_vjp`` and ``custom_jvp``.

Either rule serves both modes, because a derivative is linear: its transpose is computed
where the other mode asks for it. Rules are traced like any other code, may close over
traced values, and are differentiated themselves for higher orders.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType, MethodType
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder
from tracegrad.eager_rules import on_tape, pulling, transposing
from tracegrad.errors import ArgumentError, DifferentiationError, ShapeError
from tracegrad.ir.graph import Graph, Operand, Value
from tracegrad.ir.shapes import same_size, show
from tracegrad.primitives.identities import filled
from tracegrad.tape.record import edge_of
from tracegrad.tape.value import Value as Taped
from tracegrad.traces.scope import Machine, current
from tracegrad.traces.tracer import Tracer, convert, lift
from tracegrad.traces.views import snapshot
from tracegrad.transforms.custom_call import (
    CustomCall,
    closed,
    custom_call,
    differentiated,
    free_values,
)

Function = Callable[..., Any]


_RULES_IN_RULES = 3
_depths: ContextVar[Mapping[int, int]] = ContextVar(
    "depths", default=MappingProxyType({})
)


class _Custom:
    """A function with a rule; called outside a trace, the function itself."""

    def __init__(self, function: Function) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._binder = Binder(function)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method, when it is looked up on an instance."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        if current() is not None:
            return self.__tracegrad_inline__(*args, **kwargs)
        leaves = pytree.leaves((args, kwargs))
        if any(isinstance(x, Taped) and edge_of(x) is not None for x in leaves):
            args, kwargs = self._binder.bind(args, kwargs)
            return on_tape(self._binder.title, *self._taped(), args, kwargs)
        return self._function(*args, **kwargs)

    def __tracegrad_inline__(self, *args: Any, **kwargs: Any) -> Any:
        """Record the function as one equation with its rule."""
        machine = current()
        assert machine is not None
        args, kwargs = self._binder.bind(args, kwargs)
        recorder = _Recorder(machine, self._binder, args, kwargs)
        depth = _depths.get().get(id(self), 0)
        if depth >= _RULES_IN_RULES:
            return recorder.call(self._function, None)
        # A rule may call its own function, whose rule then serves the next order.
        token = _depths.set({**_depths.get(), id(self): depth + 1})
        try:
            return recorder.call(self._function, self._rule())
        finally:
            _depths.reset(token)

    def _rule(self) -> _Rule:
        raise NotImplementedError

    def _taped(self) -> tuple[Function, Function]:
        """The function, and its rule as the tape takes it: see ``eager_rules``."""
        raise NotImplementedError


class custom_vjp(_Custom):
    """A function whose reverse derivative is given.

    ``f.defvjp(forward, backward)`` states it: ``forward(*args)`` returns (result,
    residuals), ``backward(residuals, cotangent)`` returns a tuple with a cotangent for
    each argument, None for those that have none.

    Args:
        function: what is computed when nothing is differentiated.

    >>> import numpy as np
    >>> from tracegrad import grad
    >>> @custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(
    ...     lambda x: (x, None), lambda _, bar: (np.clip(bar, -1.0, 1.0),))
    >>> grad(lambda x: 5.0 * clipped(x))(2.0)
    1.0
    """

    _forward: Function | None = None
    _backward: Function | None = None

    def defvjp(self, forward: Function, backward: Function) -> None:
        """State the rule: see the class."""
        self._forward, self._backward = forward, backward

    def _stated(self) -> tuple[Function, Function]:
        forward, backward = self._forward, self._backward
        if forward is None or backward is None:
            raise ArgumentError(
                f"custom_vjp function {self._binder.title} has no rule.",
                todo="State it: f.defvjp(forward, backward).",
            )
        return forward, backward

    def _taped(self) -> tuple[Function, Function]:
        return self._function, pulling(self._binder.title, *self._stated())

    def _rule(self) -> _Rule:
        forward, backward = self._stated()

        def rule(recorder: _Recorder, args: Any, kwargs: Any, bars: Any) -> Any:
            machine = recorder.machine
            pair = machine.call(forward, *args, **kwargs)
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ArgumentError(
                    f"the forward rule of {recorder.title} must return a pair.",
                    machine.builder.location,
                    "Return (result, residuals).",
                )
            cotangents = machine.call(backward, pair[1], bars)
            return recorder.per_argument(cotangents, args, kwargs)

        return rule, "pull"


class custom_jvp(_Custom):
    """A function whose forward derivative is given.

    ``@f.defjvp`` states it: ``rule(primals, tangents)``, two tuples, returns (result,
    the result's tangent). It must be linear in the tangents.

    Args:
        function: what is computed when nothing is differentiated.

    >>> from tracegrad import grad
    >>> @custom_jvp
    ... def twice(x):
    ...     return 2.0 * x
    >>> @twice.defjvp
    ... def twice_jvp(primals, tangents):
    ...     return twice(primals[0]), 7.0 * tangents[0]
    >>> grad(twice)(1.0)
    7.0
    """

    _jvp: Function | None = None

    def defjvp(self, rule: Function) -> Function:
        """State the rule: see the class."""
        self._jvp = rule
        return rule

    def _stated(self) -> Function:
        if self._jvp is None:
            raise ArgumentError(
                f"custom_jvp function {self._binder.title} has no rule.",
                todo="State it: @f.defjvp.",
            )
        return self._jvp

    def _taped(self) -> tuple[Function, Function]:
        return self._function, transposing(self._stated())

    def _rule(self) -> _Rule:
        jvp = self._stated()

        def rule(recorder: _Recorder, args: Any, kwargs: Any, dots: Any) -> Any:
            pair = recorder.machine.call(jvp, args, recorder.like_arguments(dots))
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ArgumentError(
                    f"the rule of {recorder.title} must return a pair.",
                    recorder.machine.builder.location,
                    "Return (result, the result's tangent).",
                )
            return pytree.leaves(pair[1])

        return rule, "push"


_Rule = tuple[Callable[["_Recorder", Any, Any, Any], Any], str]


class _Recorder:
    """Records one call: the function and its rule as closed graphs."""

    def __init__(
        self, machine: Machine, binder: Binder, args: Any, kwargs: Any
    ) -> None:
        self.machine = machine
        self.title = binder.title
        leaves, self._tree = pytree.flatten((args, kwargs))
        self._leaves = [snapshot(x) for x in leaves]
        self._active = [
            k
            for k, x in enumerate(self._leaves)
            if isinstance(x, Tracer) and x.type.differentiable
        ]

    def call(self, function: Function, rule: _Rule | None) -> Any:
        """Emit the equation, with the rule if there is one; what was returned."""
        if not self._active:
            args, kwargs = pytree.unflatten(self._tree, self._leaves)
            return self.machine.call(function, *args, **kwargs)
        builder = self.machine.builder
        primal, returned = self._primal(function)
        graphs = [primal]
        if rule is not None:
            graphs.append(self._directed(*rule, primal, returned))
        free = list(dict.fromkeys(v for graph in graphs for v in free_values(graph)))
        self._check_free(free)
        operands = [self._leaves[k].operand for k in self._active]
        whole, *derivative = (closed(builder, graph, free) for graph in graphs)
        kind = rule[1] if rule else ""
        call = CustomCall(
            self.title,
            whole,
            derivative[0] if kind == "push" else None,
            derivative[0] if kind == "pull" else None,
            tuple(range(len(free), len(free) + len(operands))),
        )
        outputs = builder.emit(custom_call, (*free, *operands), {"call": call})
        return self._nested(returned, outputs)

    def _check_free(self, free: Sequence[Value]) -> None:
        """Refuse to close over what is differentiated: the rule says nothing of it."""
        for value in free:
            if differentiated(value):
                raise DifferentiationError(
                    f"{self.title} has a rule of its own, but closes over "
                    f"{value.name or 'a value'}, which is differentiated.",
                    self.machine.builder.location,
                    "Pass it as an argument, so that the rule covers it.",
                )

    def _nested(self, returned: Any, outputs: Sequence[Operand]) -> Any:
        leaves, tree = pytree.flatten(returned)
        remaining = iter(outputs)
        builder = self.machine.builder
        return pytree.unflatten(
            tree,
            [
                Tracer(builder, next(remaining), x.weak) if isinstance(x, Tracer) else x
                for x in leaves
            ],
        )

    def _with_params(self, graph: Graph) -> Any:
        """The arguments with fresh parameters for the active leaves."""
        inner = list(self._leaves)
        for k in self._active:
            outer = self._leaves[k]
            name = outer.operand.name if isinstance(outer.operand, Value) else None
            param = graph.add_param(outer.type, name)
            inner[k] = Tracer(self.machine.builder, param, outer.weak)
        return pytree.unflatten(self._tree, inner)

    def _primal(self, function: Function) -> tuple[Graph, Any]:
        graph = Graph(self.title)
        with self.machine.builder.region(graph):
            args, kwargs = self._with_params(graph)
            returned = self.machine.call(function, *args, **kwargs)
        results = [x for x in pytree.leaves(returned) if isinstance(x, Tracer)]
        graph.results = [x.operand for x in results]
        return graph, returned

    def _directed(
        self, rule: Callable[..., Any], kind: str, primal: Graph, returned: Any
    ) -> Graph:
        """The rule as a graph of the arguments and of tangents or cotangents."""
        builder = self.machine.builder
        graph = Graph(f"{self.title}_{kind}")
        with builder.region(graph):
            args, kwargs = self._with_params(graph)
            if kind == "pull":
                types = [result.type for result in primal.results]
                bars = [Tracer(builder, graph.add_param(t, None)) for t in types]
                given = self._nested(returned, [bar.operand for bar in bars])
            else:
                types = [self._leaves[k].type for k in self._active]
                given = [Tracer(builder, graph.add_param(t, None)) for t in types]
            found = rule(self, args, kwargs, given)
            wanted = (
                [self._leaves[k].type for k in self._active]
                if kind == "pull"
                else [result.type for result in primal.results]
            )
            graph.results = [
                self._fitted(x, type_) for x, type_ in zip(found, wanted, strict=True)
            ]
        return graph

    def _fitted(self, direction: Any, type_: Any) -> Operand:
        """What a rule returned, as an operand of the type that it must have."""
        builder = self.machine.builder
        if direction is None or not type_.differentiable:
            return filled(builder, 0, type_)
        operand = lift(builder, direction)
        shape = operand.type.shape
        if len(shape) != type_.ndim or not all(map(same_size, shape, type_.shape)):
            raise ShapeError(
                f"the rule of {self.title} returned shape {show(shape)} where "
                f"{show(type_.shape)} is needed.",
                builder.location,
                "Return a derivative of the shape of what it belongs to.",
            )
        return convert(builder, operand, type_.dtype)

    def per_argument(self, cotangents: Any, args: Any, kwargs: Any) -> list[Any]:
        """The active leaves' cotangents, from a tuple with one per argument."""
        arguments = (*args, *kwargs.values())
        if not isinstance(cotangents, tuple) or len(cotangents) != len(arguments):
            raise ArgumentError(
                f"the backward rule of {self.title} must return a tuple of "
                f"{len(arguments)}: one cotangent per argument.",
                self.machine.builder.location,
                "Return None for an argument that has none.",
            )
        flat: list[Any] = []
        for argument, cotangent in zip(arguments, cotangents, strict=True):
            own = pytree.leaves(argument)
            given = pytree.leaves(cotangent)
            flat.extend(given if len(given) == len(own) else [None] * len(own))
        return [flat[k] for k in self._active]

    def like_arguments(self, tangents: list[Any]) -> tuple[Any, ...]:
        """The arguments with tangents: zeros for floats that aren't active."""
        leaves = [_zero(leaf) for leaf in self._leaves]
        for k, tangent in zip(self._active, tangents, strict=True):
            leaves[k] = tangent
        args, _ = pytree.unflatten(self._tree, leaves)
        return tuple(args)


def _zero(leaf: Any) -> Any:
    """The tangent of a leaf that isn't active; None if it is no float."""
    if isinstance(leaf, np.ndarray):
        return np.zeros_like(leaf) if leaf.dtype.kind == "f" else None
    return type(leaf)(0.0) if isinstance(leaf, (float, np.floating)) else None
