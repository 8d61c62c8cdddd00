"""Arrays of which the number of elements depends on data.

A graph's arrays have sizes that follow from those of its inputs, so such an array is no
value of it. A subclass says how functions of elements, and reductions, do without one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegrad.errors import TracingError


def _operator(function: Callable[..., Any], *, swap: bool = False) -> Any:
    def method(self: Unsized, *others: Any) -> Any:
        operands = (*others, self) if swap else (self, *others)
        return self.elementwise(function, operands, {})

    return method


class Unsized:
    """The base of such arrays."""

    @property
    def dtype(self) -> Any:
        """Of the elements."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """The number of axes."""
        raise NotImplementedError

    def apply(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """A function of NumPy's, or a built-in one; self is among its arguments."""
        raise NotImplementedError

    def elementwise(
        self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """A function of elements; self is among its arguments."""
        raise NotImplementedError

    def refused(self, use: str) -> TracingError:
        """The error for a use that needs the number of elements."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _METHODS:
            function = getattr(np, name)
            return lambda *args, **kwargs: self.apply(function, (self, *args), kwargs)
        raise self.refused(f"the attribute {name!r}")

    def __getitem__(self, index: Any) -> Any:
        raise self.refused("an index")

    def __iter__(self) -> Any:
        raise self.refused("a loop")

    def __len__(self) -> int:
        raise self.refused("len() outside of a calculation")

    def __bool__(self) -> bool:
        raise self.refused("a condition")

    def __array__(self, *args: object, **kwargs: object) -> Any:
        raise self.refused("this function")

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if method == "reduce" and ufunc in _UFUNC_REDUCTIONS:
            axis = kwargs.pop("axis", 0)
            options = {"axis": axis, **kwargs}
            return self.apply(_UFUNC_REDUCTIONS[ufunc], inputs, options)
        if method != "__call__":
            raise self.refused(f"numpy.{ufunc.__name__}.{method}")
        return self.apply(ufunc, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        return self.apply(function, args, kwargs)

    __add__, __radd__ = _operator(operator.add), _operator(operator.add, swap=True)
    __sub__, __rsub__ = _operator(operator.sub), _operator(operator.sub, swap=True)
    __mul__, __rmul__ = _operator(operator.mul), _operator(operator.mul, swap=True)
    __truediv__ = _operator(operator.truediv)
    __rtruediv__ = _operator(operator.truediv, swap=True)
    __pow__, __rpow__ = _operator(operator.pow), _operator(operator.pow, swap=True)
    __and__, __rand__ = _operator(operator.and_), _operator(operator.and_, swap=True)
    __or__, __ror__ = _operator(operator.or_), _operator(operator.or_, swap=True)
    __lt__, __le__ = _operator(operator.lt), _operator(operator.le)
    __gt__, __ge__ = _operator(operator.gt), _operator(operator.ge)
    __eq__ = _operator(operator.eq)
    __ne__ = _operator(operator.ne)
    __neg__, __abs__ = _operator(operator.neg), _operator(operator.abs)
    __invert__ = _operator(operator.invert)
    __hash__ = None  # type: ignore[assignment]

    def __matmul__(self, other: Any) -> Any:
        return self.apply(np.dot, (self, other), {})

    def __rmatmul__(self, other: Any) -> Any:
        return self.apply(np.dot, (other, self), {})


def first_unsized(value: Any) -> Unsized | None:
    """A value of unknown size in a value, or a part of a list, tuple or dict."""
    if isinstance(value, (list, tuple)):
        return next((x for x in map(first_unsized, value) if x is not None), None)
    if isinstance(value, dict):
        return first_unsized(list(value.values()))
    return value if isinstance(value, Unsized) else None


_UFUNC_REDUCTIONS: dict[Any, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}
_METHODS = frozenset(
    {"sum", "prod", "max", "min", "any", "all", "mean", "var", "std", "dot"}
)
ELEMENTWISE = frozenset({np.clip, np.nan_to_num, np.where, abs, np.round})
"""Functions of elements that are no ufuncs."""
