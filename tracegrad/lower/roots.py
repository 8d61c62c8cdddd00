"""Roots: the loop nests that a graph needs, one per value kept in memory.

What enters are the live equations of a graph and the set of values to materialise;
what leaves is a list of roots in topological order. A root knows its loops, what it
evaluates at each point, where it stores, and which stored values it reads where.
Everything else is an index function: it has no loop and no memory of its own.

    t = exp(X); s = reduce_sum[axes=(1,)] t
    ->  reduce s: loops (n, d), reduced {1}, body t[v0, v1], reads X[v0, v1]
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tracegrad.ir import primitive as table
from tracegrad.ir.graph import Equation, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.lower.access import (
    ONE,
    ZERO,
    Affine,
    Fixed,
    Index,
    Indices,
    Window,
    element,
    gathers,
    identity,
    is_map,
    pull,
    pull_pad,
    shift,
    unit_reshape,
    variable,
    window,
)
from tracegrad.lower.tiles import tiles, windows
from tracegrad.primitives.structural import concatenate

Kind: TypeAlias = Literal[
    "store",
    "fill",
    "part",
    "reduce",
    "scan",
    "position",
    "scatter",
    "library",
    "view",
    "check",
    "scalar",
]
# Made whole before anything may read them: no reader shares a loop with them.
WHOLE: frozenset[str] = frozenset(
    {"fill", "part", "scatter", "library", "view", "check"}
)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a loop runs: over a whole axis, over its blocks, or inside a block."""

    size: Dim
    part: Literal["axis", "blocks", "block"] = "axis"


@dataclass(slots=True, eq=False)
class Root:
    """A loop nest that makes one value.

    key: what its readers depend on: the value, or a check.
    body: what is evaluated at each point, at ``index``.
    target: where in the value it writes.
    reduced: levels over which it accumulates.
    spans: windows outside of which it does nothing.
    windows: iterations outside of which some pad that it reads is zero.
    sites: at which indices each unstored value is needed.
    """

    kind: Kind
    key: Hashable
    value: Value
    body: Operand
    extents: tuple[Extent, ...]
    index: Indices
    target: Indices
    reduced: frozenset[int] = frozenset()
    spans: tuple[Window, ...] = ()
    reads: dict[tuple[Value, Indices | None], None] = field(default_factory=dict)
    needs: set[Hashable] = field(default_factory=set)
    windows: dict[int, dict[Window, None]] = field(default_factory=dict)
    sites: dict[Value, set[Indices]] = field(default_factory=dict)
    path: tuple[object, ...] = ()

    @property
    def equation(self) -> Equation:
        """The equation of its value."""
        assert self.value.definition is not None
        return self.value.definition

    @property
    def blocked(self) -> bool:
        """Whether its outermost loop is over blocks, its innermost inside one."""
        return bool(self.extents) and self.extents[-1].part == "block"

    @property
    def inner(self) -> int:
        """The level where the innermost run of reduced loops begins."""
        level = len(self.extents)
        while level - 1 in self.reduced:
            level -= 1
        return level


def block_index(root: Root) -> Affine:
    """The index of an element of the axis that a root takes in blocks."""
    return variable(len(root.extents) - 1)


def crosses(root: Root, index: Indices) -> bool:
    """Whether a blocked root reads an array with its innermost loop not last."""
    return (
        root.blocked
        and block_index(root) in index[:-1]
        and all(isinstance(own, Affine) for own in index)
    )


@dataclass(frozen=True, slots=True)
class Check:
    """The test that positions stay within an axis: those that are used."""

    source: Operand
    size: Dim


# --- what is materialised ----------------------------------------------------------

_OF_ROWS = frozenset({"argsort", "searchsorted", "searchsorted_right"})
JOINED = (concatenate, tiles)
_OWN_LOOPS = (table.Reduction, table.Loop, table.Library)


def strided_pad(equation: Equation) -> bool:
    """Whether a pad leaves gaps: then it is filled and stored, not selected."""
    return equation.primitive.name == "pad" and any(
        abs(step) != 1 for step in equation.params["steps"]
    )


