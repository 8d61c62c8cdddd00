"""What a tensor consists of: an array, an edge into the tape, and a version counter."""

from __future__ import annotations

from typing import Any

import numpy as np

_new = object.__new__


class Value:
    """The state of a tensor; ``Tensor`` adds what can be done with it.

    A result of rank 0 is kept as a NumPy scalar, whose arithmetic is ten times as fast
    as that of a 0-d array, until somebody needs memory to share or write to.
    """

    __slots__ = ("__weakref__", "_array", "_cell", "_edge", "_extra", "_grad")

    _array: Any  # np.ndarray, or a NumPy scalar
    _edge: Any  # None, LEAF, a node or port, or a View
    _cell: list[Any]  # the version, and the place of the last write; views share it
    _grad: Any
    _extra: dict[str, Any] | None  # hooks of a leaf and other rare things

    _result: type[Value]  # the class of what operations on it make

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        shape: tuple[int, ...] = self._array.shape
        return shape

    @property
    def dims(self) -> tuple[int, ...]:
        """The same, as rules ask for it."""
        shape: tuple[int, ...] = self._array.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its elements."""
        dtype: np.dtype[Any] = self._array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        ndim: int = self._array.ndim
        return ndim

    def _memory(self) -> np.ndarray[Any, Any]:
        """Its array, as one that can be shared and written to."""
        if not isinstance(self._array, np.ndarray):
            self._array = np.array(self._array)
        return self._array


def made(cls: Any, array: Any, edge: Any, cell: list[Any] | None = None) -> Any:
    """A tensor of a class."""
    x = _new(cls)
    x._array = array
    x._edge = edge
    x._cell = [0] if cell is None else cell
    x._grad = None
    x._extra = None
    return x
