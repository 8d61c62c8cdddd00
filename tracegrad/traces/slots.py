"""What a name holds, as values of a graph: for what branches give and loops carry.

A value is a nest of leaves. A number or array takes a *slot* of a type; anything else
must be the same object on every path. Types are joined as NumPy would promote them:
what starts as the integer 0 and then has floats added is a float; Python's numbers stay
Python's, and take the dtype of what they meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracegrad import pytree
from tracegrad.ir.graph import Literal, Operand, Value
from tracegrad.ir.shapes import same_size, shape_of, show
from tracegrad.ir.types import DTYPES, ArrayType, DType, dtype_of, scalar
from tracegrad.primitives import structural
from tracegrad.primitives.identities import filled
from tracegrad.traces.memory import Memory
from tracegrad.traces.stale import Frozen, shared_by
from tracegrad.traces.tracer import Tracer, convert, dtype_name, lift, result_dtype
from tracegrad.traces.unsized import Unsized
from tracegrad.traces.words import Words

_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True)
class Slot:
    """A number or array that differs from path to path: its type."""

    type: ArrayType
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Same:
    """An object that is the same on every path."""

    value: Any


Kind: TypeAlias = Slot | Same


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of a nest."""

    kinds: tuple[Kind, ...]
    tree: pytree.Tree

    @property
    def types(self) -> list[ArrayType]:
        """Of the values that it takes."""
        return [kind.type for kind in self.kinds if isinstance(kind, Slot)]


class Mismatch(Exception):
    """Two values that can't be one. Says why, with {name} for the name's place.

    widens: whether one is a number and the other an array.
    """

    def __init__(self, why: str, todo: str, *, widens: bool = False) -> None:
        self.why = why
        self.todo = todo
        self.widens = widens
        super().__init__(why)


