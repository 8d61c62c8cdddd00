"""Derivatives on the tape: what ``mode="tape"`` runs, and ``"auto"`` falls back to.

Each constructor has a namesake in ``derivatives``, ``jacobians`` or ``products`` that
emits the same into a trace. Here the function runs on arrays of the tape, and is
differentiated by backward passes. Called with arrays of an enclosing tape, the result
is on that tape: transformations nest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder, Selection
from tracegrad.derivatives import (
    check_scalar,
    check_selected,
    is_float,
    is_static,
    refuse_integers,
    regrouped,
)
from tracegrad.errors import ArgumentError, DifferentiationError, ShapeError
from tracegrad.tape.array import Array, array, entered, left
from tracegrad.tape.backward import grad as pull_back
from tracegrad.tape.modes import enable_grad
from tracegrad.tape.natives import converted
from tracegrad.tape.node import ModifiedError
from tracegrad.tape.record import edge_of
from tracegrad.tape.value import Value, made

Function = Callable[..., Any]


class Run:
    """One run of a function on the tape.

    Attributes:
        arguments: the chosen leaves, on the tape.
        nested: whether the caller is on a tape.
        leaves: of what was returned.
        tree: the structure of what was returned.
    """

    def __init__(
        self,
        function: Function,
        args: Any,
        kwargs: Any,
        chosen: Sequence[int],
        *,
        returning: bool = False,
    ) -> None:
        """Run it.

        returning: as if it returned, after its own result, the arguments it writes.
        """
        leaves, tree = pytree.flatten((args, kwargs))
        self.nested = any(isinstance(x, Value) for x in leaves)
        picked = set(chosen)
        inner = [_placed(x, k in picked) for k, x in enumerate(leaves)]
        self.arguments = [inner[k] for k in chosen]
        for k in chosen:  # the function may write to its own
            inner[k] = inner[k].copy()
        args, kwargs = pytree.unflatten(tree, inner)
        states = list(map(_state, inner))
        with enable_grad():
            try:
                returned = converted(function)(*args, **kwargs)
            except Exception as error:
                error.args = tuple(map(self.out, error.args))
                raise
        if returning:
            pairs = zip(inner, states, strict=True)
            written = [x for x, state in pairs if not _same(state, _state(x))]
            returned = _with_written(returned, written)
        self.leaves, self.tree = pytree.flatten(returned)

    def returned(self) -> Any:
        """What the function returned, as the caller sees it."""
        return pytree.unflatten(self.tree, [self.out(x) for x in self.leaves])

    def out(self, x: Any) -> Any:
        """A result as the caller sees it."""
        return x if self.nested else left(x)

    def pull(
        self, bars: Sequence[Any], *, create: bool = False, keep: bool = False
    ) -> list[Any]:
        """The arguments' cotangents, on the tape.

        Args:
            bars: a cotangent per result; None is zero.
            create: whether they are to be differentiated.
            keep: whether more will be pulled.
        """
        pairs = [
            (x, bar)
            for x, bar in zip(self.leaves, bars, strict=True)
            if bar is not None and isinstance(x, Value) and edge_of(x) is not None
        ]
        if not pairs:
            return [_zeros(x) for x in self.arguments]
        try:
            found = pull_back(
                [x for x, _ in pairs],
                self.arguments,
                [_direction(bar, x) for x, bar in pairs],
                retain_graph=keep or create or self.nested,
                create_graph=create or self.nested,
                materialize_grads=True,
            )
        except ModifiedError as error:
            raise DifferentiationError(
                "an array that the derivative needs was overwritten in place.",
                error.where,
                "On the tape, make a new array there, or write to a copy.",
            ) from None
        return list(found)


def _placed(leaf: Any, chosen: bool) -> Any:
    """An argument as the function gets it: a copy, so the caller's never change."""
    if isinstance(leaf, Value):
        return entered(leaf) if chosen else leaf
    if chosen:
        return array(leaf, tracked=True)
    if isinstance(leaf, np.ndarray):
        return array(leaf) if leaf.dtype.kind == "f" and leaf.ndim else leaf.copy()
    return leaf


def _state(x: Any) -> Any:
    """What differs once an array was written."""
    if isinstance(x, Value):
        return x._cell[0]
    return x.copy() if isinstance(x, np.ndarray) else None


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after)
    return bool(before == after)


