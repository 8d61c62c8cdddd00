"""Names: first unique, with a hint; at the end the shortest that reads well.

While a kernel is emitted every variable has a name of its own, ``x_i%12``. ``finish``
then gives the printed names: two variables share one only if neither's block encloses
the other's, and they have one dtype. So the two halves of a function may both say
``a``, and a value hoisted out of a loop never meets a name used inside it.

>>> names = Names()
>>> names.unique("x_i"), names.unique("x_i")
('x_i%1', 'x_i%2')
"""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from codegen.expressions import RESERVED
from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Assign,
    DType,
    Expr,
    For,
    Library,
    Load,
    Reshape,
    Size,
    Stmt,
    Var,
    View,
    blocks,
    expressions,
    nested,
    walk,
)
from codegen.rewrite import Rewrite
from tracegrad.ir import primitive as table
from tracegrad.ir.graph import Value

MARK = "%"
_COMBINED = {
    "add": "total",
    "multiply": "prod",
    "maximum": "peak",
    "minimum": "least",
    "or": "some",
    "and": "every",
}
_LIBRARY = {"dot": "prod", "argsort": "order", "cholesky": "root"}
_FORBIDDEN = RESERVED | {*keyword.kwlist, "len"}


class Names:
    """Unique names, and what is known of the variables that have them.

    Attributes:
        kept: those that the user chose.
        trips: about how often a loop runs, by its variable.
        lanes: the variables of loops over the elements of a block.
    """

    def __init__(self) -> None:
        self._count = 0
        self.kept: set[str] = set()
        self.trips: dict[str, int] = {}
        self.lanes: set[str] = set()

    def unique(self, base: str) -> str:
        """A name that no one else has."""
        self._count += 1
        return f"{base}{MARK}{self._count}"

    def variable(self, base: str, dtype: DType, kept: bool = False) -> Var:
        """A scalar with a unique name; ``kept`` if it should stay a statement."""
        name = self.unique(base)
        if kept:
            self.kept.add(name)
        return Var(name, dtype)

    def fallback(self, value: Value) -> str:
        """What to call a value that the user did not name."""
        if value.definition is None:
            return "t"
        if value.definition.primitive.name == "copy":
            (source,) = value.definition.inputs
            return (isinstance(source, Value) and source.name) or "t"
        match value.definition.primitive.lower:
            case table.Reduction(combine):
                return _COMBINED[combine]
            case table.Library(routine):
                return _LIBRARY.get(routine, routine)
            case table.Loop():
                return {"cumsum": "run", "cumprod": "run"}.get(
                    value.definition.primitive.name, "t"
                )
            case _:
                return "t"


# --- printed names -----------------------------------------------------------------


# What two variables of one name must have in common: a dtype, an array's layout too.
Kind: TypeAlias = str | None


class _Scope:
    """A block: the names declared in it and below it.

    Attributes:
        next: how many candidates are gone, by what they were for: none becomes free.
    """

    def __init__(self, outer: _Scope | None) -> None:
        self.outer = outer
        self.here: dict[str, Kind] = {}
        self.below: dict[str, Kind] = {}
        self.next: Counter[tuple[str, Kind]] = Counter()

    def taken(self, name: str) -> bool:
        """Whether the name is live somewhere in this block or around it."""
        if name in self.below or name in self.here:
            return True
        scope = self.outer
        while scope is not None:
            if name in scope.here:
                return True
            scope = scope.outer
        return False

    def clash(self, name: str, kind: Kind) -> bool:
        """Whether a sibling uses the name for another dtype."""
        scope: _Scope = self
        while scope.outer is not None:
            scope = scope.outer
        return scope.below.get(name, kind) != kind

    def declare(self, name: str, kind: Kind) -> None:
        """Take a name."""
        self.here[name] = kind
        scope = self.outer
        while scope is not None:
            scope.below[name] = kind
            scope = scope.outer


