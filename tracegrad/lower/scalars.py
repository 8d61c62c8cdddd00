"""Scalars: the expression of any value at any index.

What enters is a value and an index; what leaves is a loop-IR expression, and, in the
open scopes, the statements that bind what it is made of. Each (value, index) is bound
once per scope; ``tidy`` later writes what is used once in place of its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from codegen import loop_ir
from codegen.loop_ir import (
    Array,
    Assign,
    Const,
    Convert,
    Expr,
    Load,
    Op,
    Var,
    View,
)
from tracegrad.ir.graph import Equation, Literal, Operand, Value
from tracegrad.ir.primitive import Scalar
from tracegrad.ir.shapes import Dim
from tracegrad.lower import edges, element
from tracegrad.lower.access import (
    ONE,
    ZERO,
    Affine,
    Fixed,
    Gathered,
    Index,
    Indices,
    Window,
    depth,
    is_map,
    pull,
    pull_pad,
    variable,
    window,
)
from tracegrad.lower.buffers import Buffer
from tracegrad.lower.edges import Segment
from tracegrad.lower.locations import location_of
from tracegrad.lower.names import MARK
from tracegrad.lower.roots import repeats
from tracegrad.lower.scopes import Scopes
from tracegrad.lower.sizes import Facts, Sizes, variable_expr

# Zeros of pads outside of their windows: they drop out of sums, other zeros do not.
OUTSIDE: dict[str, Const] = {
    dtype: element.literal(0, dtype)
    for dtype in ("float64", "float32", "int64", "int32", "bool")
}


def is_outside(expr: Expr) -> bool:
    """Whether an expression is the zero outside of a pad's window."""
    return expr is OUTSIDE.get(expr.dtype)  # no pad is narrow


@dataclass(slots=True)
class Block:
    """The block that is being written: where it starts, and how long it is.

    index: of an element of the blocked axis, in the innermost loop.
    """

    start: Var
    size: Var
    index: Affine
    views: dict[tuple[str, int], Array] = field(default_factory=dict)


