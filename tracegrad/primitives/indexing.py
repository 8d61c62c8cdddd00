"""Integer-array indexing: ``gather`` and its dual ``scatter_add``.

Index arrays have one common shape S and count along the indexed axes; a negative index
wraps, one out of bounds raises IndexError. The result has S at ``position`` among the
axes that are not indexed. Duplicate indices read a cell twice, so their cotangents add.

>>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
>>> gather(x, np.array([1, 1, 0]), axes=(0,), position=1)
array([[3., 3., 1.],
       [4., 4., 2.]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.primitive import IndexMap, Loop, Primitive, Sample, linear
from tracegrad.ir.shapes import shape_of
from tracegrad.ir.types import ArrayType
from tracegrad.primitives.structural import Axes, Sizes, dims


def _gather(x: Any, *indices: Any, axes: Axes, position: int) -> Any:
    leading = np.moveaxis(np.asarray(x), axes, range(len(axes)))
    taken = leading[indices]
    rank = np.ndim(indices[0])
    return np.moveaxis(taken, range(rank), range(position, position + rank))


def _scatter_add(
    updates: Any, *indices: Any, axes: Axes, position: int, shape: Axes
) -> Any:
    updates = np.asarray(updates)
    out = np.zeros(shape, updates.dtype)
    leading = np.moveaxis(out, axes, range(len(axes)))
    rank = np.ndim(indices[0])
    source = np.moveaxis(updates, range(position, position + rank), range(rank))
    np.add.at(leading, indices, source)
    return out


def _infer_gather(
    x: ArrayType, *indices: ArrayType, axes: Axes, position: int
) -> ArrayType:
    rest = tuple(d for k, d in enumerate(x.shape) if k not in axes)
    return x.with_shape(rest[:position] + indices[0].shape + rest[position:])


def _infer_scatter_add(
    updates: ArrayType, *indices: ArrayType, axes: Axes, position: int, shape: Sizes
) -> ArrayType:
    return updates.with_shape(shape_of(shape))


def _example(
    shape: tuple[int, ...], *indices: object
) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    arrays = tuple(np.asarray(index, dtype=np.int64) for index in indices)
    return lambda rng: (rng.normal(size=shape), *arrays)


gather = linear(
    "gather",
    _gather,
    infer=_infer_gather,
    transpose=lambda ct, x, *indices, axes, position: scatter_add(
        ct, *indices, axes=axes, position=position, shape=dims(x)
    ),
    lower=IndexMap(),
    samples=(
        Sample((), {"axes": (0,), "position": 0}, _example((4,), [3, 0, 0, -1])),
        Sample((), {"axes": (0,), "position": 0}, _example((4,), 2)),
        Sample((), {"axes": (1,), "position": 1}, _example((3, 4), [[1, -1], [0, 1]])),
        Sample(
            (), {"axes": (0, 2), "position": 0}, _example((2, 3, 4), [1, 0], [0, 3])
        ),
        Sample((), {"axes": (0,), "position": 0}, _example((3, 2), [])),
    ),
)
scatter_add: Primitive = linear(
    "scatter_add",
    _scatter_add,
    infer=_infer_scatter_add,
    transpose=lambda ct, updates, *indices, axes, position, shape: gather(
        ct, *indices, axes=axes, position=position
    ),
    lower=Loop(),
    samples=(
        Sample(
            (),
            {"axes": (0,), "position": 0, "shape": (4,)},
            _example((3,), [3, 3, -1]),
        ),
        Sample(
            (),
            {"axes": (1,), "position": 1, "shape": (3, 4)},
            _example((3, 2), [1, -1]),
        ),
        Sample(
            (),
            {"axes": (0, 2), "position": 1, "shape": (2, 3, 4)},
            _example((3, 2), [1, 0], [0, 3]),
        ),
    ),
)
