"""Rows of an array that a loop runs along, which LLVM can't tell apart.

A loop over ``j`` that writes ``a[i, j - 1]`` and reads ``a[i, j + 1]`` vectorises, and
so does one that adds to ``a[i - 1, j]`` and ``a[i + 1, j]``. One that does both
doesn't: that rows are apart is tested as it runs, all ranges against one another, and
the two in row ``i`` overlap. As views that are the arguments of a function, the rows
are known to be apart. The adjoints of stencils, and of histories
``u[t + 1, i] = f(u[t, :])``, are such loops; they take a half to a quarter of the time.

>>> from codegen.loop_ir import Var, integer, load
>>> a = Array("a", "float64", (integer(9), integer(9)))
>>> i, j = Var("i", "int64"), Var("j", "int64")
>>> ahead = Op("add", (j, integer(1)), "int64")
>>> below = Op("add", (i, integer(1)), "int64")
>>> spread = Store(a, (below, j), load(a, i, ahead), combine="add")
>>> shift = Store(a, (i, j), load(a, below, j))
>>> loop = For(j, integer(0), integer(8), 1, (spread, shift))
>>> [view.index for view in rows(loop, set())] == [(i,), (below,)]
True
>>> rows(For(j, integer(0), integer(8), 1, (spread,)), set())
()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codegen.loop_ir import (
    Accumulate,
    Array,
    Assign,
    Comment,
    Const,
    Expr,
    For,
    If,
    Load,
    Op,
    Store,
    View,
    expressions,
    integer,
    nested,
    targets,
    variables,
    walk,
)
from codegen.serial import serial

_SIMPLE = Assign | Accumulate | Store | If | Comment


@dataclass(frozen=True, slots=True)
class _Access:
    """A cell that a loop reads or writes; ``at``: its place along the row."""

    array: Array
    row: tuple[Expr, ...]
    at: tuple[Expr, int]
    writes: bool
    proven: bool


def rows(loop: For, taken: set[str]) -> tuple[View, ...]:
    """The rows that a loop needs as arguments of a function; none if it needs none.

    taken: the names that rows can't have.
    """
    if not all(isinstance(stmt, _SIMPLE) for stmt in walk(loop.body)) or serial(loop):
        return ()
    changing = {loop.var.name, *(x for stmt in walk(loop.body) for x in targets(stmt))}
    accesses: dict[str, list[_Access]] = {}
    for access in _accesses(loop):
        accesses.setdefault(access.array.name, []).append(access)
    found: list[View] = []
    for group in accesses.values():
        if group[0].array.rank > 1 and _entangled(group, loop.step, changing):
            found += _views(group, {*taken, *(view.view.name for view in found)})
    return tuple(found)


def _accesses(loop: For) -> Iterator[_Access]:
    for stmt in walk(loop.body):
        for expr in expressions(stmt):
            for part in nested(expr):
                if isinstance(part, Load):
                    yield _access(part, writes=False)
        if isinstance(stmt, Store):
            yield _access(stmt, writes=True)
            if stmt.combine is not None:
                yield _access(stmt, writes=False)


def _access(cell: Load | Store, *, writes: bool) -> _Access:
    proven = cell.nonnegative and cell.in_bounds
    *row, at = cell.index or (integer(0),)
    return _Access(cell.array, tuple(row), _shifted(at), writes, proven)


def _shifted(expr: Expr) -> tuple[Expr, int]:
    """What an index is counted from, and by how much it is ahead."""
    match expr:
        case Const(value=int(number)):
            return integer(0), number
        case Op("add", (base, Const(value=int(number)))):
            return base, number
        case Op("subtract", (base, Const(value=int(number)))):
            return base, -number
        case _:
            return expr, 0


def _entangled(group: Sequence[_Access], step: int, changing: set[str]) -> bool:
    """Whether rows are known to be apart, and LLVM would need to know it."""
    lines = list(dict.fromkeys(access.row for access in group))
    return (
        len(lines) > 1
        and all(access.proven for access in group)
        and all(_fixed(index, changing) for line in lines for index in line)
        and all(_apart(a, b) for k, a in enumerate(lines) for b in lines[:k])
        and any(_looks_ahead(group, line, step) for line in lines)
    )


def _fixed(index: Expr, changing: set[str]) -> bool:
    return changing.isdisjoint(variables([index])) and not any(
        isinstance(part, Load) for part in nested(index)
    )


def _apart(first: tuple[Expr, ...], second: tuple[Expr, ...]) -> bool:
    """Whether two rows differ: along one axis by a number that isn't zero."""
    pairs = ((_shifted(a), _shifted(b)) for a, b in zip(first, second, strict=True))
    return any(a[0] == b[0] and a[1] != b[1] for a, b in pairs)


def _looks_ahead(group: Sequence[_Access], line: tuple[Expr, ...], step: int) -> bool:
    """Whether cells of a row are read before the loop writes them, and none after."""
    here = [access for access in group if access.row == line]
    distances = [
        (read.at[1] - write.at[1]) * step
        for read in here
        for write in here
        if write.writes and not read.writes and read.at[0] == write.at[0]
    ]
    return bool(distances) and min(distances) >= 0 and max(distances) > 0


def _views(group: Sequence[_Access], taken: set[str]) -> Iterator[View]:
    for line in dict.fromkeys(access.row for access in group):
        array = group[0].array
        ahead = _shifted(line[-1])[1] if not isinstance(line[-1], Const) else 0
        side = f"_p{ahead}" if ahead > 0 else f"_m{-ahead}" if ahead else ""
        name = f"{array.name}_row{side}"
        while name in taken:
            name += "_"
        taken.add(name)
        shape, whole = array.shape[-1:], array.contiguous
        view = Array(name, array.dtype, shape, "view", whole)
        yield View(view, array, (integer(0),), line)
