"""Python's built-in functions on tracers.

Each takes the machine and the call's arguments, and is only asked when one of them is
traced, or holds something traced, or came from outside.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.ir.shapes import size_equals
from tracegrad.ir.types import INTEGERS
from tracegrad.numpy_api import table as numpy_table
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives.identities import dim_of
from tracegrad.traces.as_python import as_kind, item, python_number
from tracegrad.traces.escapes import complex_refused
from tracegrad.traces.iteration import (
    Backward,
    Cells,
    Counted,
    Marked,
    Paired,
    Rows,
    Steps,
    checkpoint,
    make_range,
    marked,
    steps_of,
)
from tracegrad.traces.objects import get_attribute, set_attribute
from tracegrad.traces.protocols import total
from tracegrad.traces.scope import Machine, example
from tracegrad.traces.sequences import items
from tracegrad.traces.slots import is_number
from tracegrad.traces.spelling import SPELLING, spelled
from tracegrad.traces.tracer import Tracer, size_tracer
from tracegrad.traces.unsized import Unsized
from tracegrad.traces.words import Words

Function = Callable[..., Any]


def _len(machine: Machine, value: Any) -> Any:
    if isinstance(value, Tracer) and value.ndim:
        return size_tracer(machine.builder, value.dims[0])
    return len(value)


def _float(machine: Machine, value: Any = 0.0) -> Any:
    return as_kind(value, "float64") if isinstance(value, Tracer) else float(value)


def _int(machine: Machine, value: Any = 0, *base: Any) -> Any:
    if not isinstance(value, Tracer):
        return int(value, *base)
    return value if _is_size(value) else as_kind(value, "int64")


def _bool(machine: Machine, value: Any = False) -> Any:
    if not isinstance(value, Tracer):
        return bool(value)
    if not all(size_equals(d, 1) for d in value.dims):
        raise ValueError(
            "The truth value of an array with more than one element is ambiguous. Use "
            "a.any() or a.all()"
        )
    value = item(machine, value)
    return python_number(value if value.type.dtype == "bool" else value != 0)


def _complex(machine: Machine, *parts: Any) -> Any:
    raise complex_refused(machine.builder.location)


def _round(machine: Machine, value: Any, ndigits: Any = None) -> Any:
    if not isinstance(value, Tracer) or value.type.dtype in INTEGERS:
        return value if isinstance(value, Tracer) else round(value, ndigits)
    if ndigits is None:
        return as_kind(ew.rint(value), "int64")
    rounded = numpy_table.lookup(np.round)(value, ndigits)
    return Tracer(rounded.builder, rounded.operand, value.weak)


def _is_size(value: Tracer) -> bool:
    return dim_of(value.operand) is not None


def _extreme(primitive: Any, reduction: Any, native: Function) -> Function:
    def extreme(machine: Machine, *values: Any, key: Any = None, **options: Any) -> Any:
        if len(values) == 1:
            plain = key is None and not options
            if plain and isinstance(values[0], Tracer) and values[0].ndim == 1:
                return numpy_table.lookup(reduction)(values[0])
            values = tuple(items(machine, values[0]))
        if key is not None and values:
            keys = [machine.call(key, value) for value in values]
            return _by_key(machine, native, values, keys)
        if not any(isinstance(v, Tracer) for v in values):
            return native(values, **options)
        return reduce(lambda a, b: _larger(primitive, a, b), values)

    return extreme


def _by_key(
    machine: Machine, native: Function, values: Sequence[Any], keys: Sequence[Any]
) -> Any:
    """The first of the values with the largest or smallest key."""
    if not any(isinstance(key, Tracer) for key in keys):
        return values[native(range(len(keys)), key=keys.__getitem__)]
    if not all(map(is_number, (*values, *keys))):
        raise TracingError(
            f"{native.__name__}() with a traced key chooses among objects.",
            machine.builder.location,
            "Let it choose among numbers, or write if statements.",
        )
    beats = cmp.greater if native is max else cmp.less
    best, best_key = values[0], keys[0]
    for value, key in zip(values[1:], keys[1:], strict=True):
        better = beats(key, best_key)
        best, best_key = (
            _weak_if(cmp.select(better, new, old), new, old)
            for new, old in ((value, best), (key, best_key))
        )
    return best


def _larger(primitive: Any, a: Any, b: Any) -> Any:
    """Python's max or min of two numbers: a NaN in the second is passed over."""
    if any(isinstance(x, Tracer) and x.ndim for x in (a, b)):
        raise TypeError("max() and min() take numbers; use np.maximum for arrays")
    if isinstance(b, Tracer) and b.type.differentiable:
        primitive = cmp.larger if primitive is ew.maximum else cmp.smaller
    return _weak_if(primitive(a, b), a, b)


