"""Every primitive of the table on the tape: what the graph computes, both ways.

Forward and backward through tensors, with and without recording the backward pass, and
the frozen run, against the evaluated graph and its pullback.
"""

import numpy as np
import pytest

import tracegrad.tape as torch
from tests.numeric import floats, like
from tests.primitives.cases import cases
from tests.traces.running import run
from tests.tracing import pullback, record
from tracegrad import freeze
from tracegrad.ir.primitive import Elementwise
from tracegrad.primitives import TABLE
from tracegrad.primitives.comparisons import stop_gradient

# A Ref, control flow and a size belong to graphs; the tape has its own.
EAGER = {
    name: p
    for name, p in TABLE.items()
    if p.effect == "pure" and name not in ("size", "for", "while", "cond")
}


def several(x):
    return x if isinstance(x, tuple) else (x,)


def differentiable(primitive):
    rule = primitive.rule
    refused = isinstance(rule, Elementwise) and rule.partials is None
    return rule is not None and not refused and primitive is not stop_gradient


def tensors(operands, requires_grad):
    return [
        torch.tensor(x, requires_grad=requires_grad and x.dtype.kind == "f")
        for x in operands
    ]


def computed(primitive, case):
    with np.errstate(all="ignore"):
        return several(primitive(*case.operands, **case.params))


def check_values(primitive, case):
    expected = computed(primitive, case)
    with torch.no_grad():
        found = several(primitive(*tensors(case.operands, False), **case.params))
    for want, got in zip(expected, found, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
        assert got.dtype == np.asarray(want).dtype
        assert tuple(got.shape) == np.shape(want)


def check_gradients(primitive, case):
    expected = computed(primitive, case)
    if not floats(case.operands) or not floats(expected):
        return
    weights = like(np.random.default_rng(2), floats(expected))
    recorded = record(lambda *xs: primitive(*xs, **case.params), *case.operands)
    given = iter(weights)
    aligned = [
        next(given) if t.differentiable else np.zeros(()) for t in recorded.types
    ]
    expected = floats(pullback(recorded, aligned)(*case.operands))
    for create in (False, True):
        points = tensors(case.operands, True)
        leaves = [x for x in points if x.requires_grad]
        outs = [
            y
            for y in several(primitive(*points, **case.params))
            if y.is_floating_point()
        ]
        found = torch.autograd.grad(
            outs,
            leaves,
            [torch.tensor(w) for w in weights],
            create_graph=create,
            materialize_grads=True,
        )
        for want, got, x in zip(expected, found, leaves, strict=True):
            np.testing.assert_allclose(
                got.detach().numpy(), want, rtol=1e-13, atol=1e-14
            )
            assert got.dtype == x.dtype


def check_frozen(primitive, case):
    points = tensors(case.operands, False)
    frozen = freeze(lambda *xs: primitive(*xs, **case.params), *points)
    found = several(run(frozen, *case.operands))
    for want, got in zip(computed(primitive, case), found, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", EAGER)
def test_primitive(name):
    primitive = EAGER[name]
    for number, case in enumerate(cases(primitive, 1)):
        if not case.operands:
            continue
        check_values(primitive, case.with_floats("float32"))
        check_values(primitive, case)
        if not number:
            check_frozen(primitive, case)
        if differentiable(primitive):
            check_gradients(primitive, case)
