"""Arrays on the tape: tensors with NumPy's face, for functions written for NumPy.

``grad(f, mode="tape")`` calls ``f`` with these. What they can't do without losing a
derivative, they refuse.

>>> import numpy as np
>>> x = array(np.array([3.0, 4.0]), tracked=True)
>>> np.sqrt(np.sum(x**2)), x.std()
(5.0, 0.5)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracegrad.errors import DifferentiationError
from tracegrad.numpy_api import table as numpy_table
from tracegrad.numpy_api.indexing import getitem
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.tape import texts
from tracegrad.tape.inplace import check_writable, in_place, set_item
from tracegrad.tape.modes import recorder
from tracegrad.tape.node import LEAF
from tracegrad.tape.operators import Operators
from tracegrad.tape.parts import basic, part
from tracegrad.tape.protocols import array_function, array_ufunc, owned
from tracegrad.tape.record import detached, edge_of, value_of
from tracegrad.tape.shaping import plain
from tracegrad.tape.value import Value, made


def _augmented(function: Callable[..., Any]) -> Callable[..., Any]:
    """``self <op>= other``: an array changes, a number gets a new value."""
    change = in_place(function)

    def method(self: Any, other: Any) -> Any:
        return change(self, other) if self.ndim else function(self, other)

    return method


class Array(Operators):
    """A tensor that behaves like a NumPy array or number."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    @property
    def T(self) -> Any:
        """The transpose."""
        return numpy_table.FUNCTIONS[np.transpose](self)

    @property
    def real(self) -> Any:
        """Itself."""
        return self

    @property
    def flat(self) -> Iterator[Any]:
        """Its elements one after another."""
        return iter(self.ravel())

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        key = plain(index)
        several = key if type(key) is tuple else (key,)
        if len(several) == self.ndim and all(type(k) is int for k in several):
            return part(self, index=several)
        place = basic(key)
        if place is not None:
            return part(self, index=place)
        found = getitem(self, key)
        # An element is a number: it stays what it is when the array is written to.
        return found if found.ndim else found.copy()

    def __setitem__(self, index: Any, value: Any) -> None:
        set_item(self, index, value)

    def __getattr__(self, name: str) -> Any:
        method = numpy_table.METHODS.get(name)
        if method is None:
            raise AttributeError(f"an array on the tape has no attribute {name!r}")
        own = getattr(np.ndarray, name)
        return lambda *args, **kwargs: owned(
            method(self, *args, **kwargs), own, (self, *args), kwargs
        )

    # --- plain values: only of what carries no derivative ----------------------------

    def _value(self, what: str) -> Any:
        if edge_of(self) is not None and recorder() is None:
            raise DifferentiationError(
                f"{what} would lose the derivative of an array on the tape.",
                todo="Use the array itself; NumPy's functions take it. If the "
                "derivative is not wanted, use tracegrad.stop_gradient(x) first.",
            )
        return value_of(self, what)

    def item(self, *args: int) -> Any:
        """An element as a Python number."""
        return self._value("item()").item(*args)

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._value("tolist()").tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = np.asarray(self._value("conversion to a plain NumPy array"), dtype)
        return array.copy() if copy else array

    def __float__(self) -> float:
        if texts.is_interpolating(sys._getframe(1)):
            return float(value_of(self, "a text"))
        return float(self._value("float()"))

    # The derivative of what depends on a truth or a whole number is zero.
    def __bool__(self) -> bool:
        truth = self if self._array.dtype.kind in "bi" else self != 0
        return bool(value_of(truth, "bool()"))

    def __int__(self) -> int:
        return int(value_of(self, "int()"))

    def __index__(self) -> int:
        if self._array.dtype.kind not in "ib":
            raise TypeError("only integer arrays can be converted to a scalar index")
        return int(value_of(self, "an index"))

    def __round__(self, digits: int | None = None) -> Any:
        return numpy_table.METHODS["round"](self, digits or 0)

    def __format__(self, spec: str) -> str:
        return format(value_of(self, "a text"), spec) if spec else str(self)

    def __str__(self) -> str:
        return self._digits(str)

    def __repr__(self) -> str:
        return self._digits(repr)

    def _digits(self, spell: Callable[[Any], str]) -> str:
        values = value_of(self, "a text")
        if values.ndim:
            return spell(values)
        text = spell(left(self))
        return text if edge_of(self) is None else texts.Digits(text)

    # --- copies and writing ----------------------------------------------------------

    def __pow__(self, exponent: Any) -> Any:
        found = super().__pow__(exponent)
        return found.copy() if found is self else found

    def __pos__(self) -> Any:
        return self.copy()

    def copy(self, order: str = "C") -> Any:
        """A copy, through which derivatives flow."""
        return cmp.convert(self, dtype=str(self.dtype))

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def fill(self, value: Any) -> None:
        """Overwrite all elements."""
        self[...] = value

    def sort(self, axis: int = -1) -> None:
        """Sort in place."""
        check_writable(self)
        self[...] = numpy_table.FUNCTIONS[np.sort](self, axis)

    __iadd__ = _augmented(ew.add)
    __isub__ = _augmented(ew.subtract)
    __imul__ = _augmented(ew.multiply)
    __itruediv__ = _augmented(ew.divide)
    __ipow__ = _augmented(ew.raise_to)

    __array_ufunc__ = array_ufunc
    __array_function__ = array_function


Array._result = Array


def array(values: Any, *, tracked: bool = False) -> Array:
    """An array on the tape that holds a copy of values.

    Args:
        values: an array or number.
        tracked: whether derivatives with respect to it are wanted.
    """
    copy = np.array(values)
    result: Array = made(Array, copy if copy.ndim else copy[()], None)
    if tracked:
        result._edge = LEAF
    return result


def entered(x: Any) -> Any:
    """A value of an enclosing tape as one of its own: equal, and linked to it."""
    if edge_of(x) is not None:
        return cmp.convert(x, dtype=str(x._array.dtype))
    return array(x._array, tracked=True)


def left(x: Any) -> Any:
    """What NumPy code outside of the tape gets: an array, or a Python number."""
    if not isinstance(x, Value):
        return x
    values = detached(x)._array if isinstance(x._array, np.ndarray) else x._array
    if values.ndim:
        return values
    number = values[()]
    return number if number.dtype == np.float32 else number.item()
