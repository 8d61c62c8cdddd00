"""Which small arrays can be the numbers in their cells: an analysis for ``split``.

An array of a few cells can be split if everything that makes or uses it names cells
that are known beforehand, or works cell by cell. It is worth it where cells are named
one by one anyway: for an array that is put together from numbers, or a Ref that is read
or written at points. Arrays that depend on one another are split together or not at
all, so that none has to be put together again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.primitives import refs, structural
from tracegrad.primitives.control import cond
from tracegrad.transforms.cells import place_of
from tracegrad.transforms.cellwise import is_cellwise, small
from tracegrad.transforms.regions import carried, is_loop, is_ref, regions_in, walk_in


def known_window(equation: Equation) -> bool:
    """Whether an access names cells that are known beforehand, and are there."""
    place = place_of(equation)
    assert place is not None
    axes = zip(
        place.index, place.sizes, place.steps, place.base.type.shape, strict=True
    )
    for start, size, step, length in axes:
        count = 1 if size is None else Dim.of(size).value
        if not isinstance(start, Literal) or count is None or length.value is None:
            return False
        last = int(start.value) + (count - 1) * step
        if count and not (0 <= start.value < length.value > last >= 0):
            return False
    return True


def written_cells(equation: Equation) -> Iterator[Equation]:
    """The stores and accumulations that an equation and its regions make."""
    for inner in walk_in(equation):
        if inner.primitive.effect in ("write", "accumulate"):
            yield inner


@dataclass(frozen=True)
class Splittable:
    """The arrays of a graph that are split.

    Attributes:
        values: array values and Refs that become numbers.
        opened: arrays that stay, but whose cells are wanted where they are made.
    """

    values: set[Value]
    opened: set[Value]

    def among(self, known: Mapping[Value, Operand]) -> Splittable:
        """The same arrays in a copy of the graph."""
        here = ({known[v] for v in found} for found in (self.values, self.opened))
        return Splittable(
            *({v for v in found if isinstance(v, Value)} for found in here)
        )

    def unfolds(self, equation: Equation) -> bool:
        """Whether an operation on arrays is done on numbers."""
        if not is_cellwise(equation):
            return False
        (output,) = equation.outputs
        if output.type.ndim:
            return output in self.values
        return any(x in self.values for x in equation.inputs)


def splittable(graph: Graph) -> Splittable:
    """What in a graph is split."""
    analysis = _Analysis(graph)
    return Splittable(analysis.values, analysis.opened)


class _Analysis:
    """Finds the largest set of arrays that hang together, and what it is worth."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._users: dict[Value, list[Equation]] = {}
        self._ends: dict[Value, list[Value | None]] = {}
        self._groups: dict[Value, tuple[Value, ...]] = {}
        self._look()
        self.values: set[Value] = set()
        self.opened: set[Value] = set()
        if self._seeds:
            self.values = {v for v in self._candidates if self._makes(v)}
            self._shrink()
            self._keep_worthwhile()
            self._open()

    # --- looking -------------------------------------------------------------------

    def _look(self) -> None:
        """Note what uses each array, and where it goes at the end of a region."""
        self._candidates: list[Value] = []
        self._seeds: list[Value] = []
        for region in regions_in(self._graph):
            for equation in region.equations:
                self._note(equation)
        for result in self._graph.results:
            if isinstance(result, Value):
                self._ends.setdefault(result, []).append(None)

    def _note(self, equation: Equation) -> None:
        for operand in dict.fromkeys(equation.inputs):
            if isinstance(operand, Value) and operand.type.ndim:
                self._users.setdefault(operand, []).append(equation)
        self._candidates += [o for o in equation.outputs if small(o.type)]
        if is_loop(equation):
            for c in carried(equation):
                group = [c.param, *([c.tested] if c.tested else []), c.output]
                self._groups.update(dict.fromkeys(group, tuple(group)))
                if small(c.param.type):
                    self._candidates += group[:-1]
                for end in (c.initial, c.next):
                    self._end(end, c.param)
        elif equation.primitive is cond:
            for k, output in enumerate(equation.outputs):
                for region in equation.regions:
                    self._end(region.results[k], output)
        if equation.primitive is structural.concatenate:
            self._seeds += [o for o in equation.outputs if small(o.type)]
        elif place_of(equation) is not None and known_window(equation):
            base = equation.inputs[0]
            points = all(size is None for size in equation.params["sizes"])
            if points and isinstance(base, Value) and small(base.type):
                self._seeds.append(base)

    def _end(self, operand: Operand, becomes: Value) -> None:
        if isinstance(operand, Value) and operand.type.ndim:
            self._ends.setdefault(operand, []).append(becomes)

    # --- the largest set that hangs together -----------------------------------------

    def _shrink(self) -> None:
        todo = list(self.values)
        while todo:
            value = todo.pop()
            if value in self.values and not self._fits(value):
                self.values.discard(value)
                todo += self._neighbours(value)

    def _neighbours(self, value: Value) -> Iterator[Value]:
        """What may no longer be split if a value isn't."""
        yield from self._groups.get(value, ())
        made = value.definition
        if made is not None and made.regions and not is_loop(made):
            k = made.outputs.index(value)
            ends = [region.results[k] for region in made.regions]
            yield from (x for x in ends if isinstance(x, Value))
        elif made is not None:
            yield from (x for x in made.inputs if isinstance(x, Value))
        for member in self._groups.get(value, ()):
            loop = member.definition
            if loop is not None:
                for c in carried(loop):
                    if c.output is member:
                        ends = [c.initial, c.next]
                        yield from (x for x in ends if isinstance(x, Value))

    def _makes(self, value: Value) -> bool:
        """Whether what defines it can define its cells."""
        made = value.definition
        if is_ref(value):
            return made is not None and made.primitive in (refs.alloc, refs.copy)
        if made is None or made.regions or made.primitive is refs.load:
            return True
        return is_cellwise(made)

    def _fits(self, value: Value) -> bool:
        group = self._groups.get(value, ())
        return (
            all(member in self.values for member in group)
            and all(e is not None and e in self.values for e in self._targets(value))
            and all(self._allows(value, e) for e in self._users.get(value, ()))
        )

    def _targets(self, value: Value) -> list[Value | None]:
        return self._ends.get(value, [])

    def _allows(self, value: Value, user: Equation) -> bool:
        """Whether a use of an array can be one of its cells."""
        if is_loop(user):
            return not is_ref(value)  # what it is carried as was asked for already
        place = place_of(user)
        if place is not None:
            if value is place.base:
                if value in user.inputs[1:] or not known_window(user):
                    return False
                loads = user.primitive is refs.load
                return not loads or self._scalar_or_split(user.outputs[0])
            return True
        if user.primitive is refs.copy:
            return user.outputs[0] in self.values
        return is_cellwise(user) and self._scalar_or_split(user.outputs[0])

    def _scalar_or_split(self, value: Value) -> bool:
        return not value.type.ndim or value in self.values

    # --- what is worth it ------------------------------------------------------------

    def _keep_worthwhile(self) -> None:
        """Keep what hangs together with an array whose cells are named one by one."""
        links: dict[Value, set[Value]] = {value: set() for value in self.values}
        for value in self.values:
            for other in self._linked(value):
                if isinstance(other, Value) and other in self.values:
                    links[value].add(other)
                    links[other].add(value)
        kept: set[Value] = set()
        todo = [seed for seed in self._seeds if seed in self.values]
        while todo:
            value = todo.pop()
            if value not in kept:
                kept.add(value)
                todo += links[value]
        self.values = kept

    def _linked(self, value: Value) -> Iterator[Operand]:
        yield from self._groups.get(value, ())
        yield from (x for x in self._targets(value) if x is not None)
        for user in self._users.get(value, ()):
            if not user.regions:
                yield from user.inputs
                yield from user.outputs

    def _open(self) -> None:
        """Find what isn't split, but is made of cells for what is."""
        inner = set(regions_in(self._graph))
        todo: list[Operand] = []
        for region in regions_in(self._graph):
            for equation in region.equations:
                if self._wants_cells(equation):
                    todo += equation.inputs
        for value, ends in self._ends.items():
            if any(end in self.values for end in ends):
                todo.append(value)
        while todo:
            operand = todo.pop()
            if (
                isinstance(operand, Value)
                and operand.graph in inner
                and small(operand.type)
                and not is_ref(operand)
                and operand not in self.values
                and operand not in self.opened
            ):
                self.opened.add(operand)
                made = operand.definition
                if made is not None and is_cellwise(made):
                    todo += made.inputs

    def _wants_cells(self, equation: Equation) -> bool:
        if equation.regions:
            return False
        if equation.primitive in (refs.store, refs.accumulate):
            return equation.inputs[0] in self.values
        split = self.values
        return any(x in split for x in (*equation.inputs, *equation.outputs))
