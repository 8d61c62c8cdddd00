"""Comprehensions of an unknown length that a function of arrays takes, as loops.

    np.array([f(e) for e in x])    ->  for k in range(n): out[k] = f(x[k])
    sum(x[i] for i in range(n))    ->  for k in range(n): found = found + x[k]

Only numbers in double precision make such an array; anything else is a list, which is
unrolled.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.traces import programs
from tracegrad.traces.carried import CarryRefs
from tracegrad.traces.indices import weak
from tracegrad.traces.memory import Restart
from tracegrad.traces.names import assigned
from tracegrad.traces.scope import Frame
from tracegrad.traces.stale import MISSING
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.unrolling import has_begun, recorded

_PYTHON = frozenset({sum, max, min, math.prod})
_NUMPY = frozenset(
    {
        np.array,
        np.asarray,
        np.sum,
        np.prod,
        np.max,
        np.min,
        np.mean,
        np.std,
        np.var,
        np.cumsum,
    }
)


def taken_whole(function: Any, node: ast.Call) -> Any:
    """The comprehension that a call passes to a function of arrays, or None."""
    if node.keywords or len(node.args) != 1:
        return None
    match node.args[0]:
        case ast.ListComp() as found:
            functions = _PYTHON | _NUMPY
        case ast.GeneratorExp() as found:
            functions = _PYTHON
        case _:
            return None
    known = any(function is one for one in functions)  # it may have no hash
    first, *others = found.generators
    plain = not others and not first.ifs and not first.is_async
    return found if known and plain and not any(assigned([found.elt])) else None


def result_of(
    function: Any, frame: Frame, item: Callable[[Any], Any], length: Any
) -> Any:
    """What a function of arrays gives for an item at each position, by a loop.

    Returns:
        ``MISSING`` if the items can't be an array; then nothing has been done.
    """
    call, kinds = frame.machine.call, set()

    def number(position: Any) -> Tracer:
        if not isinstance(position, Tracer):
            # In an unrolled loop, items may change lists before one can't be had.
            raise frame.refused("an unrolled comprehension.", "Use a list.")
        found = item(position)
        if not isinstance(found, Tracer) or found.ndim or found.dtype != np.float64:
            raise frame.refused("items that are no floats.", "Use floats.")
        kinds.add(found.weak)
        return found

    before, handling, equations = frame.snapshot(), frame.handling, recorded(frame)
    try:
        if function is sum:
            return call(programs.folded, operator.add, number, length, 0.0)
        array = call(programs.filled, number, length)
    except (Restart, CarryRefs):
        raise
    except TracingError:
        if has_begun(frame, equations):
            raise
        frame.restore(before)
        frame.handling = handling
        return MISSING
    found = call(function, array)
    python = function in _PYTHON and kinds == {True} and isinstance(found, Tracer)
    return weak(found) if python else found
