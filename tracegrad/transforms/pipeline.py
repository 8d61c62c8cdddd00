"""The passes, in order: each takes valid IR and leaves valid IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tracegrad.ir.graph import Graph
from tracegrad.transforms.dce import dce

Pass: TypeAlias = Callable[[Graph], Graph]

PREPARE: tuple[Pass, ...] = (dce,)
"""Before a graph is differentiated."""


OPTIMISE: tuple[Pass, ...] = (dce,)
"""Before a graph is lowered."""


def run(passes: Sequence[Pass], graph: Graph) -> Graph:
    """The graph after all the passes."""
    for pass_ in passes:
        graph = pass_(graph)
    return graph
