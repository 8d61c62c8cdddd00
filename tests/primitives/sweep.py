"""What must hold of the compiled primitives of a joint kernel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tests.numeric import floats, inner, slope
from tests.primitives.cases import strided
from tests.primitives.joint import Arrays, Joint, Member, Results

DTYPES = ("float64", "float32")
VALUE = {"float64": 1e-12, "float32": 1e-5}
PRODUCT = {"float64": 1e-11, "float32": 1e-4}
SINGLE = 5e-5


class Sweep:
    """A joint kernel, called at one point with two directions, in both dtypes.

    Each check is of one member, by its position.
    """

    def __init__(self, joint: Joint) -> None:
        self.members = joint.members
        self.kernel = joint.compiled()
        # Numbers that float32 has too, so that both dtypes compute the same.
        self.xs, self.vs, self.us, self.ws = (
            cast(cast(part, "float32"), "float64")
            for part in (joint.inputs, *map(joint.directions, (1, 2)), joint.weights)
        )
        self.results = {dtype: self.run(self.xs, dtype) for dtype in DTYPES}
        self.along_u = self.kernel(self.xs, self.us, self.ws)

    def run(self, xs: Arrays, dtype: str = "float64") -> list[Results]:
        """Every member's results."""
        return self.kernel(*(cast(part, dtype) for part in (xs, self.vs, self.ws)))

    def check(self) -> None:
        """All checks of all members; a failure names its member."""
        failures = []
        for k, member in enumerate(self.members):
            checks = [self.check_value, self.check_layout]
            if member.differentiable:
                checks += [self.check_first_order, self.check_single_precision]
            if member.curved:
                checks += [self.check_second_order]
            for check in checks:
                try:
                    check(k, member)
                except AssertionError as error:
                    failures.append(f"{check.__name__} of {member}: {error}")
        assert not failures, "\n\n".join(failures)

    def check_value(self, k: int, member: Member) -> None:
        """Compiled is NumPy's value, dtype and shape."""
        for dtype, results in self.results.items():
            _assert_numpys(member, cast(self.xs, dtype), results[k], VALUE[dtype])

    def check_first_order(self, k: int, member: Member) -> None:
        """⟨Jv, w⟩ = ⟨v, Jᵀw⟩, and the difference quotient."""
        v, w = member.directions(self.vs), member.cotangents(self.ws)
        for dtype, results in self.results.items():
            forward, reverse = results[k]["tangent"], results[k]["cotangent"]
            _close(inner(forward, w), inner(reverse, v), PRODUCT[dtype])
        numeric = slope(member, member.operands(self.xs), v, w)
        _close(inner(self.results["float64"][k]["tangent"], w), numeric, 1e-7)

    def check_second_order(self, k: int, member: Member) -> None:
        """⟨Hv, u⟩ = ⟨v, Hu⟩, and the difference quotient of the gradient."""
        v, u = member.directions(self.vs), member.directions(self.us)
        product = inner(self.results["float64"][k]["second"], u)
        _close(product, inner(v, self.along_u[k]["second"]), PRODUCT["float64"])

        def gradient(*operands: Any) -> Any:
            xs = list(self.xs)
            for place, x in zip(member.inputs, operands, strict=True):
                xs[place] = x
            return self.run(xs)[k]["cotangent"]

        _close(product, slope(gradient, member.operands(self.xs), v, u), 1e-6)

    def check_single_precision(self, k: int, member: Member) -> None:
        """Derivatives in float32 are close to those in float64, and float32."""
        wide, narrow = self.results["float64"][k], self.results["float32"][k]
        for title in wide.keys() - {"value"}:
            for a, b in zip(narrow[title], wide[title], strict=True):
                _close(a, b, SINGLE)
        own = member.directions(cast(self.xs, "float32"))
        assert dtypes(narrow["cotangent"]) == dtypes(own)
        assert dtypes(narrow["tangent"]) == dtypes(floats(narrow["value"]))

    def check_layout(self, k: int, member: Member) -> None:
        """Arrays with gaps give the same bits."""
        for dtype, results in self.results.items():
            parts = (cast(part, dtype) for part in (self.xs, self.vs, self.ws))
            got = self.kernel(*([strided(x) for x in part] for part in parts))[k]
            for title, expected in results[k].items():
                for a, b in zip(got[title], expected, strict=True):
                    np.testing.assert_array_equal(a, b, title)

    def check_empty(self) -> None:
        """The same kernels take arrays without elements."""
        for dtype in DTYPES:
            xs, vs, ws = (
                [x[:0] if x.ndim else x for x in cast(part, dtype)]
                for part in (self.xs, self.vs, self.ws)
            )
            results = self.kernel(xs, vs, ws)
            for member, own in zip(self.members, results, strict=True):
                _assert_numpys(member, xs, own, VALUE[dtype])
                if member.differentiable:
                    v, bars = member.directions(vs), own["cotangent"]
                    assert [np.shape(bar) for bar in bars] == [x.shape for x in v]
                    forward = inner(own["tangent"], member.cotangents(ws))
                    _close(inner(bars, v), forward, PRODUCT[dtype])
        assert len(self.kernel.signatures) == len(DTYPES), "one kernel takes any size"


def cast(arrays: Iterable[Any], dtype: str) -> Arrays:
    """The floating-point arrays in a dtype, the others as they are."""
    return [x.astype(dtype) if x.dtype.kind == "f" else x for x in arrays]


def dtypes(arrays: Iterable[Any]) -> list[Any]:
    """The dtype of each."""
    return [np.asarray(x).dtype for x in arrays]


def _assert_numpys(member: Member, xs: Arrays, results: Results, near: float) -> None:
    with np.errstate(all="ignore"):
        expected = member(*member.operands(xs))
    assert dtypes(results["value"]) == dtypes(expected)
    for got, want in zip(results["value"], expected, strict=True):
        _close(got, want, near)


def _close(got: Any, want: Any, near: float) -> None:
    """Equal up to a share of the largest entry."""
    scale = 1.0 + np.max(np.abs(np.asarray(want, float)), initial=0.0)
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=near, atol=near * scale)
