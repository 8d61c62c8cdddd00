"""Where arrays lie in C: pointers, and the arithmetic from an index to a cell.

A parameter is a pointer that the caller gives. What a kernel allocates lies in the
caller's workspace, each array at a multiple of 64 bytes, whatever its role. So every
length must be known at entry; an array that grows gets as many rows as the caller
says. Views are pointers into their base.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from codegen.c.library import ROUTINES, scratch_name
from codegen.errors import IRError
from codegen.loop_ir import (
    Allocate,
    Array,
    Const,
    DType,
    Expr,
    For,
    Grow,
    Kernel,
    Library,
    Location,
    Op,
    Reshape,
    Select,
    Size,
    Stmt,
    Swap,
    Var,
    View,
    While,
    blocks,
    integer,
    nested,
    walk,
)


class NotExpressible(IRError):
    """A kernel does what the C printer can't; the message names it and the line."""


def refuse(what: str, location: Location | None = None) -> NotExpressible:
    """The error for something at a line."""
    where = (
        f"\n  at {location.file}:{location.line}: {location.text}" if location else ""
    )
    return NotExpressible(what + where)


@dataclass(frozen=True, slots=True)
class Room:
    """Part of the workspace: for an array, or scratch of a library call.

    rows: the least number of rows of an array that grows, whose capacity the caller
        gives; None for all others.
    """

    name: str
    dtype: DType
    shape: tuple[Expr, ...]
    rows: Expr | None = None


@dataclass(slots=True)
class Arrays:
    """What a kernel's arrays are in C.

    rooms: the parts of the workspace, in order.
    growing: names of the arrays that grow.
    swapped: names of those that change places: no pointer of theirs is restricted.
    shared: names of those whose cells another name may mean, too: views, and their
        bases; and those that change places.
    constant: names of those that may not be written.
    again: the rooms of arrays that are made in several places, by the statement.
    """

    rooms: list[Room] = field(default_factory=list)
    growing: set[str] = field(default_factory=set)
    swapped: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    constant: set[str] = field(default_factory=set)
    again: dict[int, Room] = field(default_factory=dict)


def entry_sizes(kernel: Kernel) -> list[Var]:
    """The sizes that a caller gives, each once, in the order of the parameters."""
    scalars = {p.name for p in kernel.parameters if isinstance(p, Var)}
    sizes: dict[str, Var] = {}
    for parameter in kernel.parameters:
        for size in parameter.shape if isinstance(parameter, Array) else ():
            if isinstance(size, Var) and size.name not in scalars:
                sizes.setdefault(size.name, size)
    return list(sizes.values())


def analyse(kernel: Kernel) -> Arrays:
    """Find out what a kernel's arrays are.

    Raises:
        NotExpressible: for an array that C has no place for.
    """
    arrays = Arrays()
    for parameter in kernel.parameters:
        if isinstance(parameter, Array):
            if not parameter.contiguous:
                raise refuse(f"the parameter {parameter.name} is not contiguous")
            if parameter.role == "input":
                arrays.constant.add(parameter.name)
    for stmt in walk(kernel.body):
        match stmt:
            case Grow(array=array):
                arrays.growing.add(array.name)
            case Swap(targets, sources):
                arrays.swapped |= {array.name for array in (*targets, *sources)}
            case View(view=view, base=base) | Reshape(view=view, base=base):
                arrays.shared |= {view.name, base.name}
                if base.name in arrays.constant:
                    arrays.constant.add(view.name)
            case _:
                pass
    arrays.shared |= arrays.swapped
    known = {p.name for p in kernel.parameters if isinstance(p, Var)}
    known |= {size.name for size in entry_sizes(kernel)}
    made = Counter(
        stmt.array.name for stmt in walk(kernel.body) if isinstance(stmt, Allocate)
    )
    _Rooms(arrays, known, made).visit(kernel.body, loops=0)
    both = arrays.growing & arrays.swapped
    if both:
        raise refuse(f"the array {both.pop()} grows and changes places with another")
    return arrays


class _Rooms:
    """Collects the rooms of a kernel's arrays."""

    def __init__(
        self, arrays: Arrays, known: set[str], counts: Mapping[str, int]
    ) -> None:
        self._arrays = arrays
        self._counts = counts
        self._known = known

    def visit(self, body: Sequence[Stmt], loops: int) -> None:
        for stmt in body:
            match stmt:
                case Allocate(array):
                    self._allocate(stmt, array, loops)
                case Library():
                    self._library(stmt)
                case Swap(targets, sources):
                    _check_swap(targets, sources, stmt.location)
                case _:
                    pass
            deeper = loops + isinstance(stmt, For | While)
            for block in blocks(stmt):
                self.visit(block, deeper)

    def _allocate(self, stmt: Allocate, array: Array, loops: int) -> None:
        name, several = array.name, self._counts[array.name] > 1
        moves = name in self._arrays.swapped or name in self._arrays.growing
        if moves and (loops or several):
            raise refuse(
                f"the array {name} is made more than once, and grows or changes places",
                stmt.location,
            )
        rows = array.shape[0] if name in self._arrays.growing else None
        self._require(name, array.shape, stmt.location)
        label = f"{name} {len(self._arrays.again)}" if several else name
        room = Room(label, array.dtype, array.shape, rows)
        self._arrays.rooms.append(room)
        if several:
            self._arrays.again[id(stmt)] = room

    def _library(self, stmt: Library) -> None:
        """Scratch for a factorisation or a sort."""
        if stmt.routine not in ROUTINES:
            raise refuse(f"{stmt.routine} has no loops in C", stmt.location)
        first = stmt.operands[0].array
        dtype: DType
        match stmt.routine:
            case "solve" | "inv" | "det" | "slogdet":
                shape, dtype = first.shape, first.dtype
            case "argsort":
                shape, dtype = first.shape, "int64"
            case _:
                return
        self._require(f"{stmt.routine} of {first.name}", shape, stmt.location)
        self._arrays.rooms.append(Room(scratch_name(stmt), dtype, shape))

    def _require(
        self, name: str, shape: tuple[Expr, ...], location: Location | None
    ) -> None:
        for size in shape:
            for part in nested(size):
                known = isinstance(part, Const | Op | Select) or (
                    isinstance(part, Var) and part.name in self._known
                )
                known = known or isinstance(part, Size)
                if not known:
                    raise refuse(
                        f"{name} has a length that is only known while it runs",
                        location,
                    )


def _check_swap(
    targets: tuple[Array, ...], sources: tuple[Array, ...], location: Location | None
) -> None:
    for target, source in zip(targets, sources, strict=True):
        if target.shape != source.shape:
            raise refuse(
                f"{target.name} and {source.name}, of other shapes, change places",
                location,
            )


def cells(shape: Sequence[Expr]) -> Expr:
    """The number of cells of a shape."""
    result: Expr = integer(1)
    for size in shape:
        result = (
            size if result == integer(1) else Op("multiply", (result, size), "int64")
        )
    return result
