"""Arguments: bound to a function's signature, flattened, named, and selected.

>>> def loss(params, x, scale=1.0): ...
>>> binder = Binder(loss)
>>> args, kwargs = binder.bind(({"w": 1.0, "b": 2.0}, 3.0), {})
>>> _, tree = pytree.flatten((args, kwargs))
>>> binder.names(tree)
['params_b', 'params_w', 'x', 'scale']
>>> selection = Selection.of(0, None)
>>> selection.groups(binder, args, kwargs)
[[0, 1]]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tracegrad import pytree
from tracegrad.errors import ArgumentError
from tracegrad.traces.inputs import identifier
from tracegrad.traces.outside import module_of

Argnums = int | Sequence[int] | None
Argnames = str | Sequence[str] | None
_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


class Binder:
    """Brings calls of a function into one form: every default filled in."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.title = getattr(function, "__name__", type(function).__name__)
        self.signature = _signature(function)

    @cached_property
    def _complete(self) -> int:
        """How many positional arguments leave nothing to bind; -1 if that varies."""
        parameters = self.signature.parameters.values() if self.signature else ()
        simple = all(p.kind in _POSITIONAL for p in parameters)
        return len(parameters) if simple else -1

    def bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with defaults, as far as possible positional.

        Raises:
            ArgumentError: a TypeError, if they don't fit the signature.
        """
        if not kwargs and len(args) == self._complete:
            return args, kwargs
        if self.signature is None:
            return args, kwargs
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self.title}(): {error}") from None
        bound.apply_defaults()
        return bound.args, bound.kwargs

    def names(self, tree: pytree.Tree) -> list[str]:
        """A valid, unique name for each leaf of ``(args, kwargs)``."""
        return _unique(self.text(path) for path in pytree.paths(tree))

    def text(self, path: tuple[Any, ...]) -> str:
        """A leaf's argument and the keys inside it: ``params_w``."""
        first = self.argument_name(path[1]) if path[0] == 0 else str(path[1])
        return "_".join([first, *map(str, path[2:])])

    def argument_name(self, position: int) -> str:
        """What the function calls its argument at a position."""
        names = self._positional()
        if position < len(names):
            return names[position]
        return f"{self._rest() or 'args'}_{position - len(names)}"

    def position(self, name: str) -> int | None:
        """Where an argument of a name is; None for one that is passed by keyword."""
        names = self._positional()
        return names.index(name) if name in names else None

    def _positional(self) -> list[str]:
        if self.signature is None:
            return []
        return [
            p.name for p in self.signature.parameters.values() if p.kind in _POSITIONAL
        ]

    def _rest(self) -> str | None:
        parameters = self.signature.parameters.values() if self.signature else ()
        kind = inspect.Parameter.VAR_POSITIONAL
        return next((p.name for p in parameters if p.kind is kind), None)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    inner = getattr(function, "py_func", function)
    if module_of(inner).split(".")[0] in ("numpy", "scipy", "math", "builtins"):
        return None  # keywords such as out= and where= are no arguments of ours
    try:
        return inspect.signature(inner)
    except (TypeError, ValueError):  # a built-in that doesn't tell
        return None


class PairBinder(Binder):
    """Binds ``(primals, directions)``, named after the arguments of a function.

    suffix: of the names of directions; without one, they are the result's.
    """

    def __init__(self, function: Callable[..., Any], suffix: str | None) -> None:
        self._own = Binder(function)
        self.title = self._own.title
        self._suffix = suffix
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = ("primals", "tangents" if suffix else "cotangent")
        self.signature = inspect.Signature([inspect.Parameter(n, kind) for n in names])

    def text(self, path: tuple[Any, ...]) -> str:
        """``x`` for a primal; ``x_dot`` for a tangent, ``out_bar`` for a cotangent."""
        _, which, *rest = path
        if which == 0:
            return self._own.text((0, *rest))
        if self._suffix is None:
            return "_".join(["out", *map(str, rest), "bar"])
        return f"{self._own.text((0, *rest))}_{self._suffix}"


class ColumnBinder(Binder):
    """Binds ``(args, kwargs, k)``: a call of a function, and a column's number."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._own = Binder(function)
        self.title = self._own.title
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = ("args_", "kwargs_", "column_")
        self.signature = inspect.Signature([inspect.Parameter(n, kind) for n in names])

    def text(self, path: tuple[Any, ...]) -> str:
        """The function's own name for a leaf; ``column`` for the number."""
        return "column" if path[1] == 2 else self._own.text(path[1:])


def _unique(texts: Iterable[str]) -> list[str]:
    taken: dict[str, None] = {}
    for text in texts:
        taken[identifier(text, taken)] = None
    return list(taken)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which arguments are differentiated.

    Attributes:
        which: positions and names, in the order of the results.
        single: whether the result is that argument's own, not a tuple.
    """

    which: tuple[int | str, ...]
    single: bool

    @staticmethod
    def of(argnums: Argnums, argnames: Argnames) -> Selection:
        """From the ``argnums`` and ``argnames`` of the public functions.

        Raises:
            ArgumentError: if they are neither integers nor names.
        """
        if argnums is None and argnames is None:
            return Selection((0,), True)
        parts: list[int | str] = []
        single = True
        for value, kind, title in (
            (argnums, int, "argnums"),
            (argnames, str, "argnames"),
        ):
            if value is None:
                continue
            one = isinstance(value, kind)
            several = isinstance(value, (tuple, list))
            found: list[Any] = [*value] if several else [value]  # type: ignore[misc]
            if not all(isinstance(x, kind) and x is not True for x in found):
                raise ArgumentError(f"{title}={value!r} is not {kind.__name__}s.")
            single = single and one and not parts
            parts.extend(found)
        return Selection(tuple(parts), single)

    def keys(
        self, binder: Binder, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[tuple[int, Any]]:
        """Each selected argument as (0, position) or (1, keyword).

        Raises:
            ArgumentError: for an argument that the function doesn't have.
        """
        return [self._key(which, binder, args, kwargs) for which in self.which]

    def _key(
        self,
        which: int | str,
        binder: Binder,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[int, Any]:
        if isinstance(which, int):
            if -len(args) <= which < len(args):
                return (0, which % len(args))
            raise ArgumentError(
                f"argnums={which}, but {binder.title} was called with {len(args)} "
                f"argument{'s' if len(args) != 1 else ''}.",
                todo="Positions count from 0.",
            )
        position = binder.position(which)
        if position is not None and position < len(args):
            return (0, position)
        if which in kwargs:
            return (1, which)
        known = [binder.argument_name(k) for k in range(len(args))]
        raise ArgumentError(
            f"argnames={which!r}, but {binder.title} has no such argument.",
            todo=f"Its arguments are {', '.join([*known, *kwargs])}.",
        )

    def groups(
        self, binder: Binder, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[list[int]]:
        """For each selected argument, the positions of its leaves among all leaves."""
        paths = pytree.paths(pytree.structure((args, kwargs)))
        return [
            [k for k, path in enumerate(paths) if path[:2] == key]
            for key in self.keys(binder, args, kwargs)
        ]

    def structures(
        self, binder: Binder, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[pytree.Tree]:
        """The structure of each selected argument."""
        keys = self.keys(binder, args, kwargs)
        return [pytree.structure((args, kwargs)[where][key]) for where, key in keys]

    def joined(self, results: Sequence[Any]) -> Any:
        """One result per selected argument, as the caller sees them."""
        return results[0] if self.single else tuple(results)
