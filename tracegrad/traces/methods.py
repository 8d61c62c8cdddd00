"""Methods and functions of arrays, as far as they tell a view from a copy.

What NumPy gives as a view is one here too: transposes are views of the same cells,
other shapes are aliases. Everything else takes what its arguments are now, and gives a
new array, even if that has the same value.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.numpy_api import einsum
from tracegrad.numpy_api import table as numpy_table
from tracegrad.numpy_api.arguments import axis_of
from tracegrad.primitives import refs
from tracegrad.traces import stores
from tracegrad.traces.memory import Memory, Part, mark
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import Alias, View, snapshot, snapshots

_VIEW_METHODS = frozenset(
    {"reshape", "ravel", "transpose", "swapaxes", "squeeze", "diagonal"}
)
_VIEW_FUNCTIONS: frozenset[Any] = frozenset(
    {
        *(np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis),
        *(np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d),
        *(np.broadcast_to, np.diagonal, np.flip, np.fliplr, np.flipud, np.rot90),
        *(np.asarray, np.asanyarray, np.ascontiguousarray, np.real),
        *(np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit),
        *(np.broadcast_arrays, np.diag),
    }
)
_OF_NUMPY = type(np.sum)
_SAME = frozenset({np.asarray, np.asanyarray, np.real})


# --- attributes --------------------------------------------------------------------


def attribute(memory: Memory, array: Tracer, name: str) -> Any:
    """``array.name``; a method as a function of its arguments."""
    if name in ("T", "mT", "real"):
        found = array if name == "real" else getattr(array, name)
        return found if found is array else mark(found, Part(array))
    if name == "flat":
        return attribute(memory, array, "reshape")(-1)
    if name in _IN_PLACE:
        return lambda *args, **kwargs: _IN_PLACE[name](memory, array, *args, **kwargs)
    found = getattr(array, name)
    if name not in numpy_table.METHODS:
        return found
    if name in _VIEW_METHODS:
        return lambda *args, **kwargs: _view(
            array, numpy_table.METHODS[name], name, args, kwargs
        )
    return lambda *args, **kwargs: _fresh(
        array, getattr(snapshot(array), name)(*snapshots(args), **snapshots(kwargs))
    )


def _fill(memory: Memory, array: Tracer, value: Any) -> None:
    stores.write(stores.writable(memory, array), value)


def _sort(memory: Memory, array: Tracer, axis: int = -1) -> None:
    view = stores.writable(memory, array)
    stores.write(view, numpy_table.lookup(np.sort)(snapshot(view), axis=axis))


_IN_PLACE: dict[str, Callable[..., None]] = {"fill": _fill, "sort": _sort}
IN_PLACE_METHODS = frozenset(_IN_PLACE)
"""Methods of arrays that change them."""


# --- functions ---------------------------------------------------------------------


def call_numpy(
    memory: Memory, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A function of NumPy's on arguments of which some are traced."""
    write = writer(function)
    if write is not None:
        write(memory, *args, **kwargs)
        return None
    out = kwargs.get("out")
    if out is not None:
        targets = out if isinstance(out, tuple) else (out,)
        if len(targets) != 1:
            raise TracingError(
                f"{function.__name__} with several outputs given is not supported.",
                memory.builder.location,
                "Assign what it returns.",
            )
        (target,) = targets
        rest = {k: v for k, v in kwargs.items() if k != "out"}
        view = stores.writable(memory, target)
        stores.write(view, call_numpy(memory, function, args, rest))
        return target
    implementation = numpy_table.lookup(function)
    if function in _VIEW_FUNCTIONS and args and isinstance(args[0], Tracer):
        if function in _SAME and len(args) == 1 and not kwargs:
            return args[0]
        name = function.__name__
        return _view(args[0], implementation, name, args[1:], kwargs)
    if function is np.linalg.matrix_power and args[1:] == (1,):
        return args[0]
    if function is np.einsum and einsum.is_view(*args):
        arranged = functools.partial(implementation, args[0])
        return _view(args[1], arranged, "einsum", (), kwargs)
    found = implementation(*snapshots(args), **snapshots(kwargs))
    return _fresh((args, kwargs), found)


