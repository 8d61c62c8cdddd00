"""The graph: typed SSA in structured regions, and the builder that makes it.

A ``Graph`` has parameters, equations and results. An equation applies a primitive to
operands and may hold nested graphs (regions), which use values of the enclosing graphs
freely. A value is compared by identity and carries no operators: those belong to
tracers, which hold a value.

The builder hash-conses: an equal pure equation within reach is reused, and the
identities of ``primitives.rearrange`` are applied as equations are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import Assumptions
from tracegrad.ir.source import Location
from tracegrad.ir.types import NARROW, ArrayType, DType, RefType, Type, narrow_error


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A scalar constant. Equal to another of the same dtype and the same bits."""

    value: float | int | bool
    dtype: DType

    @property
    def type(self) -> ArrayType:
        """A rank-0 type."""
        return ArrayType(self.dtype, ())

    def _key(self) -> tuple[object, ...]:
        number = self.value
        if isinstance(number, float):
            return (self.dtype, repr(number), math.copysign(1.0, number))
        return (self.dtype, number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return repr(self.value)


class Value:
    """A name for what an equation or a graph's parameter gives.

    name: what the user calls it, if anything; printers make it unique.
    definition: the equation that gives it; None for a parameter.
    """

    __slots__ = ("definition", "graph", "name", "type")

    def __init__(self, type_: Type, name: str | None, graph: Graph) -> None:
        self.type = type_
        self.name = name
        self.graph = graph
        self.definition: Equation | None = None

    def __repr__(self) -> str:
        return f"<{self.name or 'value'}: {self.type}>"


Operand: TypeAlias = Value | Literal


@dataclass(slots=True, eq=False)
class Equation:
    """``outputs = primitive[params](inputs) {regions}``, from a line of the user's."""

    primitive: Primitive
    inputs: tuple[Operand, ...]
    params: Mapping[str, Any]
    regions: tuple[Graph, ...]
    outputs: tuple[Value, ...]
    location: Location | None


@dataclass(slots=True, eq=False)
class Graph:
    """Parameters, equations in order, results; a region knows the graph around it.

    name: of the function it came from.
    """

    name: str = "f"
    params: list[Value] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)
    results: list[Operand] = field(default_factory=list)
    parent: Graph | None = None

    def add_param(self, type_: Type, name: str | None = None) -> Value:
        """A new parameter."""
        value = Value(type_, name, self)
        self.params.append(value)
        return value

    def ancestors(self) -> Iterator[Graph]:
        """This graph and those around it, innermost first."""
        graph: Graph | None = self
        while graph is not None:
            yield graph
            graph = graph.parent

    def walk(self) -> Iterator[Equation]:
        """Every equation, those of regions after their own equation's."""
        for equation in self.equations:
            yield equation
            for region in equation.regions:
                yield from region.walk()


Simplify: TypeAlias = Callable[
    ["Builder", Primitive, tuple[Operand, ...], Mapping[str, Any]], Operand | None
]

# What may show narrow integers as they are, besides regions; everything else converts
# them first.
_READING = frozenset(
    {"load", "slice", "squeeze", "transpose", "reshape", "expand", "gather"}
)


