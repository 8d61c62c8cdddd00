"""Calls that go straight to a kernel's machine code.

``codegen`` prints the native entry; here a signature, a trace and an example call
become the description it prints from. Dataclasses are left to ``fast_call``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import numpy as np

from codegen.native_call import (
    NOTHING,
    Argument,
    Call,
    Contiguous,
    Display,
    Filled,
    Kind,
    Nest,
    Number,
    Outside,
    Result,
    Returned,
    Same,
    Unsupported,
)
from codegen.native_entry import native_entry
from tracegrad import pytree
from tracegrad.specialisation import Specialisation
from tracegrad.traces.inputs import Leaf
from tracegrad.traces.outside import Place
from tracegrad.traces.source import Output

_KINDS = inspect.Parameter
Path = tuple[Any, ...]


def direct_call(
    spec: Specialisation,
    signature: inspect.Signature | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    general: Callable[..., Any],
    out: Callable[[Any], Any] | None,
) -> Callable[..., Any] | None:
    """A built-in function for calls like this one; None where there can't be one.

    Args:
        spec: what to call.
        signature: of the function that users call.
        args: bound positional arguments of an example call.
        kwargs: bound keyword arguments.
        general: the function for every other call.
        out: picks from the nest of results those that ``out=`` gives arrays for.
    """
    try:
        call = _call(spec, signature, args, kwargs, out)
        return native_entry(spec.compiled, call, general)
    except Unsupported:
        return None


def _call(
    spec: Specialisation,
    signature: inspect.Signature | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    out: Callable[[Any], Any] | None,
) -> Call:
    traced = spec.traced
    if traced.exclusive or traced.written:
        raise Unsupported("arguments that are written")
    paths = pytree.paths(pytree.structure((args, kwargs)))
    nests = _Nests(dict(zip(paths, traced.leaves, strict=True)))
    kinds = [nests.kind(value, (0, k)) for k, value in enumerate(args)]
    kinds += [nests.kind(value, (1, name)) for name, value in kwargs.items()]
    arguments = _arguments(signature, kinds, [*kwargs])
    inputs = tuple(nests.met.index(p) for p, x in nests.leaves.items() if x.traced)
    guards = [_outside(g.place, Same(g.place.read())) for g in traced.guards]
    return Call(
        arguments,
        inputs,
        (*guards, *map(_captured, traced.captures)),
        _result(pytree.unflatten(traced.tree, _outputs(spec))),
        _out(spec, out),
    )


class _Nests:
    """Walks through arguments.

    Attributes:
        leaves: the traced leaves by path.
        met: the paths of all leaves, in the order of the walk.
    """

    def __init__(self, leaves: dict[Path, Leaf]) -> None:
        self.leaves = leaves
        self.met: list[Path] = []

    def kind(self, value: Any, path: Path) -> Kind:
        """What an argument, or a part of one, must be."""
        leaf = self.leaves.get(path)
        if leaf is None and value is not None:
            keys, parts = _parts(value)
            kinds = (self.kind(x, (*path, key)) for key, x in parts.items())
            return Nest(type(value), keys, tuple(kinds))
        self.met.append(path)
        if leaf is None or not leaf.traced:
            return Same(value)
        assert leaf.dtype is not None
        if type(value) is np.ndarray:
            return Contiguous(leaf.dtype, value.ndim)
        if isinstance(value, np.ndarray):
            raise Unsupported("arrays of other classes")
        return Number(leaf.dtype, type(value))


def _parts(nest: Any) -> tuple[tuple[Any, ...] | None, dict[Any, Any]]:
    """A dict's keys, and the parts of a nest as paths call them."""
    if type(nest) is dict:
        return tuple(nest), nest
    if type(nest) in (tuple, list):
        return None, dict(enumerate(nest))
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return None, dict(zip(nest._fields, nest, strict=True))
    raise Unsupported("arguments of other classes")


def _arguments(
    signature: inspect.Signature | None, kinds: list[Kind], keywords: list[str]
) -> tuple[Argument, ...]:
    """The parameters of the call: all by position where the signature is variadic."""
    parameters = [*signature.parameters.values()] if signature else []
    variadic = any(
        p.kind in (_KINDS.VAR_POSITIONAL, _KINDS.VAR_KEYWORD) for p in parameters
    )
    if signature is None or variadic:
        if keywords:
            raise Unsupported("keywords of a variadic function")
        return tuple(Argument(None, kind) for kind in kinds)
    order = [p for p in parameters if p.kind is not _KINDS.KEYWORD_ONLY]
    order += [p for p in parameters if p.kind is _KINDS.KEYWORD_ONLY]
    if [p.name for p in order[len(order) - len(keywords) :]] != keywords:
        raise Unsupported("another order of keywords")
    return tuple(
        Argument(
            None if p.kind is _KINDS.POSITIONAL_ONLY else p.name,
            kind,
            NOTHING if p.default is _KINDS.empty else p.default,
            p.kind is _KINDS.KEYWORD_ONLY,
        )
        for p, kind in zip(order, kinds, strict=True)
    )


def _outside(place: Place, kind: Kind) -> Outside:
    owner = place.owner
    match place.kind:
        case "global" | "item" if type(owner) is dict:
            return Outside("item", owner, place.key, kind)
        case "cell" if isinstance(owner, CellType):
            return Outside("cell", owner, None, kind)
        case "attribute" if isinstance(owner, FunctionType) and place.key == "__code__":
            return Outside("code", owner, None, kind)
        case "attribute":
            return Outside("attribute", owner, place.key, kind)
    raise Unsupported(f"a guard on {place}")


def _captured(capture: Any) -> Outside:
    """A hidden input: an array that is read at each call."""
    if capture.place is None or not capture.leaf.shape:
        raise Unsupported("a constant array")
    kind = Contiguous(capture.leaf.dtype, len(capture.leaf.shape))
    return _outside(capture.place, kind)


def _outputs(spec: Specialisation) -> list[Result]:
    """What each leaf of the result is."""
    places: list[Result] = []
    arrays = scalars = 0
    for result in spec.graph.results:
        if result.type.ndim:
            places.append(Filled(arrays))
            arrays += 1
        else:
            places.append(Returned(scalars))
            scalars += 1
    return [_output(output, places) for output in spec.traced.outputs]


def _output(output: Output, places: list[Result]) -> Result:
    if output.type is None:
        if isinstance(output.value, np.ndarray):
            raise Unsupported("a constant array")
        return Same(output.value)
    if output.repeated:
        raise Unsupported("an array that is returned twice")
    place = places[output.result]
    if isinstance(place, Returned) and not output.python:
        return Returned(place.position, np.dtype(output.type.dtype).type)
    return place


def _result(nest: Any) -> Result:
    """What is built of the results."""
    if nest is None:
        return Same(None)
    if isinstance(nest, (Returned, Filled, Same)):
        return nest
    if type(nest) not in (tuple, list, dict):
        raise Unsupported("results of other classes")
    keys, parts = _parts(nest)
    return Display(type(nest), keys, tuple(map(_result, parts.values())))


def _out(spec: Specialisation, pick: Callable[[Any], Any] | None) -> Filled | None:
    """The array that ``out=`` stands for, if it is one."""
    if pick is None:
        return None
    picked = pick(pytree.unflatten(spec.traced.tree, _outputs(spec)))
    return picked if isinstance(picked, Filled) else None
