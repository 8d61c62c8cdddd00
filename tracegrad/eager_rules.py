"""Custom rules on the tape: one node, whose backward pass is the user's rule.

The rule runs on tape arrays. Where its result is to be differentiated in turn it is
recorded, with residuals computed anew from the arguments, so that they are linked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.errors import ArgumentError, ShapeError
from tracegrad.tape.array import Array, array, entered
from tracegrad.tape.backward import grad
from tracegrad.tape.function import Function
from tracegrad.tape.modes import enable_grad
from tracegrad.tape.record import edge_of
from tracegrad.tape.value import Value

Rule = Callable[[tuple[Any, ...], dict[str, Any], Any], Sequence[Any]]
"""``(args, kwargs, cotangents in the nest of the result)`` to one per leaf."""


def on_tape(
    title: str,
    function: Callable[..., Any],
    rule: Rule,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """The function's value, as one node with a rule.

    Args:
        title: of the function.
        function: what is computed.
        rule: gives the leaves' cotangents.
        args: of which some leaves are on the tape.
        kwargs: likewise.
    """
    leaves, tree = pytree.flatten((args, kwargs))
    out_tree: list[Any] = []

    def forward(ctx: Any, *inner: Any) -> Any:
        ctx.save_for_backward(*(x if isinstance(x, Value) else None for x in inner))
        own_args, own_kwargs = pytree.unflatten(tree, inner)
        found, structure = pytree.flatten(function(*own_args, **own_kwargs))
        out_tree[:] = [structure]
        return tuple(x if isinstance(x, Value) else array(x) for x in found)

    def backward(ctx: Any, *bars: Any) -> Any:
        saved = zip(ctx.saved_tensors, leaves, strict=True)
        again = [x if s is None else s for s, x in saved]
        own_args, own_kwargs = pytree.unflatten(tree, again)
        cotangent = pytree.unflatten(out_tree[0], bars)
        found = rule(own_args, own_kwargs, cotangent)
        return tuple(
            _fitted(title, bar, x) for bar, x in zip(found, leaves, strict=True)
        )

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    made: Any = type(title, (Function,), members)
    results = made.apply(*leaves)
    return pytree.unflatten(out_tree[0], results)


def _fitted(title: str, bar: Any, x: Any) -> Any:
    """A cotangent on the tape, with the shape of what it belongs to."""
    if bar is None or not isinstance(x, Value) or edge_of(x) is None:
        return None
    bar = bar if isinstance(bar, Value) else array(np.asarray(bar, x._array.dtype))
    if bar._array.shape != x._array.shape:
        raise ShapeError(
            f"the rule of {title} returned shape {bar._array.shape} where "
            f"{x._array.shape} is needed.",
            todo="Return a derivative of the shape of what it belongs to.",
        )
    return bar


def pulling(
    title: str, forward: Callable[..., Any], backward: Callable[..., Any]
) -> Rule:
    """The rule of a ``custom_vjp``."""

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], bars: Any) -> list[Any]:
        pair = forward(*args, **kwargs)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError(
                f"the forward rule of {title} must return a pair.",
                todo="Return (result, residuals).",
            )
        found = backward(pair[1], bars)
        given = (*args, *kwargs.values())
        if not isinstance(found, tuple) or len(found) != len(given):
            raise ArgumentError(
                f"the backward rule of {title} must return a tuple of {len(given)}: "
                "one cotangent per argument.",
                todo="Return None for an argument that has none.",
            )
        flat: list[Any] = []
        for argument, cotangent in zip(given, found, strict=True):
            count = len(pytree.leaves(argument))
            parts = pytree.leaves(cotangent)
            flat.extend(parts if len(parts) == count else [None] * count)
        return flat

    return rule


def transposing(jvp: Callable[..., Any]) -> Rule:
    """The rule of a ``custom_jvp``: linear in its tangents, so it can be transposed."""

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], bars: Any) -> list[Any]:
        leaves, tree = pytree.flatten(args)
        with enable_grad():
            dots = [_tangent(x) for x in leaves]
            _, out = jvp(args, pytree.unflatten(tree, dots))
            pairs = [
                (y, bar)
                for y, bar in zip(pytree.leaves(out), pytree.leaves(bars), strict=True)
                if isinstance(y, Array) and edge_of(y) is not None
            ]
            wanted = [dot for dot in dots if isinstance(dot, Value)]
            found = iter(
                grad(
                    [y for y, _ in pairs],
                    wanted,
                    [bar for _, bar in pairs],
                    create_graph=True,
                    materialize_grads=True,
                )
            )
        return [next(found) if isinstance(dot, Value) else None for dot in dots]

    return rule


def _tangent(x: Any) -> Any:
    """A tangent to differentiate with respect to; None of what has none."""
    if isinstance(x, Value) and x._array.dtype.kind == "f":
        return entered(array(np.zeros_like(x._array)))
    kinds = (float, np.floating)
    if isinstance(x, kinds) or (isinstance(x, np.ndarray) and x.dtype.kind == "f"):
        return np.zeros_like(x)[()]
    return None
