"""What a call of a kernel from Python looks like, for its native entry.

A function's parameters with the kind of object that each one takes; which of them the
kernel gets; what else must be as it was; and what is returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from codegen.loop_ir import DType


@dataclass(frozen=True, slots=True)
class Number:
    """A number of exactly this type: float, int, or a NumPy scalar."""

    dtype: DType
    type: type


@dataclass(frozen=True, slots=True)
class Contiguous:
    """An array; one that isn't contiguous and aligned is copied. Rank 0 is a number."""

    dtype: DType
    rank: int


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """This very object."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Nest:
    """A tuple, list or dict of exactly this type and length.

    keys: of a dict's parts; None for a sequence.
    """

    type: type
    keys: tuple[Any, ...] | None
    parts: tuple[Kind, ...]


Kind: TypeAlias = Number | Contiguous | Same | Nest
NOTHING: Any = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of the function that users call.

    name: by which it may be passed; None if only its position counts.
    default: what it is if it isn't passed.
    keyword: whether it can't be passed by position.
    """

    name: str | None
    kind: Kind
    default: Any = NOTHING
    keyword: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """What is read at each call: an item, a cell's contents, an attribute, a code.

    kind: it must be the same object as in the example, or an array for the kernel.
    """

    place: Literal["item", "cell", "attribute", "code"]
    owner: Any
    key: Any
    kind: Kind


@dataclass(frozen=True, slots=True)
class Returned:
    """A scalar that the kernel returns, by its position among them."""

    position: int
    type: type | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """An array that the kernel fills, by its position among them."""

    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """A new tuple, list or dict of results.

    keys: of a dict's items; None for a sequence.
    """

    type: type
    keys: tuple[Any, ...] | None
    items: tuple[Result, ...]


Result: TypeAlias = Returned | Filled | Same | Display


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a kernel.

    arguments: in the order of the function's parameters; keyword ones last.
    inputs: which of their leaves the kernel takes, in its order; the leaves are counted
        in the order of the arguments and of their parts.
    outside: what else must hold; its arrays are the kernel's last inputs.
    result: what is returned.
    out: the array that may be given as ``out=``.
    """

    arguments: tuple[Argument, ...]
    inputs: tuple[int, ...]
    outside: tuple[Outside, ...]
    result: Result
    out: Filled | None = None


class Unsupported(Exception):
    """A kernel, call or interpreter for which there is no native entry."""


@dataclass(frozen=True, slots=True)
class MachineCode:
    """A compiled function: ``i32 (result *, error **, parameters...)``.

    parameters: their LLVM types, pointers all alike.
    results: the dtypes of the scalars, one behind the other in ``result``.
    """

    address: int
    parameters: tuple[str, ...]
    results: tuple[str, ...]
