"""Common subexpressions, loads included: what was computed or read once is reused.

A load is reused while nobody has written to its Ref, and what was stored is not loaded
again. Each Ref has a version, which a write changes; a region starts with those from
around it, and a loop that writes a Ref changes its version both before and after.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from tracegrad.ir.graph import (
    Equation,
    Graph,
    Literal,
    Operand,
    Value,
    is_value,
    substitute,
)
from tracegrad.ir.types import ArrayType, Type
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs, storage
from tracegrad.primitives.identities import made_by
from tracegrad.transforms.regions import clone, is_loop, is_ref, walk_in, written


def cse(graph: Graph) -> Graph:
    """The graph with equal equations merged."""
    copy = clone(graph)
    _Merge().block(copy, [])
    return copy


def is_read_back(type_: Type) -> bool:
    """Whether the forward sweep reads what it keeps of such a type for its mirror.

    Only arrays of floats: positions are few, and computed where they are used.
    """
    return isinstance(type_, ArrayType) and bool(type_.ndim) and type_.differentiable


def cse_of_stored(graph: Graph) -> Graph:
    """The same, but arrays that a loop keeps for its mirror are read from there.

    What loops are made of computes an array expression wherever it is used. Before a
    graph is differentiated, on the other hand, storage must not stand in between.
    """
    copy = clone(graph)
    _Merge(read_kept=True).block(copy, [])
    return copy


class _Merge:
    """Which operand stands for each value, and the version of each Ref.

    Args:
        read_kept: whether to load arrays from the storage for a mirror.
    """

    def __init__(self, *, read_kept: bool = False) -> None:
        self._read_kept = read_kept
        self._known: dict[Value, Operand] = {}
        self._versions: dict[Operand, int] = {}
        self._fresh = count(1)

    def block(self, graph: Graph, around: list[dict[Any, Operand]]) -> None:
        """Merge within a graph, seeing what the graphs around it have."""
        tables: list[dict[Any, Operand]] = [*around, {}]
        kept = []
        for equation in graph.equations:
            equation.inputs = tuple(substitute(x, self._known) for x in equation.inputs)
            self._negate(equation, tables)
            if equation.regions:
                self._regions(equation, tables)
            elif self._seen_before(equation, tables) or self._is_there(
                equation, tables
            ):
                continue
            else:
                self._write(equation, tables[-1])
            kept.append(equation)
        graph.equations[:] = kept
        graph.results[:] = [substitute(x, self._known) for x in graph.results]

    def _seen_before(
        self, equation: Equation, tables: list[dict[Any, Operand]]
    ) -> bool:
        """Whether an earlier equation gives the same; if not, remember this one."""
        reads = equation.primitive is refs.load
        if len(equation.outputs) != 1 or not (
            reads or is_value(equation.primitive, equation.inputs)
        ):
            return False
        (output,) = equation.outputs
        key = self._key(equation.primitive, equation.inputs, equation.params)
        for table in reversed(tables):
            found = table.get(key)
            if found is not None:
                self._known[output] = found
                if isinstance(found, Value) and found.name is None:
                    found.name = output.name
                return True
        tables[-1][key] = output
        return False

    def _negate(self, equation: Equation, tables: list[dict[Any, Operand]]) -> None:
        """Make a product with ``-c`` the negative of that with ``c``, if known."""
        if equation.primitive is not ew.multiply:
            return
        factor, *others = equation.inputs
        if isinstance(factor, Literal) and isinstance(factor.value, float):
            opposite = Literal(-factor.value, factor.type.dtype)
            key = self._key(ew.multiply, (opposite, *others), equation.params)
            found = next((t[key] for t in reversed(tables) if key in t), None)
            if found is not None:
                equation.primitive, equation.inputs = ew.negative, (found,)

    def _is_there(self, equation: Equation, tables: list[dict[Any, Operand]]) -> bool:
        """Whether an equation stores what its cells hold already."""
        if equation.primitive is not refs.store:
            return False
        ref, value, *index = equation.inputs
        key = self._key(refs.load, (ref, *index), equation.params)
        return any(table.get(key) is value for table in tables)

    def _key(self, primitive: Any, inputs: tuple[Operand, ...], params: Any) -> Any:
        version = 0
        if primitive is refs.load and is_ref(inputs[0]):
            version = self._versions.get(inputs[0], 0)
        return (primitive, inputs, tuple(sorted(params.items())), version)

    def _write(self, equation: Equation, table: dict[Any, Operand]) -> None:
        if equation.primitive in (refs.store, refs.accumulate):
            self._change(equation.inputs[0])
        if equation.primitive is refs.store:
            ref, value, *index = equation.inputs
            kept = made_by(ref, storage.reserve) is not None
            if self._read_kept and kept and is_read_back(value.type):
                return
            key = self._key(refs.load, (ref, *index), equation.params)
            table[key] = value

    def _change(self, ref: Operand) -> None:
        self._versions[ref] = next(self._fresh)

    def _regions(self, equation: Equation, tables: list[dict[Any, Operand]]) -> None:
        changed = [r for r in map(written, walk_in(equation)) if r is not None]
        changed = [self._now(r) for r in dict.fromkeys(changed)]
        if is_loop(equation):
            for ref in changed:
                self._change(ref)
        before = dict(self._versions)
        for region in equation.regions:
            self._versions = dict(before)
            self.block(region, tables)
        self._versions = before
        for ref in changed:
            self._change(ref)

    def _now(self, ref: Value) -> Any:
        return substitute(ref, self._known)
