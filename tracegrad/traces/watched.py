"""What a native function must not change: it would be changed once, while tracing.

That is what comes from outside and, in a branch or loop decided at run time, what is
older than that. Methods that change lists are known by name;
``heapq.heappush`` and ``deque.append`` aren't, so what they are given is looked at
before and after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tracegrad.numpy_api.table import name_of
from tracegrad.traces.outside import is_trusted
from tracegrad.traces.scope import Machine

_HARMLESS = frozenset(map(id, (isinstance, type, getattr, hasattr, iter, callable, id)))


@contextmanager
def watched(
    machine: Machine, function: Any, given: Iterable[tuple[Any, Any]]
) -> Iterator[None]:
    """While a function runs on objects: those that are to stay as they are.

    Args:
        machine: the trace in progress.
        function: what runs.
        given: what it is given, and the program's objects that this stands for.

    Raises:
        TracingError: if one was changed; it is as it was again.
    """
    older, owns = machine.memory.is_older, machine.outside.owns
    kept = [(x, own) for x, own in given if older(own) or owns(own)]
    if id(function) in _HARMLESS:
        kept = []
    for x, _ in kept:
        if isinstance(x, Iterator):
            _refuse(machine, function, x)
    before = [(x, own, c) for x, own in kept if (c := _contents(x)) is not None]
    yield
    for x, own, contents in before:
        now = _contents(x) or []
        if len(now) != len(contents) or any(map(_differ, now, contents)):
            _restore(x, contents)
            _refuse(machine, function, own)


def _refuse(machine: Machine, function: Any, thing: Any) -> None:
    action = f"{name_of(function)}()"
    machine.outside.refuse_write(machine.builder, thing, action)
    machine.memory.refuse_change(thing, action)


def _differ(a: Any, b: Any) -> bool:
    return a is not b


def _contents(thing: Any) -> list[Any] | None:
    """What a container or an object of the user's holds; None if it is neither."""
    if isinstance(thing, (list, set, deque)):
        return list(thing)
    namespace = _namespace(thing)
    return None if namespace is None else [*namespace, *namespace.values()]


def _namespace(thing: Any) -> dict[Any, Any] | None:
    if isinstance(thing, dict):
        return thing
    if callable(thing) or is_trusted(type(thing)):
        return None
    return getattr(thing, "__dict__", None)


def _restore(thing: Any, contents: list[Any]) -> None:
    if isinstance(thing, list):
        thing[:] = contents
    elif isinstance(thing, (set, deque)):
        thing.clear()
        for part in contents:
            (thing.add if isinstance(thing, set) else thing.append)(part)
    else:
        namespace, half = _namespace(thing), len(contents) // 2
        assert namespace is not None
        namespace.clear()
        for key, value in zip(contents[:half], contents[half:], strict=True):
            namespace[key] = value