def named_out(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with ``out`` by name: ``np.negative(x, y)`` writes to ``y``."""
    if isinstance(function, np.ufunc):
        given, out = args[: function.nin], args[function.nin :]
        return given, {**kwargs, "out": out} if out else kwargs
    names = _parameters(function)
    if "out" not in names[: len(args)]:
        return args, kwargs
    at = names.index("out")
    named = dict(zip(names[at:], args[at:], strict=False))
    return args[:at], {**kwargs, **named}


@functools.cache
def _parameters(function: Any) -> tuple[str, ...]:
    """The names of a function's positional parameters, if it is one of NumPy's."""
    if not isinstance(function, _OF_NUMPY):
        return ()
    empty = inspect.Parameter.KEYWORD_ONLY
    found = inspect.signature(function).parameters.values()
    return tuple(p.name for p in found if p.kind < empty)


def _view(
    array: Tracer,
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """What NumPy gives as a view of an array's elements."""
    args, kwargs = snapshots(args), snapshots(kwargs)
    if not isinstance(array, View):
        return _each(lambda x: mark(x, Part(array)), function(array, *args, **kwargs))
    if not isinstance(array, Alias) and not kwargs:
        if name == "transpose":
            return _transposed(array, args)
        if name == "swapaxes":
            axes = list(array.axes)
            a, b = (axis_of(axis, len(axes)) for axis in args)
            axes[a], axes[b] = axes[b], axes[a]
            return array.with_axes(tuple(axes))
    found = function(snapshot(array), *args, **kwargs)
    if not isinstance(found, (list, tuple)):
        return Alias(array, lambda x: function(x, *args, **kwargs))

    def part(k: int) -> Alias:
        return Alias(array, lambda x: function(x, *args, **kwargs)[k])

    return type(found)(map(part, range(len(found))))


def _transposed(view: View, args: tuple[Any, ...]) -> View:
    rank = len(view.axes)
    if args and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    if not args or args[0] is None:
        return view.with_axes(view.axes[::-1])
    order = [axis_of(axis, rank) for axis in args]
    if sorted(order) != list(range(rank)):
        raise ValueError("axes don't match array")
    return view.with_axes(tuple(view.axes[k] for k in order))


def _fresh(arguments: Any, result: Any) -> Any:
    """A result as a new array, where an implementation gave an argument back."""
    given = {id(x) for x in _tracers(arguments)}
    return _each(lambda x: _copy(x) if id(x) in given else x, result)


def _copy(tracer: Tracer) -> Tracer:
    return Tracer(tracer.builder, tracer.operand, tracer.weak)


def _each(function: Callable[[Any], Any], result: Any) -> Any:
    if type(result) in (tuple, list):
        return type(result)(map(function, result))
    return function(result)


def _tracers(value: Any) -> list[Tracer]:
    if isinstance(value, (tuple, list)):
        return [t for x in value for t in _tracers(x)]
    if isinstance(value, dict):
        return _tracers(list(value.values()))
    return [value] if isinstance(value, Tracer) else []


# --- functions that write ----------------------------------------------------------


def _copyto(
    memory: Memory, dst: Any, src: Any, casting: str = "same_kind", where: Any = True
) -> None:
    view = stores.writable(memory, dst)
    if where is not True:
        src = numpy_table.lookup(np.where)(*snapshots((where, src, view)))
    stores.write(view, src)


def _fill_diagonal(memory: Memory, a: Any, val: Any, wrap: bool = False) -> None:
    view = stores.writable(memory, a)
    if len(view.dims) != 2 or wrap or isinstance(val, (list, np.ndarray)):
        raise TracingError(
            "fill_diagonal is supported for matrices and a single number.",
            memory.builder.location,
            "Assign the diagonal in a loop.",
        )
    size = numpy_table.lookup(np.diagonal)(snapshot(view)).dims[0]
    counter = numpy_table.lookup(np.arange)(stores.count(memory, size))
    stores.each_of(view, (counter, counter), val, refs.store)


def _at(sign: int) -> Callable[..., None]:
    def at(memory: Memory, array: Any, index: Any, value: Any) -> None:
        view = stores.writable(memory, array)
        if not view.type.differentiable:
            raise TracingError(
                "ufunc.at on integer arrays is not supported.",
                memory.builder.location,
                "Write it as a loop over elements.",
            )
        stores.each_of(view, index, value if sign > 0 else -value, refs.accumulate)

    return at


class _ByIdentity(dict[Any, Callable[..., None]]):
    """A table of functions, of which some look-ups are for what can't be hashed."""

    def find(self, key: Any) -> Callable[..., None] | None:
        """What is there for a key."""
        try:
            return self.get(key)
        except TypeError:
            return None


_WRITERS = _ByIdentity({np.copyto: _copyto, np.fill_diagonal: _fill_diagonal})
_AT = _ByIdentity({np.add: _at(1), np.subtract: _at(-1)})


def writer(function: Any) -> Callable[..., None] | None:
    """What a function does that writes to its first argument."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return _AT.find(owner) if function.__name__ == "at" else None
    return _WRITERS.find(function)


def require_plain(
    memory: Memory, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Let a function write to arrays that are known while tracing, if it may."""
    written = [args[0]] if args and writer(function) else []
    if kwargs.get("out") is not None:
        out = kwargs["out"]
        written.extend(out if isinstance(out, tuple) else (out,))
    for array in written:
        if isinstance(array, np.ndarray):
            memory.require_plain(array)
