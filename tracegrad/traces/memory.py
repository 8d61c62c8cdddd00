"""The arrays of one trace: where each was made, and which are written in place.

An array is an immutable value until the program writes to it. That first write raises
``Restart`` with the place where the array was made (or the argument that it is), and
the trace begins again with a Ref made there. A view has the array that it is a view of
as its origin, so that a write finds the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tracegrad.errors import TracegradError, TracingError
from tracegrad.ir.graph import Builder, Graph, Value
from tracegrad.traces.bounds import Bounds
from tracegrad.traces.tracer import Tracer

Key: TypeAlias = tuple[Hashable, ...]

SIZED: Key = ("slices that sizes determine",)
"""No array: whether slices have a size if their bounds are calculated from sizes.

A kernel for ``x[: int(0.3 * n)]`` is one of any ``n`` where the slice can be a loop.
Where it must be an array, the trace begins again with this key, and the kernel is one
of this ``n``.
"""


@dataclass(frozen=True, slots=True)
class Made:
    """An array's origin: an expression of the program, or an argument of it."""

    key: Key


@dataclass(frozen=True, slots=True)
class Part:
    """An array's origin: it is a view of another one."""

    of: Any


@dataclass(frozen=True, slots=True)
class Foreign:
    """An array's origin: somewhere from which it must not be written.

    why: in words that follow its name.
    """

    why: str
    todo: str


_NUMBER = Foreign(
    "is a number: so is an array without axes here.",
    "Bind its name anew, or give it one element: np.zeros(1).",
)


class Restart(TracegradError):
    """The trace has to begin again, and meet a demand that it found too late.

    Attributes:
        key: where an array is made that has to be a Ref, a loop and the name whose
            content it has to keep, or ``SIZED``.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        super().__init__("the trace begins again")


@dataclass(slots=True)
class Staged:
    """A region that is being recorded from the user's control flow.

    graph: what it becomes.
    owner: the function call whose statement it is.
    writes: whether it may write to Refs; the condition of a loop may not.
    born: the containers and objects made in it, which may be changed in it.
    """

    graph: Graph
    owner: object
    writes: bool = True
    born: dict[int, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What became of a Ref that a loop carries and exchanges with others.

    why: it must not be used by its old name.
    cycle: the Refs after the loop that may be it: by the number of trips, modulo.
    trips: how often the loop ran.
    """

    why: str
    cycle: tuple[Value, ...]
    trips: Tracer