def is_number(leaf: Any) -> bool:
    """Whether a leaf is a number that a graph can hold."""
    if isinstance(leaf, Tracer):
        return not leaf.ndim
    if isinstance(leaf, int) and not isinstance(leaf, bool):
        return bool(_INT64.min <= leaf <= _INT64.max)
    if isinstance(leaf, np.generic):
        return leaf.dtype.name in DTYPES
    return isinstance(leaf, (bool, float))


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array that a graph can hold."""
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.name in DTYPES
    return isinstance(leaf, Tracer) and bool(leaf.ndim)


def same_object(a: Any, b: Any) -> bool:
    """Whether two leaves are one object, or equal constants of one type."""
    if a is b:
        return True
    if isinstance(a, (Tracer, np.ndarray, Words)) or type(a) is not type(b):
        return False
    if isinstance(a, float):
        return Literal(a, "float64") == Literal(b, "float64")
    return isinstance(a, (bool, int, str, bytes, np.generic)) and bool(a == b)


# --- joining -----------------------------------------------------------------------


def joined(values: Sequence[Any]) -> Layout:
    """The layout that takes any of several values.

    Raises:
        Mismatch: if there is none.
    """
    flat = [pytree.flatten(value) for value in values]
    tree = flat[0][1]
    if any(other != tree for _, other in flat):
        raise _different([leaves[0] if leaves else None for leaves, _ in flat])
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    return Layout(tuple(_kind(column) for column in columns), tree)


def widened(layout: Layout, value: Any) -> Layout:
    """The layout that takes what a layout takes, and another value too.

    Raises:
        Mismatch: if there is none.
    """
    leaves, tree = pytree.flatten(value)
    if tree != layout.tree:
        raise _different(leaves[:1])
    pairs = zip(layout.kinds, leaves, strict=True)
    return Layout(tuple(_widened(kind, leaf) for kind, leaf in pairs), tree)


def layout_of(value: Any) -> Layout:
    """The layout of one value, with a slot for every number: a loop may change it."""
    leaves, tree = pytree.flatten(value)
    return Layout(tuple(_slot([x]) if is_number(x) else Same(x) for x in leaves), tree)


def slotted(value: Any) -> Layout:
    """The layout of one value, with a slot for all that a graph can hold."""
    leaves, tree = pytree.flatten(value)
    held = [_slot([x]) if is_number(x) or is_array(x) else Same(x) for x in leaves]
    return Layout(tuple(held), tree)


def held(value: Any) -> Layout:
    """The layout of one value, with a slot for all that is traced."""
    leaves, tree = pytree.flatten(value)
    kinds = (_slot([x]) if isinstance(x, Tracer) else Same(x) for x in leaves)
    return Layout(tuple(kinds), tree)


def _kind(leaves: Sequence[Any]) -> Kind:
    if all(same_object(leaves[0], leaf) for leaf in leaves[1:]):
        return Same(leaves[0])
    return _slot(leaves)


def _widened(kind: Kind, leaf: Any) -> Kind:
    if isinstance(kind, Same):
        return _kind([kind.value, leaf])
    return _slot([leaf], kind)


def _slot(leaves: Sequence[Any], known: Slot | None = None) -> Slot:
    if all(map(is_number, leaves)) and (known is None or not known.type.ndim):
        stand_ins = [_stand_in(dtype_name(x), _is_weak(x)) for x in leaves]
        if known is not None:
            stand_ins.append(_stand_in(known.type.dtype, known.weak))
        weak = all(not isinstance(x, np.generic) for x in stand_ins)
        return Slot(scalar(result_dtype(stand_ins)), weak)
    if all(map(is_array, leaves)) and (known is None or known.type.ndim):
        types = [_array_type(x) for x in leaves]
        return _array_slot(types if known is None else [known.type, *types])
    error = _different(leaves)
    error.widens = all(map(is_array, leaves)) and known is not None
    raise error


def _array_slot(types: Sequence[ArrayType]) -> Slot:
    first = types[0]
    for other in types[1:]:
        fits = other.ndim == first.ndim and all(
            same_size(a, b) for a, b in zip(first.shape, other.shape, strict=True)
        )
        if not fits:
            raise Mismatch(
                f"{{name}} has shape {show(first.shape)} on one path and "
                f"{show(other.shape)} on another.",
                "Give it the same shape whichever way the program goes.",
            )
    names = [np.dtype(t.dtype).type(0) for t in types]
    return Slot(first.with_dtype(result_dtype(names)))


def _array_type(array: Any) -> ArrayType:
    if isinstance(array, Tracer):
        return array.type
    return ArrayType(dtype_of(array.dtype), shape_of(array.shape))


def _is_weak(leaf: Any) -> bool:
    return leaf.weak if isinstance(leaf, Tracer) else not isinstance(leaf, np.generic)


def _stand_in(dtype: DType, weak: bool) -> Any:
    number = np.dtype(dtype).type(0)
    return number.item() if weak else number


def _different(leaves: Sequence[Any]) -> Mismatch:
    kinds = sorted({_called(leaf) for leaf in leaves})
    return Mismatch(
        "{name} is a different object after a branch or loop that is decided at run "
        f"time ({', '.join(kinds)}).",
        "Give it a number or an array of one shape on every path, and before the loop.",
    )


def _called(leaf: Any) -> str:
    if is_number(leaf):
        return "a number"
    if isinstance(leaf, Unsized):
        return "a selection or slice of unknown length"
    return "an array" if is_array(leaf) else f"a {type(leaf).__name__}"


# --- from values to operands, and back ----------------------------------------------


def operands(memory: Memory, layout: Layout, value: Any) -> Iterator[Operand]:
    """What goes into the slots for a value, emitted here."""
    for kind, leaf in zip(layout.kinds, pytree.leaves(value), strict=True):
        if isinstance(kind, Slot):
            yield _fitted(memory, leaf, kind.type)


def _fitted(memory: Memory, leaf: Any, type_: ArrayType) -> Operand:
    builder = memory.builder
    operand = convert(builder, lift(builder, leaf), type_.dtype)
    if operand.type != type_:  # equal under a guard; equal the second time
        operand = builder.emit1(structural.reshape, (operand,), {"shape": type_.shape})
    return operand


def check_settled(memory: Memory, layout: Layout) -> None:
    """Refuse shapes that have no meaning outside of a loop.

    Raises:
        Mismatch: if there is one.
    """
    for type_ in layout.types:
        if any(memory.bounds.is_foreign(d) for d in type_.shape):
            raise Mismatch(
                "{name} has another shape in each iteration of a loop.",
                "Use it inside the loop only.",
            )


def zeros(memory: Memory, layout: Layout) -> Iterator[Operand]:
    """What goes into the slots where there is no value."""
    check_settled(memory, layout)
    for type_ in layout.types:
        yield filled(memory.builder, 0, type_)


def rebuilt(
    memory: Memory, layout: Layout, found: Iterator[Operand], sources: Sequence[Any]
) -> Any:
    """The nest with what came out of its slots.

    sources: values that went in, whose arrays the result may share elements with.
    """
    flat = [pytree.leaves(source) for source in sources]
    leaves = []
    for k, kind in enumerate(layout.kinds):
        if isinstance(kind, Same):
            leaves.append(kind.value)
        elif not kind.type.ndim:
            leaves.append(Tracer(memory.builder, next(found), kind.weak))
        else:
            shared = shared_by(memory, *(column[k] for column in flat))
            leaves.append(Frozen(memory, next(found), shared))
    return pytree.unflatten(layout.tree, leaves)


def name_slots(layout: Layout, name: str, values: Sequence[Operand]) -> None:
    """Call what comes out of slots as the user does."""
    for value in values:
        if isinstance(value, Value) and value.name is None and name.isidentifier():
            value.name = name


__all__ = [
    "Layout",
    "Mismatch",
    "Same",
    "Slot",
    "held",
    "joined",
    "layout_of",
    "name_slots",
    "operands",
    "rebuilt",
    "slotted",
    "widened",
    "zeros",
]
