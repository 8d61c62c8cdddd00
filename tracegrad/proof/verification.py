"""All checks of one gradient, in order, each with what it found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.errors import TracegradError
from tracegrad.products import jvp
from tracegrad.proof import client, identity, numeric, precise
from tracegrad.proof.inputs import Input, inputs_of, small_sizes, weights_of
from tracegrad.proof.job import Entry, Failed, Started, job_of
from tracegrad.proof.program import Subject
from tracegrad.proof.progress import Progress
from tracegrad.proof.report import Check, Finding, Verdict
from tracegrad.traces.algebra import OutOfTime

_KERNEL_TOLERANCE = {"float64": 1e-8, "float32": 1e-3}
_DIFFERENCE_TOLERANCE = {"float64": 1e-6, "float32": 2e-2}
_ROUGH = 1e-3
_NOT_SMOOTH = "no point where the function is smooth"
_DRAWS = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """How to verify; see ``verify``."""

    domain: Mapping[str, tuple[float, float]]
    points: int
    budget: float
    seed: int


class Verification:
    """One run of all checks on one subject.

    Attributes:
        notes: what a reader of the checks should know.
    """

    def __init__(
        self, own: Subject, settings: Settings, progress: Progress, prefix: str = ""
    ) -> None:
        self.subject = own
        self.domain = settings.domain
        self.budget = settings.budget
        self.seed = settings.seed
        self.rng = np.random.default_rng(settings.seed)
        self.progress = progress
        self.prefix = prefix
        self.notes: list[str] = []
        self.inputs = inputs_of(own, self.domain, None)
        given = [x.value for x in self.inputs]
        drawn = [self._drawn() for _ in range(settings.points)]
        self.points: list[list[Any]] = [given, *(p for p in drawn if p is not None)]
        self.weights = [
            self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1.0, 1.0], shape)
            for _, shape in weights_of(own, None)
        ]
        self.exact: dict[int, list[Any]] = {}
        floats = [x for x in self.inputs if x.floating]
        single = any(np.asarray(x.value).dtype == np.float32 for x in floats)
        self.dtype = "float32" if single else "float64"

    def checks(self) -> Iterator[Check]:
        """Each check in turn."""
        for method, make in (
            ("reverse-mode program, by SymPy", self._sympy),
            ("reverse-mode program, as an identity", self._identity),
            ("reverse-mode program, in 50 digits", self._digits),
            ("compiled kernel, against the program", self._kernel),
            ("compiled kernel, against values", self._differences),
            ("forward against reverse", self._products),
        ):
            begin = monotonic()
            found = make()
            seconds = monotonic() - begin
            yield Check(
                found.verdict,
                found.why,
                found.entries,
                found.partial,
                f"{self.prefix}{method}",
                seconds,
            )

    def _drawn(self) -> list[Any] | None:
        """A random point at which the function raises nothing, if one is found."""
        for _ in range(_DRAWS):
            point = [x.drawn(self.rng) for x in self.inputs]
            try:
                self._values([_moved(x, 0.0, None) for x in point])
            except Exception as error:  # the function's own
                note = f"it raises {type(error).__name__} at some of the random points"
                self.notes.append(note)
            else:
                return point
        return None

    def _values(self, point: Sequence[Any]) -> list[Any]:
        """The leaves of what the plain Python function returns."""
        own = self.subject
        with np.errstate(all="ignore"):
            result = own.function(
                *pytree.unflatten(pytree.structure(own.args), list(point))
            )
        return pytree.leaves(result)

    # --- proofs ----------------------------------------------------------------------

    def _sympy(self) -> Finding:
        sizes = small_sizes(self.subject)
        self.progress.say("expressions for SymPy")
        job = job_of(self.subject, self.domain, sizes, 0.4 * self.budget)
        entries: list[Entry] = []
        started: Started | None = None
        for message in client.prove(job):
            if isinstance(message, Failed):
                if started is None:
                    return Finding("unchecked", f"not attempted: {message.why}")
                break
            if isinstance(message, Started):
                started = message
            else:
                entries.append(message)
                assert started is not None
                self.progress.count("proving", len(entries), started.entries)
        if started is None or not entries:
            return Finding("unchecked", "not attempted: no answer in time")
        return _summary(entries, started, self._sizes(sizes))

    def _sizes(self, sizes: Mapping[str, int] | None) -> str:
        if sizes is None:
            return ""
        shown = [
            f"{x.name}[{', '.join(map(str, np.shape(x.value)))}]"
            if np.ndim(x.value)
            else f"{x.name} = {x.value}"
            for x in inputs_of(self.subject, self.domain, sizes)
            if np.ndim(x.value) or not x.floating
        ]
        return ", ".join(shown)

    def _identity(self) -> Finding:
        self.progress.say("identity modulo a prime")
        deadline = monotonic() + 0.2 * self.budget
        found = []
        for k, values in enumerate(self.points):
            point = [
                Input(x.name, v, x.low, x.high)
                for x, v in zip(self.inputs, values, strict=True)
            ]
            tested = identity.identity(self.subject, point, self.seed + k, deadline)
            if k and monotonic() > deadline:
                break
            found.append(tested)
        worst = min(found, key=lambda f: _IDENTITIES.index(f.verdict))
        if worst.verdict == "undecided":
            return Finding("unchecked", worst.why)
        branching = any(f.decisions for f in found)
        where = f", along the paths of {_points(len(found))}" if branching else ""
        if worst.verdict == "agreed":
            why = "equal modulo 2^127 - 1, but of too high a degree to bound the error"
            return Finding("agreed", why + where)
        why = "equal at random numbers modulo the prime 2^127 - 1"
        if worst.error:
            why += f"; wrong with probability < {worst.error:.0e}"
        return Finding("proved", why + where, partial=branching)

    # --- numbers ---------------------------------------------------------------------

    def _digits(self) -> Finding:
        deadline = monotonic() + 0.25 * self.budget
        fewest, compared = float(precise.MOST_DIGITS), 0
        for k, point in enumerate(self.points):
            self.progress.count("many digits", k, len(self.points))
            try:
                found = precise.precise(
                    self.subject, point, self.inputs, self.weights, self.rng, deadline
                )
            except OutOfTime:
                break
            except (TracegradError, ArithmeticError, ValueError) as error:
                return Finding("unchecked", str(error).partition("\n")[0])
            self.exact[k] = found.bars
            if found.kink:
                self.notes.append(f"{self._point(k)} lies on a kink")
                continue
            if np.isnan(found.digits):
                self.notes.append(f"{self._point(k)} is outside of the domain")
                continue
            compared += 1
            fewest = min(fewest, found.digits)
            if found.digits < precise.FEWEST_DIGITS:
                exact, program = (float(x) for x in found.exact)
                why = (
                    f"at {self._point(k)}, along a random direction: the derivative is "
                    f"{exact:.12g}, the program gives {program:.12g}"
                )
                return Finding("differs", why)
        if not compared and not self.exact:
            return Finding("unchecked", "not attempted: one point takes too long")
        if not compared:
            return Finding("unchecked", _NOT_SMOOTH)
        where = _points(compared)
        why = f"{fewest:.0f} digits equal to difference quotients at {where}"
        return Finding("agreed", why)

    def _point(self, k: int) -> str:
        return "the given point" if k == 0 else f"random point {k}"

    def _kernel(self) -> Finding:
        if not self.exact:
            return Finding("unchecked", "there are no digits to compare with")
        self.progress.say("compiling the gradient")
        ulps = relative = 0.0
        for k, exact in self.exact.items():
            found = self.subject.call(self.points[k], self.weights)
            error = precise.rounding(found, exact)
            if error.nans:
                return Finding("differs", f"NaN or inf at {self._point(k)}")
            ulps, relative = max(ulps, error.ulps), max(relative, error.relative)
        where = _points(len(self.exact))
        why = f"{where}: at most {ulps:.3g} ulp, {_relative(relative)}"
        wrong = relative > _KERNEL_TOLERANCE[self.dtype]
        return Finding("differs" if wrong else "agreed", why)

    def _differences(self) -> Finding:
        self.progress.say("differences")
        tolerance = _DIFFERENCE_TOLERANCE[self.dtype]
        worst, compared, how = 0.0, 0, "differences"
        for k, point in enumerate(self.points):
            direction = self._direction(point)
            bars = self.subject.call(point, self.weights)
            chosen = [direction[c] for c in self.subject.chosen]
            own = float(numeric.inner(bars, chosen))
            slope = self._slope(point, direction)
            how = slope.method
            if not (np.isfinite(slope.value) and np.isfinite(own)):
                continue
            scale = max(abs(own), abs(slope.value), 1e-12)
            error = abs(own - slope.value)
            rough = slope.error > _ROUGH * scale
            if rough or error > tolerance * scale + 10.0 * slope.error:
                if rough or slope.kink:
                    self.notes.append(
                        f"near {self._point(k)} the function isn't smooth: slopes "
                        f"{slope.left:.6g} and {slope.right:.6g} on both sides"
                    )
                    continue
                why = f"{slope.method}: {slope.value:.12g}, the kernel gives {own:.12g}"
                return Finding("differs", f"{why} at {self._point(k)}")
            worst, compared = max(worst, error / scale), compared + 1
        if not compared:
            return Finding("unchecked", _NOT_SMOOTH)
        return Finding("agreed", f"{how}: {_points(compared)}, {_relative(worst)}")

    def _slope(self, point: Sequence[Any], direction: Sequence[Any]) -> numeric.Slope:
        """The derivative of the weighted results along a direction, from values."""
        own = self.subject

        def along(t: Any) -> Any:
            moved = [_moved(x, t, d) for x, d in zip(point, direction, strict=True)]
            returned = self._values(moved)
            outputs = [returned[k] for k in own.results]
            seeds = self.weights or [1.0]
            total = numeric.inner(outputs, seeds)
            return total.item() if hasattr(total, "item") else total

        if self.dtype == "float64" and numeric.analytic(own.primal.graph):
            found = numeric.complex_slope(along)
            if found is not None:
                return found
        return numeric.difference_slope(along)

    def _direction(self, point: Sequence[Any]) -> list[Any]:
        """A random direction for each differentiated leaf, in proportion to it."""
        found: list[Any] = []
        for k, x in enumerate(point):
            if k not in self.subject.chosen:
                found.append(None)
                continue
            array = np.asarray(x, float)
            scale = np.where(array == 0.0, 1.0, np.abs(array))
            signs = self.rng.choice([-1.0, 1.0], array.shape)
            found.append(scale * signs * self.rng.uniform(0.5, 1.0, array.shape))
        return found

    def _products(self) -> Finding:
        self.progress.say("compiling the forward derivative")
        own, point = self.subject, self.points[-1]
        direction = self._direction(point)
        tree = pytree.structure(own.args)
        tangents = [
            _like(d, x) if d is not None else _zero(x)
            for x, d in zip(point, direction, strict=True)
        ]
        args = pytree.unflatten(tree, list(point))
        dots = jvp(own.function, args, pytree.unflatten(tree, tangents))[1]
        outputs = [x for x in pytree.leaves(dots) if x is not None]
        forward = float(numeric.inner(outputs, self.weights or [1.0]))
        chosen = [direction[c] for c in own.chosen]
        reverse = float(numeric.inner(own.call(point, self.weights), chosen))
        if not (np.isfinite(forward) and np.isfinite(reverse)):
            return Finding("unchecked", f"{forward} and {reverse}")
        error = abs(forward - reverse) / max(abs(forward), abs(reverse), 1e-12)
        why = f"⟨Jv, w⟩ = ⟨v, Jᵀw⟩: {_relative(error)}"
        wrong = error > _KERNEL_TOLERANCE[self.dtype]
        return Finding("differs" if wrong else "agreed", why)


_IDENTITIES = ("undecided", "agreed", "proved")
_VERDICTS: dict[str, Verdict] = {
    "proved": "proved",
    "agreed": "agreed",
    "differs": "differs",
    "undecided": "unchecked",
}


def _summary(entries: Sequence[Entry], started: Started, sizes: str) -> Finding:
    """SymPy's answers together."""
    verdicts = [_VERDICTS[e.verdict] for e in entries]
    pairs = zip(entries, verdicts, strict=True)
    listed = tuple((e.name, v, _why(e)) for e, v in pairs)
    count = sum(v == "proved" for v in verdicts)
    steps = ", ".join(dict.fromkeys(e.why for e in entries if e.verdict == "proved"))
    why = f"{count} of {started.entries} entries proved"
    why += f": the difference from SymPy's derivative is 0 ({steps})" if steps else ""
    cases = max(e.cases for e in entries)
    why += f", in up to {cases} cases" if cases > 1 else ""
    why += f"; for {sizes}" if sizes else ""
    if started.path:
        why += f"; where {', '.join(started.path[:6])}"
        why += ", …" if len(started.path) > 6 else ""
    if "differs" in verdicts:
        return Finding("differs", why, listed)
    if count == started.entries:
        return Finding("proved", why, listed, bool(sizes or started.path))
    agreed = all(v in ("proved", "agreed") for v in verdicts)
    complete = len(entries) == started.entries
    verdict: Verdict = "agreed" if agreed and complete else "unchecked"
    return Finding(verdict, why, listed, partial=True)


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count} points"


def _relative(error: float) -> str:
    return f"{error:.1e} relative" if error else "equal to the last bit"


def _why(entry: Entry) -> str:
    at = ", ".join(f"{name} = {value:.6g}" for name, value in entry.point)
    return f"{entry.why} at {at}" if at else entry.why


def _moved(x: Any, t: Any, direction: Any) -> Any:
    """A leaf moved along a direction, never the caller's own array."""
    if direction is None:
        return x.copy() if isinstance(x, np.ndarray) else x
    moved = x + t * direction
    if isinstance(t, complex):
        return moved if isinstance(x, np.ndarray) else complex(moved)
    return _like(moved, x)


def _like(value: Any, x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return np.asarray(value, x.dtype)
    return type(x)(value)


def _zero(x: Any) -> Any:
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return np.zeros_like(x)
    return type(x)(0) if isinstance(x, (float, np.floating)) else None