class Scalars:
    """Evaluates values at indices into the open scopes.

    Attributes:
        loops: the variable (or the only value) of each open loop.
        segments: which part of each open loop this is.
    """

    def __init__(
        self,
        scopes: Scopes,
        buffers: Mapping[Value, Buffer],
        sizes: Sizes,
        facts: Facts,
        packs: Mapping[tuple[Value, int], Value],
    ) -> None:
        self.scopes = scopes
        self._packs = packs
        self.buffers = buffers
        self._readable = {value for value in buffers if not repeats(value)}
        self.sizes = sizes
        self.facts = facts
        self.loops: dict[int, Var] = {}
        self.segments: dict[int, Segment] = {}
        self.block: Block | None = None
        self.making: Value | None = None

    # --- indices -------------------------------------------------------------------

    def position(self, index: Index) -> Expr:
        """An index as an int64 expression."""
        match index:
            case Fixed(offset):
                return self.sizes.expr(offset)
            case Affine(level, step, offset):
                segment = self.segments.get(level)
                if segment is not None and segment.single is not None:
                    return self.sizes.expr(segment.single * step + offset)
                return variable_expr(self.loops[level], step, self.sizes.expr(offset))
            case Gathered(source, at):
                found = self.at(source, at)
                return found if found.dtype == "int64" else Convert(found, "int64")

    def cell(self, buffer: Buffer, index: Indices) -> tuple[Array, tuple[Expr, ...]]:
        """The array, or a view of the current block of it, and the index into that."""
        array = buffer.array
        assert array is not None
        cells = buffer.cells(index)
        if self.block is not None and self.block.index in cells:
            axis = cells.index(self.block.index)
            if buffer.axes[axis] != buffer.block:
                array = self._window(array, axis)
        return array, tuple(map(self.position, cells))

    def _window(self, array: Array, axis: int) -> Array:
        """A view of an array that starts at the current block."""
        assert self.block is not None
        key = (array.name, axis)
        if key not in self.block.views:
            starts: list[Expr] = [loop_ir.integer(0)] * array.rank
            shape = list(array.shape)
            starts[axis], shape[axis] = self.block.start, self.block.size
            view = Array(
                self.scopes.names.unique(array.name.split(MARK)[0] + "_b"),
                array.dtype,
                tuple(shape),
                "view",
                contiguous=axis == 0,
            )
            self.scopes.home(1).body.append(View(view, array, tuple(starts)))
            self.block.views[key] = view
        return self.block.views[key]

    def _packed(self, value: Value, index: Indices) -> Value:
        """The copy of the current block that is read instead of an array."""
        if self.block is None or self.block.index not in index[:-1]:
            return value
        if not all(isinstance(own, Affine) for own in index):
            return value
        pack = self._packs.get((value, index.index(self.block.index)), value)
        return value if pack is self.making else pack

    # --- values --------------------------------------------------------------------

    def at(self, operand: Operand, index: Indices, *, fresh: bool = False) -> Expr:
        """The expression of an operand at an index.

        fresh: compute it even though it is a stored value: it is being made.
        """
        if isinstance(operand, Literal):
            return element.literal(operand.value, operand.dtype)
        first = (operand, index)
        stack: list[tuple[Operand, Indices]] = [first]
        result: Expr | None = None
        while stack:
            value, where = stack[-1]
            top = fresh and len(stack) == 1
            found = self._known(value, where, top)
            if found is None:
                missing = self._missing(value, where)
                if missing:
                    stack += reversed(missing)
                    continue
                found = self._make(value, where, top)
            stack.pop()
            result = found
        assert result is not None
        return result

    def _known(self, operand: Operand, index: Indices, fresh: bool) -> Expr | None:
        """An operand that needs no computation: a literal, a name, a load."""
        if isinstance(operand, Literal):
            return element.literal(operand.value, operand.dtype)
        found = self.scopes.find(operand, index)
        if found is not None:
            return found
        if operand in self._readable and not fresh:
            return self._load(operand, index)
        return None

    def _resolve(self, operand: Operand, index: Indices) -> tuple[Operand, Indices]:
        """Through index maps to what computes or holds the element."""
        while (
            isinstance(operand, Value)
            and operand not in self._readable
            and operand.definition is not None
            and is_map(operand.definition)
        ):
            operand, index = pull(operand.definition, index)
        return operand, index

    def _inputs(
        self, equation: Equation, index: Indices
    ) -> list[tuple[Operand, Indices]]:
        if equation.primitive.name == "pad":
            return []
        if is_map(equation):
            return [self._resolve(*pull(equation, index))]
        return [self._resolve(x, index if x.type.ndim else ()) for x in equation.inputs]

    def _missing(
        self, operand: Operand, index: Indices
    ) -> list[tuple[Operand, Indices]]:
        """Inputs that are yet to be computed."""
        assert isinstance(operand, Value)
        assert operand.definition is not None
        return [
            (x, at)
            for x, at in self._inputs(operand.definition, index)
            if isinstance(x, Value)
            and x not in self._readable
            and self.scopes.find(x, at) is None
        ]

    def _make(self, operand: Operand, index: Indices, fresh: bool) -> Expr:
        """Compute a value whose inputs are known, and bind it."""
        assert isinstance(operand, Value)
        assert operand.definition is not None
        equation = operand.definition
        match equation.primitive.name:
            case "pad":
                return self._pad(operand, equation, index)
            case "iota":
                expr: Expr = self.position(index[0])
                if operand.type.dtype != "int64":
                    expr = Convert(expr, operand.type.dtype)
            case "size":
                expr = self.sizes.expr(equation.params["dim"])
            case _:
                inputs = [
                    self._known(x, at, False) for x, at in self._inputs(equation, index)
                ]
                args = [x for x in inputs if x is not None]
                expr = args[0] if is_map(equation) else apply(equation, args)
        name, kept = operand.name or "t", operand.name is not None
        if fresh:  # an element about to be stored: z_bar_i of z_bar
            name, kept = self._cell_name(self.buffers[operand], index), False
        where = location_of(equation)
        return self.scopes.bind((operand, index), expr, name, kept=kept, location=where)

    def _load(self, value: Value, index: Indices) -> Expr:
        buffer = self.buffers[self._packed(value, index)]
        if buffer.array is None:
            assert buffer.scalar is not None
            return buffer.scalar
        array, cells = self.cell(buffer, index)
        wraps = any(isinstance(own, Gathered) for own in index)
        load = Load(array, cells, array.dtype, nonnegative=not wraps)
        name = self._cell_name(buffer, index)
        level = max(depth(index), buffer.depth)
        return self.scopes.bind((value, index), load, name, level=level)

    def held(self, value: Value, index: Indices, expr: Expr, level: int) -> Expr:
        """A name for what a changing variable is in this iteration."""
        var = self.scopes.names.variable(
            self._cell_name(self.buffers[value], index), expr.dtype
        )
        self.scopes.levels[var.name] = level
        self.scopes.emit(Assign(var, expr))
        self.scopes.learn(value, index, var)
        return var

    def _cell_name(self, buffer: Buffer, index: Indices) -> str:
        """What to call an element of a buffer."""
        held = buffer.scalar if buffer.array is None else buffer.array
        assert held is not None
        return held.name.split(MARK)[0] + self._suffix(buffer.cells(index))

    def _suffix(self, index: Indices) -> str:
        """The ``_ij``, ``_i1`` or ``_im1`` of a load's name."""
        texts = []
        for own in index:
            if isinstance(own, Gathered):
                texts.append("g")
            else:
                text = _spelled(self.position(own))
                plain = len(texts) > 0 and texts[-1] == "0" and text == "0"
                texts.append("" if plain else text)
        return "_" + "".join(texts) if any(texts) else ""

    # --- pads ----------------------------------------------------------------------

    def _pad(self, value: Value, equation: Equation, index: Indices) -> Expr:
        inner, partial = pull_pad(equation, index)
        operand = equation.inputs[0]
        tests: list[Expr] = []
        for axis in partial:
            found = self._tests(inner[axis], operand.type.shape[axis])
            if found is None:
                zero = OUTSIDE[value.type.dtype]
                self.scopes.learn(value, index, zero)
                return zero
            tests += found
        if not tests:
            found_value = self.at(*self._resolve(operand, inner))
            self.scopes.learn(value, index, found_value)
            return found_value
        zero = OUTSIDE[value.type.dtype]
        var = self.scopes.names.variable(value.name or "t", zero.dtype, kept=True)
        level = self.scopes.here.level
        self.scopes.levels[var.name] = level
        self.scopes.emit(Assign(var, element.literal(0, zero.dtype)))
        with self.scopes.guarded(tests):
            inside = self.at(*self._resolve(operand, inner))
            self.scopes.emit(Assign(var, inside, location_of(equation)))
        self.scopes.learn(value, index, var)
        return var

    def tests(self, span: Window) -> list[Expr] | None:
        """What must be tested for an iteration to be in a window; None if it is not."""
        needed = edges.decide(span, self.segments[span.level], self.facts)
        if needed is None:
            return None
        low, high = needed
        single = self.segments[span.level].single
        if single is not None:
            sides = [single - span.start] if low else []
            sides += [span.end - single - 1] if high else []
            return [self._nonnegative(side) for side in sides]
        var = self.position(variable(span.level))
        tests: list[Expr] = []
        if low:
            tests.append(_compare("greater_equal", var, self.sizes.expr(span.start)))
        if high:
            tests.append(_compare("less", var, self.sizes.expr(span.end)))
        return tests

    def _nonnegative(self, size: Dim) -> Expr:
        """The test ``size >= 0``, its constant on the right: n > 1."""
        constant = size.substitute({name: Dim.constant(0) for name in size.symbols()})
        rest, bound = size - constant, -(constant.value or 0)
        if constant.value is None:
            rest, bound = size, 0
        if bound > 0:
            return _compare(
                "greater", self.sizes.expr(rest), loop_ir.integer(bound - 1)
            )
        return _compare("greater_equal", self.sizes.expr(rest), loop_ir.integer(bound))

    def _tests(self, index: Index, size: Dim) -> list[Expr] | None:
        """What must be tested for ``0 <= index < size``; None if it is false."""
        found = window(index, size, False)
        if found is not None and found.level in self.segments:
            return self.tests(found)
        if isinstance(index, Fixed):
            return self._tests_of_one(index.offset, size)
        position = self.position(index)
        zero = loop_ir.integer(0)
        return [
            _compare("greater_equal", position, zero),
            _compare("less", position, self.sizes.expr(size)),
        ]

    def _tests_of_one(self, at: Dim, size: Dim) -> list[Expr] | None:
        """The same for one element, of which more is known."""
        if self.facts.at_least(-at, ONE) or self.facts.at_least(at, size):
            return None
        sides = (at, size - at - 1)
        return [self._nonnegative(x) for x in sides if not self.facts.at_least(x, ZERO)]


