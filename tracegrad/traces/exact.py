"""Evaluate a graph exactly: on symbols, or on numbers of many digits.

One interpreter for every kind of *algebra*: arrays are object arrays of its elements,
Refs are such arrays written in place, integers and truth values that are known stay
Python's own, so that indices, trip counts and branches on them are decided as NumPy
would. Loops run out over the given sizes. What an algebra can't decide, a branch on a
symbol, is evaluated on both sides and merged, or raises ``Undecided``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value
from tracegrad.ir.primitive import Composite, Primitive, Scalar
from tracegrad.ir.source import Location
from tracegrad.ir.types import FLOATS, DType, RefType
from tracegrad.primitives import control
from tracegrad.traces.algebra import (
    Algebra,
    NoSymbolicForm,
    Undecided,
    known_integer,
)
from tracegrad.traces.definitions import (
    DEFINITIONS,
    EFFECTS,
    STRUCTURAL,
    conversion,
)
from tracegrad.traces.evaluate import concretise, sizes_of


def evaluate_exactly(
    graph: Graph, arguments: Sequence[Any], algebra: Algebra
) -> list[Any]:
    """A graph's results in an algebra.

    Args:
        graph: without custom calls.
        arguments: one per parameter: elements of the algebra or object arrays of them;
            integers and truth values as they are.
        algebra: what to compute with.

    Raises:
        Undecided: at the user's line.
        NoSymbolicForm: if a primitive has none.
    """
    known: dict[Value, Any] = dict(zip(graph.params, arguments, strict=True))
    return _Run(known, sizes_of(graph, arguments), algebra).block(graph)


class _Run:
    """The values and sizes known so far."""

    def __init__(
        self, known: dict[Value, Any], sizes: Mapping[str, int], algebra: Algebra
    ) -> None:
        self._known = known
        self._sizes = dict(sizes)
        self.algebra = algebra
        self._where: Location | None = None
        self._open = 0  # branches around that may not be taken

    # --- blocks and control flow -----------------------------------------------------

    def read(self, operand: Operand) -> Any:
        if not isinstance(operand, Literal):
            return self._known[operand]
        if operand.dtype in FLOATS:
            return self.algebra.literal(float(operand.value))
        return operand.value

    def block(self, graph: Graph) -> list[Any]:
        for equation in graph.equations:
            self.algebra.tick()
            self._where = equation.location or self._where
            results = self.equation(equation)
            for output, value in zip(equation.outputs, results, strict=True):
                self._known[output] = value
        return [self.read(result) for result in graph.results]

    def equation(self, equation: Equation) -> Sequence[Any]:
        primitive = equation.primitive
        inputs = [self.read(x) for x in equation.inputs]
        params = {k: concretise(v, self._sizes) for k, v in equation.params.items()}
        if primitive is control.for_:
            return self._for(equation.regions[0], inputs, **params)
        if primitive is control.while_:
            return self._while(equation, inputs)
        if primitive is control.cond:
            return self._cond(equation.regions, inputs[0])
        if primitive.name in EFFECTS:
            result = EFFECTS[primitive.name](self, *inputs, **params)
            return [result] if equation.outputs else []
        types = [o.type.dtype for o in equation.outputs]
        if primitive.name == "convert":
            source: DType = equation.inputs[0].type.dtype
            return [self.mapped(conversion(self, source, types[0]), inputs)]
        if primitive is control.check:
            if self.algebra.decide(inputs[0]) is False:
                if self._open:
                    raise Undecided("a branch raises an exception.", self._where)
                primitive.numpy(False, **params)
            return []
        results = self._pure(primitive, inputs, params)
        return [self._typed(r, t) for r, t in zip(results, types, strict=True)]

    def _for(
        self, body: Graph, inputs: list[Any], *, step: int, reversed: bool, stops: bool
    ) -> list[Any]:
        lo, hi, *carried = inputs
        bounds = self.integer(lo), self.integer(hi)
        trips = 0
        for index in control.indices(*bounds, step, reversed):
            self._sizes[str(body.params[0].name)] = index
            carried = self._region(body, [index, *carried])
            trips += 1
            if stops and self.decide(carried.pop(0)):
                break
        return [*carried, trips]

    def _while(self, equation: Equation, carried: list[Any]) -> list[Any]:
        condition, body = equation.regions
        trips = 0
        while self.decide(self._region(condition, [trips, *carried])[0]):
            self._sizes[str(body.params[0].name)] = trips
            carried = self._region(body, [trips, *carried])
            trips += 1
        return [*carried, trips]

    def _region(self, region: Graph, arguments: Sequence[Any]) -> list[Any]:
        self._known.update(zip(region.params, arguments, strict=True))
        return self.block(region)

    def _cond(self, regions: Sequence[Graph], condition: Any) -> list[Any]:
        decided = self.algebra.decide(condition)
        if decided is not None:
            return self.block(regions[0 if decided else 1])
        before = self._refs()
        kept = [r.copy() for r in before]
        self._open += 1
        yes = self.block(regions[0])
        written = [r.copy() for r in before]
        for ref, cells in zip(before, kept, strict=True):
            ref[...] = cells
        no = self.block(regions[1])
        self._open -= 1
        for ref, cells in zip(before, written, strict=True):
            ref[...] = self._merged(condition, cells, ref)
        return [self._merged(condition, a, b) for a, b in zip(yes, no, strict=True)]

    def _refs(self) -> list[Any]:
        """Every array that can be written, once."""
        found = {
            id(array): array
            for value, array in self._known.items()
            if isinstance(value.type, RefType)
        }
        return list(found.values())

    def _merged(self, condition: Any, yes: Any, no: Any) -> Any:
        choose = functools.partial(self.algebra.choose, condition)
        return self.mapped(choose, [yes, no])

    # --- what must be known ----------------------------------------------------------

    def decide(self, condition: Any) -> bool:
        """The truth of a condition.

        Raises:
            Undecided: if the algebra doesn't know it.
        """
        truth = self.algebra.decide(condition)
        if truth is None:
            raise Undecided(f"{condition} is neither true nor false.", self._where)
        return truth

    def integer(self, value: Any) -> int:
        """An integer.

        Raises:
            Undecided: if the algebra doesn't know it.
        """
        number = self.algebra.integer(value)
        if number is None:
            raise Undecided(f"{value} is no known integer.", self._where)
        return number

    # --- pure primitives -------------------------------------------------------------

    def scalar(self, primitive: Primitive, params: Mapping[str, Any]) -> Any:
        """A primitive as a function of elements."""
        if primitive.sympy is None:
            function = None
        else:
            own = primitive.lower.names if isinstance(primitive.lower, Scalar) else "x"
            names = (*own, *params)
            general = self.algebra.function(primitive.name, primitive.sympy, names)
            function = functools.partial(general, **params)

        def apply(*elements: Any) -> Any:
            if all(map(known_integer, elements)):
                result = primitive.numpy(*elements, **params)
                return result.item() if hasattr(result, "item") else result
            if function is None:
                raise NoSymbolicForm(
                    f"{primitive.name} has no symbolic form.", self._where
                )
            return function(*elements)

        return apply

    def mapped(self, function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
        """A function of elements applied to arrays of one shape."""
        if not any(isinstance(x, np.ndarray) for x in inputs):
            return function(*inputs)
        if not any(x.size for x in inputs if isinstance(x, np.ndarray)):
            return np.broadcast_arrays(*inputs)[-1].astype(object)
        return np.frompyfunc(function, len(inputs), 1)(*inputs)

    def _pure(
        self, primitive: Primitive, inputs: list[Any], params: dict[str, Any]
    ) -> Sequence[Any]:
        if isinstance(primitive.lower, Scalar) and primitive.lower.names:
            return [self.mapped(self.scalar(primitive, params), inputs)]
        if primitive.sympy is not None:  # a composite one, such as a power
            return [self.mapped(self.scalar(primitive, params), inputs)]
        own = DEFINITIONS.get(primitive.name)
        if own is not None:
            result = own(self, *inputs, **params)
            return result if isinstance(result, tuple) else (result,)
        if primitive.name not in STRUCTURAL:
            what = "composition" if isinstance(primitive.lower, Composite) else "form"
            raise NoSymbolicForm(
                f"{primitive.name} has no symbolic {what}.", self._where
            )
        return [primitive.numpy(*inputs, **params)]

    def _typed(self, value: Any, dtype: DType) -> Any:
        """Elements as the algebra's own, where NumPy made zeros and the like."""
        if isinstance(value, np.ndarray):
            value = value.astype(object) if value.dtype != object else value
            if not value.ndim:
                value = value[()]
        if dtype not in FLOATS:
            return value
        literal = self.algebra.literal
        return self.mapped(
            lambda x: literal(x) if isinstance(x, (int, float)) else x, [value]
        )
