"""Arrays that a loop exchanges: ``u, v = v, u``.

The loop carries the Refs, so after it each name is one of its results. Which result is
the array that a name stood for before depends on how often the loop ran.
"""

from __future__ import annotations

from typing import Any

from tracegrad.errors import TracingError
from tracegrad.ir.graph import Operand, Value
from tracegrad.ir.shapes import size_equals
from tracegrad.ir.types import RefType
from tracegrad.numpy_api.elementwise import where
from tracegrad.traces.carried import Carried
from tracegrad.traces.memory import Exchanged, Memory
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import View, snapshot, whole_view


def exchanged_refs(memory: Memory, entries: list[Carried]) -> list[Carried]:
    """The names between which Refs of the program around are exchanged.

    Raises:
        Restart: if an array is exchanged with a Ref, and is none yet.
    """
    known = {id(c.entry): c for c in entries if isinstance(c.entry, Tracer)}
    bases = {c.entry.base: c for c in entries if _is_ref(c.entry)}
    found: dict[int, Carried] = {}
    for c in entries:
        if c.exchanged or c.end is c.entry or not isinstance(c.entry, Tracer):
            continue
        other = bases.get(c.end.base) if _is_ref(c.end) else known.get(id(c.end))
        if other is None or not (_is_ref(c.entry) or _is_ref(other.entry)):
            continue
        for one in (c, other):
            if not _is_ref(one.entry):
                memory.require_ref(one.entry)
            found[id(one)] = one
    return list(found.values())


def _is_ref(content: Any) -> bool:
    return isinstance(content, View) and content.whole and content.mutable


def check_permutation(memory: Memory, entries: list[Carried]) -> None:
    """Refuse to exchange Refs with anything but each other.

    Raises:
        TracingError: if the loop doesn't.
    """
    carried = [c for c in entries if c.exchanged]
    own = {c.params[0] for c in carried}
    ends = [c.end.base for c in carried if _is_ref(c.end)]
    if len(ends) != len(carried) or set(ends) != own:
        names = ", ".join(c.name for c in carried)
        raise TracingError(
            f"the arrays {names} are exchanged in a loop, and not only with each "
            "other.",
            memory.builder.location,
            "Copy elements instead: u[:] = v.",
        )

    if not all(_alike(c.params[0].type, c.end.base.type) for c in carried):
        kinds = ", ".join(f"{c.name}: {c.params[0].type}" for c in carried)
        raise TracingError(
            "a loop exchanges arrays of different dtypes or shapes "
            f"({kinds.replace('ref ', '')}).",
            memory.builder.location,
            "Make them alike before the loop.",
        )


def _alike(a: Any, b: Any) -> bool:
    return (a.dtype, a.ndim) == (b.dtype, b.ndim) and all(
        size_equals(m, n) for m, n in zip(a.shape, b.shape, strict=True)
    )


def poison_others(
    memory: Memory,
    entries: list[Carried],
    outcomes: list[list[Operand]],
    trips: Tracer,
) -> None:
    """Let Refs that a loop exchanges be known only by the names that it exchanges.

    Args:
        memory: of the trace.
        entries: what the loop carries.
        outcomes: what each of them is after the loop.
        trips: how often the loop ran.
    """
    after = {
        c.params[0]: found[0]
        for c, found in zip(entries, outcomes, strict=True)
        if c.exchanged and isinstance(found[0], Value)
    }
    # After a trip, the array that is the key has the name that the value had.
    moves = {c.end.base: c.params[0] for c in entries if c.exchanged}
    for c in entries:
        if c.exchanged and isinstance(c.entry.base.type, RefType):
            start = c.params[0]
            cycle, held = [after[start]], moves[start]
            while held is not start:
                cycle.append(after[held])
                held = moves[held]
            memory.exchanged[c.entry.base] = Exchanged(
                f"an array that a loop exchanges has another name than {c.name} now.",
                tuple(cycle),
                trips,
            )


def contents(memory: Memory, base: Value) -> Any:
    """What a Ref holds now, also if a loop exchanged it."""
    exchanged = memory.exchanged.get(base)
    if exchanged is None:
        return snapshot(whole_view(memory, base))
    found = [contents(memory, ref) for ref in exchanged.cycle]
    turn = exchanged.trips % len(found)
    result = found[0]
    for k, held in enumerate(found[1:], 1):
        result = where(turn == k, held, result)
    return result
