"""PyTorch's functions that reshape, reorder, join, split and select.

>>> from tracegrad.tape.creation import tensor
>>> permute(tensor([[1.0, 2.0, 3.0]]), (1, 0)).shape
torch.Size([3, 1])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracegrad.numpy_api import linalg as npl
from tracegrad.numpy_api import rearranging as npa
from tracegrad.numpy_api import shapes as nps
from tracegrad.numpy_api.arguments import axis_of
from tracegrad.numpy_api.einsum import einsum as _einsum
from tracegrad.numpy_api.indexing import getitem, take_along_axis
from tracegrad.numpy_api.reductions import argsort
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import structural
from tracegrad.tape.functions import Extremes, _plain, named
from tracegrad.tape.operators import linear
from tracegrad.tape.parts import basic, part
from tracegrad.tape.record import View, detached, value_of
from tracegrad.tape.value import Value, made

_reshape, _part = linear(structural.reshape), linear(part)


def _sizes(shape: Sequence[Any]) -> tuple[int, ...]:
    """Sizes given one by one or as a sequence."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    return tuple(int(n) for n in shape)


def viewed(title: str, out: Any, input: Any) -> Any:
    """A view with a node of a name, also where the view is of everything."""
    if out is input:
        out = nps.reshape(input, input.dims)
    return named(title, out)


def copied(title: str, out: Any) -> Any:
    """A result with memory of its own, where NumPy's would be a view."""
    if type(out._edge) is View:
        out = cmp.convert(out, dtype=str(out.dtype))
    return named(title, out)


