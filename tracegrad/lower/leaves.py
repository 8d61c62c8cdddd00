"""Leaves: what one iteration of a root's loops does.

What enters is a root whose loops are open; what leaves, in the open scope, are the
statements that evaluate its body there and store it, accumulate it, or call a routine.

    store z_bar at (v0,): e / (1 + e) * y  ->  z_bar[i] = e / (1.0 + e) * y[i]
"""

from __future__ import annotations

import math

import numpy as np

from codegen import loop_ir
from codegen.loop_ir import (
    Accumulate,
    Array,
    Assign,
    Combine,
    Const,
    DType,
    Expr,
    Fill,
    If,
    Library,
    Op,
    Reshape,
    Store,
    Var,
    View,
)
from codegen.loop_ir import Operand as Matrix
from tracegrad.ir import primitive as table
from tracegrad.ir.graph import Operand, Value
from tracegrad.lower import element
from tracegrad.lower.access import ONE, Gathered
from tracegrad.lower.locations import location_of
from tracegrad.lower.names import Names
from tracegrad.lower.roots import Check, Root, stored_source, strided_pad
from tracegrad.lower.scalars import Scalars


class Leaves:
    """Writes single iterations into the scopes of a ``Scalars``.

    Attributes:
        progress: the accumulators of roots whose loops are open, by what they hold.
    """

    def __init__(self, scalars: Scalars, names: Names) -> None:
        self.scalars = scalars
        self.scopes = scalars.scopes
        self.names = names
        self.progress: dict[Root, dict[str, Var]] = {}

    # --- before any loop -----------------------------------------------------------

    def open(self, root: Root) -> None:
        """What a root needs before the outermost of its loops."""
        self.progress[root] = {}
        if root.kind == "scatter" or (
            root.kind == "part" and strided_pad(root.equation)
        ):
            array = self._array(root)
            self.scopes.emit(Fill(array, element.literal(0, array.dtype)))
        if root.kind == "check":
            dtype = root.body.type.dtype
            self.start(root, "low", element.literal(0, dtype))
            self.start(root, "high", element.literal(-1, dtype))
        self._refuse_empty(root)

    def _refuse_empty(self, root: Root) -> None:
        """A maximum of nothing has no value."""
        name = "" if root.kind in ("check", "scalar") else root.equation.primitive.name
        words = {"reduce_max": "maximum", "reduce_min": "minimum"}
        if name in words:
            message = (
                "zero-size array to reduction operation "
                f"{words[name]} which has no identity"
            )
        elif name in ("argmax", "argmin"):
            message = f"attempt to get {name} of an empty sequence"
        else:
            return
        sizes, facts = self.scalars.sizes, self.scalars.facts
        for level in sorted(root.reduced):
            size = root.extents[level].size
            if not facts.at_least(size, ONE):
                cond = Op(
                    "greater_equal", (sizes.expr(size), loop_ir.integer(1)), "bool"
                )
                where = location_of(root.equation)
                self.scopes.emit(loop_ir.Check(cond, "ValueError", message, where))

    def start(self, root: Root, name: str, value: Expr) -> Var:
        """Begin an accumulator of a root."""
        var = self.names.variable(name, value.dtype, kept=True)
        self.progress[root][name] = var
        self.scopes.levels[var.name] = self.scopes.here.level
        self.scopes.emit(Assign(var, value))
        return var

    # --- the innermost statements --------------------------------------------------

    def leaf(self, root: Root) -> None:
        """One iteration of a root, unless it is outside of the root's windows."""
        tests: list[Expr] = []
        for span in root.spans:
            found = self.scalars.tests(span)
            if found is None:
                return
            tests += found
        if not tests:
            self._iteration(root)
            return
        with self.scopes.guarded(tests):
            self._iteration(root)

    def _iteration(self, root: Root) -> None:
        if not root.extents:
            self.open(root)
        match root.kind:
            case "store" | "fill" | "part" | "scatter":
                self._store(root)
            case "reduce":
                self._accumulate(root)
            case "scan":
                self._scan(root)
            case "position":
                self._position(root)
            case "check":
                self._extremes(root)
            case "library":
                self._library(root)
            case "view":
                base = self._stored(root.body)
                self.scopes.emit(Reshape(self._array(root), base))
            case "scalar":
                self.scalars.at(root.body, ())

    def _store(self, root: Root) -> None:
        match root.kind:
            case "fill":
                value = self.scalars.at(root.body, ())
                self.scopes.emit(Fill(self._array(root), value))
            case "store":
                self.scalars.making = root.value
                value = self.scalars.at(root.value, root.index, fresh=True)
                self.scalars.making = None
                self.write(root, value)
            case _:
                combine: Combine | None = root.equation.params.get("combine")
                combine = "add" if root.kind == "scatter" else combine
                self.write(root, self.scalars.at(root.body, root.index), combine)

    def write(self, root: Root, value: Expr, combine: Combine | None = None) -> None:
        """Store an element; whoever reads it in this iteration has it already."""
        buffer = self.scalars.buffers[root.value]
        where = self._where(root)
        if buffer.array is None:
            assert buffer.scalar is not None
            if combine is not None:
                accumulate = Accumulate(buffer.scalar, combine, value, True, where)
                self.scopes.emit(accumulate)
                return
            if isinstance(value, Const | Var):
                self.scopes.learn(root.value, root.target, value)
                return
            self.scopes.emit(Assign(buffer.scalar, value, where))
            return
        array, cells = self.scalars.cell(buffer, root.target)
        plain = not any(isinstance(own, Gathered) for own in root.target)
        self.scopes.emit(
            Store(array, cells, value, combine, nonnegative=plain, location=where)
        )
        if combine is None and root.kind == "store" and isinstance(value, Const | Var):
            self.scopes.learn(root.value, root.target, value)

    def _accumulate(self, root: Root) -> None:
        value = self.scalars.at(root.body, root.index)
        combine = self.combine(root)
        if root.inner < len(root.extents):
            total = self.progress[root]["total"]
            where = self._where(root)
            self.scopes.emit(Accumulate(total, combine, value, True, where))
        else:
            self.write(root, value, combine)

    def _scan(self, root: Root) -> None:
        run = self.progress[root]["run"]
        value = self.scalars.at(root.body, root.index)
        where = self._where(root)
        if root.equation.primitive.name == "recurrence":
            added = self.scalars.at(root.equation.inputs[1], root.index)
            scaled = element.operation("multiply", value, run)
            following = element.operation("add", scaled, added)
            self.scopes.emit(Assign(run, following, where))
        else:
            times = root.equation.primitive.name == "cumprod"
            combine: Combine = "multiply" if times else "add"
            self.scopes.emit(Accumulate(run, combine, value, False, where))
        # Readers take what the accumulator is now: it goes on in the next iteration.
        held = self.scalars.held(root.value, root.target, run, len(root.extents))
        buffer = self.scalars.buffers[root.value]
        if buffer.array is not None:
            array, cells = self.scalars.cell(buffer, root.target)
            self.scopes.emit(Store(array, cells, held, location=where))

    def _position(self, root: Root) -> None:
        """Keep the position of the first NaN, else of the first extreme."""
        best, at = self.progress[root].values()
        value = self.scalars.at(root.body, root.index)
        name = "greater" if root.equation.primitive.name == "argmax" else "less"
        better: Expr = Op(name, (value, best), "bool")
        if value.dtype in ("float64", "float32"):
            known = Op("equal", (best, best), "bool")
            lost = Op("not_equal", (value, value), "bool")
            better = Op("or", (better, Op("and", (lost, known), "bool")), "bool")
        index = self.scalars.loops[len(root.extents) - 1]
        self.scopes.emit(If(better, (Assign(best, value), Assign(at, index))))

    # --- checks of index arrays ----------------------------------------------------

    def _extremes(self, root: Root) -> None:
        low, high = self.progress[root].values()
        value = self.scalars.at(root.body, root.index)
        self.scopes.emit(Accumulate(low, "minimum", value, False))
        self.scopes.emit(Accumulate(high, "maximum", value, False))
        if not root.extents:
            self.check(root, low, high)

    def check(self, root: Root, low: Var, high: Var) -> None:
        """Raise unless the extremes of an index array are within its axis."""
        assert isinstance(root.key, Check)
        size = self.scalars.sizes.expr(root.key.size)
        start: Expr = Op("negative", (size,), "int64")
        if isinstance(size, Const):
            start = loop_ir.integer(-int(size.value))
        tests = (
            Op("greater_equal", (low, start), "bool"),
            Op("less", (high, size), "bool"),
        )
        where = location_of(root.equation)
        message = "an index is out of bounds"
        cond = Op("and", tests, "bool")
        self.scopes.emit(loop_ir.Check(cond, "IndexError", message, where))

    # --- library calls -------------------------------------------------------------

    def _library(self, root: Root) -> None:
        equation = root.equation
        lower = equation.primitive.lower
        assert isinstance(lower, table.Library)
        batch = tuple(self.scalars.position(own) for own in root.index)
        matrices = []
        for operand in equation.inputs:
            source = stored_source(operand, equation)
            array = self._view(self._stored(source), batch)
            matrices.append(Matrix(array, source is not operand))
        outputs: list[Array | Var] = []
        numbers: list[tuple[Value, Var]] = []
        for value in equation.outputs:
            buffer = self.scalars.buffers[value]
            if buffer.array is None:
                assert buffer.scalar is not None
                outputs.append(buffer.scalar)
            elif buffer.array.rank > len(batch):
                outputs.append(self._view(buffer.array, batch))
            else:
                var = self.names.variable("t", buffer.array.dtype)
                numbers.append((value, var))
                outputs.append(var)
        where = self._where(root)
        call = Library(lower.routine, tuple(outputs), tuple(matrices), where)
        self.scopes.emit(call)
        for value, var in numbers:
            self.scopes.emit(Store(self._stored(value), batch, var))

    def _view(self, array: Array, batch: tuple[Expr, ...]) -> Array:
        """One matrix of a batch."""
        if not batch:
            return array
        shape = array.shape[len(batch) :]
        base = array.name.split("%")[0]
        view = Array(self.names.unique(base + "_i"), array.dtype, shape, "view")
        starts = (loop_ir.integer(0),) * len(shape)
        self.scopes.emit(View(view, array, starts, batch))
        return view

    # --- lookups -------------------------------------------------------------------

    def _array(self, root: Root) -> Array:
        array = self.scalars.buffers[root.value].array
        assert array is not None
        return array

    def _stored(self, operand: Operand) -> Array:
        assert isinstance(operand, Value)
        array = self.scalars.buffers[operand].array
        assert array is not None
        return array

    def combine(self, root: Root) -> Combine:
        """How a reduction combines."""
        lower = root.equation.primitive.lower
        assert isinstance(lower, table.Reduction)
        return lower.combine

    def _where(self, root: Root) -> loop_ir.Location | None:
        return location_of(root.equation)


def neutral(combine: Combine, dtype: DType) -> Const:
    """What combines with anything to give just that."""
    match combine:
        case "add":
            return element.literal(0, dtype)
        case "multiply":
            return element.literal(1, dtype)
        case "or" | "and":
            return Const(combine == "and", "bool")
    largest = combine == "minimum"
    if dtype == "bool":
        return Const(largest, dtype)
    if dtype in ("int64", "int32"):
        limits = np.iinfo(dtype)
        return Const(int(limits.max if largest else limits.min), dtype)
    return Const(math.inf if largest else -math.inf, dtype)
