"""Forward mode: push tangents along a graph, emitting into a builder.

Because it emits ordinary equations, the result can be differentiated again, and it can
be called in the middle of a trace: nested derivatives need no levels. A loop carries
tangents beside its values; a Ref has a dual Ref, to which the same happens.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegrad.ir.graph import Builder, Equation, Graph, Operand, Value, substitute
from tracegrad.primitives import refs, storage
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms import cells
from tracegrad.transforms.activity import varied
from tracegrad.transforms.regions import Carried, body_of, carried, is_loop, is_ref
from tracegrad.transforms.rules import push


def jvp(
    builder: Builder,
    graph: Graph,
    arguments: Sequence[Operand],
    directions: Sequence[Sequence[Operand | None]],
) -> tuple[list[Operand], list[list[Operand | None]]]:
    """The results of a graph on arguments, and their tangents along directions.

    Several directions at a time share the graph's own work. What loops carry stays a
    scalar per direction, in a register: the "chunks" of Revels, Lubin and Papamarkou
    (2016), Forward-Mode Automatic Differentiation in Julia.

    Args:
        builder: where the equations go.
        graph: the function; may use values of the builder's own graph, as constants.
        arguments: one operand per parameter.
        directions: of each, a tangent per parameter; None is zero.

    Returns:
        The results, and for each direction a tangent per result, None where it is zero.
        The tangent of a Ref is a Ref.
    """
    known: dict[Value, Operand] = dict(zip(graph.params, arguments, strict=True))
    found = [_Direction(builder, known, graph, tangents) for tangents in directions]
    _Push(builder, known, found).block(graph)
    results = [substitute(r, known) for r in graph.results]
    return results, [[d.dot(r) for r in graph.results] for d in found]


class _Direction:
    """The tangents of values along one direction.

    Attributes:
        varied: the values that have one.
    """

    def __init__(
        self,
        builder: Builder,
        known: dict[Value, Operand],
        graph: Graph,
        tangents: Sequence[Operand | None],
    ) -> None:
        self._builder = builder
        self._known = known
        self._dots: dict[Value, Operand] = {
            p: t for p, t in zip(graph.params, tangents, strict=True) if t is not None
        }
        self.varied = varied(graph, self._dots)

    def dot(self, operand: Operand) -> Operand | None:
        """The tangent of an operand; None if it is zero."""
        return self._dots.get(operand) if isinstance(operand, Value) else None

    def dot_or_zero(self, operand: Operand) -> Operand:
        """The tangent of an operand; of one that has none, zeros of its type."""
        dot = self.dot(operand)
        if dot is not None:
            return dot
        new = self._new(operand)
        if isinstance(new, Value) and is_ref(new):
            return cells.zeros(self._builder, new, _dotted(new))
        return cells.zero(self._builder, new.type)

    def put(self, output: Value, dot: Operand) -> None:
        """Let a value have a tangent."""
        if isinstance(dot, Value) and dot.name is None:
            dot.name = _dotted(output)
        self._dots[output] = dot

    def enter(self, graph: Graph, param: Value) -> None:
        """Let a region's parameter have a tangent, a further parameter of a graph."""
        self._dots[param] = graph.add_param(param.type, _dotted(param))

    def _new(self, operand: Operand) -> Operand:
        return substitute(operand, self._known)

    def follow(self, equation: Equation) -> None:
        """Do to tangents what an equation does, which is emitted already."""
        if not self._effect(equation):
            self._pure(equation)

    def _pure(self, equation: Equation) -> None:
        if not any(isinstance(x, Value) and x in self._dots for x in equation.inputs):
            return
        builder = self._builder
        primals = [Tracer(builder, self._new(x)) for x in equation.inputs]
        dots = [self.dot(x) for x in equation.inputs]
        tangents = [None if d is None else Tracer(builder, d) for d in dots]
        outs = [Tracer(builder, self._known[o]) for o in equation.outputs]
        found = push(equation.primitive, equation.params, primals, tangents, outs)
        for output, tangent in zip(equation.outputs, found, strict=True):
            if tangent is not None and output.type.differentiable:
                self.put(output, tangent.operand)

    def _effect(self, equation: Equation) -> bool:
        """Do to the dual Ref what an equation does to its Ref; False if it is pure."""
        builder, inputs = self._builder, equation.inputs
        made = next(iter(equation.outputs), None)
        match equation.primitive:
            case refs.load:
                assert made is not None
                base = self.dot(inputs[0])
                if base is not None:
                    self.put(made, cells.load(builder, self._place(equation, base)))
            case refs.store | refs.accumulate:
                self._write(equation)
            case storage.grow:
                ref = self.dot(inputs[0])
                if ref is not None:
                    builder.emit(storage.grow, (ref, self._new(inputs[1])))
            case refs.alloc | refs.copy | storage.reserve:
                if made in self.varied:
                    assert made is not None
                    self._allocate(equation, made)
            case _:
                return equation.primitive.effect != "pure"
        return True

    def _place(self, equation: Equation, base: Operand) -> cells.Place:
        place = cells.place_of(equation)
        assert place is not None
        index = tuple(map(self._new, place.index))
        return cells.Place(base, index, place.sizes, place.steps)

    def _write(self, equation: Equation) -> None:
        ref, value = equation.inputs[:2]
        dual = self.dot(ref)
        if dual is None:
            return
        place = self._place(equation, dual)
        if equation.primitive is refs.store:
            cells.store(self._builder, place, self.dot_or_zero(value))
        elif (dot := self.dot(value)) is not None:
            cells.accumulate(self._builder, place, dot)

    def _allocate(self, equation: Equation, made: Value) -> None:
        if equation.primitive is not refs.copy:
            # What isn't read before it is written has a tangent that isn't, either.
            fill = None if equation.params["fill"] is None else 0.0
            inputs = tuple(map(self._new, equation.inputs))
            params = {**equation.params, "fill": fill}
            self.put(made, self._builder.emit1(equation.primitive, inputs, params))
            return
        source = self.dot(equation.inputs[0])
        if source is not None:
            self.put(made, self._builder.emit1(refs.copy, (source,)))
            return
        new = self._known[made]
        assert isinstance(new, Value)
        self._dots[made] = cells.zeros(self._builder, new, _dotted(made))


