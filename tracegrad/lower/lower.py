"""Lowering: from a graph to a kernel of the loop language.

What enters is a graph of array equations and what its trace assumed of sizes; what
leaves is a ``Kernel`` that takes the graph's parameters and an array to write for each
array among its results, tests the assumptions at entry, and returns the scalars.

The way: ``composites`` prepares the equations, ``cluster`` decides loops, ``buffers``
memory, ``emit`` writes statements, ``tidy`` and ``names`` make them read well, and
``jam`` lets iterations share a pass over a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen import loop_ir
from codegen.expressions import RESERVED
from codegen.loop_ir import Array, Check, DType, Expr, Kernel, Op, Size, Stmt, Var
from tracegrad.ir.graph import Graph, Literal, Operand, Value
from tracegrad.ir.shapes import Assumptions, Dim, Guard, Shape, assuming
from tracegrad.lower import element
from tracegrad.lower.arena import share_workspace
from tracegrad.lower.buffers import Buffer, allocate, whole
from tracegrad.lower.cluster import plan
from tracegrad.lower.coalesce import coalesce
from tracegrad.lower.composites import Prepared, expanded_copy, prepare
from tracegrad.lower.emit import Emitter
from tracegrad.lower.jam import jam
from tracegrad.lower.locations import named_once
from tracegrad.lower.names import Names, finish
from tracegrad.lower.polish import polish
from tracegrad.lower.program import is_program, own_results, write_program
from tracegrad.lower.scalars import Scalars
from tracegrad.lower.scopes import Scopes
from tracegrad.lower.sizes import Facts, Sizes
from tracegrad.lower.tidy import tidy
from tracegrad.lower.tiles import tiled

_LETTERS = ("n", "m", "k", "d", "h", "c", "q", "r")
_RELATIONS = {
    "==": "equal",
    "!=": "not_equal",
    ">=": "greater_equal",
    "<": "less",
}


@dataclass(frozen=True, slots=True)
class ScalarOutput:
    """A result that the kernel returns, at this position among its scalars."""

    position: int
    dtype: DType


@dataclass(frozen=True, slots=True)
class ArrayOutput:
    """A result that the kernel writes to an array it is given."""

    dtype: DType
    shape: Shape


@dataclass(frozen=True, slots=True)
class Lowered:
    """A kernel, and where each result of the graph is found after a call."""

    kernel: Kernel
    outputs: tuple[ScalarOutput | ArrayOutput, ...]


def lower(graph: Graph, assumptions: Assumptions, name: str) -> Lowered:
    """The kernel that computes a graph's results."""
    with assuming(assumptions):
        return _lower(graph, assumptions, name)


def _lower(graph: Graph, assumptions: Assumptions, name: str) -> Lowered:
    facts = Facts(assumptions)
    graph = tiled(graph)
    program = is_program(graph)
    if program:
        graph = expanded_copy(graph, assumptions)
        own_results(graph)
        prepared = Prepared(list(graph.walk()), graph.results)
    else:
        prepared = prepare(graph, assumptions)
    entry = _Entry(graph, prepared, assumptions)
    names = Names()
    given = entry.given()
    outputs: list[ScalarOutput | ArrayOutput] = []
    arrays: dict[Value, Array] = {}
    scalars: list[Operand] = []
    for result in prepared.results:
        if not result.type.ndim:
            outputs.append(ScalarOutput(len(scalars), result.type.dtype))
            scalars.append(result)
            continue
        assert isinstance(result, Value)
        array = entry.output(result, len(arrays))
        arrays[result] = array
        outputs.append(ArrayOutput(result.type.dtype, result.type.shape))
    if program:
        body, results = write_program(graph, given, arrays, entry.sizes, facts, names)
    else:
        given |= {value: whole(value, array) for value, array in arrays.items()}
        body, results = _body(prepared, given, scalars, entry.sizes, facts, names)
    body, results = tidy(body, results, names)
    body = jam(body, names)
    body = polish(coalesce(body, results) if program else body)
    shared, shown = share_workspace(body, results)
    checks = entry.checks()
    fixed = [*entry.taken, name]
    final, values = finish(named_once([*checks, *shared]), shown, fixed)
    kernel = Kernel(name, (*entry.parameters, *arrays.values()), final, values)
    return Lowered(kernel, tuple(outputs))


def _body(
    prepared: Prepared,
    given: dict[Value, Buffer],
    scalars: list[Operand],
    sizes: Sizes,
    facts: Facts,
    names: Names,
) -> tuple[list[Stmt], list[Expr]]:
    """The statements of a graph, and the expressions of its scalar results."""
    inputs = [value for value in given if value.definition is None]
    clustered = plan(prepared.equations, inputs, prepared.results, facts)
    storage = allocate(clustered, given, names, sizes, facts)
    evaluator = Scalars(Scopes(names), storage.buffers, sizes, facts, clustered.packs)
    emitter = Emitter(evaluator, names)
    emitter.items(clustered.items, 0)
    values = [evaluator.at(x, ()) for x in scalars]
    body = [*storage.allocations, *evaluator.scopes.here.body]
    return body, values


