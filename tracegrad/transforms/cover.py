"""Covering: zeros of which a loop adds to each cell once are made by that loop.

For instance, ``a[:] = 0`` and ``for i in range(n): a[i] += f(i)``, which is what the
adjoint of a loop over an array's elements does, become ``a[i] = f(i)`` in the loop.
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Graph, Value, values_of
from tracegrad.primitives import refs
from tracegrad.primitives.control import check, for_
from tracegrad.transforms.affine import affine, named_indices, size_form
from tracegrad.transforms.regions import body_of, clone, used_by, walk_in


def cover(graph: Graph) -> Graph:
    """The graph without zeros that are added to once each."""
    copy = clone(graph)
    for region in [copy, *(r for e in copy.walk() for r in e.regions)]:
        for k, equation in enumerate(region.equations):
            if equation.primitive is refs.alloc and equation.params["fill"] == 0:
                _cover(equation, region.equations[k + 1 :])
    return copy


def _cover(zeros: Equation, later: list[Equation]) -> None:
    (ref,) = zeros.outputs
    user = next((e for e in later if ref in used_by(e)), None)
    if user is None:
        return
    indices: list[Value] = []
    while user.primitive is for_ and _is_full(user, ref, len(indices)):
        body = body_of(user)
        indices.append(body.params[0])
        users = [e for e in body.equations if ref in used_by(e)]
        if len(users) != 1 or ref in values_of(body.results):
            return
        (user,) = users
    if (
        indices
        and user.primitive is refs.accumulate
        and user.inputs == (ref, user.inputs[1], *indices)
        and all(size is None for size in user.params["sizes"])
    ):
        user.primitive = refs.store
        zeros.params = {**zeros.params, "fill": None}


def _is_full(loop: Equation, ref: Value, axis: int) -> bool:
    """Whether a loop is sure to visit each index of an axis of a Ref, by that name."""
    if axis == ref.type.ndim or loop.params["step"] != 1 or loop.params["stops"]:
        return False
    lo, hi, *initial = loop.inputs
    size = size_form(ref.type.shape[axis], named_indices(ref.graph))
    return (
        not affine(lo)
        and affine(hi) == size
        and ref not in initial
        and not any(e.primitive is check for e in walk_in(loop))
    )