def reshape(input: Any, *shape: Any) -> Any:
    """The same elements in another shape; one size may be -1."""
    sizes, total = _sizes(shape), int(input._array.size)
    if -1 in sizes:
        known = -math.prod(sizes)
        if known <= 0 or total % known:
            raise _invalid(sizes, total)
        sizes = tuple(total // known if n == -1 else n for n in sizes)
    if math.prod(sizes) != total:
        raise _invalid(sizes, total)
    return _reshape(input, shape=sizes)


def _invalid(sizes: tuple[int, ...], total: int) -> RuntimeError:
    return RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {total}")


def view(input: Any, *shape: Any) -> Any:
    """The same memory in another shape."""
    if len(shape) == 1 and isinstance(shape[0], (np.dtype, type)):
        raise RuntimeError("view with a dtype is not supported: use .to(dtype)")
    return reshape(input, *shape)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Axes from one to another as one."""
    if not input.ndim:
        return reshape(input, 1)
    start, end = axis_of(start_dim, input.ndim), axis_of(end_dim, input.ndim)
    shape = tuple(input.shape)
    count = int(np.prod(shape[start : end + 1]))
    return reshape(input, *shape[:start], count, *shape[end + 1 :])


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without axes of length one; a given axis of another length stays."""
    if dim is None:
        return viewed("Squeeze", nps.squeeze(input), input)
    several = dim if isinstance(dim, (tuple, list)) else (dim,)
    places = [axis_of(d, input.ndim) for d in several] if input.ndim else []
    axes = tuple(sorted(k for k in places if input.shape[k] == 1))
    out = structural.squeeze(input, axes=axes) if axes else input
    return viewed("Squeeze", out, input)


def unsqueeze(input: Any, dim: int) -> Any:
    """With an axis of length one more."""
    return named("Unsqueeze", nps.expand_dims(input, dim))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes exchanged."""
    return viewed("Transpose", nps.swapaxes(input, dim0, dim1), input)


def t(input: Any) -> Any:
    """The transpose of a matrix."""
    return viewed("T", nps.transpose(input), input)


def permute(input: Any, *dims: Any) -> Any:
    """The axes in another order."""
    return viewed("Permute", nps.transpose(input, _sizes(dims)), input)


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other positions."""
    return viewed("Permute", nps.moveaxis(input, source, destination), input)


def expand(input: Any, *sizes: Any) -> Any:
    """Stretched to a shape; -1 leaves a size as it is."""
    target = list(_sizes(sizes))
    offset = len(target) - input.ndim
    for k, n in enumerate(target):
        if n == -1:
            target[k] = input.shape[k - offset]
    return viewed("Expand", nps.broadcast_to(input, tuple(target)), input)


def broadcast_to(input: Any, size: Any) -> Any:
    """Stretched to a shape."""
    return expand(input, size)


def expand_as(input: Any, other: Any) -> Any:
    """Stretched to the shape of another tensor."""
    return expand(input, tuple(other.shape))


def repeat(input: Any, *sizes: Any) -> Any:
    """Copies of it along each axis."""
    return copied("Repeat", npa.tile(input, _sizes(sizes)))


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Joined along an axis."""
    if not tensors:
        raise RuntimeError("expected a non-empty list of tensors")
    if any(x.ndim != 1 for x in tensors):  # an empty vector goes with everything
        tensors = [x for x in tensors if tuple(x.dims) != (0,)]
    return structural.concatenate(*tensors, axis=axis_of(dim, tensors[0].ndim))


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Joined along a new axis."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty list of tensors")
    return named("Stack", npa.stack(list(tensors), dim))


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts of a size, or of several sizes, along an axis."""
    total = tensor.shape[axis_of(dim, tensor.ndim)]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        sizes = [min(step, total - k) for k in range(0, total, step)]
    else:
        sizes = list(split_size_or_sections)
    if sum(sizes) != total:
        raise RuntimeError(f"split sizes {sizes} don't sum up to {total}")
    starts = np.cumsum([0, *sizes])
    return tuple(
        _many(narrow(tensor, dim, int(a), n))
        for a, n in zip(starts, sizes, strict=False)
    )


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """A number of parts along an axis."""
    total = input.shape[axis_of(dim, input.ndim)]
    return split(input, -(-total // chunks), dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along an axis."""
    place = axis_of(dim, input.ndim)
    return tuple(_many(select(input, place, k)) for k in range(input.shape[place]))


def _many(view: Any) -> Any:
    """One of several views made at once, which must not be modified."""
    if view._edge is not None:
        view._edge.bound = "many"
    return view


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """A window of an axis."""
    index: list[Any] = [slice(None)] * input.ndim
    place = axis_of(dim, input.ndim)
    if start + length > input.dims[place]:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size "
            f"({input.dims[place]})."
        )
    index[place] = slice(start, start + length)
    return named("Slice", _part(input, index=(*index, ...)))


def select(input: Any, dim: int, index: int) -> Any:
    """One position of an axis, which disappears."""
    place = axis_of(dim, input.ndim)
    return subscript(input, (slice(None),) * place + (index,))


def subscript(input: Any, index: Any) -> Any:
    """``input[index]``."""
    single = type(index) is int or (
        type(index) is tuple and any(type(k) is int for k in index)
    )
    key = plain(index)
    place = basic(key)
    out = getitem(input, key) if place is None else _part(input, index=place)
    return viewed("Select" if single else "Slice", out, input)


def plain(index: Any) -> Any:
    """An index with arrays in the place of tensors."""
    if isinstance(index, Value):
        array = value_of(index, "an index")
        return array if array.ndim else array[()].item()
    if isinstance(index, tuple):
        return tuple(map(plain, index))
    if isinstance(index, list) and any(isinstance(k, Value) for k in index):
        return np.asarray([plain(k) for k in index])
    return index


def index_select(input: Any, dim: int, index: Any) -> Any:
    """Positions of an axis, given by a vector."""
    place = axis_of(dim, input.ndim)
    found = getitem(input, (slice(None),) * place + (_plain(index),))
    return named("IndexSelect", found)


def gather(input: Any, dim: int, index: Any) -> Any:
    """Positions along an axis that differ along the others."""
    positions = _plain(index)
    window = tuple(slice(0, n) for n in positions.shape)
    place = axis_of(dim, input.ndim)
    window = (*window[:place], slice(None), *window[place + 1 :])
    found = take_along_axis(getitem(input, window), positions, place)
    return named("Gather", found)


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where a mask is true."""
    return named("MaskedSelect", getitem(input, _plain(mask)))


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """With a value where a mask is true."""
    return named("MaskedFill", cmp.select(_plain(mask), value, input))


def flip(input: Any, dims: Any) -> Any:
    """Axes in reverse order."""
    return copied("Flip", npa.flip(input, tuple(np.atleast_1d(dims).tolist())))


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Elements moved along axes, with those that leave coming back in."""
    return copied("Roll", npa.roll(input, shifts, dims))


def tril(input: Any, diagonal: int = 0) -> Any:
    """Zeros above a diagonal."""
    return named("Tril", npa.tril(input, diagonal))


def triu(input: Any, diagonal: int = 0) -> Any:
    """Zeros below a diagonal."""
    return named("Triu", npa.triu(input, diagonal))


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix of a diagonal."""
    return copied("Diag", npa.diag(input, diagonal))


def trace(input: Any) -> Any:
    """The sum of the diagonal."""
    return named("Trace", npa.trace(input))


def sort(input: Any, dim: int = -1, descending: bool = False) -> Any:
    """Sorted along an axis, and the positions."""
    if not input.ndim:
        return Extremes(input, made(input._result, np.int64(0), None))
    order = argsort(detached(-input if descending else input), dim)
    return Extremes(named("Sort", take_along_axis(input, order, dim)), order)


def einsum(equation: str, *operands: Any) -> Any:
    """Einstein's sum convention."""
    return _einsum(equation, *operands)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """A sum of products over axes of both."""
    return npl.tensordot(a, b, dims)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinates of a grid."""
    found: tuple[Any, ...] = nps.meshgrid(*tensors, indexing=indexing)
    return found
