"""Control flow: primitives with regions, which use values of the graphs around them.

``for_(lo, hi, *carried)[step, reversed]`` runs its region, whose parameters are the
index and the carried values, and whose results are the carried values' next ones.
``reversed`` is order only: the index takes the same values from the last to the first.
"""

from __future__ import annotations

from typing import Any

from tracegrad.ir.primitive import Primitive


def _run_by_interpreter(*operands: Any, **params: Any) -> Any:
    raise TypeError("a primitive with regions is run by an interpreter of graphs")


def indices(lo: int, hi: int, step: int, reversed: bool) -> range:
    """The indices of a ``for_``, in the order in which it takes them."""
    steps = range(lo, hi, step)
    return steps[::-1] if reversed else steps


for_ = Primitive("for_", _run_by_interpreter, _run_by_interpreter)