def suffix(cells: Sequence[Expr]) -> str:
    """The ``_ij`` of what is loaded at a point, if that is short."""
    texts = [_spelled(cell) for cell in cells]
    short = all(0 < len(text) <= 3 for text in texts)
    return "_" + "".join(texts) if short else "_i"


def _spelled(position: Expr) -> str:
    """An index as a piece of a name: i + 1 as i1, i - 1 as im1, n - 1 as nm1."""
    match position:
        case Var(name):
            return name.split(MARK)[0]
        case Const(value):
            return str(value) if value >= 0 else f"m{-value}"
        case Op("add", (left, right)):
            return _spelled(left) + _spelled(right)
        case Op("subtract", (left, right)):
            return f"{_spelled(left)}m{_spelled(right)}"
        case _:
            return ""


def _compare(name: str, left: Expr, right: Expr) -> Expr:
    return Op(name, (left, right), "bool")


_PLAIN = {"zero_safe_mul": "multiply", "zero_safe_div": "divide"}


def apply(equation: Equation, args: list[Expr]) -> Expr:
    """A scalar primitive on expressions; the zeros outside of pads drop out."""
    name, dtype = equation.primitive.name, equation.outputs[0].type.dtype
    if name == "convert":
        return args[0] if args[0].dtype == dtype else Convert(args[0], dtype)
    outside = [is_outside(x) for x in args]
    match name, outside:
        case ("add", [True, False]):
            return args[1]
        case ("add" | "subtract", [False, True]):
            return args[0]
        case ("subtract", [True, False]):
            return Op("negative", (args[1],), dtype)
        case ("add" | "subtract" | "negative" | "stop_gradient", _) if all(outside):
            return OUTSIDE[dtype]
        case ("zero_safe_mul" | "zero_safe_div", [True, _]):
            return OUTSIDE[dtype]
        case ("select", [_, True, True]):
            return OUTSIDE[dtype]
    if name in _PLAIN and isinstance(args[0], Const) and args[0].value != 0:
        # The cotangent has become known: there is nothing to be safe from.
        return Op(_PLAIN[name], tuple(args), dtype)
    scalar = equation.primitive.lower
    assert isinstance(scalar, Scalar), f"{name} is no scalar function"
    return element.build(scalar, args, dtype)
