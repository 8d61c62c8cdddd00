"""A small language for region programs: Python callables on tracers.

What the front end will record of a user's loops is written by hand here, so that the
transforms are tested without it.
"""

import inspect
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from tracegrad.ir.graph import Builder, Graph, Literal
from tracegrad.ir.shapes import Assumptions, Dim
from tracegrad.ir.types import ArrayType, RefType
from tracegrad.primitives import control, refs
from tracegrad.primitives.identities import dim_of
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.tracer import Tracer, dtype_name, lift

_builder: ContextVar[Builder] = ContextVar("builder")


@dataclass(frozen=True)
class W:
    """A window of an axis."""

    start: Any
    size: Any
    step: int = 1


class Array:
    """An array that is indexed: an argument, or a Ref."""

    def __init__(self, operand):
        self.operand = operand

    @property
    def tracer(self):
        return Tracer(_builder.get(), self.operand)

    @property
    def shape(self):
        return self.tracer.shape

    def tracer_of(self):
        """The whole contents as an array value."""
        return self[tuple(W(0, n) for n in self.shape)]

    def _at(self, index):
        index = index if isinstance(index, tuple) else (index,)
        assert len(index) == len(self.operand.type.shape)
        starts, sizes, steps = [], [], []
        for entry in index:
            if isinstance(entry, W):
                starts.append(entry.start)
                sizes.append(size_of(entry.size))
                steps.append(entry.step)
            else:
                starts.append(entry)
                sizes.append(None)
                steps.append(1)
        starts = [lift(_builder.get(), s, "int64") for s in starts]
        return starts, {"sizes": tuple(sizes), "steps": tuple(steps)}

    def __getitem__(self, index):
        b = _builder.get()
        starts, params = self._at(index)
        return Tracer(b, b.emit1(refs.load, (self.operand, *starts), params))

    def _write(self, primitive, index, value):
        b = _builder.get()
        starts, params = self._at(index)
        value = lift(b, value, self.operand.type.dtype)
        b.emit(primitive, (self.operand, value, *starts), params)

    def __setitem__(self, index, value):
        if value is not None:
            self._write(refs.store, index, value)

    def add(self, index, value):
        self._write(refs.accumulate, index, value)

    def copy(self):
        return Array(_builder.get().emit1(refs.copy, (self.operand,)))


def size_of(x):
    if isinstance(x, Tracer):
        dim = dim_of(x.operand)
        assert dim is not None
        return dim
    if isinstance(x, str):  # a loop's index, by its name
        return Dim.symbol(x)
    return Dim.constant(x)


def zeros(*shape, fill=0.0, dtype="float64"):
    params = {"shape": tuple(map(size_of, shape)), "dtype": dtype, "fill": fill}
    return Array(_builder.get().emit1(refs.alloc, (), params))


def empty(*shape):
    return zeros(*shape, fill=None)


def copy_of(tracer):
    return Array(_builder.get().emit1(refs.copy, (tracer.operand,)))


def _operand(x):
    return x.operand if isinstance(x, Array) else lift(_builder.get(), x, dtype_name(x))


def _wrap(operand):
    if isinstance(operand.type, RefType):
        return Array(operand)
    return Tracer(_builder.get(), operand)


def _tuple(x):
    return x if isinstance(x, tuple) else () if x is None else (x,)


def _region(function, types, names):
    graph = Graph("region")
    params = [graph.add_param(t, n) for t, n in zip(types, names, strict=True)]
    with _builder.get().region(graph):
        found = _tuple(function(*map(_wrap, params)))
        graph.results = [_operand(x) for x in found]
    return graph


def _names(function, count):
    names = list(inspect.signature(function).parameters)
    return names[:count] if len(names) >= count else [None] * count


INT = ArrayType("int64")


def loop(lo, hi, body, *initial, step=1, reversed=False, stops=False):
    """For: ``body(index, *carried)`` gives the next carried values."""
    b = _builder.get()
    carried = [_operand(x) for x in initial]
    types = [x.type for x in carried]
    names = _names(body, len(carried) + 1)
    region = _region(body, [INT, *types], names)
    params = {"step": step, "reversed": reversed, "stops": stops}
    bounds = [lift(b, lo, "int64"), lift(b, hi, "int64")]
    made = b.emit(control.for_, [*bounds, *carried], params, (region,), (*types, INT))
    return _results(made, names[1:])


def while_loop(test, body, *initial):
    """While: ``test(*carried)``, ``body(*carried)``."""
    b = _builder.get()
    carried = [_operand(x) for x in initial]
    types = [x.type for x in carried]
    names = _names(body, len(carried))
    regions = tuple(
        _region(lambda k, *xs, f=f: f(*xs), [INT, *types], ["k", *names])
        for f in (test, body)
    )
    made = b.emit(control.while_, carried, {}, regions, (*types, INT))
    return _results(made, names)


def _results(made, names):
    for value, name in zip(made, [*names, "trips"], strict=True):
        value.name = name
    found = tuple(map(_wrap, made[:-1]))
    return found[0] if len(found) == 1 else found


def branch(predicate, then, otherwise=lambda: ()):
    b = _builder.get()
    regions = tuple(_region(f, [], []) for f in (then, otherwise))
    types = tuple(r.type for r in regions[0].results)
    made = b.emit(control.cond, [predicate.operand], {}, regions, types)
    found = tuple(map(_wrap, made))
    return found[0] if len(found) == 1 else found


def trace(function, kinds):
    """A graph from a function of arrays ("f1", "f2", "i1") and numbers ("f", "i").

    Sizes may be said to be others: ``"f2=v.shape[0],v.shape[0]"``.
    """
    builder = Builder(Graph(function.__name__), Assumptions(), simplify)
    token = _builder.set(builder)
    try:
        arguments = []
        names = inspect.signature(function).parameters
        for kind, name in zip(kinds, names, strict=True):
            dtype = {"f": "float64", "i": "int64", "g": "float32"}[kind[0]]
            kind, _, sizes = kind.partition("=")
            own = [f"{name}.shape[{k}]" for k in range(int(kind[1:] or 0))]
            shape = tuple(
                Dim.constant(int(size)) if size.isdigit() else Dim.symbol(size)
                for size in (sizes.split(",") if sizes else own)
            )
            arguments.append(builder.graph.add_param(ArrayType(dtype, shape), name))
        results = function(
            *(Array(a) if a.type.ndim else Tracer(builder, a) for a in arguments)
        )
        builder.graph.results = [_operand(x) for x in _tuple(results)]
    finally:
        _builder.reset(token)
    return builder.graph


__all__ = ["Array", "Literal", "W", "branch", "empty", "loop", "trace", "while_loop"]
