"""``vmap``: a function over a batch, as a loop around the program in the graph.

There are no batching rules: the loop's body is the function itself, applied to one item
of the batch, and what it returns is stored into arrays of the batch's size. So whatever
can be traced can be mapped, and a mapped function is differentiated as any loop is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder
from tracegrad.derivatives import Function, machine_in_progress
from tracegrad.errors import ArgumentError, ShapeError, TracingError
from tracegrad.ir.graph import Graph
from tracegrad.ir.shapes import Dim, hint_of, same_size
from tracegrad.traces.regions import each
from tracegrad.traces.scope import Machine
from tracegrad.traces.stacking import allocate, part, put
from tracegrad.traces.tracer import Tracer, lift

Axis = int | None


def mapped(function: Function, in_axes: Any, out_axes: Any) -> Function:
    """The function over a batch, as traced code calls it: see ``tracegrad.vmap``."""
    binder = BatchBinder(function, in_axes)

    def call(*args: Any, **kwargs: Any) -> Any:
        machine = machine_in_progress()
        args, kwargs = binder.bind(args, kwargs)
        leaves, tree = pytree.flatten((args, kwargs))
        batch = _Batch(machine, binder.title)
        items = [
            batch.take(leaf, axis, name)
            for leaf, axis, name in zip(
                leaves, binder.axes(args, kwargs), binder.names(tree), strict=True
            )
        ]

        def at(position: Any) -> Any:
            parts = [
                x if axis is None else part(machine.memory, x, axis, position)
                for x, axis in items
            ]
            inner_args, inner_kwargs = pytree.unflatten(tree, parts)
            return machine.call(function, *inner_args, **inner_kwargs)

        return batch.run(at, out_axes)

    return call


# --- which arguments are mapped ----------------------------------------------------


class BatchBinder(Binder):
    """Binds the arguments of a mapped function, and says along which axes they run.

    Args:
        function: that is mapped.
        in_axes: see ``tracegrad.vmap``.
    """

    def __init__(self, function: Function, in_axes: Any) -> None:
        super().__init__(function)
        self._in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
        parameters = self.signature.parameters.values() if self.signature else ()
        self._defaults = {
            p.name: p.default for p in parameters if p.default is not p.empty
        }

    def bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """See ``Binder``.

        Raises:
            ArgumentError: if it isn't clear whether a default is mapped.
        """
        bound = super().bind(args, kwargs)
        if not isinstance(self._in_axes, tuple):
            for name, value in self._named(*bound):
                if value is self._defaults.get(name) and _has_array(value):
                    raise ArgumentError(
                        f"argument {name} of a mapped function is an array by default.",
                        todo="Say in in_axes, a tuple, whether it is mapped.",
                    )
        return bound

    def axes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Axis]:
        """The axis along which each leaf of bound arguments is mapped.

        Raises:
            ArgumentError: if ``in_axes`` doesn't fit the arguments.
        """
        given = self._in_axes
        named = self._named(args, kwargs)
        if not isinstance(given, tuple):
            return [axis for pair in named for axis in self._common(*pair, given)]
        left_out = [name for name, _ in named[len(given) : len(args)]]
        if len(given) > len(args) or not self._defaults.keys() >= {*left_out}:
            raise ArgumentError(
                f"in_axes has {len(given)} entries, but {self.title} was called with "
                f"{len(args)} arguments.",
                todo="Give an entry for each: an axis, or None for what isn't mapped.",
            )
        entries = [*given, *[None] * len(left_out), *[0] * len(kwargs)]
        return [
            axis
            for entry, (name, value) in zip(entries, named, strict=True)
            for axis in _prefixed(entry, value, f"in_axes for {name}", "the argument")
        ]

    def _named(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[tuple[str, Any]]:
        """The bound arguments by name, in the order of their leaves."""
        positional = [(self.argument_name(k), x) for k, x in enumerate(args)]
        return positional + [(key, kwargs[key]) for key in sorted(kwargs)]

    def _common(self, name: str, value: Any, axis: Any) -> list[Axis]:
        """The axes of an argument if all have the same: but a default is no batch."""
        found = _prefixed(axis, value, "in_axes", "the arguments")
        if name not in self._defaults:
            return found
        return [
            axis if _rank(leaf) else None
            for axis, leaf in zip(found, pytree.leaves(value), strict=True)
        ]


def _prefixed(axes: Any, value: Any, title: str, other: str) -> list[Axis]:
    """One axis per leaf of a nest, from a nest that may end above the leaves."""
    try:
        return pytree.prefix(axes, value, _is_axis)
    except ValueError as error:
        raise ArgumentError(
            f"{title} doesn't fit {other}: {error}.",
            todo=f"Give an integer, None, or such in the nest of {other}.",
        ) from None


def result_axes(out_axes: Any, result: Any) -> list[Axis]:
    """One axis for each leaf of what a function returns.

    Raises:
        ArgumentError: if ``out_axes`` doesn't fit.
    """
    return _prefixed(out_axes, result, "out_axes", "what is returned")


def _is_axis(entry: Any) -> bool:
    if entry is None:
        return True
    return isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)


def _rank(leaf: Any) -> int:
    return leaf.ndim if isinstance(leaf, (Tracer, np.ndarray)) else 0


def _has_array(value: Any) -> bool:
    return any(map(_rank, pytree.leaves(value)))


# --- the loop ----------------------------------------------------------------------


class _Batch:
    """One call of a mapped function.

    Args:
        machine: the trace in progress.
        title: of the function.
    """

    def __init__(self, machine: Machine, title: str) -> None:
        self._machine = machine
        self._title = title
        self._size: Dim | None = None
        self._first = ""

    def take(self, leaf: Any, axis: Axis, name: str) -> tuple[Any, Axis]:
        """A leaf of the arguments, ready to be taken apart along its axis.

        Raises:
            ShapeError: if it has no such axis, or one of another size than others.
        """
        if axis is None or not _is_number(leaf):
            return leaf, None
        builder = self._machine.builder
        array = leaf
        if not isinstance(leaf, Tracer):
            array = Tracer(builder, lift(builder, leaf))
        rank = array.ndim
        if not -rank <= axis < rank:
            what = f"has {rank} axes" if rank else "is a number"
            raise ShapeError(
                f"{self._title} is mapped over axis {axis} of {name}, which {what}.",
                builder.location,
                "Choose another axis in in_axes, or None if it isn't mapped.",
            )
        size = array.dims[axis]
        if self._size is None:
            self._size, self._first = size, name
        elif not same_size(self._size, size):
            raise ShapeError(
                f"{self._title} is mapped over {name} of size {hint_of(size)}, but "
                f"{self._first} of size {hint_of(self._size)}.",
                builder.location,
                "All mapped axes must have the same size.",
            )
        return array, axis % rank

    def run(self, at: Function, out_axes: Any) -> Any:
        """What the function returned for each position, stacked.

        Raises:
            ArgumentError: if nothing is mapped, or ``out_axes`` doesn't fit.
        """
        if self._size is None:
            raise ArgumentError(
                f"no argument of {self._title} is mapped.",
                todo="Give an axis for at least one array in in_axes.",
            )
        machine, outer = self._machine, self._machine.builder.graph
        results: list[Any] = []

        def once(position: Any) -> None:
            returned = at(position)
            opened = machine.outside.opened(machine.builder, returned)
            leaves, tree = pytree.flatten(opened)
            axes = result_axes(out_axes, opened)
            stacks = [
                self._stacked(leaf, axis, position, outer)
                for leaf, axis in zip(leaves, axes, strict=True)
            ]
            results.append(pytree.unflatten(tree, stacks))

        each(machine.memory, self._size, "b", once)
        return results[0]

    def _stacked(self, leaf: Any, axis: Axis, position: Any, outer: Graph) -> Any:
        """The array of a result leaf for all positions; stores this one's."""
        builder, memory = self._machine.builder, self._machine.memory
        if not _is_number(leaf):
            raise TracingError(
                f"the mapped function {self._title} returns a {type(leaf).__name__}.",
                builder.location,
                "Return arrays and numbers.",
            )
        value = leaf
        if not isinstance(leaf, Tracer):
            value = Tracer(builder, lift(builder, leaf))
        rank = value.ndim
        if axis is None or not -rank - 1 <= axis <= rank:
            raise ArgumentError(
                f"out_axes has {axis} for a result of {self._title} with {rank} axes.",
                builder.location,
                f"Give an integer from {-rank - 1} to {rank}.",
            )
        at = axis % (rank + 1)
        assert self._size is not None
        shape = (*value.dims[:at], self._size, *value.dims[at:])
        stack = allocate(memory, outer, shape, value.type.dtype)
        put(stack, (*(slice(None),) * at, position), value)
        return stack


def _is_number(leaf: Any) -> bool:
    """Whether a leaf is an array or a number, not an object of configuration."""
    if isinstance(leaf, bool):
        return False
    return isinstance(leaf, (Tracer, np.ndarray, np.generic, int, float))