def _with_written(returned: Any, written: Sequence[Any]) -> Any:
    """What a function returns, and then the arrays that it wrote and did not return."""
    known = set(map(id, pytree.leaves(returned)))
    results = [x for x in written if id(x) not in known]
    if not results:
        return returned
    if returned is not None:
        results = [returned, *results]
    return results[0] if len(results) == 1 else tuple(results)


def _zeros(x: Any) -> Array:
    return array(np.zeros(x.shape, x.dtype))


def _direction(given: Any, like: Any) -> Any:
    """A tangent or cotangent with the dtype of what it belongs to."""
    if isinstance(given, Value):
        return given
    values = np.array(given, like.dtype)
    return made(Array, values if values.ndim else values[()], None)


def value_and_grad(
    function: Function, selection: Selection, *, has_aux: bool
) -> Function:
    """See ``derivatives.value_and_grad``."""
    binder = Binder(function)

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = binder.bind(args, kwargs)
        groups, chosen = _chosen(binder, selection, args, kwargs)
        run = Run(function, args, kwargs, chosen)
        first = run.leaves[0] if run.leaves else None
        check_scalar(run.tree, first, binder.title, has_aux, None)
        bars: list[Any] = [None] * len(run.leaves)
        bars[0] = 1.0
        found = [run.out(bar) for bar in run.pull(bars)]
        trees = selection.structures(binder, args, kwargs)
        grads = regrouped(groups, trees, (args, kwargs), found)
        return run.returned(), selection.joined(grads)

    return value_and_gradient


def _chosen(
    binder: Binder, selection: Selection, args: Any, kwargs: Any
) -> tuple[list[list[int]], list[int]]:
    """The selected leaves, by argument and together."""
    groups = selection.groups(binder, args, kwargs)
    check_selected(binder, groups, args, kwargs)
    leaves, tree = pytree.flatten((args, kwargs))
    chosen = [k for group in groups for k in group if not is_static(leaves[k])]
    names = binder.names(tree)
    for k in chosen:
        refuse_integers(leaves[k], names[k])
    return groups, chosen


def gradient(function: Function, selection: Selection, *, has_aux: bool) -> Function:
    """See ``derivatives.gradient``."""
    both = value_and_grad(function, selection, has_aux=has_aux)

    def gradient_only(*args: Any, **kwargs: Any) -> Any:
        returned, grads = both(*args, **kwargs)
        return (grads, returned[1]) if has_aux else grads

    return gradient_only


def itself(function: Function) -> Function:
    """The function, run by Python."""
    return function


# --- products with the Jacobian ----------------------------------------------------


def _run_floats(function: Function, binder: Binder, primals: Any) -> Run:
    args, kwargs = binder.bind(tuple(primals), {})
    leaves = pytree.leaves((args, kwargs))
    chosen = [k for k, x in enumerate(leaves) if is_float(x)]
    return Run(function, args, kwargs, chosen, returning=True)


def value(function: Function) -> Function:
    """What ``pullback`` says the function returns."""
    binder = Binder(function)
    return lambda *primals: _run_floats(function, binder, primals).returned()


def _fitted(tree: pytree.Tree, own: Sequence[Any], given: Any, kind: str) -> list[Any]:
    """A direction for each leaf, None where there is none.

    Args:
        tree: the structure of what the directions belong to.
        own: its leaves, None where they carry no derivative.
        given: the directions, in the same nest.
        kind: what they are called.
    """
    found = pytree.matched(tree, given)
    if found is None:
        raise ArgumentError(
            f"the {kind}'s structure is {pytree.structure(given)}, not {tree}.",
            todo=f"Pass a {kind} in the nest of what it belongs to.",
        )
    for x, direction in zip(own, found, strict=True):
        if x is None or direction is None:
            continue
        shape, wanted = np.shape(left(direction)), np.shape(left(x))
        if shape != wanted:
            raise ShapeError(
                f"a {kind} has shape {shape}, what it belongs to {wanted}.",
                todo=f"Give the {kind} the shape of what it belongs to.",
            )
    return [None if x is None else d for x, d in zip(own, found, strict=True)]


def pullback(function: Function) -> Function:
    """See ``derivatives.pullback``."""
    binder = Binder(function)

    def pull(primals: Any, cotangent: Any) -> Any:
        run = _run_floats(function, binder, primals)
        if not any(is_float(x) for x in run.leaves):
            raise DifferentiationError(
                "vjp needs a floating-point result, but the function returned none.",
                todo="Return the values to differentiate.",
            )
        outs = [x if is_float(x) else None for x in run.leaves]
        bars = _fitted(run.tree, outs, cotangent, "cotangent")
        found = iter(map(run.out, run.pull(bars)))
        leaves, tree = pytree.flatten(tuple(primals))
        results = [next(found) if is_float(x) else None for x in leaves]
        return run.returned(), pytree.unflatten(tree, results)

    return pull