def has_own_loop(equation: Equation) -> bool:
    """Whether an equation is computed by a loop nest or call of its own."""
    return (
        isinstance(equation.primitive.lower, _OWN_LOOPS)
        or equation.primitive in JOINED
        or strided_pad(equation)
        or (equation.primitive.name == "reshape" and not unit_reshape(equation))
    )


def owner(value: Value) -> Value:
    """The value whose root makes this one: the first output of its equation."""
    return value.definition.outputs[0] if value.definition is not None else value


def stored_source(operand: Operand, reader: Equation) -> Operand:
    """The array that a library routine can read as it is: a matrix or its transpose."""
    if reader.primitive.name in _OF_ROWS:  # it reads rows, which have no transpose
        return operand
    while isinstance(operand, Value) and operand.definition is not None:
        equation = operand.definition
        perm = equation.params.get("perm")
        rank = operand.type.ndim
        swaps = (*range(rank - 2), rank - 1, rank - 2)
        if equation.primitive.name != "transpose" or perm != swaps:
            break
        operand = equation.inputs[0]
    return operand


def must_store(equations: list[Equation]) -> Iterator[Operand]:
    """The values that can't be index functions, whatever the costs."""
    for equation in equations:
        if has_own_loop(equation):
            yield from equation.outputs
        match equation.primitive:
            case table.Primitive(lower=table.Library()):
                for operand in equation.inputs:
                    yield stored_source(operand, equation)
            case table.Primitive(name="reshape") if not unit_reshape(equation):
                yield equation.inputs[0]
            case table.Primitive(name="gather"):
                yield equation.inputs[0]


# --- making roots ------------------------------------------------------------------


class Roots:
    """Makes the roots of live equations.

    Args:
        equations: live ones, in topological order.
        stored: the values that are materialised; those without a root exist already.
        scalars: numbers that are wanted at the end.
    """

    def __init__(
        self,
        equations: list[Equation],
        stored: set[Value],
        scalars: Sequence[Operand] = (),
    ) -> None:
        self._equations = equations
        self._stored = stored
        self._scalars = scalars
        self._checks: dict[Check, Root] = {}
        self.packs: dict[tuple[Value, int], Value] = {}

    def store(self, value: Value) -> None:
        """Take a value as one that is materialised."""
        self._stored.add(value)

    def make(self) -> list[Root]:
        """All roots, each after those that it needs."""
        found: list[Root] = []
        for equation in self._equations:
            if not any(output in self._stored for output in equation.outputs):
                continue
            for root in _roots(equation):
                self.visit(root)
                found += self._new_checks(root)
                found.append(root)
        for scalar in self._scalars:
            if isinstance(scalar, Value) and scalar not in self._stored:
                root = Root("scalar", ("scalar", scalar), scalar, scalar, (), (), ())
                self.visit(root)
                found += [*self._new_checks(root), root]
        return found

    def _new_checks(self, root: Root) -> Iterator[Root]:
        """Checks that this root is the first to need."""
        for key in sorted(
            (k for k in root.needs if isinstance(k, Check)), key=lambda k: str(k.size)
        ):
            if key not in self._checks and isinstance(root.value, Value):
                check = self._check(key, root.value)
                self._checks[key] = check
                self.visit(check)
                yield from self._new_checks(check)
                yield check

    def _check(self, key: Check, value: Value) -> Root:
        extents, index = _points(key.source.type.shape)
        return Root("check", key, value, key.source, extents, index, ())

    def visit(self, root: Root) -> None:
        """Find what a root reads, down to stored values."""
        if root.kind in ("library", "view"):
            for operand in root.equation.inputs:
                source = operand
                if root.kind == "library":
                    source = stored_source(operand, root.equation)
                if isinstance(source, Value):
                    root.reads[source, None] = None
                    root.needs.add(owner(source))
            return
        seen: set[tuple[Operand, Indices]] = set()
        stack = self._starts(root)[::-1]
        while stack:
            operand, index, top = stack.pop()
            if not isinstance(operand, Value) or ((operand, index) in seen and not top):
                continue
            seen.add((operand, index))
            held = operand in self._stored and not repeats(operand)
            if operand.definition is None or (held and not top):
                operand = self._packed(root, operand, index)
                root.reads[operand, index] = None
                root.needs.add(owner(operand))
                for gathered in gathers(index):
                    root.needs.add(Check(gathered.used, gathered.size))
                    stack.append((gathered.source, gathered.at, False))
                continue
            stack += reversed(self._operands(root, operand, index))

    def _starts(self, root: Root) -> list[tuple[Operand, Indices, bool]]:
        """What a root evaluates: where, and whether it is the value being made."""
        starts = [(root.body, root.index, root.kind == "store")]
        if root.kind == "scan" and root.equation.primitive.name == "recurrence":
            starts.append((root.equation.inputs[1], root.index, False))
        if root.kind == "scatter":
            for place in gathers(root.target):
                starts.append((place.source, place.at, False))
                root.needs.add(Check(place.used, place.size))
        return starts

    def _packed(self, root: Root, value: Value, index: Indices) -> Value:
        """The copy that a root reads instead of an array, if there is one."""
        axis = index.index(block_index(root)) if crosses(root, index) else -1
        pack = self.packs.get((value, axis), value)
        return value if pack is root.value else pack

    def _operands(
        self, root: Root, value: Value, index: Indices
    ) -> list[tuple[Operand, Indices, bool]]:
        equation = value.definition
        assert equation is not None
        if is_map(equation):
            return [(*pull(equation, index), False)]
        if equation.primitive.name == "pad":
            inner, partial = pull_pad(equation, index)
            sizes = equation.inputs[0].type.shape
            for axis in partial:
                whole = _whole(root, index[axis], value.type.shape[axis])
                found = window(inner[axis], sizes[axis], whole)
                if found is not None:
                    root.windows.setdefault(found.level, {})[found] = None
            return [(equation.inputs[0], inner, False)]
        root.sites.setdefault(value, set()).add(index)
        return [(x, index if x.type.ndim else (), False) for x in equation.inputs]


