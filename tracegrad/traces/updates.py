"""Values that are updated: ``a += b``, or ``operator.iadd(a, b)``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracegrad.traces.checks import check_divisor
from tracegrad.traces.objects import update_array
from tracegrad.traces.operators import IN_PLACE
from tracegrad.traces.protocols import own_method
from tracegrad.traces.scope import Machine
from tracegrad.traces.spelling import binary


def updated(kind: type[ast.operator], machine: Machine, before: Any, value: Any) -> Any:
    """``before <op>= value``: a new number, or the same list or array changed."""
    if update_array(before, kind, value, machine):
        return before
    method = own_method(before, IN_PLACE[kind])
    if method is not None:
        after = machine.call(method, before, value)
        if after is not NotImplemented:
            return after
    elif hasattr(before, IN_PLACE[kind]):
        machine.outside.refuse_write(machine.builder, before, "changing in place")
        if not isinstance(before, np.ndarray):
            machine.memory.refuse_change(before, "changing in place")
        update = getattr(before, IN_PLACE[kind])
        after = update(machine.outside.opened(machine.builder, value))
        if after is not NotImplemented:
            return after
    check_divisor(machine.memory, kind, before, value)
    return binary(machine, kind, before, value)


FUNCTIONS: dict[Any, Callable[[Machine, Any, Any], Any]] = {
    getattr(operator, name): partial(updated, kind) for kind, name in IN_PLACE.items()
}
"""Those of the module ``operator``."""