class _Entry:
    """The parameters of a kernel and what its entry binds and tests."""

    def __init__(
        self, graph: Graph, prepared: Prepared, assumptions: Assumptions
    ) -> None:
        self._graph = graph
        self._assumptions = assumptions
        self._equations = prepared.equations
        self.taken: set[str] = {p.name for p in graph.params if p.name}
        self.parameters: list[Array | Var] = []
        self._size_checks: list[Check] = []
        self._bind_symbols()

    def _bind_symbols(self) -> None:
        """Name the symbols, and make the parameters with the sizes so named."""
        symbols: dict[str, Expr] = {}
        wanted = self._user_names()
        for param in self._graph.params:
            assert param.name is not None
            if not param.type.ndim and param.type.dtype == "int64":
                symbols[param.name] = Var(param.name, "int64")
            for axis, size in enumerate(param.type.shape):
                own = f"{param.name}.shape[{axis}]"
                if size == Dim.symbol(own):
                    symbols[own] = loop_ir.dim(self._fresh(wanted.get(own)))
        self.sizes = Sizes(symbols)
        bound: set[Expr] = set()
        for param in self._graph.params:
            assert param.name is not None
            if not param.type.ndim:
                self.parameters.append(Var(param.name, param.type.dtype))
                continue
            shape = tuple(map(self.sizes.expr, param.type.shape))
            array = Array(param.name, param.type.dtype, shape, "input")
            self.parameters.append(array)
            for axis, length in enumerate(shape):
                # The first axis of a length binds its name; all others must agree.
                if length in bound or not isinstance(length, Var):
                    cond = Op("equal", (Size(array, axis), length), "bool")
                    self._size_checks.append(Check(cond, "guard", ""))
                bound.add(length)

    def _user_names(self) -> dict[str, str]:
        """What the program itself calls its sizes."""
        found: dict[str, str] = {}
        for equation in self._equations:
            if equation.primitive.name != "size":
                continue
            (output,), size = equation.outputs, equation.params["dim"]
            for symbol in size.symbols():
                if output.name and size == Dim.symbol(symbol):
                    found.setdefault(symbol, output.name)
        return found

    def _fresh(self, wanted: str | None) -> str:
        candidates = [wanted] if wanted else []
        candidates += [*_LETTERS, *(f"n{k}" for k in range(2, 1000))]
        users = {
            output.name for e in self._equations for output in e.outputs if output.name
        }
        for candidate in candidates:
            avoid = self.taken if candidate == wanted else self.taken | users
            if candidate not in avoid and candidate not in RESERVED:
                self.taken.add(candidate)
                return candidate
        raise AssertionError("more than a thousand sizes")

    def given(self) -> dict[Value, Buffer]:
        """The buffers of the parameters."""
        found: dict[Value, Buffer] = {}
        for param, parameter in zip(self._graph.params, self.parameters, strict=True):
            if isinstance(parameter, Array):
                found[param] = whole(param, parameter)
            else:
                found[param] = Buffer(param, (), None, parameter)
        return found

    def output(self, result: Value, position: int) -> Array:
        """An output array for a result."""
        base = result.name or ("out" if position == 0 else f"out{position + 1}")
        name, count = base, 2
        while name in self.taken or name in RESERVED:
            glue = "_" if base[-1].isdigit() else ""
            name, count = f"{base}{glue}{count}", count + 1
        self.taken.add(name)
        shape = tuple(map(self.sizes.expr, result.type.shape))
        return Array(name, result.type.dtype, shape, "output")

    def checks(self) -> list[Stmt]:
        """The tests at entry: sizes that must agree, then everything assumed."""
        tests: dict[Expr, Check] = {check.cond: check for check in self._size_checks}
        for guard in _strongest(self._assumptions):
            pair = tuple(map(self.sizes.expr, _sides(guard)))
            cond = Op(_RELATIONS[guard.relation], pair, "bool")
            tests.setdefault(cond, Check(cond, "guard", str(guard)))
        return list(tests.values())


def _strongest(assumptions: Assumptions) -> list[Guard]:
    """The guards over unified sizes, without those that follow from another."""
    found: list[Guard] = []
    for guard in assumptions.guards:
        left, right = (
            side.substitute(assumptions.known) for side in (guard.left, guard.right)
        )
        if (left - right).value is not None:
            continue  # holds by the equalities, which are tested already
        guard = Guard(left, guard.relation, right)
        if not any(_implies(other, guard) for other in found):
            found = [other for other in found if not _implies(guard, other)]
            found.append(guard)
    return found


def _implies(one: Guard, other: Guard) -> bool:
    """Whether ``a >= b`` says at least as much as another test of the same sizes."""
    if one.relation != other.relation:
        return False
    weaker = ((other.left - other.right) - (one.left - one.right)).value
    at_least = one.relation == ">=" and weaker is not None and weaker >= 0
    return at_least or weaker == 0


def _sides(guard: Guard) -> tuple[Dim, Dim]:
    """Both sides with positive terms only: ``n - 1 >= 0`` as ``n >= 1``."""
    zero = guard.left - guard.right
    left = Dim(tuple(term for term in zero.terms if term[1] > 0))
    return left, left - zero


def literal(operand: Literal) -> Expr:
    """A constant of the graph."""
    return element.literal(operand.value, operand.dtype)