class Builder:
    """Makes equations in the current region.

    Args:
        graph: where equations go.
        assumptions: what the trace assumes of sizes.
        simplify: identities tried on each new equation; None from it means "as is".
        exact: only identities that keep every bit may be used. True while the user's
            own function is recorded; derivatives may be rearranged.
        capture: makes a hidden input of an array met while tracing.
    """

    def __init__(
        self,
        graph: Graph,
        assumptions: Assumptions,
        simplify: Simplify | None = None,
        *,
        exact: bool = True,
        capture: Callable[[Any], Operand] | None = None,
    ) -> None:
        self.graph = graph
        self.assumptions = assumptions
        self.simplify = simplify
        self.exact = exact
        self._capture = capture
        self.location: Location | None = None
        # The indices of the loops around: symbols of the sizes that vary in them.
        self.indices: dict[str, Operand] = {}
        self._known: dict[Graph, dict[tuple[Any, ...], tuple[Value, ...]]] = {}

    def emit(
        self,
        primitive: Primitive,
        inputs: Sequence[Operand],
        params: Mapping[str, Any] | None = None,
        regions: tuple[Graph, ...] = (),
        types: tuple[Type, ...] | None = None,
    ) -> tuple[Operand, ...]:
        """Apply a primitive to operands that already have the right types.

        types: of the outputs, where regions decide them; otherwise inferred.
        """
        inputs = tuple(inputs)
        params = dict(params or {})
        if self.simplify is not None and not regions:
            simpler = self.simplify(self, primitive, inputs, params)
            if simpler is not None:
                return (simpler,)
        key = (primitive, inputs, tuple(sorted(params.items(), key=lambda p: p[0])))
        reusable = not regions and is_value(primitive, inputs)
        if reusable:
            for graph in self.graph.ancestors():
                found = self._known.get(graph, {}).get(key)
                if found is not None:
                    return found
        if types is None:
            inferred = primitive.infer(*(x.type for x in inputs), **params)
            types = inferred if isinstance(inferred, tuple) else (inferred,)
        narrow = [t.dtype for t in types if t.dtype in NARROW]
        if narrow and not regions and primitive.name not in _READING:
            raise narrow_error(narrow[0])
        outputs = tuple(Value(t, None, self.graph) for t in types)
        equation = Equation(primitive, inputs, params, regions, outputs, self.location)
        for output in outputs:
            output.definition = equation
        self.graph.equations.append(equation)
        if reusable:
            self._known.setdefault(self.graph, {})[key] = outputs
        return outputs

    def emit1(
        self,
        primitive: Primitive,
        inputs: Sequence[Operand],
        params: Mapping[str, Any] | None = None,
    ) -> Operand:
        """``emit`` for a primitive with one output."""
        (output,) = self.emit(primitive, inputs, params)
        return output

    def capture(self, array: Any) -> Operand:
        """The hidden input that holds a concrete array."""
        if self._capture is None:
            raise ValueError("this builder has no hidden inputs")
        return self._capture(array)

    @contextmanager
    def region(self, graph: Graph) -> Iterator[Graph]:
        """Emit into a nested graph for a while.

        If it has an index already, sizes may speak of that by its name.
        """
        outer, around = self.graph, self.indices
        graph.parent = outer
        self.graph, self.indices = graph, around | named_index(graph)
        try:
            yield graph
        finally:
            self.graph, self.indices = outer, around

    @contextmanager
    def inside(self, graph: Graph) -> Iterator[None]:
        """Emit for a while into a graph around the current one, at its end so far."""
        inner = self.graph
        self.graph = graph
        try:
            yield
        finally:
            self.graph = inner

    @contextmanager
    def at(self, location: Location | None) -> Iterator[None]:
        """Emit on behalf of a line of the user's."""
        before = self.location
        self.location = location or before
        try:
            yield
        finally:
            self.location = before

    @contextmanager
    def rearranging(self, allowed: bool = True) -> Iterator[None]:
        """Allow identities that change rounding, for derivative arithmetic."""
        before = self.exact
        self.exact = not allowed
        try:
            yield
        finally:
            self.exact = before

    def inline(self, graph: Graph, arguments: Sequence[Operand]) -> list[Operand]:
        """Emit a graph's equations again here, on other arguments."""
        known: dict[Value, Operand] = dict(zip(graph.params, arguments, strict=True))
        self.replay(graph.equations, known)
        return [substitute(result, known) for result in graph.results]

    def replay(
        self,
        equations: Sequence[Equation],
        known: dict[Value, Operand],
        copies: dict[Graph, Graph] | None = None,
    ) -> None:
        """Emit equations again, with values replaced as ``known`` says; extends it.

        known: in the end it maps every value of the equations, those of regions too.
        copies: if given, it is told what each region became.
        """
        for equation in equations:
            with self.at(equation.location):
                inputs = [substitute(x, known) for x in equation.inputs]
                regions = tuple(
                    self.copy_region(r, known, copies) for r in equation.regions
                )
                outputs = self.emit(
                    equation.primitive,
                    inputs,
                    equation.params,
                    regions,
                    tuple(o.type for o in equation.outputs) if regions else None,
                )
            for old, new in zip(equation.outputs, outputs, strict=True):
                known[old] = new
                if isinstance(new, Value) and new.name is None:
                    new.name = old.name

    def copy_region(
        self,
        region: Graph,
        known: dict[Value, Operand],
        copies: dict[Graph, Graph] | None = None,
    ) -> Graph:
        """A region emitted again, to be held by an equation yet to come."""
        copy = Graph(region.name)
        if copies is not None:
            copies[region] = copy
        for param in region.params:
            known[param] = copy.add_param(param.type, param.name)
        with self.region(copy):
            self.replay(region.equations, known, copies)
        copy.results = [substitute(result, known) for result in region.results]
        return copy


def named_index(region: Graph) -> dict[str, Operand]:
    """The index of a loop's region, by its name."""
    first = region.params[0] if region.params else None
    if first is None or not first.name or first.type != ArrayType("int64"):
        return {}
    return {first.name: first}


def is_value(primitive: Primitive, inputs: Sequence[Operand]) -> bool:
    """Whether applying it twice gives the same: it is pure, or reads no Ref."""
    if primitive.effect == "read":
        return not isinstance(inputs[0].type, RefType)
    return primitive.effect == "pure"


def substitute(operand: Operand, known: Mapping[Value, Operand]) -> Operand:
    """What ``known`` says a value is now, else the value itself."""
    return known.get(operand, operand) if isinstance(operand, Value) else operand


def users(graph: Graph) -> dict[Value, list[Equation]]:
    """Which equations read each value, regions included."""
    found: dict[Value, list[Equation]] = {}
    for equation in graph.walk():
        for operand in equation.inputs:
            if isinstance(operand, Value):
                found.setdefault(operand, []).append(equation)
    return found


def values_of(operands: Sequence[Operand]) -> Iterator[Value]:
    """The operands that aren't literals."""
    return (x for x in operands if isinstance(x, Value))
