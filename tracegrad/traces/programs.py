"""Functions that apply functions, as Python programs that are traced in their place.

Each is interpreted on behalf of the line that calls it; the function that it applies is
interpreted as any other.

    np.vectorize(f)(x)  ->  vectorized(f, x)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracegrad.errors import TracingError


def vectorized(function: Any, *args: Any) -> Any:
    """A function of numbers, applied to each element of broadcast arrays."""
    arrays = np.broadcast_arrays(*args)
    if arrays[0].ndim == 0:
        return function(*args)
    rows = [a.reshape(-1) for a in arrays]
    found = np.array([function(*row) for row in zip(*rows, strict=True)])
    if found.ndim != 1:
        raise TracingError(
            "a vectorized function doesn't return one number.",
            todo="Vectorize a function for each of its results.",
        )
    return found.reshape(arrays[0].shape)


def apply_along_axis(
    func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any
) -> Any:
    """A function of vectors, applied to those along one axis."""
    moved = np.moveaxis(np.asarray(arr), axis, -1)
    leading = moved.shape[:-1]
    rows = moved.reshape(-1, moved.shape[-1])
    found = np.array([func1d(row, *args, **kwargs) for row in rows])
    found = found.reshape((*leading, *found.shape[1:]))
    rank = found.ndim - len(leading)
    if rank == 0:
        return found
    first = axis % moved.ndim
    places = [first + k for k in range(rank)]
    return np.moveaxis(found, [k - rank for k in range(rank)], places)


def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kwargs: Any) -> Any:
    """A function given by one function, or number, for each condition."""
    if not isinstance(condlist, (list, tuple)):
        condlist = [condlist]
    conditions = [np.asarray(c) for c in condlist]
    if len(funclist) == len(conditions) + 1:
        met = conditions[0]
        for condition in conditions[1:]:
            met = met | condition
        conditions = [*conditions, ~met]
    if len(funclist) != len(conditions):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or "
            f"{len(conditions) + 1} functions are expected"
        )
    y = np.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        if callable(function):
            y[condition] = function(x[condition], *args, **kwargs)
        else:
            y[condition] = function
    return y


def accumulate(ufunc: Any, array: Any, axis: Any = 0) -> Any:
    """The results of a ufunc of two operands applied to ever more elements."""
    moved = np.moveaxis(np.asarray(array), axis, 0)
    out = moved.copy()
    for i in range(1, moved.shape[0]):
        out[i] = ufunc(out[i - 1], moved[i])
    return np.moveaxis(out, 0, axis)


# --- Numba's ------------------------------------------------------------------------


def guvectorized(
    kernel: Any, ranks: Sequence[int], arrays: Sequence[Any], outs: Sequence[Any]
) -> Any:
    """A kernel that writes its results, applied along the leading axes."""
    extra = [a.ndim - r for a, r in zip(arrays, ranks, strict=True)]
    deepest = max(extra)
    if deepest == 0:
        kernel(*[a[()] if a.ndim == 0 else a for a in arrays], *outs)
        return
    for i in range(outs[0].shape[0]):
        inner = [
            a[i] if e == deepest else a for a, e in zip(arrays, extra, strict=True)
        ]
        guvectorized(kernel, ranks, inner, [out[i] for out in outs])


def guvectorized_call(
    kernel: Any,
    inputs: Any,
    outputs: Any,
    boxed: Any,
    dtypes: Any,
    arrays: Any,
    given: Any,
) -> Any:
    """A generalised ufunc: its results are allocated if they aren't given.

    Args:
        kernel: reads arrays, or numbers, and writes to arrays.
        inputs: the names of the axes that it takes of each input.
        outputs: the same of its results.
        boxed: which inputs without axes it takes as arrays of length one.
        dtypes: those of its results.
        arrays: the inputs.
        given: arrays for the results, or none.
    """
    sizes = {}
    batch = ()
    for array, names in zip(arrays, inputs, strict=True):
        first = array.ndim - len(names)
        for k in range(len(names)):
            sizes[names[k]] = array.shape[first + k]
        if first > len(batch):
            batch = array.shape[:first]
    outs = list(given)
    if len(outs) == 0:
        for names, dtype in zip(outputs, dtypes, strict=True):
            outs.append(np.zeros((*batch, *[sizes[n] for n in names]), dtype))
    ranks = [len(names) for names in inputs]
    shown = []
    for k in range(len(arrays)):
        alone = boxed[k] and ranks[k] == 0
        shown.append(arrays[k][..., None] if alone else arrays[k])
        ranks[k] = ranks[k] + 1 if alone else ranks[k]
    cells = [
        out[..., None] if len(names) == 0 else out
        for out, names in zip(outs, outputs, strict=True)
    ]
    guvectorized(kernel, ranks, shown, cells)
    return outs[0] if len(outs) == 1 else tuple(outs)


class Relative:
    """An array as the kernel of a stencil sees it: indices count from a cell."""

    def __init__(self, array: Any, cell: tuple[Any, ...]) -> None:
        self.array = array
        self.cell = cell

    def __getitem__(self, offsets: Any) -> Any:
        offsets = offsets if isinstance(offsets, tuple) else (offsets,)
        return self.array[tuple(c + o for c, o in zip(self.cell, offsets, strict=True))]


def stencil_call(
    kernel: Any, relative: Any, around: Any, arrays: Any, out: Any, border: Any
) -> Any:
    """A stencil: cells too near the edge hold the border's value, by default 0."""
    if out is None:
        out = np.zeros(arrays[0].shape, arrays[0].dtype)
    if border is not None:
        out[:] = border
    return stencil(kernel, relative, around, arrays, out)


def stencil(
    kernel: Any, relative: Sequence[bool], around: Any, arrays: Any, out: Any
) -> Any:
    """A kernel evaluated at each cell whose neighbourhood is inside the array."""
    bounds = [
        range(-low, size - high) if high > 0 else range(-low, size)
        for (low, high), size in zip(around, arrays[0].shape, strict=True)
    ]
    if len(bounds) == 1:
        for i in bounds[0]:
            out[i] = kernel(*seen(arrays, relative, (i,)))
    elif len(bounds) == 2:
        for i in bounds[0]:
            for j in bounds[1]:
                out[i, j] = kernel(*seen(arrays, relative, (i, j)))
    elif len(bounds) == 3:
        for i in bounds[0]:
            for j in bounds[1]:
                for k in bounds[2]:
                    out[i, j, k] = kernel(*seen(arrays, relative, (i, j, k)))
    else:
        raise TracingError(
            "a stencil over more than three axes is not supported.",
            todo="Write it as loops.",
        )
    return out


def seen(arrays: Any, relative: Any, cell: Any) -> Any:
    """A stencil's arguments at a cell."""
    return [
        Relative(a, cell) if r else a for a, r in zip(arrays, relative, strict=True)
    ]


def folded(function: Any, item: Any, count: Any, start: Any) -> Any:
    """``function(... function(start, item(0)) ..., item(count - 1))``."""
    found = start
    for k in range(count):
        found = function(found, item(k))
    return found


def repeated(action: Any, count: Any) -> None:
    """An action for each of so many numbers."""
    for k in range(count):
        action(k)


def filled(item: Any, count: Any) -> Any:
    """A vector of an item for each of so many numbers."""
    out = np.empty(count)
    for k in range(count):
        out[k] = item(k)
    return out
