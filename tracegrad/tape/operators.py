"""Python's operators on tensors.

Most of what a tape records are sums and products, so these take a short way to the same
node that ``record.apply`` would make.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.ir.primitive import Primitive
from tracegrad.numpy_api import table as numpy_table
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.tape.modes import recording
from tracegrad.tape.node import LEAF, Node, linked
from tracegrad.tape.plans import OUT, Plan, plan_for
from tracegrad.tape.record import View, apply, shares, view_of
from tracegrad.tape.value import Value

_NUMBERS = frozenset({float, int, np.float64})
_float64 = np.float64
_NOTHING: dict[str, Any] = {}  # parameters


def is_operand(x: object) -> bool:
    """Whether arithmetic with a tensor makes sense of it."""
    return isinstance(x, (Value, bool, int, float, np.generic, np.ndarray))


def _general(
    function: Callable[[Any, Any], Any], swap: bool = False
) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if not is_operand(other):
            return NotImplemented
        return function(other, self) if swap else function(self, other)

    return method


def _edge(x: Value, edge: Any) -> Any:
    """What ``edge_of`` gives for an edge that isn't a node."""
    if edge is LEAF:
        return x
    return edge.current(x) if type(edge) is View else edge


def _arithmetic(
    primitive: Primitive, function: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """An operator whose operands are nearly always tensors and numbers."""
    only_first, only_second, both = (
        plan_for(primitive, 2, live, {})
        for live in ((True, False), (False, True), (True, True))
    )

    def method(self: Any, other: Any) -> Any:
        n = self._edge
        if type(other) is type(self) or isinstance(other, Value):
            b, m, plain = other._array, other._edge, self._extra or other._extra
        elif type(other) in _NUMBERS:
            b, m, plain = other, None, self._extra
        elif is_operand(other):
            return apply(primitive, (self, other), _NOTHING)
        else:
            return NotImplemented
        if n is not None and type(n) is not Node:
            n = _edge(self, n)
        if m is not None and type(m) is not Node:
            m = _edge(other, m)
        if plain or (n is None and m is None) or recording() is not True:
            return apply(primitive, (self, other), _NOTHING)
        a = self._array
        plan = only_second if n is None else only_first if m is None else both
        result = linked(self._result, function(a, b), plan, (n, m))
        if plan.needs:
            _keep(result, plan, self, other, a, b)
        return result

    return method


def _keep(result: Any, plan: Plan, self: Any, other: Any, a: Any, b: Any) -> None:
    """Let the node of an operation on two operands keep what it needs."""
    saved: tuple[Any, ...] = ()
    stamps: tuple[Any, ...] = ()
    for k in plan.needs:
        if k == 0 and a is self:
            saved = (a,)
        elif k == 0:
            saved = (a,)
            stamps = ((self._cell, self._cell[0], 0),)
        elif k == OUT:
            saved = (*saved, result._array)
            stamps = (*stamps, (result._cell, 0, OUT))
        elif b is other:  # dividing by a zero of Python's would raise
            saved = (*saved, b or _float64(b))
        else:
            saved = (*saved, b)
            stamps = (*stamps, (other._cell, other._cell[0], 1))
    node = result._edge
    node.saved = saved
    node.stamps = stamps


def _reflected(
    primitive: Primitive, function: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """The operator on a number and a tensor."""
    plan = plan_for(primitive, 2, (False, True), {})

    def method(self: Any, other: Any) -> Any:
        n = self._edge
        if not is_operand(other):
            return NotImplemented
        short = type(n) is Node and type(other) in _NUMBERS and not self._extra
        if not short or recording() is not True:
            return apply(primitive, (other, self), _NOTHING)
        a, b = other, self._array
        result = linked(self._result, function(a, b), plan, (None, n))
        _keep(result, plan, other, self, a, b)
        return result

    return method


def unary(primitive: Primitive) -> Callable[[Any], Any]:
    """A function of one tensor, by the same short way."""
    plan = plan_for(primitive, 1, (True,), _NOTHING)
    function = primitive.numpy
    operand, result_too = 0 in plan.needs, OUT in plan.needs
    check = primitive.rule is None or plan.arrays is None

    def method(self: Any) -> Any:
        edge = self._edge
        if edge is not None and type(edge) is not Node:
            edge = _edge(self, edge)
        if edge is None or check or self._extra or recording() is not True:
            return apply(primitive, (self,), _NOTHING)
        out = function(self._array)
        if not out.ndim:
            out = out[()]
        result = linked(self._result, out, plan, (edge,))
        node = result._edge
        if operand:
            node.saved = (self._array,)
            node.stamps = ((self._cell, self._cell[0], 0),)
        if result_too:
            node.saved = (*node.saved, out)
            node.stamps = (*node.stamps, (result._cell, 0, OUT))
        return result

    return method


def linear(primitive: Primitive) -> Callable[..., Any]:
    """A linear function of one float tensor, and of parameters, by a short way too."""
    plan = plan_for(primitive, 1, (True,), _NOTHING)
    function, views = primitive.numpy, plan.views

    def method(x: Any, **params: Any) -> Any:
        edge = x._edge
        if edge is not None and type(edge) is not Node:
            edge = _edge(x, edge)
        if edge is None or x._extra or recording() is not True:
            return apply(primitive, (x,), params)
        array = x._memory() if views else x._array
        out = function(array, **params)
        if not out.ndim and not views:
            out = out[()]
        result = linked(x._result, out, plan, (edge,))
        node = result._edge
        node.params = params
        if views and shares(out, array):
            return view_of(x, (primitive, (), params), out, node)
        return result

    return method


def _matmul(a: Any, b: Any) -> Any:
    return numpy_table.FUNCTIONS[np.matmul](a, b)


class Operators(Value):
    """A value with Python's operators."""

    __slots__ = ()
    __array_priority__ = 1000.0

    __add__ = _arithmetic(ew.add, operator.add)
    __radd__ = __add__  # of a number: the order makes no difference
    __sub__ = _arithmetic(ew.subtract, operator.sub)
    __rsub__ = _reflected(ew.subtract, operator.sub)
    __mul__ = _arithmetic(ew.multiply, operator.mul)
    __rmul__ = __mul__
    __truediv__ = _arithmetic(ew.divide, operator.truediv)
    __rtruediv__ = _reflected(ew.divide, operator.truediv)
    __floordiv__ = _general(ew.floor_divide)
    __rfloordiv__ = _general(ew.floor_divide, swap=True)
    __mod__ = _general(ew.remainder)
    __rmod__ = _general(ew.remainder, swap=True)
    __pow__ = _general(ew.raise_to)
    __rpow__ = _general(ew.raise_to, swap=True)
    __matmul__ = _general(_matmul)
    __rmatmul__ = _general(_matmul, swap=True)
    __and__ = _general(cmp.bitwise_and)
    __rand__ = _general(cmp.bitwise_and, swap=True)
    __or__ = _general(cmp.bitwise_or)
    __ror__ = _general(cmp.bitwise_or, swap=True)
    __xor__ = _general(cmp.bitwise_xor)
    __rxor__ = _general(cmp.bitwise_xor, swap=True)
    __lshift__ = _general(cmp.left_shift)
    __rshift__ = _general(cmp.right_shift)
    __lt__ = _general(cmp.less)
    __le__ = _general(cmp.less_equal)
    __gt__ = _general(cmp.greater)
    __ge__ = _general(cmp.greater_equal)
    __eq__ = _general(cmp.equal)
    __ne__ = _general(cmp.not_equal)
    __neg__ = unary(ew.negative)
    __abs__ = unary(ew.absolute)
    __invert__ = unary(cmp.invert)
    # Elementwise == notwithstanding, a tensor is found in a dict by identity.
    __hash__ = object.__hash__

    def __pos__(self) -> Any:
        return self
