"""A loop as a function, for peers that have no loops of their own.

Workloads that loop are told a second time with ``scan``, in whose place `peers` puts
each library's own; the one here is a Python loop, right for those that record one.
"""

from collections.abc import Callable
from typing import Any

Step = Callable[[Any, Any], tuple[Any, None]]


def scan(
    step: Step, carry: Any, xs: Any | None, length: int | None
) -> tuple[Any, None]:
    """The last carry.

    Args:
        step: (carry, element of xs or None) → (carry, None).
        carry: the first one.
        xs: an array to step along, or None.
        length: the number of steps, where there are no `xs`.
    """
    for i in range(length if xs is None else xs.shape[0]):
        carry, _ = step(carry, None if xs is None else xs[i])
    return carry, None
