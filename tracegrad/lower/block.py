"""Blocks: a graph, or a region of one, as statements in the order of its effects.

Scalars are written where they stand. Equations of arrays wait until someone needs them
stored: a region, a write, the end. Those that wait for one demand are clustered into
loops together, so that an expression is evaluated in the loop that stores it. Whatever
reads a Ref is stored before the Ref changes, if it is used afterwards.

    t = load u[1:n-1]; s = sin t; store u[1:n-1] = s
    ->  for i in range(n - 2): u[i + 1] = np.sin(u[i + 1])
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

from codegen.loop_ir import Array, Assign, Expr, Var
from codegen.rewrite import Rewrite
from tracegrad.ir import primitive as table
from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import RefType
from tracegrad.lower.access import is_map
from tracegrad.lower.buffers import allocate
from tracegrad.lower.cluster import DEAR, Costs, plan
from tracegrad.lower.composites import copy
from tracegrad.lower.emit import Emitter
from tracegrad.lower.life import Pending, captured, last_uses
from tracegrad.lower.locations import location_of
from tracegrad.lower.roots import has_own_loop, repeats, stored_source, uniform
from tracegrad.lower.scalars import Scalars, apply
from tracegrad.lower.scopes import Scopes
from tracegrad.lower.state import State, at_entry


class Block:
    """One graph while it is written.

    Attributes:
        position: of the equation that is being written.
        last: the position of each value's last use.
        pending: equations of arrays that wait, by the values they give.
        heirs: values that go on in a variable, and what that holds until then.
    """

    def __init__(self, state: State, graph: Graph) -> None:
        self.state = state
        self.graph = graph
        self.position = 0
        self.last = last_uses(graph)
        self.pending = Pending()
        self.heirs: dict[Value, tuple[Var, Value | None]] = {}
        self.around = [*(state.blocks), self]

    # --- lives ---------------------------------------------------------------------

    def dies(self, value: Value, *, here: bool = True) -> bool:
        """Whether no one needs a value of this block after the current equation."""
        if here and value.graph is not self.graph:
            return False
        if self.last.get(value, -1) > self.position:
            return False
        return not self.pending.readers[value]

    def free(self, var: Var, value: Value) -> bool:
        """Whether nothing that a variable holds is needed any more."""
        held = (value, *self.state.holders.get(var.name, ()))
        return not any(
            self.pends(other) or any(b.keeps(other, b is self) for b in self.around)
            for other in held
        )

    def pends(self, value: Value) -> bool:
        """Whether something that waits reads a value."""
        return any(b.pending.readers[value] for b in self.around)

    def keeps(self, value: Value, innermost: bool) -> bool:
        """Whether a value is used later, or by the next iteration of an open loop."""
        last = self.last.get(value, -1)
        if innermost or last != self.position:
            return last > self.position
        if value.graph not in (self.graph, *self.graph.ancestors()):
            return False  # made anew in each iteration
        loop = self.graph.equations[self.position]
        again = loop.primitive.name != "cond"
        return again and value in set(captured(loop.regions))

    def heir(self, value: Value) -> Var | None:
        """The variable that a new value may go on in."""
        var, before = self.heirs.get(value, (None, None))
        if var is None or (before is not None and not self.free(var, before)):
            return None
        return var

    # --- scalars -------------------------------------------------------------------

    def give(
        self, value: Value, expr: Expr, equation: Equation, name: str | None = None
    ) -> None:
        """Bind a scalar; ``name`` is what to call it if the user doesn't say."""
        state = self.state
        var = self.heir(value)
        if var is None:
            if isinstance(expr, Var) and expr.name not in state.mutable:
                state.hold(value, expr)
                return
            var = state.variable(value, name)
            formula = Rewrite(values=state.formulas).expr(expr)
            if value.type.dtype == "int64" and at_entry((formula,)):
                state.formulas[var.name] = formula
        state.emit(Assign(var, expr, location_of(equation)))
        state.hold(value, var)

    def _scalar(self, equation: Equation) -> None:
        """A pure equation of numbers, where it stands."""
        state, (value,) = self.state, equation.outputs
        if equation.primitive.name == "size":
            expr = state.sizes.expr(equation.params["dim"])
            state.dims[value] = state.lasting(equation.params["dim"])
        else:
            args = [state.scalar(x) for x in equation.inputs]
            expr = args[0] if is_map(equation) else apply(equation, args)
        self.give(value, expr, equation)
        if value in self.heirs:
            state.dims.pop(value, None)
        elif value.type.dtype == "int64":
            self._dim(equation, value)

    def _dim(self, equation: Equation, value: Value) -> None:
        """Know an integer as a size, if it is an affine function of such."""
        dims = [self.state.known_dim(x) for x in equation.inputs]
        match equation.primitive.name, dims:
            case "add", [Dim() as left, Dim() as right]:
                found = left + right
            case "subtract", [Dim() as left, Dim() as right]:
                found = left - right
            case "negative", [Dim() as only]:
                found = -only
            case "multiply", [Dim() as left, Dim() as right] if (
                left.value is not None or right.value is not None
            ):
                found = left * right
            case _:
                return
        self.state.dims[value] = found

    # --- array equations -----------------------------------------------------------

    def pure(self, equation: Equation) -> None:
        """An equation without effects: written now if it is of numbers at hand."""
        lower = equation.primitive.lower
        simple = (
            isinstance(lower, table.Scalar)
            or equation.primitive.name in ("size", "convert")
            or is_map(equation)
        )
        numbers = all(
            not x.type.ndim and x not in self.pending
            for x in (*equation.inputs, *equation.outputs)
        )
        if simple and numbers:
            self._scalar(equation)
        else:
            self.wait(equation)

    def wait(self, equation: Equation) -> None:
        """Let an equation of arrays wait until it is needed."""
        for output in equation.outputs:
            self.pending[output] = equation

    def reads(self, value: Value) -> set[Operand]:
        """The Refs that a pending value is made of."""
        return {
            operand
            for equation in self.closure([value])
            for operand in equation.inputs
            if isinstance(operand.type, RefType)
        }

    def closure(self, wanted: Iterable[Value]) -> list[Equation]:
        """The pending equations that some values need, in order."""
        needed = {value for value in wanted if value in self.pending}
        found: list[Equation] = []
        for equation in reversed(list(dict.fromkeys(self.pending.values()))):
            if any(output in needed for output in equation.outputs):
                needed.update(x for x in equation.inputs if isinstance(x, Value))
                found.append(equation)
        return found[::-1]

    def demand(self, wanted: Iterable[Operand]) -> None:
        """Store arrays and bind numbers that are pending."""
        missing = [
            x
            for x in dict.fromkeys(wanted)
            if isinstance(x, Value) and x in self.pending
        ]
        if not missing:
            return
        equations = self.closure(missing)
        missing += self.shared(equations, missing)
        self.write(equations, missing)

    def offer(self, equation: Equation) -> None:
        """Have at hand what regions use: stored, or told in terms of what is."""
        readers: dict[Value, list[Equation]] = {}
        routines: list[Operand] = []
        for region in equation.regions:
            for inner in region.walk():
                if isinstance(inner.primitive.lower, table.Library):
                    routines += [stored_source(x, inner) for x in inner.inputs]
                for operand in inner.inputs:
                    if isinstance(operand, Value) and operand in self.pending:
                        readers.setdefault(operand, []).append(inner)
        self.demand(routines)
        for value in dict.fromkeys(captured(equation.regions)):
            if value not in self.pending:
                continue
            users = readers.get(value, [])
            through = all(_sees_through(user, value) for user in users)
            shown = bool(users) and value.type.ndim > 0 and through
            self.demand([self._source(value) if shown else value])

    def _source(self, value: Value) -> Operand:
        """What a pending value shows the elements of, if it only shows them."""
        found: Operand = value
        while isinstance(found, Value) and found in self.pending:
            made = self.pending[found]
            shows = is_map(made) and made.primitive.name != "gather"
            if not shows or self.reads(found):
                break
            found = made.inputs[0]
        return found

    def shared(self, equations: list[Equation], wanted: list[Value]) -> list[Value]:
        """What is made on the way and would be dear to make again for later users."""
        state = self.state
        costs = Costs(equations, set(state.buffers) | set(wanted))
        inside = {id(equation) for equation in equations}
        others = [e for e in self.pending.values() if id(e) not in inside]
        found: list[Value] = []
        # What is told again later, rather than stored, needs its own operands then.
        told: set[Operand] = set()
        for equation in reversed(equations):
            for value in equation.outputs:
                later = value in told or self.last.get(value, -1) > self.position
                later = later or any(value in e.inputs for e in others)
                if value in wanted or not later:
                    continue
                if repeats(value):
                    found += filter(self._waits, [uniform(value)])
                elif (
                    not value.type.ndim
                    or has_own_loop(equation)
                    or costs.of(value)[0] >= DEAR
                ):
                    found.append(value)
                else:
                    told.update(equation.inputs)
        return found[::-1]

    def _waits(self, operand: Operand | None) -> TypeGuard[Value]:
        return isinstance(operand, Value) and operand in self.pending

    def write(self, equations: list[Equation], wanted: list[Value]) -> None:
        """Write the loops of some equations."""
        state = self.state
        # Who reads an array that repeats a number reads the number, not the array.
        numbers = [uniform(value) for value in wanted if value.type.ndim]
        wanted = list(dict.fromkeys([*wanted, *filter(self._waits, numbers)]))
        for value in wanted:
            if value.type.ndim and value not in state.buffers:
                state.hold_array(value, state.new_array(value))
        given = dict(state.buffers)
        clustered = plan(equations, given, wanted, state.facts)
        storage = allocate(clustered, given, state.names, state.sizes, state.facts)
        evaluator = Scalars(
            Scopes(state.names),
            storage.buffers,
            state.sizes,
            state.facts,
            clustered.packs,
        )
        Emitter(evaluator, state.names, state.loops).items(clustered.items, 0)
        values = [(x, evaluator.at(x, ())) for x in wanted if not x.type.ndim]
        state.adopt(storage.allocations)
        state.body += evaluator.scopes.here.body
        for value in wanted:
            del self.pending[value]
        for value, expr in values:
            equation = value.definition
            assert equation is not None
            self.give(value, expr, equation)

    def stored(self, operand: Operand) -> Array:
        """An array operand, in memory."""
        self.demand([operand])
        assert isinstance(operand, Value)
        if operand not in self.state.buffers:
            array = self.state.new_array(operand)
            self.copy_into(operand, array, None)
            self.state.hold_array(operand, array)
        return self.state.array(operand)

    def number(self, operand: Operand) -> Expr:
        """A scalar operand."""
        self.demand([operand])
        return self.state.scalar(operand)

    def copy_into(self, value: Value, array: Array, like: Equation | None) -> None:
        """Write an array's elements to another array."""
        twin = self.twin(value, like)
        self.state.targets[twin] = array
        self.demand([twin])

    def twin(self, value: Value, like: Equation | None) -> Value:
        """The same elements as a value of its own."""
        twin = Value(value.type, value.name, self.graph)
        where = like.location if like is not None else None
        twin.definition = Equation(copy, (value,), {}, (), (twin,), where)
        self.wait(twin.definition)
        return twin

    def before_write(self, refs: set[Value]) -> None:
        """Store what was read of Refs that are about to change, if it is still used.

        That includes what is about to be written: told again afterwards in terms of the
        Ref, it would be another value.
        """
        later = [
            value
            for value in self.pending
            if self.last.get(value, -1) > self.position and self.reads(value) & refs
        ]
        self.demand(later)


def _sees_through(user: Equation, value: Value) -> bool:
    """Whether an equation can take the elements of a value from where they come."""
    lower = user.primitive.lower
    if isinstance(lower, table.Library):
        return stored_source(value, user) is not value
    simple = isinstance(lower, table.Scalar | table.Reduction)
    return simple or (is_map(user) and user.primitive.name != "gather")