class Memory:
    """What one trace knows of its arrays and regions.

    Attributes:
        bounds: what is known of its integers.
        item: ``view[index]``.
        demands: what earlier traces found necessary; see ``Restart``.
        regions: the staged regions around, outermost first.
        versions: how often each Ref was written so far.
        exchanged: Refs that a loop carries, which have other names from then on.
        sources: for what stands for an array in a function's own graph, that array.
        apart: pairs of values that must not share memory: the first one is written.
        catching: the exceptions that ``except`` clauses around would catch.
    """

    def __init__(
        self,
        builder: Builder,
        demands: frozenset[Key],
        item: Callable[[Any, Any], Any],
    ) -> None:
        self.builder = builder
        self.item = item
        self.bounds = Bounds(builder)
        self.demands = demands
        self.regions: list[Staged] = []
        self.versions: dict[Value, int] = {}
        self.exchanged: dict[Value, Exchanged] = {}
        self.sources: dict[Value, Any] = {}
        self.apart: list[tuple[Value, Value]] = []
        self.catching: list[tuple[type[BaseException], ...]] = []
        self._constants: dict[int, tuple[Any, Key, int]] = {}

    # --- regions ---------------------------------------------------------------------

    @property
    def staged(self) -> bool:
        """Whether what is recorded now may run any number of times, or not at all."""
        return bool(self.regions)

    @contextmanager
    def region(
        self, graph: Graph, owner: object = None, *, writes: bool = True
    ) -> Iterator[Graph]:
        """Record into a region of the user's control flow."""
        self.regions.append(Staged(graph, owner, writes))
        try:
            with self.builder.region(graph):
                yield graph
        finally:
            self.regions.pop()

    @contextmanager
    def handling(self, kinds: tuple[type[BaseException], ...]) -> Iterator[None]:
        """In a block whose exceptions of some kinds are caught."""
        self.catching.append(kinds)
        try:
            yield
        finally:
            self.catching.pop()

    def bear(self, thing: object) -> None:
        """Take note that a container or object is new."""
        if self.regions:
            self.regions[-1].born[id(thing)] = thing

    def is_older(self, thing: object) -> bool:
        """Whether an object is older than the region that is being recorded."""
        return bool(self.regions) and id(thing) not in self.regions[-1].born

    def refuse_change(self, thing: object, action: str) -> None:
        """Refuse to change, in a region, an object that is older than the region.

        Raises:
            TracingError: as the change would happen once, while tracing.
        """
        if self.is_older(thing):
            raise TracingError(
                f"{action} changes a {type(thing).__name__} in a branch or loop that "
                "is decided at run time.",
                self.builder.location,
                "Allocate an array before the loop and assign its elements, or keep "
                "the values in variables.",
            )

    # --- origins ---------------------------------------------------------------------

    def is_demanded(self, key: Key) -> bool:
        """Whether an earlier trace found a demand: see ``Restart``."""
        return key in self.demands

    def is_known(self, array: Any) -> bool:
        """Whether a plain array, or what it is a view of, was made in the trace."""
        return self._constant(array) is not None

    def remember(self, array: Any, key: Key) -> None:
        """Take note of where a plain array, known while tracing, was made."""
        self._constants[id(array)] = (array, key, len(self.regions))

    def require_plain(self, array: Any) -> None:
        """Let a plain array be written while tracing, if that is what the program does.

        Raises:
            Restart: if it is older than the region in which it is written.
        """
        known = self._constant(array)
        if known is not None and known[2] != len(self.regions):
            raise Restart(known[1])
        if known is None and self.regions:
            raise self.unwritable()

    def require_ref(self, array: Any) -> None:
        """Begin again with a Ref where an array was made.

        Raises:
            Restart: if that is possible.
            TracingError: if not.
        """
        if isinstance(array, np.ndarray):
            known = self._constant(array)
            if known is not None:
                raise Restart(known[1])
            raise self.unwritable()
        origin = array.origin
        while isinstance(origin, Part):
            origin = origin.of.origin
        if isinstance(origin, Made) and origin.key not in self.demands:
            raise Restart(origin.key)
        if not array.ndim:
            origin = _NUMBER
        raise self.unwritable(origin if isinstance(origin, Foreign) else None)

    def _constant(self, array: Any) -> tuple[Any, Key, int] | None:
        while isinstance(array.base, np.ndarray):
            array = array.base
        return self._constants.get(id(array))

    def unwritable(self, origin: Foreign | None = None) -> TracingError:
        """The error for a write to an array that can't be a Ref."""
        why = origin.why if origin else "shares its elements with other arrays."
        todo = origin.todo if origin else "Take a copy first: y = y.copy()."
        return TracingError(
            f"the array that is written in place {why}", self.builder.location, todo
        )

    # --- writes ----------------------------------------------------------------------

    def version(self, base: Value) -> int:
        """How often a Ref was written so far."""
        return self.versions.get(base, 0)

    def touch(self, base: Value) -> None:
        """Take note that a Ref is written now.

        Raises:
            TracingError: in the condition of a loop.
        """
        if any(not region.writes for region in self.regions):
            raise TracingError(
                "the condition of a loop writes to an array.",
                self.builder.location,
                "Write it as while True: with if and break.",
            )
        self.versions[base] = self.version(base) + 1

    def usable(self, base: Value) -> Value:
        """A Ref itself.

        Raises:
            TracingError: if a loop gave it another name.
        """
        exchanged = self.exchanged.get(base)
        if exchanged is not None:
            raise TracingError(
                exchanged.why,
                self.builder.location,
                "Use the names that the loop exchanges.",
            )
        return base


def mark(value: Any, origin: Any) -> Any:
    """A value with its origin, if it is a traced array without one."""
    if isinstance(value, Tracer) and value.origin is None:
        value.origin = origin
    return value
