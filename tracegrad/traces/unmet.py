"""Sizes that a trace would have needed: for arguments made up from types alone.

A trace decides what it asks about sizes by those of its example. Where the example is
made up, as in nopython code, which knows types only, and the trace ends in an error,
the last answer that was "no" tells which size to try next.

    a, b, c = p     p.shape[0] == 3?  no, 4: too many values to unpack. Try 3.
    theta[9]        theta.shape[0] >= 10?  no, 4: out of bounds. Try 10.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tracegrad.ir.shapes import Assumptions, Dim
from tracegrad.traces.inputs import Leaf

_ATTRIBUTE = "_tracegrad_unmet"


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a leaf of the arguments, and the size that it should have."""

    leaf: int
    axis: int
    size: int


@contextmanager
def noting(leaves: Sequence[Leaf], assumptions: Assumptions) -> Iterator[None]:
    """Let errors from inside carry what was last asked of the sizes in vain."""
    try:
        yield
    except Exception as error:
        vars(error).setdefault(_ATTRIBUTE, tuple(_axes(leaves, assumptions)))
        raise


def wanted(error: BaseException) -> tuple[Axis, ...]:
    """The sizes of which each by itself would have met what was asked last."""
    found: tuple[Axis, ...] = getattr(error, _ATTRIBUTE, ())
    return found


def _axes(leaves: Sequence[Leaf], assumptions: Assumptions) -> Iterable[Axis]:
    asked = assumptions.unmet
    if asked is None:
        return
    difference = asked.left - asked.right
    missing = assumptions.hint(difference)
    places = {leaf.name: k for k, leaf in enumerate(leaves)}
    for monomial, coefficient in difference.terms:
        if len(monomial) != 1 or not isinstance(monomial[0], str):
            continue
        named = re.fullmatch(r"(\w+)\.shape\[(\d+)\]", monomial[0])
        more = -missing / coefficient
        exact = more.is_integer() or asked.relation == ">="
        size = assumptions.hint(Dim.symbol(monomial[0])) + math.ceil(more)
        if named and named[1] in places and exact and size >= 0:
            yield Axis(places[named[1]], int(named[2]), size)