def finish(
    body: Sequence[Stmt], results: Sequence[Expr], fixed: Iterable[str]
) -> tuple[tuple[Stmt, ...], tuple[Expr, ...]]:
    """The body and results with printed names; ``fixed`` are those of parameters."""
    top = _Scope(None)
    for name in fixed:
        top.declare(name, None)
    table_: dict[str, str] = {}
    homes: dict[str, tuple[int, ...]] = {}
    _find_homes(body, (), homes)
    for result in results:
        _meet(homes, result, ())
    _Chooser(table_, homes).block(body, top, ())
    rename = Rewrite(names=table_)
    return rename.block(body), tuple(map(rename.expr, results))


def _find_homes(
    body: Sequence[Stmt], path: tuple[int, ...], homes: dict[str, tuple[int, ...]]
) -> None:
    """The innermost block around all that is said of each name."""
    for position, stmt in enumerate(body):
        for name, _ in _declared(stmt):
            homes[name] = _common(homes.get(name, path), path)
        for expr in expressions(stmt):
            _meet(homes, expr, path)
        for k, inner in enumerate(blocks(stmt)):
            _find_homes(inner, (*path, position, k), homes)


def _meet(homes: dict[str, tuple[int, ...]], expr: Expr, path: tuple[int, ...]) -> None:
    for part in nested(expr):
        name = part.name if isinstance(part, Var) else None
        name = part.array.name if isinstance(part, Load | Size) else name
        if name is not None and MARK in name:
            homes[name] = _common(homes.get(name, path), path)


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """The path of the innermost block around two; a path has two entries per block."""
    length = 0
    while one[length : length + 2] == other[length : length + 2] and one[length:]:
        length += 2
    return one[:length]


class _Chooser:
    """Chooses names, each in the block that is its variable's home."""

    def __init__(
        self, chosen: dict[str, str], homes: dict[str, tuple[int, ...]]
    ) -> None:
        self._chosen = chosen
        self._homes = homes

    def block(self, body: Sequence[Stmt], scope: _Scope, path: tuple[int, ...]) -> None:
        """Choose the names of a block, from its first statement to its last."""
        for position, stmt in enumerate(body):
            for name, kind in _declared(stmt):
                self._choose(name, kind, scope)
            for inner in walk(blocks_of(stmt)):
                for name, kind in _declared(inner):
                    if self._homes.get(name) == path:
                        self._choose(name, kind, scope)
            for k, inner_body in enumerate(blocks(stmt)):
                nested_scope = _Scope(scope)
                if isinstance(stmt, For):
                    self._choose(stmt.var.name, "index", nested_scope)
                self.block(inner_body, nested_scope, (*path, position, k))

    def _choose(self, name: str, kind: Kind, scope: _Scope) -> None:
        if MARK in name and name not in self._chosen:
            self._chosen[name] = _choose(name.split(MARK)[0], kind, scope)


def blocks_of(stmt: Stmt) -> tuple[Stmt, ...]:
    """The statements directly in a statement's blocks."""
    return tuple(inner for block in blocks(stmt) for inner in block)


def _declared(stmt: Stmt) -> list[tuple[str, Kind]]:
    """The names that a statement binds, with their dtype or layout."""
    match stmt:
        case Assign(target=target) | Accumulate(target=target):
            return [(target.name, target.dtype)]
        case Allocate(array=array) | View(view=array) | Reshape(view=array):
            return [(array.name, _layout(array))]
        case Library(outputs=outputs):
            return [
                (x.name, _layout(x) if isinstance(x, Array) else x.dtype)
                for x in outputs
            ]
        case _:
            return []


def _layout(array: Array) -> Kind:
    return f"{array.dtype} {array.rank} {array.contiguous}"


def _choose(base: str, kind: Kind, scope: _Scope) -> str:
    while True:
        name = _candidate(base, scope.next[base, kind])
        scope.next[base, kind] += 1
        free = not scope.taken(name) and not scope.clash(name, kind)
        if free and name not in _FORBIDDEN:
            scope.declare(name, kind)
            return name


def _candidate(base: str, k: int) -> str:
    """The name of the k-th of several variables that are called the same."""
    if base == "t":
        return f"t{k + 1}"
    glue = "_" if base[-1:].isdigit() else ""
    return f"{base}{glue}{k + 1}" if k else base