def _whole(root: Root, index: Index, size: Dim) -> bool:
    """Whether an index runs over a whole axis: a slice of a pad may cut its window."""
    match index:
        case Affine(level, 1, offset) if offset == ZERO:
            return root.extents[level].size == size
        case _:
            return False


def _roots(equation: Equation) -> list[Root]:
    """The roots of an equation whose output is materialised."""
    value = equation.outputs[0]
    lower, name = equation.primitive.lower, equation.primitive.name
    match lower:
        case table.Reduction():
            return [_reduction(equation, value)]
        case table.Library():
            return [_library(equation, value)]
        case _ if name in ("cumsum", "cumprod", "recurrence"):
            return [_scan(equation, value)]
        case _ if name in ("argmax", "argmin"):
            return [_position(equation, value)]
        case _ if equation.primitive in JOINED:
            return list(_parts(equation, value))
        case _ if name in ("scatter_add", "place"):
            made = _scatter if name == "scatter_add" else _place
            return [made(equation, value)]
        case _ if strided_pad(equation):
            return [_strided(equation, value)]
        case _ if name == "reshape" and not unit_reshape(equation):
            return [Root("view", value, value, equation.inputs[0], (), (), ())]
    shape = value.type.shape
    number = uniform(value)
    if number is not None:
        return [Root("fill", value, value, number, (), (), ())]
    index = identity(len(shape))
    return [Root("store", value, value, value, _extents(shape), index, index)]


def repeats(operand: Operand) -> bool:
    """Whether an array is visibly one number everywhere: no one need load it."""
    return bool(operand.type.ndim) and uniform(operand) is not None


def uniform(operand: Operand) -> Operand | None:
    """The number that an array repeats, if it is visibly one."""
    while isinstance(operand, Value) and is_map(operand.definition):
        assert operand.definition is not None
        operand = operand.definition.inputs[0]
    return operand if not operand.type.ndim else None


def _extents(shape: tuple[Dim, ...]) -> tuple[Extent, ...]:
    return tuple(Extent(size) for size in shape)


def _points(shape: tuple[Dim, ...]) -> tuple[tuple[Extent, ...], Indices]:
    """Loops over a shape, and the index into it; an axis of one element has no loop."""
    extents = _extents(tuple(size for size in shape if size != ONE))
    levels = iter(identity(len(extents)))
    return extents, tuple(Fixed(ZERO) if s == ONE else next(levels) for s in shape)


