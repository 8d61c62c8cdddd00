"""Carried values: what a loop hands from one iteration to the next.

A number is a variable, in which the next value is computed as soon as the last use of
this one is behind; a recomputed array has two places, whose names are exchanged at the
end of the body, as are those of Refs that go round.

    next u is f u   ->   u_next[i] = f(u[i]); ...; u, u_next = u_next, u
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codegen.loop_ir import Array, Assign, Expr, Swap, Var
from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.ir.types import RefType
from tracegrad.lower.block import Block
from tracegrad.lower.composites import is_view
from tracegrad.lower.life import captured
from tracegrad.lower.locations import location_of
from tracegrad.lower.roots import repeats


class Carried:
    """What a loop carries: where each value is, and how it becomes the next.

    params: the body's parameters, or those of each region; without the index.
    """

    def __init__(self, block: Block, loop: Equation, initial: Sequence[Operand]):
        self.block = block
        self.loop = loop
        self.initial = list(initial)
        self.outputs = loop.outputs[:-1]
        self.vars: dict[int, Var] = {}
        self.arrays: dict[int, Array] = {}
        self.spare: dict[int, Array] = {}

    def begin(self, body: Graph) -> None:
        """Give the initial values their places."""
        for k, (start, param) in enumerate(
            zip(self.initial, body.params[1:], strict=True)
        ):
            if isinstance(param.type, RefType):
                assert isinstance(start, Value)
                buffer = self.block.state.buffers[start]
                if buffer.array is not None:
                    self.arrays[k] = buffer.array
                else:
                    assert buffer.scalar is not None
                    self.vars[k] = buffer.scalar
            elif param.type.ndim:
                self._begin_array(k, start, param, body)
            else:
                self._begin_scalar(k, start, param)

    def _begin_scalar(self, k: int, start: Operand, param: Value) -> None:
        state, output = self.block.state, self.outputs[k]
        var = self._continued(k, start, output.name or param.name)
        if var is None:
            named = output if output.name else param
            var = state.variable(named, kept=True)
        value = self.block.number(start)
        if value != var:
            state.emit(Assign(var, value, location_of(self.loop)))
        state.mutable.add(var.name)
        self.vars[k] = var

    def _continued(self, k: int, start: Operand, name: str | None) -> Var | None:
        """The variable that a carried number goes on in, if there is one."""
        block, output = self.block, self.outputs[k]
        others = [x for j, x in enumerate(self.loop.inputs) if x is not start]
        count = sum(x is start for x in self.loop.inputs)
        inside = set(captured(self.loop.regions))
        heir, before = block.heirs.get(output, (None, None))
        undisturbed = before not in inside and before not in others
        if heir is not None and undisturbed and block.heir(output) is heir:
            return heir
        if not isinstance(start, Value) or count > 1 or start in inside:
            return None
        var = block.state.reusable(start)
        alike = var is not None and var.name.split("%")[0] == (name or "t")
        if var is None or not alike or start.graph is not block.graph:
            return None
        holds = block.state.holders.get(var.name, ())
        if any(other in inside for other in holds) or not block.free(var, start):
            return None
        return var

    def _begin_array(self, k: int, start: Operand, param: Value, body: Graph) -> None:
        state = self.block.state
        assert isinstance(start, Value)
        base = self.outputs[k].name or param.name or "t"
        array = state.new_array(param, base)
        inside = set(captured(self.loop.regions))
        last = self.block.dies(start) and start not in inside
        pends = start in self.block.pending and computed(start)
        if last and pends and not repeats(start):
            state.targets[start] = array
            self.block.demand([start])
        else:
            self.block.copy_into(start, array, self.loop)
        self.arrays[k] = array
        result = body.results[len(body.results) - len(self.initial) + k]
        if result is not param:
            self.spare[k] = state.new_array(param, f"{base}_next")

    def enter(self, params: Sequence[Value]) -> None:
        """Let a region's parameters be known."""
        for k, param in enumerate(params):
            self._know(param, k)

    def leave(self) -> None:
        """Let the loop's outputs be known."""
        for k, output in enumerate(self.outputs):
            self._know(output, k)

    def _know(self, value: Value, k: int) -> None:
        if k in self.arrays:
            self.block.state.hold_array(value, self.arrays[k])
        else:
            self.block.state.hold(value, self.vars[k])

    def aim(self, inner: Block, results: Sequence[Operand]) -> None:
        """Say where the body may write what it gives."""
        params = inner.graph.params[1:]
        for k, (result, param) in enumerate(zip(results, params, strict=True)):
            if not isinstance(result, Value) or result.graph is not inner.graph:
                continue
            if result in inner.graph.params or result in inner.heirs:
                continue
            if list(inner.graph.results).count(result) > 1:
                continue
            if k in self.spare and computed(result):
                inner.state.targets[result] = self.spare[k]
            elif k in self.vars and not isinstance(param.type, RefType):
                inner.heirs[result] = (self.vars[k], param)

    def advance(self, inner: Block, results: Sequence[Operand]) -> None:
        """Write the end of the body: everything becomes the next at once."""
        state = inner.state
        moves: list[tuple[Var, Expr]] = []
        renamed: dict[Array, Array] = {}
        for k, result in enumerate(results):
            if k in self.spare:
                assert isinstance(result, Value)
                buffer = state.buffers.get(result)
                if buffer is None or buffer.array is not self.spare[k]:
                    inner.copy_into(result, self.spare[k], self.loop)
                renamed[self.arrays[k]] = self.spare[k]
                renamed[self.spare[k]] = self.arrays[k]
            elif k in self.arrays:
                assert isinstance(result, Value)
                array = state.array(result)
                if array is not self.arrays[k]:
                    renamed[self.arrays[k]] = array
            else:
                moves.append((self.vars[k], state.scalar(result)))
        move(inner, moves)
        for cycle in cycles(renamed):
            sources = tuple(renamed[array] for array in cycle)
            state.emit(Swap(cycle, sources, location_of(self.loop)))


def cycles(renamed: Mapping[Array, Array]) -> list[tuple[Array, ...]]:
    """The cycles of a permutation: what is renamed among itself, arrays of one kind."""
    found: list[tuple[Array, ...]] = []
    left = dict(renamed)
    while left:
        start = next(iter(left))
        cycle = [start]
        while (array := left.pop(cycle[-1])) != start:
            cycle.append(array)
        found.append(tuple(cycle))
    return found


def computed(value: Value) -> bool:
    """Whether an array is an expression: not what a region gives, nor a view.

    A view would go on in the memory of what it shows, whatever array is meant for it.
    """
    made = value.definition
    return made is not None and not made.regions and not is_view(value)


def move(block: Block, moves: Sequence[tuple[Var, Expr]]) -> None:
    """Assign all at once: ``a, b = b, a``, by way of a copy where they go in a ring."""
    left = [(var, expr) for var, expr in moves if var != expr]
    while left:
        read = [expr for _, expr in left]
        free = next((m for m in left if m[0] not in read), None)
        if free is None:
            var = left[0][0]
            name = var.name.split("%")[0]
            saved = block.state.names.variable(name, var.dtype, kept=True)
            block.state.emit(Assign(saved, var))
            left = [(v, saved if e == var else e) for v, e in left]
            continue
        left.remove(free)
        block.state.emit(Assign(*free))
