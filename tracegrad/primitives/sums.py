"""Sums of products with broadcast factors: the factor moves out of the sum.

A cotangent that is summed over a long axis right after a contraction need not be
contracted for each element: the sum is taken first. In a mixture of Gaussians this
halves the work of the whole gradient. Used for derivative arithmetic only, as it
changes rounding.

    sum_n sum_j y[n, j] * L[j, k]   ->   sum_j (sum_n y[n, j]) * L[j, k]
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegrad.ir.graph import Builder, Equation, Operand
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import reductions, structural
from tracegrad.primitives.identities import expand, made_by


def factored_sum(b: Builder, x: Operand, axes: tuple[int, ...]) -> Operand | None:
    """The sum of x over axes with broadcast factors outside, if there are any."""
    repeated = made_by(x, structural.expand)
    if repeated is not None and set(axes) <= set(repeated.params["axes"]):
        return _of_broadcast(b, x, repeated, axes)
    found = _product(b, x, axes)
    if found is not None:
        return found
    found = _nested(b, x, axes)
    if found is not None:
        return found
    for primitive in (ew.add, ew.subtract):
        equation = made_by(x, primitive)
        if equation is not None and any(map(_holds_sum, equation.inputs)):
            terms = [_nested(b, term, axes) for term in equation.inputs]
            if any(term is not None for term in terms):
                pairs = zip(terms, equation.inputs, strict=True)
                sums = [t if t is not None else _sum(b, y, axes) for t, y in pairs]
                return b.emit1(primitive, sums)
    return None


def _of_broadcast(
    b: Builder, x: Operand, repeated: Equation, axes: tuple[int, ...]
) -> Operand:
    """A sum over axes that a broadcast did not add, before the broadcast."""
    kept = repeated.params["axes"]
    total = _sum(b, repeated.inputs[0], [kept.index(a) for a in axes])
    left = [k for k in range(x.type.ndim) if k not in axes]
    shape = tuple(x.type.shape[k] for k in left)
    return expand(b, total, shape, tuple(left.index(a) for a in kept if a not in axes))


def _sum(b: Builder, x: Operand, axes: Sequence[int]) -> Operand:
    if not axes:
        return x
    return b.emit1(reductions.reduce_sum, (x,), {"axes": tuple(sorted(axes))})


def _holds_sum(x: Operand) -> bool:
    inner = made_by(x, structural.transpose)
    return made_by(inner.inputs[0] if inner else x, reductions.reduce_sum) is not None


def _nested(b: Builder, x: Operand, axes: tuple[int, ...]) -> Operand | None:
    """A sum of a (transposed) sum of a product that has a factor to move out."""
    perm = tuple(range(x.type.ndim))
    moved = made_by(x, structural.transpose)
    if moved is not None:
        (x,), perm = moved.inputs, moved.params["perm"]
    inner = made_by(x, reductions.reduce_sum)
    if inner is None:
        return None
    (z,), already = inner.inputs, inner.params["axes"]
    left = [k for k in range(z.type.ndim) if k not in already]
    outer = {left[perm[a]] for a in axes}
    total = _product(b, z, tuple(sorted({*already, *outer})), outer)
    if total is None:
        return None
    # What is left stands in the order of z; it is wanted in that of the transpose.
    kept = [left[p] for k, p in enumerate(perm) if k not in axes]
    order = tuple(sorted(kept).index(a) for a in kept)
    return b.emit1(structural.transpose, (total,), {"perm": order})


def _product(
    b: Builder, x: Operand, axes: tuple[int, ...], wanted: set[int] | None = None
) -> Operand | None:
    """A sum over axes of a product one of whose factors repeats along some of them.

    wanted: axes of which at least one must be moved in.
    """
    equation = made_by(x, ew.multiply)
    if equation is None:
        return None
    for position in (0, 1):
        factor, other = equation.inputs[position], equation.inputs[1 - position]
        repeated = made_by(factor, structural.expand)
        if repeated is None:
            continue
        kept = repeated.params["axes"]
        early = [a for a in axes if a not in kept]
        if not early or (wanted is not None and not wanted & set(early)):
            continue
        left = [k for k in range(x.type.ndim) if k not in early]
        shape = tuple(x.type.shape[k] for k in left)
        places = tuple(left.index(a) for a in kept)
        pair = [_sum(b, other, early), expand(b, repeated.inputs[0], shape, places)]
        if position == 0:
            pair.reverse()
        late = [left.index(a) for a in axes if a not in early]
        return _sum(b, b.emit1(ew.multiply, pair), late)
    return None
