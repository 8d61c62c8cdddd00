"""Lives: where a block uses its values for the last time, and what regions touch.

What enters are blocks of a graph; what leaves are positions: that of the equation that
is the last to use a value, itself or in its regions. A result is used after the end: it
is still needed while the other results are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.ir.types import RefType
from tracegrad.lower.roots import uniform


def last_uses(graph: Graph) -> dict[Value, int]:
    """The position of the last use of each value in a block."""
    last: dict[Value, int] = {}
    for position, equation in enumerate(graph.equations):
        for value in used(equation):
            last[value] = position
    for result in _read(graph.results):
        last[result] = len(graph.equations) + 1
    return last


def used(equation: Equation) -> Iterator[Value]:
    """The values that an equation uses, those that its regions capture too."""
    yield from _read(equation.inputs)
    yield from captured(equation.regions)


def _read(operands: Iterable[Operand]) -> Iterator[Value]:
    """Values, and the numbers that arrays among them repeat: those are read instead."""
    for operand in operands:
        number = uniform(operand)
        for read in (operand, number) if number is not operand else (operand,):
            if isinstance(read, Value):
                yield read


def captured(regions: Iterable[Graph]) -> Iterator[Value]:
    """The values that regions use, their own among them."""
    for region in regions:
        for equation in region.equations:
            yield from used(equation)
        yield from _read(region.results)


def touched(equation: Equation) -> set[Value]:
    """The Refs that an equation may change, or may give other names."""
    found: list[Operand] = list(equation.inputs)
    for region in equation.regions:
        for inner in region.walk():
            if inner.primitive.effect in ("write", "accumulate"):
                found.append(inner.inputs[0])
    return {x for x in found if isinstance(x, Value) and isinstance(x.type, RefType)}


class Pending(dict[Value, Equation]):
    """Equations that wait to be written, by the values they give.

    Attributes:
        readers: how many of them use a value.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: Counter[Value] = Counter()

    def __setitem__(self, value: Value, equation: Equation) -> None:
        if value in self:
            del self[value]
        super().__setitem__(value, equation)
        self.readers.update(set(used(equation)))

    def __delitem__(self, value: Value) -> None:
        self.readers.subtract(set(used(self[value])))
        super().__delitem__(value)
