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
    tangents: Sequence[Operand | None],
) -> tuple[list[Operand], list[Operand | None]]:
    """The results of a graph on arguments, and their tangents.

    Args:
        builder: where the equations go.
        graph: the function; may use values of the builder's own graph, as constants.
        arguments: one operand per parameter.
        tangents: one per parameter; None is zero.

    Returns:
        The results, and a tangent per result, None where it is zero. The tangent of a
        Ref is a Ref.
    """
    known: dict[Value, Operand] = dict(zip(graph.params, arguments, strict=True))
    dots: dict[Value, Operand] = {
        p: t for p, t in zip(graph.params, tangents, strict=True) if t is not None
    }
    push = _Push(builder, known, dots, varied(graph, dots))
    push.block(graph)
    results = [substitute(r, known) for r in graph.results]
    return results, [
        dots.get(r) if isinstance(r, Value) else None for r in graph.results
    ]


class _Push:
    """What became of each value, and its tangent."""

    def __init__(
        self,
        builder: Builder,
        known: dict[Value, Operand],
        dots: dict[Value, Operand],
        varied: set[Value],
    ) -> None:
        self._builder = builder
        self._known = known
        self._dots = dots
        self._varied = varied

    def block(self, graph: Graph) -> None:
        """Emit a graph's equations with their tangents."""
        for equation in graph.equations:
            if equation.regions:
                self._control(equation)
                continue
            self._builder.replay([equation], self._known)
            with self._builder.at(equation.location), self._builder.rearranging():
                if not self._effect(equation):
                    self._pure(equation)

    def _new(self, operand: Operand) -> Operand:
        return substitute(operand, self._known)

    def _dot(self, operand: Operand) -> Operand | None:
        return self._dots.get(operand) if isinstance(operand, Value) else None

    def _dot_or_zero(self, operand: Operand) -> Operand:
        dot = self._dot(operand)
        if dot is not None:
            return dot
        new = self._new(operand)
        if isinstance(new, Value) and is_ref(new):
            return cells.zeros(self._builder, new, _dotted(new))
        return cells.zero(self._builder, new.type)

    def _name(self, output: Value, dot: Operand) -> None:
        if isinstance(dot, Value) and dot.name is None:
            dot.name = _dotted(output)
        self._dots[output] = dot

    # --- equations without regions -------------------------------------------------

    def _pure(self, equation: Equation) -> None:
        if not any(isinstance(x, Value) and x in self._dots for x in equation.inputs):
            return
        builder = self._builder
        primals = [Tracer(builder, self._new(x)) for x in equation.inputs]
        dots = [self._dot(x) for x in equation.inputs]
        tangents = [None if d is None else Tracer(builder, d) for d in dots]
        outs = [Tracer(builder, self._known[o]) for o in equation.outputs]
        found = push(equation.primitive, equation.params, primals, tangents, outs)
        for output, tangent in zip(equation.outputs, found, strict=True):
            if tangent is not None and output.type.differentiable:
                self._name(output, tangent.operand)

    def _effect(self, equation: Equation) -> bool:
        """Do to the dual Ref what an equation does to its Ref; False if it is pure."""
        builder, inputs = self._builder, equation.inputs
        made = next(iter(equation.outputs), None)
        match equation.primitive:
            case refs.load:
                assert made is not None
                base = self._dot(inputs[0])
                if base is not None:
                    self._name(made, cells.load(builder, self._place(equation, base)))
            case refs.store | refs.accumulate:
                self._write(equation)
            case storage.grow:
                ref = self._dot(inputs[0])
                if ref is not None:
                    builder.emit(storage.grow, (ref, self._new(inputs[1])))
            case refs.alloc | refs.copy | storage.reserve:
                if made in self._varied:
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
        dual = self._dot(ref)
        if dual is None:
            return
        place = self._place(equation, dual)
        if equation.primitive is refs.store:
            cells.store(self._builder, place, self._dot_or_zero(value))
        elif (dot := self._dot(value)) is not None:
            cells.accumulate(self._builder, place, dot)

    def _allocate(self, equation: Equation, made: Value) -> None:
        source = self._dot(equation.inputs[0]) if equation.inputs else None
        if equation.primitive is refs.copy and source is not None:
            self._name(made, self._builder.emit1(refs.copy, (source,)))
            return
        new = self._known[made]
        assert isinstance(new, Value)
        self._dots[made] = cells.zeros(self._builder, new, _dotted(made))

    # --- regions -------------------------------------------------------------------

    def _control(self, equation: Equation) -> None:
        """Emit control flow whose regions give tangents too."""
        outputs = equation.outputs
        loops = is_loop(equation)
        dual = [c for c in carried(equation) if c.output in self._varied]
        varied = [o for o in outputs if o in self._varied]
        # The trip count of a loop comes last, after the tangents.
        last = len(outputs) - 1 if loops else len(outputs)
        with self._builder.at(equation.location):
            inputs = [self._new(x) for x in equation.inputs]
            inputs += [self._dot_or_zero(c.initial) for c in dual]
            regions = tuple(self._region(equation, r, dual) for r in equation.regions)
            order = [*outputs[:last], *varied, *outputs[last:]]
            types = tuple(o.type for o in order)
            made = self._builder.emit(
                equation.primitive, inputs, equation.params, regions, types
            )
        plain = [*made[:last], *made[last + len(varied) :]]
        for output, new in zip(outputs, plain, strict=True):
            self._known[output] = new
            assert isinstance(new, Value)
            new.name = output.name
        for output, dot in zip(varied, made[last:], strict=False):
            self._name(output, dot)

    def _region(self, equation: Equation, region: Graph, dual: list[Carried]) -> Graph:
        """A region with its tangents among parameters and results."""
        copy = Graph(region.name)
        for param in region.params:
            self._known[param] = copy.add_param(param.type, param.name)
        tested = is_loop(equation) and region is not body_of(equation)
        for c in dual:
            param = c.tested if tested and c.tested is not None else c.param
            self._dots[param] = copy.add_param(param.type, _dotted(param))
        with self._builder.region(copy):
            if tested:
                self._builder.replay(region.equations, self._known)
            else:
                self.block(region)
            copy.results = [self._new(r) for r in region.results]
            if not tested:
                copy.results += map(self._dot_or_zero, self._nexts(equation, region))
        return copy

    def _nexts(self, equation: Equation, region: Graph) -> list[Operand]:
        """The results of a region that have tangents."""
        if is_loop(equation):
            return [c.next for c in carried(equation) if c.output in self._varied]
        pairs = zip(equation.outputs, region.results, strict=True)
        return [result for output, result in pairs if output in self._varied]


def _dotted(value: Value) -> str | None:
    return f"{value.name}_dot" if value.name else None