def pushforward(function: Function) -> Function:
    """See ``derivatives.pushforward``: two backward passes, one through the other."""
    binder = Binder(function)

    def push(primals: Any, tangents: Any) -> Any:
        run = _run_floats(function, binder, primals)
        leaves, tree = pytree.flatten(tuple(primals))
        own = [x if is_float(x) else None for x in leaves]
        given = _fitted(tree, own, tuple(tangents), "tangent")
        chosen = [d for d, x in zip(given, own, strict=True) if x is not None]
        dots = [  # defaults, which come last, have none
            _zeros(x) if dot is None else _direction(dot, x)
            for dot, x in zip_longest(chosen, run.arguments)
        ]
        return run.returned(), _pushed(run, dots)

    return push


def _pushed(run: Run, dots: Sequence[Any]) -> Any:
    """The tangents of what was returned: the pullback is linear in its cotangents."""
    with enable_grad():
        weights = [
            array(np.zeros(x.shape, x.dtype), tracked=True)
            if isinstance(x, Value) and edge_of(x) is not None
            else None
            for x in run.leaves
        ]
        pulled = run.pull(weights, create=True)
        pairs = [(p, d) for p, d in zip(pulled, dots, strict=True) if edge_of(p)]
        wanted = [w for w in weights if w is not None]
        found = iter(
            pull_back(
                [p for p, _ in pairs],
                wanted,
                [d for _, d in pairs],
                create_graph=run.nested,
                materialize_grads=True,
            )
            if pairs
            else [_zeros(w) for w in wanted]
        )
    results = [
        _tangent(run, x, w, found) for x, w in zip(run.leaves, weights, strict=True)
    ]
    return pytree.unflatten(run.tree, results)


def _tangent(run: Run, x: Any, weight: Any, found: Any) -> Any:
    if weight is not None:
        return run.out(next(found))
    return np.zeros_like(x)[()] if is_float(x) else None


def jacobian_of(function: Function, selection: Selection) -> Function:
    """See ``jacobians.jacobian_of``: a backward pass per element of the results."""
    binder = Binder(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = binder.bind(args, kwargs)
        _, chosen = _chosen(binder, selection, args, kwargs)
        run = Run(function, args, kwargs, chosen, returning=True)
        trees = selection.structures(binder, args, kwargs)
        blocks = []
        for number, x in enumerate(run.leaves):
            if not is_float(x):
                raise DifferentiationError(
                    f"jacobian needs floating-point results, but {binder.title} "
                    f"returned {getattr(x, 'dtype', type(x).__name__)}.",
                    todo="Return the values to differentiate.",
                )
            parts = iter(_rows(run, number))
            nests = [
                pytree.unflatten(t, [next(parts) for _ in range(t.num_leaves)])
                for t in trees
            ]
            blocks.append(selection.joined(nests))
        return pytree.unflatten(run.tree, blocks)

    return call


def _rows(run: Run, number: int) -> list[Any]:
    """The blocks of one result: of shape result.shape + argument.shape each."""
    out = run.leaves[number]
    shape = np.shape(out._array) if isinstance(out, Value) else np.shape(out)
    rows = []
    for k in range(int(np.prod(shape, dtype=int))):
        seed = np.zeros(shape)
        seed.reshape(-1)[k] = 1.0
        bars: list[Any] = [None] * len(run.leaves)
        bars[number] = seed
        rows.append(run.pull(bars, keep=True))
    blocks = []
    for place, x in enumerate(run.arguments):
        column = [row[place] for row in rows]
        if not column:
            whole: Any = array(np.zeros((*shape, *x.shape), x.dtype))
        else:
            whole = np.stack(column).reshape((*shape, *x.shape))
        blocks.append(run.out(whole))
    return blocks


def copy_out(result: Any, out: Any) -> None:
    """Write a nest of results to the arrays of ``out=``.

    Raises:
        ArgumentError: if the nests differ.
    """
    found, tree = pytree.flatten(result)
    buffers = pytree.matched(tree, out)
    if buffers is None:
        raise ArgumentError(
            "out= doesn't fit the result.",
            todo="Pass an array for each array of the result, in the same nest.",
        )
    for buffer, values in zip(buffers, found, strict=True):
        np.copyto(buffer, values)
