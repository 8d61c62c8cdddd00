"""Control flow: primitives with regions, which use values of the graphs around them.

``for_(lo, hi, *carried)[step, reversed, stops]`` runs its region, whose parameters are
the index and the carried values, and whose results are the carried values' next ones,
after a stop flag if ``stops``: the iteration that sets it is the last. Its outputs are
the carried values at the end, and how many iterations ran. ``reversed`` is order only:
the index takes the same values, from the last to the first. Refs may be carried as a
permutation of the loop's own carried Refs (``u, v = v, u``). With a further parameter
``snapshots`` it is differentiated by checkpointing: see ``transforms.checkpoint``.

``while_(*carried)`` has two regions, condition and body, both with the iteration number
and the carried values as parameters; its outputs are those of ``for_``.

``cond(predicate)`` has two regions without parameters, and their results as outputs.

``check(predicate)[kind, message]`` raises the named exception unless it holds.
"""

from __future__ import annotations

import builtins
from typing import Any

from tracegrad.ir.primitive import Primitive


def _needs_interpreter(*operands: Any, **params: Any) -> Any:
    raise TypeError("a primitive with regions is run by an interpreter of graphs")


def indices(lo: int, hi: int, step: int, reversed: bool) -> range:
    """The indices of a ``for_``, in the order in which it takes them."""
    steps = range(lo, hi, step)
    return steps[::-1] if reversed else steps


def _check(predicate: Any, *, kind: str, message: str) -> Any:
    if not predicate:
        raise getattr(builtins, kind)(message)
    return ()


for_ = Primitive("for_", _needs_interpreter, _needs_interpreter)
while_ = Primitive("while_", _needs_interpreter, _needs_interpreter)
cond = Primitive("cond", _needs_interpreter, _needs_interpreter)
check = Primitive("check", _check, lambda predicate, **_: (), effect="check")
