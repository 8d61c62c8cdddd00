"""New tensors.

>>> zeros(2, 3).shape, tensor([1, 2]).dtype, rand(()).shape
(torch.Size([2, 3]), dtype('int64'), torch.Size([]))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.tape.defaults import (
    array_of,
    as_dtype,
    generator,
    get_default_dtype,
)
from tracegrad.tape.record import value_of
from tracegrad.tape.tensor import Tensor
from tracegrad.tape.value import Value


def _finished(array: Any, requires_grad: bool) -> Tensor:
    return Tensor(array, requires_grad=requires_grad)


def _numbers(data: Any) -> Any:
    """Nested data with plain numbers in the place of tensors."""
    if isinstance(data, Value):
        return value_of(data, "a new tensor")
    if isinstance(data, (list, tuple)):
        return [_numbers(x) for x in data]
    return data


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf from numbers, nested as you like, or a copy of an array.

    Args:
        data: Python floats become the default dtype, arrays keep theirs.
        dtype: of the elements.
        requires_grad: whether gradients are wanted.
    """
    plain = _numbers(data)
    return _finished(np.array(array_of(plain, dtype)), requires_grad)


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """A tensor of the data, which shares an array's memory if it can."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return _finished(array_of(data, dtype), False)


asarray = as_tensor


def from_numpy(array: Any) -> Tensor:
    """A tensor that shares the memory of an array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    result = _finished(array_of(array), False)
    result._array = array_of(array)
    return result


def _shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    return tuple(int(n) for n in size)


def _filled(fill: Callable[..., Any]) -> Callable[..., Tensor]:
    def create(
        *size: Any, dtype: Any = None, requires_grad: bool = False, **more: Any
    ) -> Tensor:
        shape = _shape(more.pop("size")) if "size" in more else _shape(size)
        _no_more(more)
        kind = get_default_dtype() if dtype is None else as_dtype(dtype)
        return _finished(fill(shape).astype(kind), requires_grad)

    return create


def _no_more(more: dict[str, Any]) -> None:
    more = {k: v for k, v in more.items() if k not in ("device", "layout", "generator")}
    if more:
        raise TypeError(f"unexpected arguments: {', '.join(more)}")


zeros = _filled(np.zeros)
ones = _filled(np.ones)
empty = _filled(np.zeros)
rand = _filled(lambda shape: np.asarray(generator().random(shape)))
randn = _filled(lambda shape: np.asarray(generator().standard_normal(shape)))


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: Any = None
) -> Tensor:
    """Random integers from ``low`` up to and without ``high``."""
    if size is None:
        low, high, size = 0, low, high
    numbers = generator().integers(low, high, _shape((size,)))
    return _finished(np.asarray(numbers, as_dtype(dtype or "int64")), False)


def randperm(n: int) -> Tensor:
    """The numbers below ``n`` in random order."""
    return _finished(generator().permutation(n), False)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None) -> Tensor:
    """Normal random numbers."""
    noise = generator().standard_normal(None if size is None else _shape((size,)))
    return _finished(np.asarray(mean + std * noise, get_default_dtype()), False)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value."""
    value = array_of(_numbers(fill_value), dtype)
    return _finished(np.full(_shape((size,)), value, value.dtype), requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """A matrix with ones on the diagonal."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    return _finished(np.eye(n, m, dtype=kind), requires_grad)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Evenly spaced numbers, without ``end``; integers from integers."""
    if end is None:
        start, end = 0, start
    bounds = (_numbers(start), _numbers(end), _numbers(step))
    return _finished(
        array_of(np.arange(*bounds).tolist(), dtype)
        if dtype is not None or any(isinstance(b, float) for b in bounds)
        else np.arange(*bounds),
        requires_grad,
    )


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Evenly spaced numbers, with both ends."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    numbers = np.linspace(_numbers(start), _numbers(end), steps)
    return _finished(numbers.astype(kind), requires_grad)


def _like(create: Callable[..., Any]) -> Callable[..., Tensor]:
    def like(input: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        kind = input.dtype if dtype is None else dtype
        made: Tensor = create(input.dims, dtype=kind, requires_grad=requires_grad)
        return made

    return like


zeros_like, ones_like, empty_like, rand_like, randn_like = map(
    _like, (zeros, ones, empty, rand, randn)
)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value in the shape and dtype of another."""
    kind = input.dtype if dtype is None else dtype
    return full(input.dims, fill_value, dtype=kind, requires_grad=requires_grad)
