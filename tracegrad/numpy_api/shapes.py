"""Shapes: reshaping, reordering, adding and dropping axes, broadcasting.

>>> moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
(3, 4, 2)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.errors import ShapeError
from tracegrad.ir.shapes import (
    Dim,
    hint_of,
    same_size,
    shape_of,
    show,
    size_at_least,
    size_equals,
)
from tracegrad.numpy_api.arguments import (
    astype,
    axes_of,
    axis_of,
    count_of,
    is_traced,
    number_of,
    rank_of,
    recorded,
    refuse,
    sizes_of,
    traced_in,
)
from tracegrad.numpy_api.creation import asarray
from tracegrad.primitives import structural
from tracegrad.primitives.structural import Axes, Size, Sizes, dims

# --- reshape -----------------------------------------------------------------------


def reshape(a: Any, shape: Any, order: str = "C") -> Any:
    """The same elements in another shape; one size may be -1."""
    _only_c_order("reshape", rank_of(a), order)
    sizes = list(sizes_of(shape))
    unknown = [k for k, size in enumerate(sizes) if size == -1]
    if len(unknown) > 1:
        raise ValueError("can only specify one unknown dimension")
    if unknown:
        total = count_of(dims(a))
        known = count_of([size for size in sizes if size != -1])
        sizes[unknown[0]] = _quotient(total, known)
    if isinstance(a, (float, int)):
        a = np.asarray(a)
    return structural.reshape(a, shape=tuple(sizes))


def _quotient(total: Size, known: Size) -> Size:
    exact = Dim.of(total).divide(Dim.of(known))
    if exact is None and not size_at_least(known, 1):
        raise ShapeError("cannot reshape an array of size 0 with an unknown dimension.")
    quotient = Dim.of(total) // Dim.of(known) if exact is None else exact
    return quotient if quotient.value is None else quotient.value


def _only_c_order(name: str, rank: int, order: str | None) -> None:
    """Refuse an order that isn't row-major, or that depends on how memory is laid out.

    What has one axis is row-major however it lies in memory.
    """
    known = ("C", None) if rank > 1 else ("C", "A", "K", None)
    if order not in known:
        raise refuse(
            f"{name} with order={order!r} is not supported.",
            "Transpose first: only row-major order, order='C', is known.",
        )


def ravel(a: Any, order: str = "C") -> Any:
    """All elements on one axis."""
    _only_c_order("ravel", rank_of(a), order)
    return structural.reshape(a, shape=(count_of(dims(a)),))


# --- order of axes -----------------------------------------------------------------


def transpose(a: Any, axes: Any = None) -> Any:
    """Axes permuted; reversed by default."""
    rank = rank_of(a)
    if axes is None:
        perm = tuple(reversed(range(rank)))
    else:
        perm = tuple(axis_of(axis, rank) for axis in axes)
        if sorted(perm) != list(range(rank)):
            raise ValueError("axes don't match array")
    return a if rank < 2 else structural.transpose(a, perm=perm)


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    perm = list(range(rank_of(a)))
    first, second = axis_of(axis1, len(perm)), axis_of(axis2, len(perm))
    perm[first], perm[second] = perm[second], perm[first]
    return transpose(a, perm)


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other positions, the rest in order."""
    rank = rank_of(a)
    origins = [axis_of(s, rank) for s in _several(source)]
    targets = [axis_of(d, rank) for d in _several(destination)]
    if len(origins) != len(targets):
        raise ValueError(
            "`source` and `destination` arguments must have the same number of elements"
        )
    perm = [k for k in range(rank) if k not in origins]
    for target, origin in sorted(zip(targets, origins, strict=True)):
        perm.insert(target, origin)
    return transpose(a, perm)


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """An axis rolled back until it lies before ``start``."""
    rank = rank_of(a)
    origin = axis_of(axis, rank)
    target = start + rank if start < 0 else start
    return moveaxis(a, origin, target - 1 if origin < target else target)


def _several(axis: Any) -> tuple[Any, ...]:
    return tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)


# --- adding and dropping axes ------------------------------------------------------


def expand_dims(a: Any, axis: Any) -> Any:
    """New axes of length one at positions of the result."""
    several = _several(axis)
    rank = rank_of(a) + len(several)
    new = {axis_of(k, rank) for k in several}
    if len(new) < len(several):
        raise ValueError("repeated axis")
    return with_new_axes(a, tuple(sorted(new)))


def with_new_axes(a: Any, new: Axes) -> Any:
    """New axes of length one, at sorted positions of the result."""
    rank = rank_of(a) + len(new)
    kept = tuple(k for k in range(rank) if k not in new)
    own = iter(dims(a))
    shape = tuple(1 if k in new else next(own) for k in range(rank))
    return structural.expand(a, shape=shape, axes=kept) if new else a


def squeeze(a: Any, axis: Any = None) -> Any:
    """Without axes of length one."""
    if axis is None:
        axes = tuple(k for k, d in enumerate(dims(a)) if size_equals(d, 1))
    else:
        axes = axes_of(axis, rank_of(a))
        if not all(size_equals(dims(a)[k], 1) for k in axes):
            raise ValueError(
                "cannot select an axis to squeeze out which has size not equal to one"
            )
    return structural.squeeze(a, axes=axes) if axes else a


def _at_least(rank: int, promoted: Callable[[Any, int], Any]) -> Callable[..., Any]:
    def atleast(*arys: Any) -> Any:
        found = tuple(
            promoted(a, rank_of(a)) if rank_of(a) < rank else a
            for a in map(asarray, arys)
        )
        return found[0] if len(found) == 1 else found

    return atleast