def _reduction(equation: Equation, value: Value) -> Root:
    body = equation.inputs[0]
    axes = equation.params["axes"]
    index = identity(len(body.type.shape))
    target = tuple(own for axis, own in enumerate(index) if axis not in axes)
    extents = _extents(body.type.shape)
    return Root("reduce", value, value, body, extents, index, target, frozenset(axes))


def _axis_last(shape: tuple[Dim, ...], axis: int) -> tuple[tuple[Extent, ...], Indices]:
    """Loops over a shape with one axis innermost, and the index into the shape."""
    order = [k for k in range(len(shape)) if k != axis] + [axis]
    extents = tuple(Extent(shape[k]) for k in order)
    return extents, tuple(variable(order.index(k)) for k in range(len(shape)))


def _scan(equation: Equation, value: Value) -> Root:
    shape, axis = value.type.shape, equation.params["axis"]
    extents, index = _axis_last(shape, axis)
    if equation.params["reverse"]:
        back = shift(index[axis], shape[axis] - ONE, 1)
        assert isinstance(back, Affine)
        back = Affine(back.level, -1, back.offset)
        index = (*index[:axis], back, *index[axis + 1 :])
    return Root("scan", value, value, equation.inputs[0], extents, index, index)


def _position(equation: Equation, value: Value) -> Root:
    body = equation.inputs[0]
    axis = equation.params["axis"]
    extents, index = _axis_last(body.type.shape, axis)
    target = tuple(own for k, own in enumerate(index) if k != axis)
    reduced = frozenset({len(extents) - 1})
    return Root("position", value, value, body, extents, index, target, reduced)


def _scatter(equation: Equation, value: Value) -> Root:
    updates, *arrays = equation.inputs
    params, count = equation.params, len(arrays[0].type.shape)
    index = identity(len(updates.type.shape))
    position = params["position"]
    at = index[position : position + count]
    rest = iter(index[:position] + index[position + count :])
    taken = dict(zip(params["axes"], arrays, strict=True))
    target = tuple(
        element(taken[axis], at, size) if axis in taken else next(rest)
        for axis, size in enumerate(value.type.shape)
    )
    extents = _extents(updates.type.shape)
    return Root("scatter", value, value, updates, extents, index, target)


def _parts(equation: Equation, value: Value) -> Iterator[Root]:
    """A store per operand of a concatenation, each to its window."""
    for part, starts in windows(equation):
        extents, index = _points(part.type.shape)
        target = tuple(shift(own, at, 1) for own, at in zip(index, starts, strict=True))
        yield Root("part", value, value, part, extents, index, target)


def _place(equation: Equation, value: Value) -> Root:
    """A store of an array to a window."""
    body, params = equation.inputs[0], equation.params
    index = identity(len(body.type.shape))
    axes = iter(index)
    target = tuple(
        Fixed(start) if size is None else shift(next(axes), start, step)
        for start, size, step in zip(
            params["starts"], params["sizes"], params["steps"], strict=True
        )
    )
    extents = _extents(body.type.shape)
    return Root("part", value, value, body, extents, index, target)


def _strided(equation: Equation, value: Value) -> Root:
    body, params = equation.inputs[0], equation.params
    index = identity(len(body.type.shape))
    target = tuple(
        shift(own, Dim.of(start), step)
        for own, start, step in zip(
            index, params["starts"], params["steps"], strict=True
        )
    )
    extents = _extents(body.type.shape)
    return Root("part", value, value, body, extents, index, target)


def _library(equation: Equation, value: Value) -> Root:
    """A call, inside loops over the leading axes of a batch of matrices."""
    first = equation.inputs[0].type.shape
    core = {"dot": len(first), **dict.fromkeys(_OF_ROWS, 1)}.get(
        equation.primitive.name, 2
    )
    batch = first[: len(first) - core]
    extents = _extents(batch)
    index = identity(len(batch))
    return Root("library", value, value, equation.inputs[0], extents, index, index)
