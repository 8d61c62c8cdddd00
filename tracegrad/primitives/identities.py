"""Identities that keep every bit, applied as each equation is made.

Only structural zeros are folded: ``0.0 * x`` keeps its NaN. Identities that may change
rounding are in ``rearrange``: the primal stays bitwise the user's.

Two of them matter most. Constants fold. And an elementwise function of broadcast
operands becomes the broadcast of a smaller one, which is loop-invariant code motion
before there are loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, TypeAlias, cast

import numpy as np

from tracegrad.ir.graph import Builder, Equation, Literal, Operand, Value
from tracegrad.ir.primitive import Primitive, Scalar
from tracegrad.ir.shapes import Dim, FloorDiv, Shape
from tracegrad.ir.types import RefType, Type
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import reductions, refs, structural

Inputs: TypeAlias = tuple[Operand, ...]
Params: TypeAlias = Mapping[str, Any]
Identity: TypeAlias = Callable[[Builder, Inputs, Params], Operand | None]


def simplify_exactly(
    builder: Builder, primitive: Primitive, inputs: Inputs, params: Params
) -> Operand | None:
    """A simpler operand, equal to ``primitive[params](inputs)`` to the bit, or None."""
    if isinstance(primitive.lower, Scalar):
        folded = _fold(builder, primitive, inputs, params)
        if folded is not None:
            return folded
    identity = EXACT.get(primitive)
    found = identity(builder, inputs, params) if identity else None
    if found is not None:
        return found
    if isinstance(primitive.lower, Scalar):
        return _sink_expand(builder, primitive, inputs, params)
    return None


# --- looking at operands -----------------------------------------------------------


def dim_of(operand: Operand) -> Dim | None:
    """The size that an integer scalar is known to be, as a Dim."""
    if operand.type.ndim or operand.type.dtype != "int64":
        return None
    if isinstance(operand, Literal):
        return Dim.constant(int(operand.value))
    if operand.definition is None:
        # An integer argument is a symbol of its own name; a loop's index is not.
        if operand.graph.parent is not None or not operand.name:
            return None
        return Dim.symbol(operand.name)
    if operand.definition.primitive is cmp.size:
        return cast("Dim", operand.definition.params["dim"])
    return None


def made_by(operand: Operand, primitive: Primitive) -> Equation | None:
    """The equation that defines an operand, if it applies the primitive."""
    if isinstance(operand, Value) and operand.definition is not None:
        equation = operand.definition
        return equation if equation.primitive is primitive else None
    return None


def core(operand: Operand) -> Operand:
    """What an operand broadcasts, if it is a broadcast."""
    while (equation := made_by(operand, structural.expand)) is not None:
        operand = equation.inputs[0]
    return operand


def constant(operand: Operand) -> float | int | bool | None:
    """The number that fills an operand, if it is a constant."""
    inner = core(operand)
    return inner.value if isinstance(inner, Literal) else None


def never_zero(operand: Operand) -> bool:
    """Whether an operand is provably not zero: a constant, or made of constants."""
    inner = core(operand)
    if isinstance(inner, Literal):
        return inner.value != 0 and not math.isnan(inner.value)
    for primitive in (ew.divide, ew.multiply, ew.negative, cmp.convert):
        equation = made_by(inner, primitive)
        if equation is not None:
            return all(never_zero(x) or _is_size(x) for x in equation.inputs)
    return False


def _is_size(operand: Operand) -> bool:
    # A size may be zero, but then nothing of that size is ever multiplied.
    inner = core(operand)
    converted = made_by(inner, cmp.convert)
    if converted is not None:
        inner = converted.inputs[0]
    return made_by(inner, cmp.size) is not None


def filled(builder: Builder, value: float | int | bool, type_: Type) -> Operand:
    """A constant of a dtype and shape."""
    number = np.dtype(type_.dtype).type(value).item()
    return expand(builder, Literal(number, type_.dtype), type_.shape)


def expand(
    builder: Builder, x: Operand, shape: Shape, axes: tuple[int, ...] = ()
) -> Operand:
    """A broadcast, unless there is nothing to do."""
    if x.type.shape == shape:
        return x
    return builder.emit1(structural.expand, (x,), {"shape": shape, "axes": axes})


# --- constants and broadcasts ------------------------------------------------------


def _fold(
    builder: Builder, primitive: Primitive, inputs: Inputs, params: Params
) -> Operand | None:
    if primitive in _SIZE_ARITHMETIC:
        dims = [dim_of(x) for x in inputs]
        if all(d is not None for d in dims):
            known = cast("list[Dim]", dims)
            total = _SIZE_ARITHMETIC[primitive](*known)
            if total is not None:
                return size_value(builder, total)
    cores = [core(x) for x in inputs]
    if not cores or not all(isinstance(c, Literal) for c in cores):
        return None
    literals = cast("list[Literal]", cores)
    numbers = [np.dtype(c.dtype).type(c.value) for c in literals]
    result = primitive.infer(*(x.type for x in inputs), **params)
    with np.errstate(all="ignore"):
        value = primitive.numpy(*numbers, **params)
    folded = Literal(np.dtype(result.dtype).type(value).item(), result.dtype)
    return expand(builder, folded, result.shape)


def size_value(builder: Builder, dim: Dim) -> Operand:
    """A size of the inputs as an integer operand."""
    if dim.value is not None:
        return Literal(dim.value, "int64")
    if not dim.symbols().isdisjoint(builder.indices):
        return _computed(builder, dim)
    return builder.emit1(cmp.size, (), {"dim": dim})


def _computed(builder: Builder, dim: Dim) -> Operand:
    """A size that varies in a loop, calculated from the loop's index.

    By Horner's scheme in the innermost index that occurs, so that what is multiplied
    by it can be calculated outside of its loop.
    """
    plain = {atom for monomial, _ in dim.terms for atom in monomial}
    name = next((n for n in reversed(builder.indices) if n in plain), None)
    if name is None:
        return _of_quotients(builder, dim)
    powers: dict[int, Dim] = {}
    for monomial, coefficient in dim.terms:
        rest = tuple(atom for atom in monomial if atom != name)
        term = Dim(((rest, coefficient),))
        power = len(monomial) - len(rest)
        powers[power] = powers.get(power, Dim.constant(0)) + term
    index = builder.indices[name]
    total: Operand = Literal(0, "int64")
    for power in range(max(powers), -1, -1):
        total = _times_plus(builder, total, index, powers.get(power))
    return total


def _times_plus(
    builder: Builder, total: Operand, index: Operand, more: Dim | None
) -> Operand:
    if total == Literal(0, "int64"):
        return size_value(builder, more or Dim.constant(0))
    further = Literal(0, "int64") if more is None else size_value(builder, more)
    if total == Literal(-1, "int64") and further != Literal(0, "int64"):
        return builder.emit1(ew.subtract, (further, index))
    product = _combined(builder, ew.multiply, total, index)
    return _combined(builder, ew.add, product, further)


def _of_quotients(builder: Builder, dim: Dim) -> Operand:
    """A size in which indices occur in divisions alone."""
    times = partial(_combined, builder, ew.multiply)
    plus = partial(_combined, builder, ew.add)
    terms = []
    fixed = Dim.constant(0)
    for monomial, coefficient in dim.terms:
        quotients = [atom for atom in monomial if isinstance(atom, FloorDiv)]
        if not quotients:
            fixed = fixed + Dim(((monomial, coefficient),))
            continue
        rest = tuple(atom for atom in monomial if isinstance(atom, str))
        factors = [size_value(builder, Dim(((rest, coefficient),)))]
        for atom in quotients:
            parts = (atom.numerator, atom.denominator)
            quotient = [size_value(builder, part) for part in parts]
            factors.append(builder.emit1(ew.floor_divide, quotient))
        terms.append(reduce(times, factors))
    terms.append(size_value(builder, fixed))
    return reduce(plus, terms)


def _combined(
    builder: Builder, primitive: Primitive, a: Operand, b: Operand
) -> Operand:
    unit = 1 if primitive is ew.multiply else 0
    if isinstance(a, Literal) and a.value == unit:
        return b
    if isinstance(b, Literal) and b.value == unit:
        return a
    return builder.emit1(primitive, (a, b))


def _floor_divide(a: Dim, b: Dim) -> Dim | None:
    return None if b.value == 0 else a // b


_SIZE_ARITHMETIC: dict[Primitive, Callable[..., Dim | None]] = {
    ew.add: lambda a, b: a + b,
    ew.subtract: lambda a, b: a - b,
    ew.multiply: lambda a, b: a * b,
    ew.negative: lambda a: -a,
    ew.floor_divide: _floor_divide,
}


def _sink_expand(
    builder: Builder, primitive: Primitive, inputs: Inputs, params: Params
) -> Operand | None:
    """f(expand a, expand b) = expand f(a, b): computed once per element of a, b."""
    expands = [made_by(x, structural.expand) for x in inputs]
    if not inputs or any(e is None for e in expands):
        return None
    known = cast("list[Equation]", expands)
    large = [e for e in known if e.inputs[0].type.ndim]
    if not large:
        axes: tuple[int, ...] = ()
        small: Shape = ()
    else:
        axes, small = large[0].params["axes"], large[0].inputs[0].type.shape
        if any(
            e.params["axes"] != axes or e.inputs[0].type.shape != small for e in large
        ):
            return None
    inner = [expand(builder, e.inputs[0], small) for e in known]
    shape = inputs[0].type.shape
    return expand(builder, builder.emit1(primitive, inner, params), shape, axes)


# --- exact identities --------------------------------------------------------------


def _add_exact(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    x, y = inputs
    if x.type.dtype != "int64":
        return None  # -0.0 + 0 is 0.0
    if constant(x) == 0:
        return y
    return x if constant(y) == 0 else None


def _maximum_exact(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    for x, other in (inputs, inputs[::-1]):
        size = dim_of(x)
        if (
            constant(other) == 0
            and size is not None
            and b.assumptions.nonnegative(size)
        ):
            return x
    return None


def _multiply_exact(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    x, y = inputs
    if constant(x) == 1 and constant(x) is not True:
        return y
    return x if constant(y) == 1 and constant(y) is not True else None


def _divide_exact(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    return inputs[0] if constant(inputs[1]) == 1 else None


def _negative_exact(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    inner = made_by(inputs[0], ew.negative)
    return inner.inputs[0] if inner else None


def _select_exact(b: Builder, inputs: Inputs, _: Params) -> Operand | None:
    c, x, y = inputs
    if x == y:
        return x
    truth = constant(c)
    return None if truth is None else x if truth else y


def _convert_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    (x,) = inputs
    if x.type.dtype == params["dtype"]:
        return x
    choice = made_by(x, cmp.select)
    if choice is None or any(constant(arm) is None for arm in choice.inputs[1:]):
        return None
    condition, *arms = choice.inputs
    arms = [b.emit1(cmp.convert, (arm,), params) for arm in arms]
    return b.emit1(cmp.select, (condition, *arms))


def _expand_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    (x,) = inputs
    axes, shape = params["axes"], params["shape"]
    if x.type.shape == shape:
        return x
    inner = made_by(x, structural.expand)
    if inner is not None:
        through = tuple(axes[a] for a in inner.params["axes"])
        return expand(b, inner.inputs[0], shape, through)
    return None


def _squeeze_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    (x,) = inputs
    axes = params["axes"]
    if not axes:
        return x
    inner = made_by(x, structural.expand)
    if inner is None or set(inner.params["axes"]) & set(axes):
        return None
    kept = [k for k in range(x.type.ndim) if k not in axes]
    shape = tuple(x.type.shape[k] for k in kept)
    return expand(
        b, inner.inputs[0], shape, tuple(kept.index(a) for a in inner.params["axes"])
    )


def _transpose_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    (x,) = inputs
    perm = params["perm"]
    if perm == tuple(range(len(perm))):
        return x
    inner = made_by(x, structural.transpose)
    if inner is not None:
        joined = tuple(inner.params["perm"][p] for p in perm)
        return b.emit1(structural.transpose, inner.inputs, {"perm": joined})
    inner_constant = core(x)
    if isinstance(inner_constant, Literal):
        return expand(b, inner_constant, tuple(x.type.shape[p] for p in perm))
    return None


def _reshape_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    (x,) = inputs
    if x.type.shape == params["shape"]:
        return x
    if isinstance(core(x), Literal):
        return expand(b, core(x), params["shape"])
    inner = made_by(x, structural.reshape)
    return b.emit1(structural.reshape, inner.inputs, params) if inner else None


def _slice_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    (x,) = inputs
    starts, steps, sizes = params["starts"], params["steps"], params["sizes"]
    zero = Dim.constant(0)
    if (
        x.type.shape == sizes
        and all(s == 1 for s in steps)
        and all(Dim.of(s) == zero for s in starts)
    ):
        return x
    if isinstance(core(x), Literal):
        return expand(b, core(x), sizes)
    inner = made_by(x, structural.slice_)
    if inner is None:
        return None
    outer = zip(
        starts, steps, inner.params["starts"], inner.params["steps"], strict=True
    )
    joined = [(s0 + k0 * s, k * k0) for s, k, s0, k0 in outer]
    return b.emit1(
        structural.slice_,
        inner.inputs,
        {
            "starts": tuple(s for s, _ in joined),
            "steps": tuple(k for _, k in joined),
            "sizes": sizes,
        },
    )


def _element(b: Builder, x: Operand, index: Sequence[Operand]) -> Operand | None:
    """An element of an array whose elements their positions tell: of a basis vector."""
    if not x.type.ndim:
        return x
    made = x.definition if isinstance(x, Value) else None
    if made is None:
        return None
    primitive, params = made.primitive, made.params
    if primitive is structural.iota and params["dtype"] == "int64":
        return index[0]
    if primitive is structural.expand:
        return _element(b, made.inputs[0], [index[axis] for axis in params["axes"]])
    if primitive not in (cmp.equal, cmp.convert, cmp.bitwise_and):
        return None
    parts = []
    for operand in made.inputs:
        part = _element(b, operand, index)
        if part is None:
            return None
        parts.append(part)
    return b.emit1(primitive, parts, params)


def _load_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    """A part of a part of an array: of a row that a loop hands to a function, say."""
    base, *index = inputs
    if isinstance(base.type, RefType):
        return None
    if all(size is None for size in params["sizes"]):
        element = _element(b, base, index)
        if element is not None:
            return element
    outer = made_by(base, refs.load)
    if outer is None or isinstance(outer.inputs[0].type, RefType):
        return None
    array, *starts = outer.inputs
    rest = iter(zip(index, params["sizes"], params["steps"], strict=True))
    entries: list[tuple[Operand, Dim | None, int]] = []
    for start, size, step in zip(
        starts, outer.params["sizes"], outer.params["steps"], strict=True
    ):
        if size is None:
            entries.append((start, None, 1))
            continue
        at, own, stride = next(rest)
        moved = _combined(b, ew.multiply, at, Literal(step, "int64"))
        entries.append((_combined(b, ew.add, start, moved), own, stride * step))
    joint = {
        "sizes": tuple(size for _, size, _ in entries),
        "steps": tuple(step for _, _, step in entries),
    }
    return b.emit1(refs.load, (array, *(start for start, _, _ in entries)), joint)


def _reduce_sum_exact(b: Builder, inputs: Inputs, params: Params) -> Operand | None:
    (x,) = inputs
    axes = params["axes"]
    if not axes:
        return x
    one = Dim.constant(1)
    unit = tuple(a for a in axes if x.type.shape[a] == one)
    if not unit:
        return None
    squeezed = b.emit1(structural.squeeze, (x,), {"axes": unit})
    rest = tuple(a - sum(u < a for u in unit) for a in axes if a not in unit)
    return b.emit1(reductions.reduce_sum, (squeezed,), {"axes": rest})


EXACT: dict[Primitive, Identity] = {
    refs.load: _load_exact,
    ew.add: _add_exact,
    ew.maximum: _maximum_exact,
    ew.multiply: _multiply_exact,
    ew.divide: _divide_exact,
    ew.negative: _negative_exact,
    cmp.select: _select_exact,
    cmp.convert: _convert_exact,
    structural.expand: _expand_exact,
    structural.squeeze: _squeeze_exact,
    structural.transpose: _transpose_exact,
    structural.reshape: _reshape_exact,
    structural.slice_: _slice_exact,
    reductions.reduce_sum: _reduce_sum_exact,
}
