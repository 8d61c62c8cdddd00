"""Where an array is read: indices as affine functions of loop variables.

An array value is a function from an index to a scalar. What enters is a value and an
index into it; what leaves is the operand and the index that the same element comes
from, followed through expands, slices, transposes and the like.

>>> row = Affine(level=0, step=1, offset=Dim.constant(0))
>>> shift(row, Dim.constant(3), -2)
3 - 2*v0
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from tracegrad.ir.graph import Equation, Operand, Value
from tracegrad.ir.shapes import Dim, Shape
from tracegrad.primitives import elementwise
from tracegrad.primitives.identities import constant, made_by

ZERO = Dim.constant(0)
ONE = Dim.constant(1)


@dataclass(frozen=True, slots=True)
class Affine:
    """``step * v + offset``, v the variable of the loop at ``level``."""

    level: int
    step: int
    offset: Dim

    def __repr__(self) -> str:
        sign = "-" if self.step < 0 else "+"
        factor = "" if abs(self.step) == 1 else f"{abs(self.step)}*"
        return f"{self.offset} {sign} {factor}v{self.level}"


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same element in every iteration."""

    offset: Dim


@dataclass(frozen=True, slots=True)
class Gathered:
    """An element of an index array; a negative one counts from the end of ``size``.

    used: the part of the array that the program looks positions up in.
    """

    source: Operand
    at: tuple[Index, ...]
    size: Dim
    used: Operand = field(compare=False)


