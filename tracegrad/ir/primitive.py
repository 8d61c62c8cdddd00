"""Primitives: frozen records that say everything tracegrad knows about an operation.

A primitive is called like a function. The type of its arguments decides what happens:
NumPy arrays compute, tracers record an equation, tape tensors do both, symbols prove.
An argument's class takes part by defining ``__tracegrad_apply__``.

>>> import numpy as np
>>> cube = elementwise(
...     lambda x: x * x * x, "cube", source="x * x * x", sympy="x**3",
...     partials=lambda out, x: (3.0 * x * x,), domain=((-2.0, 2.0),))
>>> cube(2.0), cube.name
(8.0, 'cube')
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tracegrad.ir.types import ArrayType, DType

# --- how a primitive is differentiated ---------------------------------------------


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Scalar function applied to every element of operands of one shape.

    partials: ``(out, *operands) -> one entry per operand``, its derivative with respect
        to that operand, or None where that is zero. Ordinary arithmetic on the table's
        own functions.
    singular: operands whose partial may be non-finite: a cotangent of exactly zero
        contributes exactly zero there.
    chooses: operands that may have no say, as those of a maximum: one whose partial is
        exactly zero contributes exactly zero, whatever its (co)tangent is.
    """

    partials: Callable[..., tuple[Any, ...]] | None
    singular: tuple[int, ...] = ()
    chooses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear in the operands listed; other operands (indices, masks) are constants.

    transposes: for each linear operand position, ``(cotangent, *operands, **params) ->
        the cotangent of that operand``; of a linear operand only shape and dtype may
        be used. One entry: a linear map. Several: a multilinear one, and then the
        other linear operands' values may be used.
    joint: linear in all listed operands *together* (concatenate), not one at a time.
    """

    transposes: Mapping[int, Callable[..., Any]]
    joint: bool = False


@dataclass(frozen=True, slots=True)
class General:
    """Anything else: both rules are stated.

    jvp: ``(primals, tangents, outs, **params) -> tangents of the outputs``, where an
        absent tangent is None.
    vjp: ``(cotangents, primals, outs, **params) -> cotangents of the operands``, None
        where there is none; an absent cotangent is None.
    """

    jvp: Callable[..., Any]
    vjp: Callable[..., Any]


Rule: TypeAlias = Elementwise | Linear | General

# --- how a primitive is lowered to loops -------------------------------------------


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar expression in Python syntax over the operands' names."""

    source: str
    names: tuple[str, ...]
    cost: int = 1


@dataclass(frozen=True, slots=True)
class IndexMap:
    """No computation: element ``index`` of the result is an element of the operand."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """Combines the elements along params["axes"]."""

    combine: Literal["add", "multiply", "maximum", "minimum", "or", "and"]


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of its own kind, which lowering knows by the primitive's name."""


@dataclass(frozen=True, slots=True)
class Library:
    """A call of a dense routine of codegen's loop IR."""

    routine: str


@dataclass(frozen=True, slots=True)
class Composite:
    """Replaced before lowering by other primitives: ``(*operands, **params)``.

    Differentiation still sees the primitive, so that its own rule holds.
    """

    expand: Callable[..., Any]


Lowering: TypeAlias = Scalar | IndexMap | Reduction | Loop | Library | Composite

