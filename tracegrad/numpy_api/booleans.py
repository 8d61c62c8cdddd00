"""What NumPy's arithmetic of booleans is: logic, where Python's counts.

(x > 0) * (x < 1)  ->  logical_and;  (x > 0) + (x < 1)  ->  logical_or
"""

from __future__ import annotations

from tracegrad.ir.primitive import Primitive
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import reductions, structural

_LOGIC: dict[Primitive, Primitive | None] = {
    ew.add: cmp.logical_or,
    ew.maximum: cmp.logical_or,
    ew.multiply: cmp.logical_and,
    ew.minimum: cmp.logical_and,
    ew.subtract: None,
    ew.negative: None,
    # A sum of products: ``np.sum`` counts, and makes integers of them first.
    structural.reduce_sum: reductions.reduce_any,
}


def logic_of(primitive: Primitive) -> Primitive:
    """The primitive that one is of NumPy's booleans.

    Raises:
        TypeError: if NumPy has none.
    """
    found = _LOGIC.get(primitive, primitive)
    if found is None:
        raise TypeError(
            f"numpy boolean {primitive.name}, the `-` operator, is not supported, use "
            "the logical functions instead."
        )
    return found
