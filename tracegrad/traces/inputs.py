"""The inputs of a graph: what is traced of an argument, and how it enters the graph.

An array's sizes are symbols called ``x.shape[0]``; a length of one is the constant 1,
so that what broadcasts is known. An integer is a symbol of its own name. Whatever is
assumed of a size is guarded.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from tracegrad.errors import ArgumentError, DTypeError
from tracegrad.ir.graph import Builder, Graph, Value
from tracegrad.ir.shapes import Assumptions, Dim
from tracegrad.ir.types import DTYPES, NARROW, ArrayType, DType
from tracegrad.traces.tracer import Tracer, size_tracer

_NAMES = {np.dtype(name): cast("DType", name) for name in DTYPES | NARROW}
_STATIC = (bool, np.bool_, str, bytes, type(None))


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is known of one leaf of the arguments before tracing.

    Attributes:
        name: a valid identifier, unique among the leaves.
        dtype: of the array or number; None for a static object.
        shape: the example's sizes.
        weak: whether it is a Python number.
        value: the object, if static; the hint, if an integer.
    """

    name: str
    dtype: DType | None
    shape: tuple[int, ...] = ()
    weak: bool = False
    value: Any = None

    @property
    def traced(self) -> bool:
        """Whether it becomes a parameter of the graph."""
        return self.dtype is not None

    @property
    def key(self) -> tuple[Any, ...]:
        """What a specialisation depends on."""
        if self.dtype is None:
            by_value = isinstance(self.value, _STATIC)
            return (type(self.value), self.value if by_value else id(self.value))
        return (self.dtype, self.weak, tuple(n == 1 for n in self.shape))


def describe(value: Any, name: str) -> Leaf:
    """The leaf that an argument is.

    Raises:
        DTypeError: for arrays and numbers of a dtype that kernels don't have.
        ArgumentError: for containers of data that are no NumPy arrays.
    """
    if isinstance(value, _STATIC):
        return Leaf(name, None, value=value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _describe_array(value, name)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise _unsupported("int of more than 64 bits", name)
        return Leaf(name, "int64", weak=True, value=value)
    if isinstance(value, float):
        return Leaf(name, "float64", weak=True)
    if isinstance(value, complex):
        raise _unsupported("complex128", name)
    if hasattr(value, "__array__") and not isinstance(value, type):
        raise ArgumentError(
            f"argument {name} is a {type(value).__name__}, not a NumPy array.",
            todo="Pass its values as a NumPy array.",
        )
    return Leaf(name, None, value=value)


def _describe_array(value: Any, name: str) -> Leaf:
    if isinstance(value, (np.matrix, np.ma.MaskedArray)):
        raise ArgumentError(
            f"argument {name} is a {type(value).__name__}, whose arithmetic differs.",
            todo="Pass a plain array: np.asarray(...).",
        )
    dtype = value.dtype
    known = _NAMES.get(dtype) or _NAMES.get(dtype.newbyteorder("="))
    if known is None or (known in NARROW and not value.shape):
        raise _unsupported(dtype.name, name)
    hint = int(value) if dtype.kind == "i" and not value.shape else None
    return Leaf(name, known, value.shape, value=hint)


def _unsupported(dtype: str, name: str) -> DTypeError:
    return DTypeError(
        f"{name} has dtype {dtype}, which is not supported.",
        todo="Use float64, float32, int64, int32 or bool.",
    )


def add_input(graph: Graph, assumptions: Assumptions, leaf: Leaf) -> Value:
    """A new parameter of a graph, its sizes symbols as far as they aren't known."""
    assert leaf.dtype is not None
    shape = []
    for axis, size in enumerate(leaf.shape):
        symbol = f"{leaf.name}.shape[{axis}]"
        assumptions.hints[symbol] = size
        if size == 1:
            assumptions.known[symbol] = Dim.constant(1)
        shape.append(_resolve(assumptions, symbol))
    if not leaf.shape and leaf.dtype == "int64":
        assumptions.hints[leaf.name] = leaf.value
        assumptions.signed.add(leaf.name)
        _resolve(assumptions, leaf.name)
    return graph.add_param(ArrayType(leaf.dtype, tuple(shape)), leaf.name)


def input_tracer(builder: Builder, graph: Graph, leaf: Leaf) -> Any:
    """A new parameter of a graph as Python code sees it: a tracer, or a known int."""
    value = add_input(graph, builder.assumptions, leaf)
    if not leaf.shape and leaf.dtype == "int64":
        known = builder.assumptions.known.get(leaf.name)
        if known is not None and leaf.weak:
            return size_tracer(builder, known)
    return Tracer(builder, value, leaf.weak)


def _resolve(assumptions: Assumptions, symbol: str) -> Dim:
    """The symbol, or what it was found to equal: then under a guard."""
    own = Dim.symbol(symbol)
    known = assumptions.known.get(symbol)
    if known is None:
        return own
    assumptions.assume(own, "==", known)
    return known


def identifier(text: str, taken: Iterable[str] = ()) -> str:
    """A valid name that says ``text`` and is not taken."""
    name = re.sub(r"\W", "_", text) or "_"
    if name[0].isdigit() or keyword.iskeyword(name):
        name = f"_{name}"
    unique, k = name, 2
    while unique in taken:
        unique, k = f"{name}_{k}", k + 1
    return unique
