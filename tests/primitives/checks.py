"""What must hold of every primitive. Each check takes a record, so a new one too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.numeric import floats, inner, like, slope
from tests.primitives.cases import Case, cases, strided
from tests.primitives.kernels import assert_agrees, run
from tests.primitives.proofs import prove
from tests.tracing import Recorded, pullback, pushforward, record
from tracegrad.ir.primitive import Primitive

SEEDS = (1, 2)


def _function(primitive: Primitive, case: Case) -> Callable[..., Any]:
    return lambda *operands: primitive(*operands, **case.params)


def _recorded(primitive: Primitive, case: Case) -> Recorded:
    if not case.operands:  # nothing to record: belongs to a trace all the same
        return record(
            lambda x: type(x)(x.builder, x.builder.emit1(primitive, (), case.params)),
            0.0,
        )
    return record(_function(primitive, case), *case.operands)


def _arguments(case: Case) -> tuple[Any, ...]:
    return case.operands or (np.asarray(0.0),)


def _evaluated(primitive: Primitive, case: Case) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        result = primitive(*case.operands, **case.params)
    return result if isinstance(result, tuple) else (result,)


def check_value(primitive: Primitive) -> None:
    """Recorded and evaluated is NumPy's value, of the inferred type, in both dtypes."""
    for case in _both_dtypes(primitive):
        expected = _evaluated(primitive, case)
        recorded = _recorded(primitive, case)
        operands = tuple(map(strided, _arguments(case)))
        results = recorded(*operands)
        results = results if isinstance(results, tuple) else (results,)
        for want, got, type_ in zip(expected, results, recorded.types, strict=True):
            np.testing.assert_array_equal(got, want)
            shape = tuple(d.evaluate(recorded.assumptions.hints) for d in type_.shape)
            assert np.shape(want) == shape
            assert np.asarray(want).dtype == type_.dtype


def _both_dtypes(primitive: Primitive) -> Any:
    for case in cases(primitive, SEEDS[0]):
        yield case
        if any(x.dtype.kind == "f" for x in case.operands):
            yield case.with_floats("float32")


def check_derivatives(primitive: Primitive) -> None:
    """Both modes agree with each other and with differences, at two points."""
    for case in _differentiable(primitive):
        recorded = _recorded(primitive, case)
        results = floats(_evaluated(primitive, case))
        rng = np.random.default_rng(3)
        v, w = _directions(primitive, case, rng), like(rng, results)
        pulled = floats(pullback(recorded, _aligned(recorded, w))(*case.operands))
        pushed = floats(pushforward(recorded, v)(*case.operands))
        forward, reverse = inner(pushed, w), inner(pulled, v)
        np.testing.assert_allclose(forward, reverse, rtol=1e-11, atol=1e-11)
        numeric = slope(_function(primitive, case), case.operands, v, w)
        np.testing.assert_allclose(reverse, numeric, rtol=1e-7, atol=1e-8)
        for bar, x in zip(pulled, floats(case.operands), strict=True):
            assert bar.shape == x.shape


def check_second_order(primitive: Primitive) -> None:
    """The derivatives of the gradient, in both modes, at two points."""
    for case in _differentiable(primitive):
        recorded = _recorded(primitive, case)
        rng = np.random.default_rng(4)
        weights = like(rng, floats(_evaluated(primitive, case)))
        gradient = pullback(recorded, _aligned(recorded, weights))
        v, w = (_directions(primitive, case, rng) for _ in range(2))
        forward = inner(floats(pushforward(gradient, v)(*case.operands)), w)
        reverse = inner(floats(pullback(gradient, w)(*case.operands)), v)
        np.testing.assert_allclose(forward, reverse, rtol=1e-10, atol=1e-10)
        numeric = slope(gradient, case.operands, v, w)
        np.testing.assert_allclose(forward, numeric, rtol=1e-6, atol=1e-7)


def check_single_precision(primitive: Primitive) -> None:
    """float32 stays float32 in both modes, and is close to float64."""
    for case in _differentiable(primitive):
        narrow = case.with_floats("float32")
        weights = like(np.random.default_rng(5), floats(_evaluated(primitive, case)))
        wide_recorded = _recorded(primitive, case)
        recorded = _recorded(primitive, narrow)
        wide = pullback(wide_recorded, _aligned(wide_recorded, weights))
        single = pullback(recorded, _aligned(recorded, weights))
        for a, b in zip(
            floats(single(*narrow.operands)), floats(wide(*case.operands)), strict=True
        ):
            assert a.dtype == np.float32
            scale = 1.0 + np.max(np.abs(b), initial=0.0)
            np.testing.assert_allclose(a / scale, b / scale, atol=2e-5)
        along = floats(narrow.operands)
        tangents = pushforward(recorded, along)(*narrow.operands)
        assert all(t.dtype == np.float32 for t in floats(tangents))


def _differentiable(primitive: Primitive) -> Any:
    if primitive.rule is None:
        return
    for seed in SEEDS:
        for case in cases(primitive, seed):
            results = floats(_evaluated(primitive, case))
            if floats(case.operands) and results:
                yield case


def _directions(primitive: Primitive, case: Case, rng: Any) -> list[np.ndarray]:
    """Random directions; none for an operand that its domain fixes."""
    found = [np.asarray(d) for d in like(rng, floats(case.operands))]
    if len(found) == len(primitive.domain):
        pairs = zip(found, primitive.domain, strict=True)
        found = [d * float(low != high) for d, (low, high) in pairs]
    return found


def _aligned(recorded: Recorded, weights: list[np.ndarray]) -> list[Any]:
    """One weight per result; those that carry no derivative get a placeholder."""
    given = iter(weights)
    return [next(given) if t.differentiable else 0.0 for t in recorded.types]


def check_zero(primitive: Primitive) -> None:
    """Without a rule, the derivative is zero: then the function is locally constant."""
    if primitive.rule is not None or primitive.name == "stop_gradient":
        return
    for case in cases(primitive, SEEDS[0]):
        results = floats(_evaluated(primitive, case))
        if floats(case.operands) and results:
            rng = np.random.default_rng(6)
            v, w = like(rng, floats(case.operands)), like(rng, results)
            assert slope(_function(primitive, case), case.operands, v, w) == 0.0


def check_lowered(primitive: Primitive) -> None:
    """The printed kernel, run as plain Python, gives values and gradients alike."""
    for case in _both_dtypes(primitive):
        recorded = _recorded(primitive, case)
        weights = like(np.random.default_rng(8), floats(_evaluated(primitive, case)))
        if primitive.rule is not None and floats(case.operands) and weights:
            aligned = _aligned(recorded, weights)
            recorded = pullback(recorded, aligned, values=True)
        arguments = _arguments(case)
        assert_agrees(recorded, arguments, run(recorded, arguments))


# Decompositions have no symbolic form: the other checks compare them by numbers.
BY_NUMBERS = {"eigh", "qr", "svd", "pinv"}


def check_proved(primitive: Primitive) -> None:
    """Both rules equal SymPy's derivative: the difference simplifies to zero."""
    if primitive.rule is not None:
        found = prove(primitive)
        assert not found.failed, found.failed[0]
        assert bool(found.entries) == (primitive.name not in BY_NUMBERS)


CHECKS: dict[str, Callable[[Primitive], None]] = {
    "value": check_value,
    "derivatives": check_derivatives,
    "second_order": check_second_order,
    "single_precision": check_single_precision,
    "zero": check_zero,
    "lowered": check_lowered,
    "proved": check_proved,
}