Index: TypeAlias = Affine | Fixed | Gathered
Indices: TypeAlias = tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Iterations ``start <= v < end`` of a loop, outside of which a pad is zero.

    inside: the window is known to lie within the loop.
    """

    level: int
    start: Dim
    end: Dim
    inside: bool = False


def variable(level: int) -> Affine:
    """The plain loop variable."""
    return Affine(level, 1, ZERO)


def identity(rank: int) -> Indices:
    """Axis k is loop k."""
    return tuple(variable(level) for level in range(rank))


def shift(index: Index, start: Dim, step: int) -> Index:
    """``start + step * index``."""
    match index:
        case Affine(level, own, offset):
            return Affine(level, own * step, offset * step + start)
        case Fixed(offset):
            return Fixed(offset * step + start)
        case Gathered() if start == ZERO and step == 1:
            return index
        case _:
            raise ValueError("a gathered index can't be shifted")


def depth(indices: Indices) -> int:
    """How many loops must be open for the element to be known."""
    return max((_depth(index) for index in indices), default=0)


def _depth(index: Index) -> int:
    match index:
        case Affine(level=level):
            return level + 1
        case Gathered(at=at):
            return depth(at)
        case Fixed():
            return 0


def gathers(indices: Indices) -> Iterator[Gathered]:
    """The gathered ones."""
    return (index for index in indices if isinstance(index, Gathered))


def is_map(equation: Equation | None) -> bool:
    """Whether an equation only renames indices (pads, which select, are not)."""
    return equation is not None and (
        equation.primitive.name in ("expand", "squeeze", "transpose", "slice", "gather")
        or unit_reshape(equation)
    )


def unit_reshape(equation: Equation) -> bool:
    """Whether a reshape only adds or drops axes of length one."""
    if equation.primitive.name != "reshape":
        return False
    before, after = equation.inputs[0].type.shape, equation.outputs[0].type.shape
    return _long(before) == _long(after)


def _long(shape: Shape) -> list[Dim]:
    return [size for size in shape if size != ONE]


def pull(equation: Equation, index: Indices) -> tuple[Operand, Indices]:
    """The element of its operand that an index map takes."""
    operand, params = equation.inputs[0], equation.params
    match equation.primitive.name:
        case "expand":
            return operand, tuple(index[axis] for axis in params["axes"])
        case "squeeze":
            rest = iter(index)
            rank = len(operand.type.shape)
            dropped = params["axes"]
            return operand, tuple(
                Fixed(ZERO) if axis in dropped else next(rest) for axis in range(rank)
            )
        case "transpose":
            perm = params["perm"]
            return operand, tuple(index[perm.index(k)] for k in range(len(perm)))
        case "slice":
            windows = zip(index, params["starts"], params["steps"], strict=True)
            return operand, tuple(
                shift(own, Dim.of(start), step) for own, start, step in windows
            )
        case "gather":
            return operand, _gather(equation, index)
        case _:
            return operand, _unit_axes(equation, index)


def _gather(equation: Equation, index: Indices) -> Indices:
    source, *arrays = equation.inputs
    axes, position = equation.params["axes"], equation.params["position"]
    count = len(arrays[0].type.shape)
    at = index[position : position + count]
    rest = iter(index[:position] + index[position + count :])
    taken = dict(zip(axes, arrays, strict=True))
    result: list[Index] = []
    for axis, size in enumerate(source.type.shape):
        if axis in taken:
            result.append(element(taken[axis], at, size))
        else:
            result.append(next(rest))
    return tuple(result)


def element(array: Operand, at: Indices, size: Dim) -> Index:
    """The index that an index array holds; counting up needs no array."""
    operand, at = _unmapped(array, at)
    counter, start = operand, 0
    place = at
    while (terms := _plus_constant(counter)) is not None:
        start += terms[1]
        counter, place = _unmapped(terms[0], place)
    if isinstance(counter, Value) and counter.definition is not None:
        made = counter.definition
        if made.primitive.name == "iota":
            room = (size - start - Dim.of(made.params["size"])).value
            if start >= 0 and room is not None and room >= 0:
                return shift(place[0], Dim.constant(start), 1)
    return Gathered(operand, at, size, _part_used(array))


def _part_used(array: Operand) -> Operand:
    """What an index array is made of without leaving any of its elements out."""
    while isinstance(array, Value) and is_map(array.definition):
        assert array.definition is not None
        if array.definition.primitive.name in ("slice", "gather"):
            break
        array = array.definition.inputs[0]
    return array


def _unmapped(operand: Operand, at: Indices) -> tuple[Operand, Indices]:
    """An element followed to where no index map renames it."""
    while isinstance(operand, Value) and is_map(operand.definition):
        assert operand.definition is not None
        if operand.definition.primitive.name == "gather":
            break
        operand, at = pull(operand.definition, at)
    return operand, at


def _plus_constant(operand: Operand) -> tuple[Operand, int] | None:
    """The terms of a sum of integers and a constant."""
    made = made_by(operand, elementwise.add)
    if made is None:
        return None
    for term, other in (made.inputs, made.inputs[::-1]):
        number = constant(other)
        if isinstance(number, int):
            return term, number
    return None


def _unit_axes(equation: Equation, index: Indices) -> Indices:
    pairs = zip(equation.outputs[0].type.shape, index, strict=True)
    rest = iter([own for size, own in pairs if size != ONE])
    return tuple(
        Fixed(ZERO) if size == ONE else next(rest)
        for size in equation.inputs[0].type.shape
    )


def pull_pad(equation: Equation, index: Indices) -> tuple[Indices, tuple[int, ...]]:
    """The operand's index, and the axes on which it may fall outside."""
    params = equation.params
    inner: list[Index] = []
    partial: list[int] = []
    sizes = equation.inputs[0].type.shape
    for axis, (own, start, step) in enumerate(
        zip(index, params["starts"], params["steps"], strict=True)
    ):
        inner.append(shift(own, -Dim.of(start) * step, step))
        if sizes[axis] != equation.outputs[0].type.shape[axis]:
            partial.append(axis)
    return tuple(inner), tuple(partial)


def window(inner: Index, size: Dim, whole: bool) -> Window | None:
    """For which iterations ``0 <= inner < size``, if that is one range."""
    match inner:
        case Affine(level, 1, offset):
            return Window(level, -offset, size - offset, whole)
        case Affine(level, -1, offset):
            return Window(level, offset - size + 1, offset + 1, whole)
        case _:
            return None
