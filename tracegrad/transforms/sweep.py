"""The reverse sweep: pull cotangents back along a graph and through its regions.

Each forward region gets a *mirror*, a region that runs its steps backwards. The sweep
uses forward values freely, also those of regions that a mirror can't see; ``residuals``
then makes them available.

| forward             | mirror                                                  |
|---------------------|---------------------------------------------------------|
| ``v = load(r, i)``  | ``r_bar[i] += v_bar``                                   |
| ``store(r, v, i)``  | ``v_bar += r_bar[i]``, then ``r_bar[i] = 0``            |
| ``accumulate``      | ``v_bar += r_bar[i]``                                   |
| ``r = copy(x)``     | ``x_bar += r_bar``                                      |
| ``for_``, ``while_``| the same iterations the other way round; cotangents of  |
|                     | carried values are carried back                         |
| ``cond``            | the same branch                                         |

A scalar's cotangent that leaves a region is carried by the mirror loop. An array's
accumulates in place, in a Ref that the mirror of the array's own region allocates, so
that reading one cell never costs an operation on the whole array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from tracegrad.ir.graph import (
    Builder,
    Equation,
    Graph,
    Literal,
    Operand,
    Value,
    substitute,
)
from tracegrad.ir.types import ArrayType
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import refs, storage, structural
from tracegrad.primitives.control import cond, for_
from tracegrad.primitives.indexing import gather
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms import cells
from tracegrad.transforms.poison import Poison
from tracegrad.transforms.preaccumulate import Jacobian
from tracegrad.transforms.regions import (
    Carried,
    body_of,
    carried,
    is_loop,
    is_ref,
    walk_in,
    written,
)
from tracegrad.transforms.rules import pull
from tracegrad.transforms.scatter import add_gathered, add_slice

_INDEX = ArrayType("int64")


class Again(Protocol):
    """A loop whose iterations are run again, one by one, by the reverse sweep."""

    def pull(
        self, sweep: Sweep, mirror: Graph, entries: Sequence[Carried]
    ) -> list[Operand]:
        """Emit the iteration of a mirror; the cotangents before it."""
        ...


class Sweep:
    """Cotangents so far, by the value they belong to.

    Args:
        builder: where the sweep is emitted.
        known: what the forward sweep made of each value.
        copies: what it made of each region.
        active: values that carry cotangents.
        again: loops whose forward sweep kept snapshots, and how they are pulled back.
        jacobians: those of loops whose forward sweep computes them.

    Attributes:
        builder: where the sweep is emitted.
        mirrors: by the forward sweep's regions.
    """

    def __init__(
        self,
        builder: Builder,
        known: dict[Value, Operand],
        copies: dict[Graph, Graph],
        active: set[Value],
        again: Mapping[Equation, Again] = MappingProxyType({}),
        jacobians: Mapping[Equation, Jacobian] = MappingProxyType({}),
    ) -> None:
        self.builder = builder
        self._again = again
        self._jacobians = jacobians
        self._known = known
        self._copies = copies
        self._active = active
        self._root = builder.graph
        self._homes: dict[Graph, Graph] = {}
        self._bars: dict[Graph, dict[Value, Any]] = {builder.graph: {}}
        self._refs: dict[Value, Operand] = {}
        self._poison = Poison()
        self.mirrors: dict[Graph, Graph] = {}

    # --- cotangents ----------------------------------------------------------------

    def seed(self, result: Operand, cotangent: Operand) -> None:
        """Start from the cotangent of a result."""
        if not isinstance(result, Value) or result not in self._active:
            return
        if not is_ref(result):
            self.add(result, Tracer(self.builder, cotangent))
        elif result in self._refs:
            self._accumulate_whole(result, cotangent)
        else:
            ref = self.builder.emit1(refs.copy, (cotangent,))
            self._refs[result] = cells.named(ref, _barred(result))

    def add(self, value: Operand, cotangent: Any) -> None:
        """Add a contribution to a value's cotangent."""
        if not isinstance(value, Value) or value not in self._active:
            return
        if value in self._refs or (value.type.ndim and self._is_outer(value)):
            self._accumulate_whole(value, cotangent.operand)
            return
        bars = self._here
        before = bars.get(value)
        bars[value] = cotangent if before is None else before + cotangent

    def cotangent(self, value: Value) -> Operand | None:
        """The total, named after its value."""
        ref = self._refs.get(value)
        if ref is not None:
            return cells.load(self.builder, cells.whole(ref))
        total = self._here.get(value)
        return None if total is None else cells.named(total.operand, _barred(value))

    def nested(
        self,
        builder: Builder,
        known: dict[Value, Operand],
        copies: dict[Graph, Graph],
        around: Iterable[Value],
    ) -> Sweep:
        """A sweep of a part of the program by itself, into this one's arrays.

        Args:
            builder: see the class.
            known: see the class.
            copies: see the class.
            around: what the part uses of the program around it.
        """
        found = Sweep(builder, known, copies, self._active, jacobians=self._jacobians)
        found._refs = {
            x: self._adjoint(x)
            for x in around
            if x in self._active and (x.type.ndim or is_ref(x))
        }
        return found

    def beyond(self, graph: Graph) -> dict[Value, Any]:
        """The cotangents so far of numbers that a graph uses and doesn't define."""
        return {x: bar for x, bar in self._here.items() if x.graph is not graph}

    @property
    def adjoints(self) -> list[Operand]:
        """The Refs that hold cotangents."""
        return list(self._refs.values())

    @property
    def _here(self) -> dict[Value, Any]:
        return self._bars[self.builder.graph]

    def _home(self, value: Value) -> Graph:
        """The mirror of the region that defines a value."""
        return self._homes.get(value.graph, self._root)

    def _is_outer(self, value: Value) -> bool:
        return self._home(value) is not self.builder.graph

    def _new(self, operand: Operand) -> Operand:
        return substitute(operand, self._known)

    def _adjoint(self, value: Value) -> Operand:
        """The Ref that holds the cotangent of a Ref, or of an array read in places."""
        if value not in self._refs:
            home = self._home(value)
            with self.builder.inside(home):
                before = self._bars[home].pop(value, None)
                if before is None:
                    ref = cells.zeros(self.builder, self._new(value), _barred(value))
                else:
                    ref = self.builder.emit1(refs.copy, (before.operand,))
            self._refs[value] = cells.named(ref, _barred(value))
        return self._refs[value]

    def _accumulate_whole(self, value: Value, cotangent: Operand) -> None:
        place = cells.whole(self._adjoint(value))
        cells.accumulate(self.builder, place, cotangent)

    # --- equations -----------------------------------------------------------------

    def block(self, graph: Graph) -> None:
        """Pull back a graph's equations, last first."""
        for equation in reversed(graph.equations):
            with self.builder.at(equation.location):
                if equation in self._jacobians:
                    self._product(self._jacobians[equation])
                elif is_loop(equation):
                    self._loop(equation)
                elif equation.primitive is cond:
                    self._cond(equation)
                elif equation.primitive.effect == "pure":
                    self._pure(equation)
                else:
                    self._effect(equation)

    def _pure(self, equation: Equation) -> None:
        if not any(o in self._active for o in equation.outputs):
            return
        bars = [self.cotangent(o) for o in equation.outputs]
        if all(bar is None for bar in bars):
            return
        builder = self.builder
        primals = [Tracer(builder, self._new(x)) for x in equation.inputs]
        outs = [Tracer(builder, self._known[o]) for o in equation.outputs]
        tracers = [None if b is None else Tracer(builder, b) for b in bars]
        if self._in_place(equation, bars[0]):
            return
        live = [isinstance(x, Value) and x in self._active for x in equation.inputs]
        found = pull(
            equation.primitive,
            equation.params,
            primals,
            outs,
            tracers,
            live,
            equation.location,
            self._poison,
        )
        for x, contribution in zip(equation.inputs, found, strict=True):
            if contribution is not None:
                self.add(x, contribution)

    def _in_place(self, equation: Equation, bar: Operand | None) -> bool:
        """Add the cotangent of a part of an array to the cells it came from.

        Only if the array's cotangent is in a Ref, or will have to be.
        """
        add = {structural.slice_: add_slice, gather: add_gathered}.get(
            equation.primitive
        )
        x = equation.inputs[0] if equation.inputs else None
        if add is None or bar is None or x not in self._active:
            return False
        assert isinstance(x, Value)
        if x not in self._refs and not self._is_outer(x):
            return False
        inputs = tuple(map(self._new, equation.inputs))
        add(self.builder, self._adjoint(x), replace(equation, inputs=inputs), bar)
        return True

    def _effect(self, equation: Equation) -> None:
        match equation.primitive:
            case refs.load:
                bar = self.cotangent(equation.outputs[0])
                if bar is not None and equation.inputs[0] in self._active:
                    place = self._place(equation)
                    if cells.grows(place.base):
                        entry = (place.base, place.index[0])
                        self.builder.emit(storage.grow, entry)
                    cells.accumulate(self.builder, place, bar)
            case refs.store | refs.accumulate:
                if equation.inputs[0] in self._active:
                    self._write(equation)
            case refs.copy:
                (made,), (source,) = equation.outputs, equation.inputs
                if made in self._refs and source in self._active:
                    assert isinstance(source, Value)
                    bar = cells.load(self.builder, cells.whole(self._refs[made]))
                    if is_ref(source):
                        self._accumulate_whole(source, bar)
                    else:
                        self.add(source, Tracer(self.builder, bar))

    def _place(self, equation: Equation) -> cells.Place:
        """The adjoint's cells for those that an equation reads or writes."""
        place = cells.place_of(equation)
        assert place is not None
        assert isinstance(place.base, Value)
        base, index = self._adjoint(place.base), tuple(map(self._new, place.index))
        return cells.Place(base, index, place.sizes, place.steps)

    def _write(self, equation: Equation) -> None:
        ref, value = equation.inputs[:2]
        assert isinstance(ref, Value)
        if ref not in self._refs and not self._is_outer(ref):
            return  # nothing later in the program reads it
        place = self._place(equation)
        if value in self._active:
            bar = cells.load(self.builder, place)
            self.add(value, Tracer(self.builder, bar))
        if equation.primitive is refs.store:
            cells.store(self.builder, place, cells.zero(self.builder, value.type))

    # --- regions -------------------------------------------------------------------

    def _mirror(self, region: Graph) -> Graph:
        mirror = Graph(region.name)
        self._homes[region] = mirror
        self._bars[mirror] = {}
        self.mirrors[self._copies[region]] = mirror
        return mirror

    def _outer_bars(self, mirror: Graph) -> dict[Value, Any]:
        """What a mirror adds to the cotangents of the scalars around it."""
        return {
            value: bar
            for value, bar in self._bars[mirror].items()
            if self._home(value) is not mirror
        }

    def bar_or_zero(self, value: Value) -> Operand:
        """The total, zeros if there is none; of a Ref, the Ref that holds it."""
        if is_ref(value):
            return self._adjoint(value)
        bar = self.cotangent(value)
        return cells.zero(self.builder, value.type) if bar is None else bar

    def _product(self, jacobian: Jacobian) -> None:
        """Pull back a loop whose derivatives are there."""
        for output, row in jacobian.rows.items():
            bar = self.cotangent(output)
            for x, dot in zip(jacobian.inputs, row, strict=True):
                if bar is not None and dot is not None:
                    partial = Tracer(self.builder, self._new(dot))
                    self.add(x, cmp.zero_safe_mul(Tracer(self.builder, bar), partial))

    def _loop(self, equation: Equation) -> None:
        if not touches(equation, self._active):
            return
        builder, body = self.builder, body_of(equation)
        entries = [c for c in carried(equation) if {c.param, c.output} & self._active]
        initial = [self.bar_or_zero(c.output) for c in entries]
        bounds, params = self._backwards(equation)
        again = self._again.get(equation)
        mirror = self._mirror(body) if again is None else Graph(body.name)
        self._bars[mirror] = {}
        mirror.add_param(_INDEX, body.params[0].name)
        names = [_barred(c.param) or _barred(c.output) for c in entries]
        for start, name in zip(initial, names, strict=True):
            mirror.add_param(start.type, name)
        with builder.region(mirror):
            if again is None:
                self.enter(entries, mirror.params[1:])
                self.block(body)
                mirror.results = [self.bar_or_zero(c.param) for c in entries]
            else:
                mirror.results = again.pull(self, mirror, entries)
            outer = self._outer_bars(mirror)
            for value, bar in outer.items():
                total = mirror.add_param(value.type, _barred(value))
                mirror.results.append((Tracer(builder, total) + bar).operand)
        for value in outer:
            initial.append(self.bar_or_zero(value))
        types = tuple(p.type for p in mirror.params)
        made = builder.emit(
            for_, [*bounds, *initial], params, (mirror,), (*types[1:], _INDEX)
        )
        count = len(entries)
        for value, bar in zip(outer, made[count:], strict=False):
            self._here[value] = Tracer(builder, cells.named(bar, _barred(value)))
        for c, bar, name in zip(entries, made, names, strict=False):
            cells.named(bar, name)
            if is_ref(c.initial):
                assert isinstance(c.initial, Value)
                self._refs[c.initial] = bar
            else:
                self.add(c.initial, Tracer(builder, bar))

    def enter(self, entries: Sequence[Carried], params: Sequence[Value]) -> None:
        """Give the next carried values what the later iteration found."""
        for c, bar in zip(entries, params, strict=True):
            if is_ref(c.param):
                assert isinstance(c.next, Value)
                self._refs[c.next] = bar
            else:
                self.add(c.next, Tracer(self.builder, bar))

    def _backwards(self, loop: Equation) -> tuple[list[Operand], dict[str, Any]]:
        """Bounds and parameters of a loop over the same iterations, last first."""
        builder = self.builder
        trips = Tracer(builder, self._known[loop.outputs[-1]])
        if loop.primitive is not for_:
            zero = Literal(0, "int64")
            params = {"step": 1, "reversed": True, "stops": False}
            return [zero, trips.operand], params
        step = loop.params["step"]
        lo, hi = (Tracer(builder, self._new(x)) for x in loop.inputs[:2])
        if loop.params["stops"] and not loop.params["reversed"]:
            hi = lo + trips * step
        elif loop.params["stops"]:
            lo = lo + (trip_count(lo, hi, step) - trips) * step
        flipped = not loop.params["reversed"]
        return [lo.operand, hi.operand], {
            "step": step,
            "reversed": flipped,
            "stops": False,
        }

    def _cond(self, equation: Equation) -> None:
        if not touches(equation, self._active):
            return
        builder = self.builder
        bars = [
            self.cotangent(o) if o in self._active else None for o in equation.outputs
        ]
        mirrors = [self._mirror(region) for region in equation.regions]
        for region, mirror in zip(equation.regions, mirrors, strict=True):
            with builder.region(mirror):
                for result, bar in zip(region.results, bars, strict=True):
                    if bar is not None:
                        self.add(result, Tracer(builder, bar))
                self.block(region)
        outer = [self._outer_bars(mirror) for mirror in mirrors]
        values = list(dict.fromkeys([*outer[0], *outer[1]]))
        # The results are new totals: a branch that adds nothing passes the old one.
        for mirror, found in zip(mirrors, outer, strict=True):
            with builder.region(mirror):
                mirror.results = [self._total(v, found.get(v)) for v in values]
        types = tuple(v.type for v in values)
        predicate = self._new(equation.inputs[0])
        made = builder.emit(cond, [predicate], {}, tuple(mirrors), types)
        for value, bar in zip(values, made, strict=True):
            self._here[value] = Tracer(builder, cells.named(bar, _barred(value)))

    def _total(self, value: Value, more: Any) -> Operand:
        """Inside a branch: a cotangent from before the branch, and more."""
        parent = self.builder.graph.parent
        assert parent is not None
        before = self._bars[parent].get(value)
        total = more if before is None else before if more is None else before + more
        if total is None:
            return cells.zero(self.builder, value.type)
        operand: Operand = total.operand
        return operand


def touches(equation: Equation, active: set[Value]) -> bool:
    """Whether anything active happens in an equation's regions."""
    return any(
        written(e) in active or any(o in active for o in e.outputs)
        for e in walk_in(equation)
    )


def trip_count(lo: Any, hi: Any, step: int) -> Any:
    """How many indices a range has."""
    distance = hi - lo if step > 0 else lo - hi
    if abs(step) != 1:
        distance = (distance + (abs(step) - 1)) // abs(step)
    return ew.maximum(distance, 0)


def _barred(value: Value) -> str | None:
    return f"{value.name}_bar" if value.name else None
