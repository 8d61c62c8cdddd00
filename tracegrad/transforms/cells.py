"""Cells of arrays: emitting reads, writes and accumulations, and naming the places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracegrad.ir.graph import Builder, Equation, Literal, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import ArrayType, Type
from tracegrad.primitives import refs, storage
from tracegrad.primitives.identities import filled


@dataclass(frozen=True, slots=True)
class Place:
    """Some cells of an array: what ``load``, ``store`` and ``accumulate`` index."""

    base: Operand
    index: tuple[Operand, ...]
    sizes: tuple[Dim | int | None, ...]
    steps: tuple[int, ...]

    @property
    def params(self) -> Mapping[str, Any]:
        """The static part of the index."""
        return {"sizes": self.sizes, "steps": self.steps}

    def of(self, base: Operand) -> Place:
        """The same cells of another array."""
        return Place(base, self.index, self.sizes, self.steps)


def place_of(equation: Equation) -> Place | None:
    """The cells that an equation reads, writes or adds to."""
    skipped = {refs.load: 1, refs.store: 2, refs.accumulate: 2}.get(equation.primitive)
    if skipped is None:
        return None
    return Place(
        equation.inputs[0],
        equation.inputs[skipped:],
        equation.params["sizes"],
        equation.params["steps"],
    )


def whole(base: Operand) -> Place:
    """All the cells of an array."""
    shape = base.type.shape
    zero = Literal(0, "int64")
    return Place(base, (zero,) * len(shape), shape, (1,) * len(shape))


def load(builder: Builder, place: Place) -> Operand:
    """What is there now."""
    return builder.emit1(refs.load, (place.base, *place.index), place.params)


def store(builder: Builder, place: Place, value: Operand) -> None:
    """Overwrite it."""
    builder.emit(refs.store, (place.base, value, *place.index), place.params)


def accumulate(builder: Builder, place: Place, value: Operand) -> None:
    """Add to it."""
    builder.emit(refs.accumulate, (place.base, value, *place.index), place.params)


def zeros(builder: Builder, like: Operand, name: str | None) -> Operand:
    """A new Ref of zeros, for the derivatives of an array or Ref."""
    made = like.definition if isinstance(like, Value) else None
    if made is not None and made.primitive is storage.reserve:
        params = {**made.params, "fill": 0.0}
        ref = builder.emit1(storage.reserve, made.inputs, params)
    else:
        params = {"shape": like.type.shape, "dtype": like.type.dtype, "fill": 0.0}
        ref = builder.emit1(refs.alloc, (), params)
    return named(ref, name)


def zero(builder: Builder, type_: Type) -> Operand:
    """A zero of a type: of what an array or Ref holds, all of it."""
    return filled(builder, 0, ArrayType(type_.dtype, type_.shape))


def grows(ref: Operand) -> bool:
    """Whether a Ref is storage that grows."""
    made = ref.definition if isinstance(ref, Value) else None
    return (
        made is not None
        and made.primitive is storage.reserve
        and bool(made.params["grows"])
    )


def named(operand: Operand, name: str | None) -> Operand:
    """The operand, called so unless it has a name."""
    if isinstance(operand, Value) and operand.name is None:
        operand.name = name
    return operand
