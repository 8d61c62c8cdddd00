"""Evaluate a graph with NumPy, equation by equation: the reference semantics.

Compiled kernels, derivatives and proofs are all compared with this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.ir.graph import Equation, Graph, Literal, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.primitives.control import cond, for_, indices, while_

Watch = Callable[[Equation, list[Any], list[Any]], list[Any]]


def evaluate(
    graph: Graph, arguments: Sequence[Any], watch: Watch | None = None
) -> list[Any]:
    """The results of a graph on NumPy arrays and numbers, one per parameter.

    watch: is shown each equation after it was evaluated, with its inputs and results,
        and says what to take for the results.
    """
    known: dict[Value, Any] = {}
    for param, argument in zip(graph.params, arguments, strict=True):
        known[param] = np.asarray(argument, dtype=param.type.dtype)[()]
    return _Run(known, sizes_of(graph, arguments), watch).block(graph)


class _Run:
    """The values and sizes known so far."""

    def __init__(
        self,
        known: dict[Value, Any],
        sizes: Mapping[str, int],
        watch: Watch | None = None,
    ) -> None:
        self._known = known
        self._watch = watch
        self._sizes = dict(sizes)  # and, in a loop, its index

    def read(self, operand: Operand) -> Any:
        if isinstance(operand, Literal):
            return np.dtype(operand.dtype).type(operand.value)
        return self._known[operand]

    def block(self, graph: Graph) -> list[Any]:
        for equation in graph.equations:
            results = self.equation(equation)
            if self._watch is not None:
                inputs = [self.read(x) for x in equation.inputs]
                results = self._watch(equation, inputs, results)
            for output, value in zip(equation.outputs, results, strict=True):
                self._known[output] = value
        return [self.read(result) for result in graph.results]

    def equation(self, equation: Equation) -> list[Any]:
        primitive = equation.primitive
        inputs = [self.read(x) for x in equation.inputs]
        params = {k: concretise(v, self._sizes) for k, v in equation.params.items()}
        if primitive is for_:
            return self._for(equation.regions[0], inputs, **params)
        if primitive is while_:
            return self._while(equation, inputs)
        if primitive is cond:
            return self.block(equation.regions[0 if inputs[0] else 1])
        with np.errstate(all="ignore"):
            result = primitive.numpy(*inputs, **params)
        if primitive.effect != "pure":  # a Ref is the array itself, never a copy
            return [result] if equation.outputs else []
        results = result if len(equation.outputs) > 1 else (result,)
        types = (o.type.dtype for o in equation.outputs)
        return [
            np.asarray(value, dtype=dtype)[()]
            for value, dtype in zip(results, types, strict=True)
        ]

    def region(self, region: Graph, arguments: Sequence[Any]) -> list[Any]:
        self._known.update(zip(region.params, arguments, strict=True))
        return self.block(region)

    def _for(
        self,
        body: Graph,
        inputs: list[Any],
        *,
        step: int,
        reversed: bool,
        stops: bool,
        snapshots: int = 0,
    ) -> list[Any]:
        lo, hi, *carried = inputs
        trips = 0
        for index in indices(int(lo), int(hi), step, reversed):
            self._sizes[str(body.params[0].name)] = index
            carried = self.region(body, [index, *carried])
            trips += 1
            if stops and carried.pop(0):
                break
        return [*carried, np.int64(trips)]

    def _while(self, equation: Equation, carried: list[Any]) -> list[Any]:
        condition, body = equation.regions
        trips = 0
        while self.region(condition, [trips, *carried])[0]:
            self._sizes[str(body.params[0].name)] = trips
            carried = self.region(body, [trips, *carried])
            trips += 1
        return [*carried, np.int64(trips)]


def sizes_of(graph: Graph, arguments: Sequence[Any]) -> dict[str, int]:
    """The symbols' values: sizes of array arguments, and integer arguments."""
    sizes: dict[str, int] = {}
    for param, argument in zip(graph.params, arguments, strict=True):
        for axis, number in enumerate(np.shape(argument)):
            sizes[f"{param.name}.shape[{axis}]"] = int(number)
        if not param.type.ndim and param.type.dtype == "int64" and param.name:
            sizes[param.name] = int(argument)
    return sizes


def concretise(param: Any, sizes: Mapping[str, int]) -> Any:
    """A static parameter with its symbolic sizes replaced by numbers."""
    if isinstance(param, Dim):
        return param.evaluate(sizes)
    if isinstance(param, tuple):
        return tuple(concretise(p, sizes) for p in param)
    return param