class _Push:
    """Emits a graph's equations, and after each of them its tangents.

    Args:
        builder: where they go.
        known: what became of each value.
        directions: the tangents.
    """

    def __init__(
        self,
        builder: Builder,
        known: dict[Value, Operand],
        directions: Sequence[_Direction],
    ) -> None:
        self._builder = builder
        self._known = known
        self._directions = directions

    def block(self, graph: Graph) -> None:
        """Emit a graph's equations with their tangents."""
        for equation in graph.equations:
            if equation.regions:
                self._control(equation)
                continue
            self._builder.replay([equation], self._known)
            with self._builder.at(equation.location), self._builder.rearranging():
                for direction in self._directions:
                    direction.follow(equation)

    def _new(self, operand: Operand) -> Operand:
        return substitute(operand, self._known)

    def _control(self, equation: Equation) -> None:
        """Emit control flow whose regions give tangents too."""
        outputs = equation.outputs
        dual = [
            (d, c)
            for d in self._directions
            for c in carried(equation)
            if c.output in d.varied
        ]
        varied = [(d, o) for d in self._directions for o in outputs if o in d.varied]
        # The trip count of a loop comes last, after the tangents.
        last = len(outputs) - 1 if is_loop(equation) else len(outputs)
        with self._builder.at(equation.location):
            inputs = [self._new(x) for x in equation.inputs]
            inputs += [d.dot_or_zero(c.initial) for d, c in dual]
            regions = tuple(self._region(equation, r, dual) for r in equation.regions)
            order = [*outputs[:last], *(o for _, o in varied), *outputs[last:]]
            types = tuple(o.type for o in order)
            made = self._builder.emit(
                equation.primitive, inputs, equation.params, regions, types
            )
        plain = [*made[:last], *made[last + len(varied) :]]
        for output, new in zip(outputs, plain, strict=True):
            self._known[output] = new
            assert isinstance(new, Value)
            new.name = output.name
        for (direction, output), dot in zip(varied, made[last:], strict=False):
            direction.put(output, dot)

    def _region(
        self,
        equation: Equation,
        region: Graph,
        dual: Sequence[tuple[_Direction, Carried]],
    ) -> Graph:
        """A region with its tangents among parameters and results."""
        copy = Graph(region.name)
        for param in region.params:
            self._known[param] = copy.add_param(param.type, param.name)
        tested = is_loop(equation) and region is not body_of(equation)
        for direction, c in dual:
            own = c.tested if tested and c.tested is not None else c.param
            direction.enter(copy, own)
        with self._builder.region(copy):
            if tested:
                self._builder.replay(region.equations, self._known)
            else:
                self.block(region)
            copy.results = [self._new(r) for r in region.results]
            if not tested:
                copy.results += [
                    d.dot_or_zero(r)
                    for d in self._directions
                    for r in _nexts(equation, region, d.varied)
                ]
        return copy


def _nexts(equation: Equation, region: Graph, varied: set[Value]) -> list[Operand]:
    """The results of a region that have tangents."""
    if is_loop(equation):
        return [c.next for c in carried(equation) if c.output in varied]
    pairs = zip(equation.outputs, region.results, strict=True)
    return [result for output, result in pairs if output in varied]


def _dotted(value: Value) -> str | None:
    return f"{value.name}_dot" if value.name else None
