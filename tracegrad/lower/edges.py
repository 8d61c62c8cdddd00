"""Edges: a loop that reads pads is split, so that its interior needs no tests.

What enters is a loop's extent and the windows outside of which its pads are zero; what
leaves are segments. In the interior every pad is inside its window; before and after
it, each pad is inside, outside, or tested. The interior's bounds are written out:
hidden behind a ``min``, they would cost a wraparound check in every iteration.

    x_bar = pad[1:](a) + pad[:-1](b) over n
    ->  [0, 1): b if n > 1;   [1, n - 1): a + b;   [max(n - 1, 1), n): a
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codegen import loop_ir
from codegen.loop_ir import Expr
from tracegrad.ir.shapes import Dim
from tracegrad.lower.access import ONE, ZERO, Window
from tracegrad.lower.sizes import Facts, Sizes, extreme


@dataclass(frozen=True, slots=True)
class Segment:
    """Iterations ``lo <= v < hi``.

    floors: sizes that v is at least.
    ceilings: sizes that v is below.
    single: the only iteration, if it is known that there is just one.
    interior: whether loops inside may be split too.
    """

    lo: Expr
    hi: Expr
    floors: tuple[Dim, ...]
    ceilings: tuple[Dim, ...]
    single: Dim | None = None
    interior: bool = True


def whole(extent: Dim, sizes: Sizes) -> Segment:
    """A loop in one piece."""
    return Segment(loop_ir.integer(0), sizes.expr(extent), (ZERO,), (extent,))


def split(
    extent: Dim, windows: Iterable[Window], sizes: Sizes, facts: Facts
) -> list[Segment]:
    """The segments of a loop; one if there is nothing to split."""
    windows = list(windows)
    starts = _distinct(w.start for w in windows if not facts.at_least(ZERO, w.start))
    ends = _distinct(w.end for w in windows if not facts.at_least(w.end, extent))
    if not starts and not ends:
        return [whole(extent, sizes)]
    lows = _dominant(starts, facts)
    highs = [-d for d in _dominant([-d for d in ends], facts)]
    # A window of a pad that is indexed plainly lies within the loop.
    within = all(w.inside for w in windows)
    zero, end = loop_ir.integer(0), sizes.expr(extent)
    lo = extreme("maximum", map(sizes.expr, lows)) if lows else zero
    hi = extreme("minimum", map(sizes.expr, highs)) if highs else end
    if lows and not within:
        lo = extreme("maximum", (lo, zero))
    if highs and not within:
        hi = extreme("minimum", (hi, end))
    found: list[Segment] = []
    if lows:
        first = lo if within else extreme("minimum", (lo, end))
        single = ZERO if within and lows == [ONE] else None
        ceilings = tuple(lows) if len(lows) == 1 else ()
        found.append(
            Segment(zero, first, (ZERO,), (*ceilings, extent), single, interior=False)
        )
    floors, ceilings = (ZERO, *starts), (extent, *ends)
    # One window may begin where another has ended: then nothing is between.
    if not any(facts.at_least(low, high) for low in lows for high in highs):
        found.append(Segment(lo, hi, floors, ceilings))
    if highs:
        ordered = not lows or (
            len(lows) == len(highs) == 1 and facts.at_least(highs[0], lows[0])
        )
        last = hi if ordered and within else extreme("maximum", (hi, lo))
        floors = (ZERO, *starts)
        single = None
        if len(highs) == 1:
            floors = (*floors, highs[0])
            if ordered and within and extent - highs[0] == ONE:
                single = highs[0]
        found.append(Segment(last, end, floors, (extent,), single, interior=False))
    return found


def _distinct(dims: Iterable[Dim]) -> list[Dim]:
    return list(dict.fromkeys(dims))


def _dominant(dims: Sequence[Dim], facts: Facts) -> list[Dim]:
    """Those that no other is proven to be at least."""
    return [
        d
        for k, d in enumerate(dims)
        if not any(
            facts.at_least(other, d) and (j < k or not facts.at_least(d, other))
            for j, other in enumerate(dims)
            if j != k
        )
    ]


def decide(window: Window, segment: Segment, facts: Facts) -> tuple[bool, bool] | None:
    """Which sides of a window need a test in a segment; None if it is outside.

    Returns:
        Whether ``v >= start``, and whether ``v < end``, must be tested.
    """
    start, end = window.start, window.end
    if any(facts.at_least(start, ceiling) for ceiling in segment.ceilings):
        return None
    if any(facts.at_least(floor, end) for floor in segment.floors):
        return None
    low = not any(facts.at_least(floor, start) for floor in segment.floors)
    high = not any(facts.at_least(end, ceiling) for ceiling in segment.ceilings)
    return low, high