def _weak_if(result: Any, a: Any, b: Any) -> Any:
    """A result as a Python number, if it is made of Python's numbers."""
    weak = all(not isinstance(x, Tracer) or x.weak for x in (a, b))
    if isinstance(result, Tracer):
        return Tracer(result.builder, result.operand, weak)
    return result


def _sum(machine: Machine, values: Any, start: Any = 0) -> Any:
    if isinstance(values, Tracer):
        return start + numpy_table.lookup(np.sum)(values, axis=0)
    return total(machine, list(items(machine, values)), start)


def _quantifier(reduction: Any, both: Any, native: Function) -> Function:
    def quantifier(machine: Machine, values: Any) -> Any:
        if isinstance(values, Tracer):
            return numpy_table.lookup(reduction)(values)
        parts = list(items(machine, values))
        if any(isinstance(part, Tracer) for part in parts):
            return reduce(both, [_bool(machine, part) for part in parts])
        return native(parts)

    return quantifier


def _sorted(
    machine: Machine, values: Any, *, key: Any = None, reverse: bool = False
) -> Any:
    parts = list(items(machine, values))
    keys = parts if key is None else [machine.call(key, part) for part in parts]
    if any(isinstance(k, Tracer) for k in keys):
        raise TracingError(
            "sorted() of traced values needs to know them.",
            machine.builder.location,
            "Use np.sort, or sort outside the traced function.",
        )
    order = sorted(range(len(parts)), key=keys.__getitem__, reverse=reverse)
    return [parts[k] for k in order]


def _fromiter(
    machine: Machine, values: Any, dtype: Any, count: int = -1, **options: Any
) -> Any:
    parts = items(machine, values)
    return numpy_table.lookup(np.fromiter)(parts, dtype, count, **options)


def _lazy(machine: Machine, *sequences: Any) -> list[Steps] | None:
    """Sequences that are indexed at run time, if all can be and some must."""
    if any(isinstance(s, Marked) for s in sequences):
        raise TracingError(
            "a checkpoint is inside another sequence.",
            machine.builder.location,
            "Put it around the whole: checkpoint(enumerate(...), ...).",
        )
    some = [steps_of(machine.memory, s) for s in sequences]
    if all(steps is None for steps in some):
        return None
    every = [steps_of(machine.memory, s, constants=True) for s in sequences]
    found = [steps for steps in every if steps is not None]
    return found if len(found) == len(sequences) else None


def _enumerate(machine: Machine, values: Any, start: Any = 0) -> Any:
    steps = _lazy(machine, values)
    if steps is not None:
        return Counted(machine.memory, steps[0], start)
    return enumerate(items(machine, values), start)


def _reversed(machine: Machine, values: Any) -> Any:
    steps = _lazy(machine, values)
    if steps is not None:
        return Backward(machine.memory, steps[0])
    return iter(list(items(machine, values))[::-1])


def _zip(machine: Machine, *sequences: Any, strict: bool = False) -> Any:
    steps = _lazy(machine, *sequences)
    if steps is not None:
        return Paired(machine.memory, tuple(steps))
    return zip(*(items(machine, s) for s in sequences), strict=strict)


def _ndindex(machine: Machine, *shape: Any) -> Any:
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    return Cells(machine.memory, shape)


def _ndenumerate(machine: Machine, array: Any) -> Any:
    flat = get_attribute(array, "flat", machine)
    cells = Cells(machine.memory, tuple(array.shape))
    return Paired(machine.memory, (cells, Rows(machine.memory, flat)))


