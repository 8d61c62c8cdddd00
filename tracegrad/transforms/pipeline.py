"""The passes, in order: each takes valid IR and leaves valid IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tracegrad.ir.graph import Graph
from tracegrad.transforms.cover import cover
from tracegrad.transforms.cse import cse, cse_of_stored
from tracegrad.transforms.dce import dce
from tracegrad.transforms.early import early
from tracegrad.transforms.fuse import fuse
from tracegrad.transforms.layout import columns
from tracegrad.transforms.licm import licm
from tracegrad.transforms.order import forwards
from tracegrad.transforms.pads import join_pads
from tracegrad.transforms.peephole import results_in_place, set_once, sink
from tracegrad.transforms.reciprocals import reciprocals
from tracegrad.transforms.rotate import rotate
from tracegrad.transforms.split import split
from tracegrad.transforms.upwards import upwards

Pass: TypeAlias = Callable[[Graph], Graph]

# Before a graph is differentiated. What is invariant must have left its loop by then,
# or it is stored once per iteration.
PREPARE: tuple[Pass, ...] = (dce, licm, cse, set_once, sink, split, dce)

# Before a graph is lowered.
OPTIMISE: tuple[Pass, ...] = (
    dce,
    licm,
    cse_of_stored,
    set_once,
    sink,
    split,
    fuse,
    forwards,
    rotate,
    upwards,
    reciprocals,
    cover,
    cse_of_stored,
    licm,
    early,
    join_pads,
    columns,
    results_in_place,
    dce,
)


def run(passes: Sequence[Pass], graph: Graph) -> Graph:
    """The graph after all the passes."""
    for pass_ in passes:
        graph = pass_(graph)
    return graph
