"""Structural primitives: they move elements and compute nothing, so all are linear.

Dual operations stand side by side: ``expand`` and a sum, ``slice`` and ``pad``. A
shape parameter holds Dims while tracing and ints when NumPy evaluates.

>>> x = np.array([1.0, 2.0, 3.0])
>>> slice_(x, starts=(2,), steps=(-2,), sizes=(2,))
array([3., 1.])
>>> pad(x, starts=(1,), steps=(1,), shape=(5,))
array([0., 1., 2., 3., 0.])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any, TypeAlias

import numpy as np

from tracegrad.errors import ShapeError
from tracegrad.ir.graph import Literal
from tracegrad.ir.primitive import (
    IndexMap,
    Linear,
    Primitive,
    Reduction,
    Sample,
    linear,
)
from tracegrad.ir.shapes import Dim, product, same_size, shape_of, show
from tracegrad.ir.types import ArrayType, DType, dtype_of

Size: TypeAlias = Dim | int
Sizes: TypeAlias = tuple[Size, ...]
Axes: TypeAlias = tuple[int, ...]

# --- what rules ask about their arguments ------------------------------------------


def dims(x: Any) -> Sizes:
    """The shape of anything: ints of an array, Dims of a tracer, () of a number."""
    shape: Sizes | None = getattr(x, "dims", None)
    return np.shape(x) if shape is None else shape


def others(x: Any, axes: Axes) -> Axes:
    """The axes of ``x`` that are not in ``axes``."""
    return tuple(k for k in range(len(dims(x))) if k not in axes)


def constant(like: Any, value: Any, dtype: Any = None) -> Any:
    """A number of a dtype (by default that of ``like``), recorded where ``like`` is.

    NumPy evaluates a primitive whose operands are all plain numbers; a rule or function
    that makes an array of a symbolic shape needs an operand that belongs to the trace.
    """
    kind: np.dtype[Any] = np.dtype(_dtype(like) if dtype is None else dtype)
    if kind == np.dtype(object):  # symbols
        return value
    number = kind.type(value)
    builder = getattr(like, "builder", None)
    if builder is None:
        return number
    return like.of(builder, Literal(number.item(), dtype_of(kind)))


def filled(like: Any, value: Any, shape: Sizes, dtype: Any = None) -> Any:
    """An array of one number, recorded where ``like`` is."""
    return expand(constant(like, value, dtype), shape=shape, axes=())


def counting(like: Any, size: Size, dtype: DType = "int64") -> Any:
    """0, 1, …, size - 1, recorded where ``like`` is."""
    builder = getattr(like, "builder", None)
    if builder is None:
        return iota(size=size, dtype=dtype)
    params = {"size": Dim.of(size), "dtype": dtype}
    return like.of(builder, builder.emit1(iota, (), params))


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


# --- expand and its duals: a sum, and for unit axes squeeze --------------------------


def _expand(x: Any, *, shape: tuple[int, ...], axes: Axes) -> Any:
    x = np.asarray(x)
    if not x.ndim and shape:  # as broadcast_to gives it, but in a tenth of the time
        out: Any = np.ndarray(shape, x.dtype, x, strides=(0,) * len(shape))
        out.flags.writeable = False
        return out
    unit = x[tuple(slice(None) if k in axes else None for k in range(len(shape)))]
    # Only a stretched array is read-only: its elements share memory.
    return unit if unit.shape == shape else np.broadcast_to(unit, shape)


def _infer_expand(x: ArrayType, *, shape: Sizes, axes: Axes) -> ArrayType:
    return x.with_shape(shape_of(shape))


def _transpose_expand(ct: Any, x: Any, *, shape: Sizes, axes: Axes) -> Any:
    return sum_over(ct, others(ct, axes))


def _infer_reduce(x: ArrayType, *, axes: Axes) -> ArrayType:
    return x.with_shape(tuple(d for k, d in enumerate(x.shape) if k not in axes))


def _reduce_sum(x: Any, *, axes: Axes) -> Any:
    x = np.asarray(x)
    return np.add.reduce(x, axis=axes, dtype=x.dtype)


def sum_over(x: Any, axes: Axes) -> Any:
    """The sum over axes, of which there may be none."""
    return reduce_sum(x, axes=axes) if axes else x


expand = linear(
    "expand",
    _expand,
    infer=_infer_expand,
    transpose=_transpose_expand,
    lower=IndexMap(),
    samples=(
        Sample(((),), {"shape": (2, 3), "axes": ()}),
        Sample(((3,),), {"shape": (2, 3, 4), "axes": (1,)}),
        Sample(((2, 3),), {"shape": (2, 1, 3), "axes": (0, 2)}),
        Sample(((0,),), {"shape": (0, 3), "axes": (0,)}),
    ),
)
reduce_sum = linear(
    "reduce_sum",
    _reduce_sum,
    infer=_infer_reduce,
    transpose=lambda ct, x, *, axes: expand(ct, shape=dims(x), axes=others(x, axes)),
    lower=Reduction("add"),
    samples=(
        Sample(((4,),), {"axes": (0,)}),
        Sample(((2, 3, 4),), {"axes": (0, 2)}),
        Sample(((3, 0),), {"axes": (1,)}),
        Sample(((0, 3),), {"axes": (0, 1)}),
    ),
)
squeeze = linear(
    "squeeze",
    lambda x, *, axes: np.squeeze(x, axis=axes),
    infer=_infer_reduce,
    transpose=lambda ct, x, *, axes: expand(ct, shape=dims(x), axes=others(x, axes)),
    lower=IndexMap(),
    samples=(
        Sample(((1, 3),), {"axes": (0,)}),
        Sample(((1, 3, 1),), {"axes": (0, 2)}),
        Sample(((0, 1),), {"axes": (1,)}),
    ),
)

# --- transpose and reshape ---------------------------------------------------------


def _infer_transpose(x: ArrayType, *, perm: Axes) -> ArrayType:
    return x.with_shape(tuple(x.shape[k] for k in perm))


def _infer_reshape(x: ArrayType, *, shape: Sizes) -> ArrayType:
    target = shape_of(shape)
    if not same_size(product(x.shape), product(target)):
        raise ShapeError(
            f"cannot reshape an array of shape {show(x.shape)} into {show(target)}."
        )
    return x.with_shape(target)


transpose: Primitive = linear(
    "transpose",
    lambda x, *, perm: np.transpose(x, perm),
    infer=_infer_transpose,
    transpose=lambda ct, x, *, perm: transpose(
        ct, perm=tuple(perm.index(k) for k in range(len(perm)))
    ),
    lower=IndexMap(),
    samples=(
        Sample(((2, 3),), {"perm": (1, 0)}),
        Sample(((2, 3, 4),), {"perm": (2, 0, 1)}),
        Sample(((0, 3),), {"perm": (1, 0)}),
    ),
)
reshape: Primitive = linear(
    "reshape",
    lambda x, *, shape: np.reshape(x, shape),
    infer=_infer_reshape,
    transpose=lambda ct, x, *, shape: reshape(ct, shape=dims(x)),
    lower=IndexMap(),
    samples=(
        Sample(((2, 6),), {"shape": (3, 4)}),
        Sample(((4,),), {"shape": (2, 2)}),
        Sample(((),), {"shape": (1,)}),
        Sample(((0, 3),), {"shape": (0,)}),
    ),
)

# --- slice and pad: the windows of an array ----------------------------------------


def _window(starts: Axes, steps: Axes, sizes: Axes) -> tuple[slice, ...]:
    """The Python slices that take ``size`` elements from ``start`` by ``step``."""
    found = []
    for start, step, size in zip(starts, steps, sizes, strict=True):
        stop = start + step * size
        empty = size == 0
        found.append(
            slice(0, 0) if empty else slice(start, None if stop < 0 else stop, step)
        )
    return tuple(found)


def _slice(x: Any, *, starts: Axes, steps: Axes, sizes: Axes) -> Any:
    return np.asarray(x)[_window(starts, steps, sizes)]


def _pad(x: Any, *, starts: Axes, steps: Axes, shape: Axes) -> Any:
    x = np.asarray(x)
    out = np.zeros(shape, x.dtype)
    out[_window(starts, steps, x.shape)] = x
    return out


def _infer_slice(x: ArrayType, *, starts: Sizes, steps: Axes, sizes: Sizes) -> Any:
    return x.with_shape(shape_of(sizes))


def _infer_pad(x: ArrayType, *, starts: Sizes, steps: Axes, shape: Sizes) -> Any:
    return x.with_shape(shape_of(shape))


slice_ = linear(
    "slice",
    _slice,
    infer=_infer_slice,
    transpose=lambda ct, x, *, starts, steps, sizes: pad(
        ct, starts=starts, steps=steps, shape=dims(x)
    ),
    lower=IndexMap(),
    samples=(
        Sample(((5,),), {"starts": (1,), "steps": (1,), "sizes": (3,)}),
        Sample(((5,),), {"starts": (4,), "steps": (-2,), "sizes": (3,)}),
        Sample(((5,),), {"starts": (5,), "steps": (1,), "sizes": (0,)}),
        Sample(((4, 5),), {"starts": (0, 1), "steps": (2, 2), "sizes": (2, 2)}),
    ),
)
pad: Primitive = linear(
    "pad",
    _pad,
    infer=_infer_pad,
    transpose=lambda ct, x, *, starts, steps, shape: slice_(
        ct, starts=starts, steps=steps, sizes=dims(x)
    ),
    lower=IndexMap(),
    samples=(
        Sample(((3,),), {"starts": (1,), "steps": (1,), "shape": (5,)}),
        Sample(((3,),), {"starts": (4,), "steps": (-2,), "shape": (5,)}),
        Sample(((0,),), {"starts": (0,), "steps": (1,), "shape": (2,)}),
        Sample(((2, 2),), {"starts": (0, 1), "steps": (2, 2), "shape": (4, 5)}),
    ),
)

# --- concatenate -------------------------------------------------------------------


def _infer_concatenate(*xs: ArrayType, axis: int) -> ArrayType:
    first = xs[0]
    for x in xs[1:]:
        fits = x.ndim == first.ndim and all(
            k == axis or same_size(a, b)
            for k, (a, b) in enumerate(zip(first.shape, x.shape, strict=False))
        )
        if not fits:
            raise ShapeError(
                f"arrays of shapes {show(first.shape)} and {show(x.shape)} can't be "
                f"concatenated along axis {axis}."
            )
    total = sum((x.shape[axis] for x in xs), start=Dim.constant(0))
    shape = tuple(total if k == axis else d for k, d in enumerate(first.shape))
    return first.with_shape(shape)


def _part(k: int, ct: Any, *xs: Any, axis: int) -> Any:
    """The window of a joined cotangent that belongs to operand k."""
    start: Size = 0
    for x in xs[:k]:
        start = start + dims(x)[axis]
    shape = dims(xs[k])
    starts = tuple(start if j == axis else 0 for j in range(len(shape)))
    return slice_(ct, starts=starts, steps=(1,) * len(shape), sizes=shape)


class _EveryOperand(Mapping[int, Callable[..., Any]]):
    """The same rule for operand 0, 1, 2, …: for a primitive of any number of them."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self._rule = rule

    def __getitem__(self, position: int) -> Callable[..., Any]:
        return partial(self._rule, position)

    def __contains__(self, position: object) -> bool:
        return isinstance(position, int)

    def __iter__(self) -> Iterator[int]:
        return count()

    def __len__(self) -> int:
        raise TypeError("this primitive takes any number of operands")


concatenate = Primitive(
    "concatenate",
    lambda *xs, axis: np.concatenate(xs, axis),
    _infer_concatenate,
    rule=Linear(_EveryOperand(_part), joint=True),
    lower=IndexMap(),
    operands="joint",
    samples=(
        Sample(((2,), (3,)), {"axis": 0}),
        Sample(((2, 2), (2, 1), (2, 0)), {"axis": 1}),
        Sample(((3,),), {"axis": 0}),
    ),
)

# --- iota --------------------------------------------------------------------------


def _infer_iota(*, size: Size, dtype: DType) -> ArrayType:
    return ArrayType(dtype, (Dim.of(size),))


iota = Primitive(
    "iota",
    lambda *, size, dtype: np.arange(size, dtype=dtype),
    _infer_iota,
    lower=IndexMap(),
    samples=(Sample((), {"size": 4, "dtype": "int64"}),),
)