def _as_3d(a: Any, rank: int) -> Any:
    return with_new_axes(a, ((0, 1, 2), (0, 2), (2,))[rank])


atleast_1d = _at_least(1, lambda a, rank: with_new_axes(a, (0,)))
atleast_2d = _at_least(2, lambda a, rank: with_new_axes(a, tuple(range(2 - rank))))
atleast_3d = _at_least(3, _as_3d)

# --- broadcasting ------------------------------------------------------------------


def broadcast_shapes(*shapes: Sizes) -> Sizes:
    """The common shape: trailing axes align, axes of length one stretch."""
    rank = max((len(shape) for shape in shapes), default=0)
    joined: list[Size] = [1] * rank
    for shape in shapes:
        for k, size in enumerate(shape, start=rank - len(shape)):
            fits = _joined(joined[k], size)
            if fits is None:
                raise ShapeError(
                    "shapes could not be broadcast together: "
                    + " and ".join(show(shape_of(s)) for s in shapes)
                )
            joined[k] = fits
    return tuple(joined)


def _joined(a: Size, b: Size) -> Size | None:
    if Dim.of(a) == Dim.of(b) or Dim.of(b).value == 1:
        return a
    if Dim.of(a).value == 1:
        return b
    if same_size(a, b):
        return a
    # A length that only happens to be one stretches too, under a guard.
    if hint_of(b) == 1 and size_equals(b, 1):
        return a
    return b if hint_of(a) == 1 and size_equals(a, 1) else None


def broadcast_to(array: Any, shape: Any) -> Any:
    """Stretched to a shape."""
    target = sizes_of(shape)
    own = dims(array)
    offset = len(target) - len(own)
    if offset < 0:
        raise _no_broadcast(own, target)
    stretched = []
    for k, (size, wanted) in enumerate(zip(own, target[offset:], strict=True)):
        if Dim.of(size) == Dim.of(wanted):
            continue
        if Dim.of(size).value == 1 or not same_size(size, wanted):
            if not (hint_of(size) == 1 and size_equals(size, 1)):
                raise _no_broadcast(own, target)
            stretched.append(k)
    if stretched:
        array = structural.squeeze(array, axes=tuple(stretched))
    axes = tuple(offset + k for k in range(len(own)) if k not in stretched)
    return structural.expand(array, shape=target, axes=axes)


def _no_broadcast(own: Sizes, target: Sizes) -> ShapeError:
    return ShapeError(
        f"an array of shape {show(shape_of(own))} can't be broadcast to "
        f"{show(shape_of(target))}."
    )


def broadcast_arrays(*args: Any) -> Any:
    """All stretched to their common shape."""
    like = traced_in(args)
    arrays = [_recorded(like, asarray(a)) for a in args]
    shape = broadcast_shapes(*(dims(a) for a in arrays))
    return tuple(broadcast_to(a, shape) for a in arrays)


def _recorded(like: Any, array: Any) -> Any:
    """A plain array or number recorded where ``like`` is, so that it can stretch."""
    if like is None or is_traced(array):
        return array
    if rank_of(array):
        return recorded(like, array)
    return structural.constant(like, array[()], array.dtype)


def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False) -> Any:
    """Coordinate arrays of a grid from the coordinates of its axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    rank = len(xi)
    arrays = [
        with_new_axes(ravel(x), tuple(j for j in range(rank) if j != k))
        for k, x in enumerate(map(asarray, xi))
    ]
    if indexing == "xy" and rank > 1:
        arrays = [swapaxes(a, 0, 1) for a in arrays]
    return tuple(arrays) if sparse else broadcast_arrays(*arrays)


# --- asking and copying ------------------------------------------------------------


def shape(a: Any) -> Any:
    """The sizes, as numbers to calculate with."""
    return tuple(number_of(a, d) for d in dims(a))


def size(a: Any, axis: Any = None) -> Any:
    """The number of elements, or of those along an axis."""
    own = dims(a)
    if axis is not None:
        return number_of(a, own[axis_of(axis, len(own))])
    return number_of(a, count_of(own))


def copy(a: Any) -> Any:
    """The same values: traced values are never changed, so they are their own copy."""
    return a if is_traced(a) else np.copy(a)


def as_dtype(a: Any, dtype: Any) -> Any:
    """With elements converted to a dtype."""
    return astype(a, dtype)


def _reshape_method(a: Any, *shape: Any, order: str = "C") -> Any:
    return reshape(a, shape[0] if len(shape) == 1 else shape, order)


def _transpose_method(a: Any, *axes: Any) -> Any:
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        return transpose(a, axes[0])
    return transpose(a, axes or None)


NUMPY: dict[Any, Callable[..., Any]] = {
    np.reshape: reshape,
    np.ravel: ravel,
    np.transpose: transpose,
    np.swapaxes: swapaxes,
    np.moveaxis: moveaxis,
    np.rollaxis: rollaxis,
    np.expand_dims: expand_dims,
    np.squeeze: squeeze,
    np.atleast_1d: atleast_1d,
    np.atleast_2d: atleast_2d,
    np.atleast_3d: atleast_3d,
    np.broadcast_to: broadcast_to,
    np.broadcast_arrays: broadcast_arrays,
    np.meshgrid: meshgrid,
    np.shape: shape,
    np.size: size,
    np.ndim: rank_of,
    np.copy: copy,
}
METHODS: dict[str, Callable[..., Any]] = {
    "reshape": _reshape_method,
    "transpose": _transpose_method,
    "ravel": ravel,
    "flatten": ravel,
    "swapaxes": swapaxes,
    "squeeze": squeeze,
    "copy": copy,
    "astype": as_dtype,
}
