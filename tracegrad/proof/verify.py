"""``verify``: is this gradient right? A report that can be shown to a reviewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.errors import ArgumentError
from tracegrad.proof.program import Subject, subject
from tracegrad.proof.progress import Progress
from tracegrad.proof.report import Check, Report
from tracegrad.proof.verification import Settings, Verification


def verify(
    function: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    domain: Mapping[str, tuple[float, float]] | None = None,
    order: int = 1,
    points: int = 2,
    budget: float = 60.0,
    seed: int = 0,
    progress: bool | None = None,
) -> Report:
    """Check a function's gradient by every means, and report which says what.

    1. SymPy: the traced function is evaluated on symbols (large arrays are cut to small
       ones, branches are split into cases) and its derivative compared with the
       reverse-mode program itself, evaluated on the same symbols.
    2. Identity: both programs are run once modulo a prime, at the arguments' own sizes
       (Schwartz 1980, Zippel 1979).
    3. Digits: the program against difference quotients in many digits, and the compiled
       kernel against the program.
    4. Values: the compiled gradient against complex steps or extrapolated differences
       of the plain Python function, and forward against reverse mode.

    Args:
        function: of floats and arrays of floats, nested as you like; other arguments
            are held fixed. A result that isn't one number gets random weights.
        args: the point. Random points are drawn near it.
        argnums: the arguments to differentiate; by default all with floats in them.
        domain: intervals by argument name, as ``{"x": (0.0, 1.0)}``, for the random
            points; a proof is then about that domain only.
        order: 2 checks the gradient's own derivative as well.
        points: how many random points, besides the given one.
        budget: seconds for the proofs and digits; what doesn't fit is "not attempted".
            Tracing and compiling (once, then the cache has it) come on top.
        seed: of the random points, directions and weights.
        progress: whether to show on standard error what is being done; by default if
            that is a terminal.

    Returns:
        A report; ``print`` it, or see ``.verdict``, ``.ok`` and ``.to_dict()``. In a
        test ``verify(f, x).raise_if_wrong()`` fails with the report.

    Raises:
        TracegradError: if the function can't be traced or differentiated.

    >>> verify(lambda x, k: np.sum(np.exp(k * x)), np.array([0.5, 1.0]), 2.0).verdict
    'proved'
    """
    if order < 1:
        raise ArgumentError(f"order={order}: the gradient is of order 1.")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    own = subject(function, args, numbers)
    settings = Settings(dict(domain or {}), points, budget, seed)
    with Progress(progress) as shown:
        checks, notes = _all_orders(own, numbers, order, settings, shown)
    pairs = zip(own.primal.traced.leaves, own.primal.values, strict=True)
    types = ", ".join(_type(leaf.name, value) for leaf, value in pairs)
    return Report(own.title, types, tuple(checks), tuple(dict.fromkeys(notes)))


def _all_orders(
    own: Subject,
    argnums: Sequence[int] | None,
    order: int,
    settings: Settings,
    progress: Progress,
) -> tuple[list[Check], list[str]]:
    """The checks of the gradient, then of the gradient's gradient, and so on."""
    checks: list[Check] = []
    notes: list[str] = []
    prefix = ""
    for k in range(2, order + 2):
        run = Verification(own, settings, progress, prefix)
        checks += run.checks()
        notes += run.notes
        if k > order:
            break
        if not own.scalar:
            notes.append(f"order {k} needs a function of one number")
            break
        prefix = f"order {k}: "
        own = subject(own.kernel, own.args, argnums)
    return checks, notes


def _type(name: str, value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{name}: {value.dtype}[{', '.join(map(str, value.shape))}]"
    return f"{name}: {type(value).__name__}"
