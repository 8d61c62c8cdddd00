"""What a boolean mask selects, where the mask is only known at run time.

The number of selected elements is no size that a graph could have, so ``x[mask]`` keeps
all of ``x``, and the mask with it. Elementwise functions are applied to everything;
reductions leave out what isn't selected, and so do stores through the same mask. An
element that isn't selected never poisons a gradient: its cotangent is exactly zero.

    p = p[p > 0]; return -np.sum(p * np.log(p))
    ->  reduce_sum(select(p > 0, p * log(p), 0))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.ir.graph import Graph, Operand, Value
from tracegrad.ir.shapes import same_size
from tracegrad.ir.types import RefType
from tracegrad.numpy_api import indexing
from tracegrad.numpy_api import table as numpy_table
from tracegrad.numpy_api.arguments import axes_of, boolean
from tracegrad.numpy_api.shapes import ravel, with_new_axes
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import structural
from tracegrad.traces.checks import emit_check
from tracegrad.traces.memory import Memory
from tracegrad.traces.scope import current
from tracegrad.traces.tracer import Tracer, dtype_name
from tracegrad.traces.unsized import ELEMENTWISE, Unsized, first_unsized
from tracegrad.traces.views import snapshot

_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, eq=False)
class Masked(Unsized):
    """The elements of an array where a mask of its leading axes is true.

    Attributes:
        values: the whole array.
        mask: a traced boolean array.
    """

    values: Any
    mask: Any

    @property
    def dtype(self) -> Any:
        """Of the elements."""
        return self.values.dtype

    @property
    def ndim(self) -> int:
        """The number of axes: one, and those that the mask doesn't have."""
        return int(self.values.ndim - self.mask.ndim + 1)

    @property
    def shape(self) -> tuple[Any, ...]:
        """How many elements are selected, and the other sizes."""
        return (count(self), *self.values.shape[self.mask.ndim :])

    @property
    def size(self) -> Any:
        """The number of elements."""
        return math.prod(self.shape[1:], start=self.shape[0])

    def apply(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """A function of NumPy's, or a built-in one, on selections."""
        return apply(function, args, kwargs)

    def elementwise(
        self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """A function of elements, applied to all of them."""
        return elementwise(function, args, kwargs)

    def refused(self, use: str) -> TracingError:
        """The error for a use that needs the number of elements."""
        return _refused(self, use)

    def __getitem__(self, index: Any) -> Any:
        if type(index) is int or (isinstance(index, Tracer) and not index.ndim):
            return _element(self, index)
        raise self.refused("an index")


def _refused(masked: Masked, use: str) -> TracingError:
    return TracingError(
        f"{use} needs to know how many elements a mask selects, which depends on data.",
        masked.mask.builder.location,
        "Use elementwise functions and sum, mean, max or min of x[mask]; or "
        "np.where(mask, x, 0.0), which keeps the shape.",
    )


# --- making them -------------------------------------------------------------------


def is_mask(index: Any) -> bool:
    """Whether an index is, or begins with, a boolean array known at run time only."""
    first = index[0] if isinstance(index, tuple) and index else index
    return (
        isinstance(first, Tracer)
        and first.ndim > 0
        and dtype_name(first) == "bool"
        and (not isinstance(index, tuple) or not any(map(_is_array, index[1:])))
    )


def _is_array(item: Any) -> bool:
    return isinstance(item, (Tracer, np.ndarray, list)) and np.ndim(item) > 0


def selected(array: Any, index: Any) -> Masked:
    """``array[mask]``, or ``array[mask, ...]`` with a basic index for other axes."""
    items = index if isinstance(index, tuple) else (index,)
    mask = snapshot(items[0])
    values = snapshot(array)
    if isinstance(values, np.ndarray):
        values = Tracer(mask.builder, mask.builder.capture(values))
    sizes = values.dims
    if mask.ndim > len(sizes) or not all(
        same_size(a, b) for a, b in zip(mask.dims, sizes, strict=False)
    ):
        raise IndexError("boolean index did not match indexed array")
    if len(items) > 1:
        around = (slice(None),) * mask.ndim
        values = indexing.getitem(values, (*around, *items[1:]))
    return Masked(values, mask)


def positions(function: Any, args: Sequence[Any]) -> Any:
    """``np.where(mask)`` and its like: where a mask is true, along each axis."""
    mask = boolean(snapshot(args[0]))
    if function is np.flatnonzero:
        mask = ravel(mask)
    found = []
    for axis, size in enumerate(mask.dims):
        counter = structural.counting(mask, size)
        along = structural.expand(counter, shape=mask.dims, axes=(axis,))
        found.append(Masked(along, mask))
    return found[0] if function is np.flatnonzero else tuple(found)


def is_positions(index: Any) -> bool:
    """Whether an index consists of positions where a mask is true."""
    items = index if isinstance(index, tuple) else (index,)
    return bool(items) and all(isinstance(item, Masked) for item in items)


def at_positions(array: Any, index: Any) -> Masked:
    """``array[positions]``."""
    items = index if isinstance(index, tuple) else (index,)
    mask = items[0].mask
    if not all(same_mask(item.mask, mask) and item.ndim == 1 for item in items):
        raise _refused(items[0], "an index with other masks")
    # What isn't selected must not be out of bounds.
    places = [cmp.select(mask, item.values, 0) for item in items]
    values = snapshot(array)
    if isinstance(values, np.ndarray):
        values = Tracer(mask.builder, mask.builder.capture(values))
    return Masked(indexing.getitem(values, tuple(places)), mask)


def count(masked: Masked) -> Any:
    """How many elements the mask selects, as an integer."""
    number = numpy_table.lookup(np.count_nonzero)(masked.mask)
    return Tracer(number.builder, number.operand, weak=True)


def _element(masked: Masked, index: Any) -> Any:
    """``x[mask][index]``: the elements up to each, counted, tell where that one is."""
    total = count(masked)
    place = cmp.select(index < 0, index + total, index)
    inside = (place >= 0) & (place < total)
    message = "an index is out of bounds for axis 0"
    emit_check(_memory(masked), inside, IndexError, message)
    found = numpy_table.lookup(np.cumsum)(ravel(masked.mask))
    where = numpy_table.lookup(np.searchsorted)(found, place + 1)
    others = masked.values.dims[masked.mask.ndim :]
    rows = numpy_table.lookup(np.reshape)(masked.values, (-1, *others))
    return indexing.getitem(rows, where)


# --- the same mask -----------------------------------------------------------------


def same_mask(a: Tracer, b: Tracer) -> bool:
    """Whether two masks surely select the same elements."""
    return _same(a.operand, b.operand, a.builder.graph)


def _same(a: Operand, b: Operand, graph: Graph) -> bool:
    if a == b:
        return True
    if not isinstance(a, Value) or not isinstance(b, Value):
        return False
    one, other = a.definition, b.definition
    if one is None or other is None or one.regions or other.regions:
        return False
    alike = one.primitive is other.primitive and one.params == other.params
    if not alike or len(one.inputs) != len(other.inputs):
        return False
    refs = {x for x in one.inputs if isinstance(x.type, RefType)}
    if refs and _written_between(one, other, refs, graph):
        return False
    pairs = zip(one.inputs, other.inputs, strict=True)
    return all(_same(x, y, graph) for x, y in pairs)


def _written_between(one: Any, other: Any, refs: set[Any], graph: Graph) -> bool:
    """Whether Refs may have changed from one equation of a graph to another."""
    places = [k for k, e in enumerate(graph.equations) if e is one or e is other]
    if len(places) != 2:
        return True
    between = graph.equations[places[0] + 1 : places[1]]
    return any(
        e.regions or (e.primitive is not one.primitive and refs & set(e.inputs))
        for e in between
    )


# --- applying functions ------------------------------------------------------------


def apply(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy's, or a built-in one, on selections."""
    first = next((x for x in args if isinstance(x, Masked)), None)
    if first is None:
        among = first_unsized(args)
        if among is None:
            raise TracingError("a selection by a mask is no option of a function.")
        raise among.refused(numpy_table.name_of(function))
    if function is len:
        return count(first)
    reduction = _REDUCTIONS.get(function)
    if reduction is not None and first is args[0]:
        return reduction(*args, **{k: v for k, v in kwargs.items() if v is not None})
    vectors = all(isinstance(x, Masked) and x.ndim == 1 for x in args)
    if function in (np.dot, np.inner, np.vdot) and vectors and not kwargs:
        return _sum(args[0] * args[1])
    if isinstance(function, np.ufunc) or function in ELEMENTWISE:
        implementation = numpy_table.lookup(function)
        return elementwise(implementation, args, kwargs)
    raise _refused(first, numpy_table.name_of(function))


def elementwise(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """A function of elements, applied to all of them."""
    first = next(x for x in args if isinstance(x, Masked))
    whole = []
    for x in args:
        if isinstance(x, Masked):
            if not same_mask(x.mask, first.mask):
                raise _refused(first, "a calculation with another mask")
            whole.append(x.values)
        else:
            x = snapshot(x)
            if np.ndim(x) > first.ndim - 1:
                raise _refused(first, "a calculation with an array of another length")
            whole.append(x)
    return Masked(function(*whole, **kwargs), first.mask)


def _spread(masked: Masked) -> Any:
    """The mask for every axis of the array."""
    rank = masked.values.ndim
    return with_new_axes(masked.mask, tuple(range(masked.mask.ndim, rank)))


def _axes(masked: Masked, axis: Any) -> tuple[tuple[int, ...], bool]:
    """The array's axes for axes of the selection; whether the mask's are among them."""
    chosen = axes_of(axis, masked.ndim)
    covered = 0 in chosen
    own = range(masked.mask.ndim) if covered else ()
    return (*own, *(k + masked.mask.ndim - 1 for k in chosen if k)), covered


def _reduction(name: str, instead: Callable[[Any], Any]) -> Callable[..., Any]:
    """A reduction that gives an element without influence to what isn't selected."""

    def reduce(masked: Masked, axis: Any = None, keepdims: Any = False) -> Any:
        if keepdims and keepdims is not np._NoValue:
            raise _refused(masked, "keepdims")
        axes, covered = _axes(masked, axis)
        function = numpy_table.lookup(getattr(np, name))
        if not covered:
            return Masked(function(masked.values, axis=axes), masked.mask)
        neutral = instead(masked)
        whole = cmp.select(_spread(masked), masked.values, neutral)
        return function(whole, axis=axes)

    return reduce


def _constant(value: Any) -> Callable[[Masked], Any]:
    return lambda masked: np.dtype(masked.dtype).type(value)


def _least(masked: Masked) -> Any:
    return _extreme(masked, -math.inf, int(_INT64.min), "maximum")


def _largest(masked: Masked) -> Any:
    return _extreme(masked, math.inf, int(_INT64.max), "minimum")


def _extreme(masked: Masked, infinite: float, whole: int, name: str) -> Any:
    memory: Memory = _memory(masked)
    message = f"zero-size array to reduction operation {name} which has no identity"
    emit_check(memory, count(masked) > 0, ValueError, message)
    floating = masked.values.type.differentiable
    return np.dtype(masked.dtype).type(infinite if floating else whole)


def _memory(masked: Masked) -> Any:
    machine = current()
    assert machine is not None
    return machine.memory


_sum = _reduction("sum", _constant(0))


def _mean(masked: Masked, axis: Any = None) -> Any:
    axes, covered = _axes(masked, axis)
    if not covered:
        return Masked(
            numpy_table.lookup(np.mean)(masked.values, axis=axes), masked.mask
        )
    others = math.prod(
        (masked.shape[k] for k in axes_of(axis, masked.ndim) if k), start=count(masked)
    )
    return _sum(masked, axis) / others


def _var(masked: Masked, axis: Any = None, ddof: Any = 0) -> Any:
    if masked.ndim > 1 and axes_of(axis, masked.ndim) != (0,):
        raise _refused(masked, "a variance over several axes")
    deviation = masked - _mean(masked, 0)
    return _sum(deviation * deviation, 0) / (count(masked) - ddof)


def _std(masked: Masked, axis: Any = None, ddof: Any = 0) -> Any:
    return ew.length(_var(masked, axis, ddof))


def _norm(masked: Masked, ord: Any = None, axis: Any = None) -> Any:
    vectors = masked.ndim == 1 or isinstance(axis, int)
    if ord is not None and not (vectors and ord == 2):
        raise _refused(masked, f"numpy.linalg.norm with ord={ord!r}")
    total = _sum(masked * masked, axis)
    if isinstance(total, Masked):
        return elementwise(ew.length, (total,), {})
    return ew.length(total)


_REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _sum,
    sum: _sum,
    np.prod: _reduction("prod", _constant(1)),
    np.max: _reduction("max", _least),
    max: _reduction("max", _least),
    np.min: _reduction("min", _largest),
    min: _reduction("min", _largest),
    np.any: _reduction("any", lambda masked: False),
    any: _reduction("any", lambda masked: False),
    np.all: _reduction("all", lambda masked: True),
    all: _reduction("all", lambda masked: True),
    np.count_nonzero: lambda masked: _sum(Masked(masked.values != 0, masked.mask)),
    np.mean: _mean,
    np.average: _mean,
    np.var: _var,
    np.std: _std,
    np.size: lambda masked: masked.size,
    np.linalg.norm: _norm,
}

POSITIONS = frozenset({np.where, np.nonzero, np.flatnonzero})
"""Functions that tell where a mask, their only argument, is true."""