Effect: TypeAlias = Literal["pure", "read", "write", "accumulate", "allocate", "check"]
Operands: TypeAlias = Literal[
    "any", "joint", "number", "float", "integer", "bool", "mask"
]
Result: TypeAlias = Literal["same", "bool"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One call for the table sweep: shapes (or arrays) of the operands, and params.

    make: ``(rng) -> operands`` where random normal arrays of ``shapes`` won't do.
    """

    shapes: tuple[tuple[int, ...], ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    make: Callable[[Any], tuple[Any, ...]] | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Primitive:
    """One operation: its value, type, derivative, lowering, proof and conventions.

    Attributes:
        name: unique in the table; printed in graphs.
        numpy: the value, from NumPy arrays and scalars.
        infer: the type of the result (or a tuple of types) from those of the operands.
        rule: how it is differentiated; None where it has no derivative (zero).
        lower: how it becomes loops; None for control flow and effects.
        sympy: the same function as a SymPy expression over the operands' names, kept as
            text because importing SymPy is slow; None where there is none.
        operands: what dtypes it takes, jointly promoted; "joint" takes all, "number"
            makes booleans integers, "any" keeps each operand as it is, "mask" has a
            boolean first and numbers of one dtype after it.
        domain: for elementwise primitives, an open interval per operand to sample from.
        samples: for others, example calls.
        kink: the convention where the derivative jumps or is infinite, in words.
        effect: what it does to Refs, or that it may raise.
        refuses: why it has no derivative, where using one would be silently wrong.
    """

    name: str
    numpy: Callable[..., Any]
    infer: Callable[..., Any]
    rule: Rule | None = None
    lower: Lowering | None = None
    sympy: str | None = None
    operands: Operands = "any"
    domain: tuple[tuple[float, float], ...] = ()
    samples: tuple[Sample, ...] = ()
    kink: str = ""
    effect: Effect = "pure"
    refuses: str = ""

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Apply it: compute, record or prove, as the operands' types decide."""
        handler = None
        rank = -1.0
        for operand in operands:
            candidate = getattr(type(operand), "__tracegrad_apply__", None)
            if candidate is not None and candidate.rank > rank:
                handler, rank = candidate, candidate.rank
        if handler is None:
            return self.numpy(*operands, **params)
        return handler(self, operands, params)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(f"primitive {self.name} is part of the table: import it.")


# --- constructors ------------------------------------------------------------------


def elementwise(
    numpy: Callable[..., Any],
    name: str | None = None,
    *,
    source: str,
    sympy: str | None,
    partials: Callable[..., tuple[Any, ...]] | None,
    domain: tuple[tuple[float, float], ...] = (),
    singular: tuple[int, ...] = (),
    chooses: tuple[int, ...] = (),
    cost: int = 1,
    operands: Operands = "float",
    result: Result = "same",
    kink: str = "",
    refuses: str = "",
) -> Primitive:
    """A scalar function applied elementwise; types and both derivatives follow.

    source's free names, in the order of ``partials``' operands (or of first use), are
    the operands: ``"1.0 if x > y else 0.0"``.
    """
    names = _operand_names(partials, source)

    def infer(*types: ArrayType) -> ArrayType:
        return types[-1].with_dtype("bool" if result == "bool" else types[-1].dtype)

    return Primitive(
        name or numpy.__name__,
        numpy,
        infer,
        rule=None
        if partials is None and not refuses
        else Elementwise(partials, singular, chooses),
        lower=Scalar(source, names, cost),
        sympy=sympy,
        operands=operands,
        domain=domain,
        kink=kink,
        refuses=refuses,
    )


def _operand_names(partials: Callable[..., Any] | None, source: str) -> tuple[str, ...]:
    """The operands in order: as the partials take them, else c, x, y, z as used."""
    if partials is not None:
        return tuple(inspect.signature(partials).parameters)[1:]
    used = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
    return tuple(name for name in "cxyz" if name in used)


def linear(
    name: str,
    numpy: Callable[..., Any],
    *,
    infer: Callable[..., Any],
    transpose: Callable[..., Any],
    lower: Lowering,
    samples: tuple[Sample, ...] = (),
    sympy: str | None = None,
) -> Primitive:
    """Linear in its first operand: its tangent is itself, its adjoint ``transpose``."""
    rule = Linear({0: transpose})
    return Primitive(name, numpy, infer, rule, lower, samples=samples, sympy=sympy)


def multilinear(
    name: str,
    numpy: Callable[..., Any],
    *,
    infer: Callable[..., Any],
    transposes: Mapping[int, Callable[..., Any]],
    lower: Lowering,
    samples: tuple[Sample, ...] = (),
    operands: Operands = "any",
) -> Primitive:
    """Linear in each listed operand while the others stand still."""
    rule = Linear(dict(transposes))
    return Primitive(
        name, numpy, infer, rule, lower, samples=samples, operands=operands
    )


def general(
    name: str,
    numpy: Callable[..., Any],
    *,
    infer: Callable[..., Any],
    jvp: Callable[..., Any],
    vjp: Callable[..., Any],
    lower: Lowering,
    samples: tuple[Sample, ...] = (),
    kink: str = "",
    operands: Operands = "any",
) -> Primitive:
    """Neither elementwise nor linear: both derivative rules are stated."""
    return Primitive(
        name,
        numpy,
        infer,
        General(jvp, vjp),
        lower,
        samples=samples,
        kink=kink,
        operands=operands,
    )


def collect(*modules: Any) -> dict[str, Primitive]:
    """The table: every primitive found in the modules, by name.

    Raises:
        ValueError: if two different primitives have one name.
    """
    table: dict[str, Primitive] = {}
    for module in modules:
        for value in vars(module).values():
            if not isinstance(value, Primitive):
                continue
            if table.setdefault(value.name, value) is not value:
                raise ValueError(f"two primitives are called {value.name!r}")
    return table


__all__ = [
    "Composite",
    "DType",
    "Elementwise",
    "General",
    "IndexMap",
    "Library",
    "Linear",
    "Loop",
    "Lowering",
    "Primitive",
    "Reduction",
    "Sample",
    "Scalar",
    "collect",
    "elementwise",
    "general",
    "linear",
    "multilinear",
]
