"""The primitive table: every operation that tracegrad differentiates, by name.

The table is a value, collected from the modules' contents; importing registers nothing.
To add a primitive, write one record where its kind lives:

- a scalar function applied elementwise: ``elementwise(...)`` in ``elementwise`` (or
  ``comparisons``, ``special``), with its NumPy function, scalar source, SymPy text and
  partial derivatives;
- a linear map: ``linear(...)`` with its transpose; keep a map and its transpose in one
  file (``structural``, ``indexing``);
- anything else: ``general(...)`` with both rules (``reductions``, ``linalg``,
  ``decompositions``), or with
  ``lower=Composite(...)`` if it is made of other primitives (``composite``).

A rule is ordinary arithmetic on this table's own functions. It works on whatever its
arguments are: arrays compute, tracers record, symbols prove. Give example calls
(``domain`` or ``samples``), and the sweep in ``tests/primitives`` checks the value, the
type, both derivatives, their second order and their agreement, in every dtype.

>>> TABLE["tanh"].kink, TABLE["sqrt"].kink
('', 'inf at 0')
"""

from __future__ import annotations

from tracegrad.ir.primitive import Primitive, collect
from tracegrad.primitives import (
    comparisons,
    composite,
    decompositions,
    elementwise,
    indexing,
    linalg,
    reductions,
    special,
    structural,
)

TABLE: dict[str, Primitive] = collect(
    comparisons,
    elementwise,
    special,
    structural,
    indexing,
    reductions,
    linalg,
    decompositions,
    composite,
)
"""Every primitive by its name."""