def _map(machine: Machine, function: Any, *sequences: Any) -> Any:
    rows = zip(*(items(machine, s) for s in sequences), strict=False)
    return (machine.call(function, *row) for row in rows)


def _filter(machine: Machine, function: Any, values: Any) -> Any:
    parts = items(machine, values)
    return (p for p in parts if (machine.call(function, p) if function else p))


def _reduce(machine: Machine, function: Any, values: Any, *initial: Any) -> Any:
    return reduce(
        lambda a, b: machine.call(function, a, b), items(machine, values), *initial
    )


def _isinstance(machine: Machine, value: Any, kinds: Any) -> bool:
    if isinstance(value, Unsized):
        value = np.empty((0,) * value.ndim, value.dtype)
    return isinstance(example(value) if isinstance(value, Tracer) else value, kinds)


def _type(machine: Machine, value: Any, *rest: Any) -> Any:
    return type(example(value) if isinstance(value, Tracer) else value, *rest)


def _of_example(native: Function) -> Function:
    """A function that asks what kind of thing a value is."""
    return lambda machine, value: native(
        example(value) if isinstance(value, Tracer) else value
    )


def _print(machine: Machine, *values: Any, **options: Any) -> None:
    texts = [spelled(machine, value) for value in values]
    if any(isinstance(text, Words) for text in texts):
        raise TracingError(
            "print() of a traced value: it has no number while it is traced.",
            machine.builder.location,
            "Return the value, or print it outside the traced function.",
        )
    if machine.memory.staged:
        raise TracingError(
            "print() in a branch or loop that is decided at run time.",
            machine.builder.location,
            "It would print once, while tracing. Print outside the traced function.",
        )
    if not machine.silent:
        builtins.print(*texts, **options)


def _getattr(machine: Machine, value: Any, name: str, *default: Any) -> Any:
    try:
        if isinstance(value, Tracer):
            getattr(example(value), name)  # a number has no shape, whatever ours has
        return get_attribute(value, name, machine)
    except AttributeError:
        if default:
            return default[0]
        raise


def _hasattr(machine: Machine, value: Any, name: str) -> bool:
    if isinstance(value, Tracer):
        return hasattr(example(value), name)
    absent = object()
    return _getattr(machine, value, name, absent) is not absent


def _setattr(machine: Machine, value: Any, name: str, content: Any) -> None:
    set_attribute(value, name, content, machine)


def _over_items(native: Function) -> Function:
    def function(machine: Machine, values: Any = (), *rest: Any, **options: Any) -> Any:
        return native(items(machine, values), *rest, **options)

    return function


ALWAYS: dict[Any, Function] = {
    print: _print,
    map: _map,
    filter: _filter,
    reduce: _reduce,
    any: _quantifier(np.any, cmp.logical_or, any),
    all: _quantifier(np.all, cmp.logical_and, all),
    min: _extreme(ew.minimum, np.min, min),
    max: _extreme(ew.maximum, np.max, max),
    np.fromiter: _fromiter,
    sum: _sum,
    sorted: _sorted,
    getattr: _getattr,
    hasattr: _hasattr,
    setattr: _setattr,
    **SPELLING,
    checkpoint: lambda machine, steps, snapshots: marked(
        machine.memory, steps, snapshots
    ),
}
"""Asked whatever the arguments are."""

ON_TRACERS: dict[Any, Function] = {
    len: _len,
    range: lambda machine, *bounds: make_range(machine.memory, *bounds),
    float: _float,
    int: _int,
    bool: _bool,
    complex: _complex,
    round: _round,
    zip: _zip,
    enumerate: _enumerate,
    list: _over_items(list),
    tuple: _over_items(tuple),
    iter: _over_items(iter),
    reversed: _reversed,
    np.ndindex: _ndindex,
    np.ndenumerate: _ndenumerate,
    divmod: lambda machine, a, b: (a // b, a % b),
    isinstance: _isinstance,
    type: _type,
    **{f: _of_example(f) for f in (np.isscalar, np.isrealobj, np.iscomplexobj)},
}
"""Asked when an argument is traced, holds something traced, or is from outside."""
