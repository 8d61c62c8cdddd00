"""One program through the public API: reverse, forward, differences, plain Python.

A program is the source of a module with a function ``f``. It is run as it is; compiled;
pulled back and pushed forward, with every array it may write to among the results. All
of that has to agree, at two points, and at sizes where Python raises an exception the
same one has to be raised.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from tests.fuzz.comparing import (
    Disagreement,
    all_leaves,
    copied,
    direction_like,
    doubled,
    inner,
    is_float,
    is_single,
    same,
)
from tests.fuzz.complex_step import complex_step
from tests.fuzz.kernels import running
from tracegrad import grad, jit, jvp, pytree, vjp
from tracegrad.errors import TapeWarning, TracegradError
from tracegrad.traces.evaluate import evaluate

_names = count()
_RAISED = (IndexError, ValueError, ArithmeticError)


class Unsuitable(Exception):
    """A program whose numbers explode, or that is refused: nothing to compare."""


@dataclass(frozen=True)
class Program:
    """What is checked.

    source: of a module with a function ``f``.
    arguments: makes arguments from a generator of random numbers and a size.
    seed: of arguments, weights and directions.
    sizes: further ones, small, at which exceptions may be due.
    second: whether the second order is checked.
    until: the kind of disagreement that is looked for; what comes later isn't tried.
    by: how kernels run, one of ``kernels.WAYS``.
    """

    source: str
    arguments: Callable[[np.random.Generator, int], list[Any]]
    seed: int = 0
    size: int = 5
    sizes: tuple[int, ...] = (0, 1, 2, 3)
    second: bool = False
    until: str = ""
    by: str = "python"

    def function(self) -> Callable[..., Any]:
        """A function whose results are those of ``f`` and the arrays it was given."""
        return load(self.source)

    def spaces(self, whole: Callable[..., Any]) -> list[dict[str, Any]]:
        """The global names that the program sees."""
        return [whole.__globals__]


def load(source: str) -> Callable[..., Any]:
    """Run a module's source, so that its functions can be traced; its ``whole``."""
    name = f"<fuzz {next(_names)}>"
    head = next(line for line in source.splitlines() if line.startswith("def f("))
    parameters = head[len("def f(") : head.index(")")]
    arrays = [p for p in parameters.split(", ") if p not in "cqm"]
    text = (
        f"{source}\n\ndef whole({parameters}):\n"
        f"    returned = f({parameters})\n"
        f"    return returned, {', '.join(arrays)}\n"
    )
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "fuzzed"}
    exec(compile(text, name, "exec"), namespace)
    return namespace["whole"]


# --- the checks ----------------------------------------------------------------------


def check(program: Program) -> int:
    """Compare all ways to run and to differentiate a program.

    Returns:
        At how many of its two points there was a complex step to compare with.

    Raises:
        Disagreement: if any two differ.
        Unsuitable: if there is nothing to compare.
    """
    with running(program.by):
        whole = program.function()
        runs = Runs(program, whole)
        points = (program.seed, program.seed + 1)
        for seed in points:
            runs.expected(seed, program.size)
        for seed in points:
            runs.at(seed, program.size, differences=True)
        for size in program.sizes:
            runs.at(program.seed, size, differences=False)
        if program.second:
            runs.second_order(program.seed)
        return runs.steps


class Runs:
    """A function and its compiled variants."""

    def __init__(self, program: Program, whole: Callable[..., Any]) -> None:
        self.program = program
        self.whole = whole
        self.compiled = jit(whole)
        self.written = False
        self.steps = 0

    def arguments(self, seed: int, size: int) -> list[Any]:
        return self.program.arguments(np.random.default_rng([seed, size]), size)

    def expected(self, seed: int, size: int) -> Any:
        """What Python gives at a point where it has to be something moderate."""
        expected = plain(self.whole, self.arguments(seed, size))
        if isinstance(expected, Exception):
            raise Unsuitable(f"raises {type(expected).__name__}")
        if not moderate(expected):
            raise Unsuitable("numbers explode")
        return expected

    def at(self, seed: int, size: int, *, differences: bool) -> None:
        """Check at a point."""
        arguments = self.arguments(seed, size)
        if differences:
            expected = self.expected(seed, size)
        else:
            expected = plain(self.whole, arguments)
            if isinstance(expected, Exception):
                return self._raises(arguments, expected)
            if not moderate(expected):
                return
        if differences and not self.written:
            self.written = True
            self._writes(arguments, expected)
        early = self.program.until in ("value", "crash of value", "arguments written")
        if not early and any(map(is_float, pytree.leaves(expected))):
            self._products(seed, arguments, expected, differences)

    def _writes(self, arguments: list[Any], expected: Any) -> None:
        """Compiled as it is, it writes to its arguments as Python does."""
        given = copied(arguments)
        found = traced(lambda: self.compiled(*given), "value")
        same("value", expected, found, single=is_single(arguments))
        arrays = [x for x in given if np.ndim(x)]
        same("arguments written", list(expected[1:]), arrays, single=is_single(given))

    def _raises(self, arguments: list[Any], expected: Exception) -> None:
        try:
            self.compiled(*copied(arguments))
        except TracegradError as error:
            raise Unsuitable(f"refused: {error.what}") from None
        except TapeWarning as warning:
            raise Unsuitable(f"refused: {str(warning).splitlines()[1]}") from None
        except Exception as error:
            if isinstance(error, _RAISED) and isinstance(expected, _RAISED):
                return  # of several that are due, which comes first may differ
            raise Disagreement(
                "exception", f"{expected!r} of Python, {error!r} of ours"
            ) from error
        raise Disagreement("exception", f"{expected!r} of Python, nothing of ours")

    def _products(
        self, seed: int, arguments: list[Any], expected: Any, differences: bool
    ) -> None:
        rng = np.random.default_rng([seed, 7])
        weights = direction_like(expected, rng)
        direction = direction_like(tuple(arguments), rng)
        given = copied(arguments)
        value, pull = traced(lambda: vjp(self.whole, *given), "vjp")
        single = is_single(arguments)
        same("value of vjp", expected, value, single=single)
        bars = traced(lambda: pull(weights), "pullback")
        pushed, dots = traced(
            lambda: jvp(self.whole, tuple(given), direction), "pushforward"
        )
        same("value of jvp", expected, pushed, single=single)
        same("arguments afterwards", arguments, given, exact=True)
        # Plain Python has no single-precision numbers, unless NumPy's are given to it.
        exact = not single or self.program.by == "numba"
        same("second call", bars, pull(weights), exact=exact, single=single)
        self._by_evaluation(pull.kernel, bars, (tuple(given), weights), single)
        reverse, scale = inner(direction, bars)
        forward, other = inner(weights, dots)
        scale = max(scale, other, 1.0)
        limit = 2e-3 if single else 1e-8
        if not abs(reverse - forward) <= limit * scale:
            raise Disagreement("reverse and forward", f"{reverse!r} and {forward!r}")
        if differences:
            given = doubled(arguments)
            step = self._by_complex_step(arguments, direction, expected, weights)
            self.steps += step is not None
            if step is not None and not abs(step - forward) <= 1e-12 * scale:
                raise Disagreement("complex step", f"{step!r}, not {forward!r}")
            slope = difference(self.whole, given, direction, weights)
            limit = 1e-2 if single else 1e-4
            if slope is not None and not abs(slope - forward) <= limit * scale:
                raise Disagreement("differences", f"{slope!r}, not {forward!r}")

    def _by_complex_step(
        self, arguments: Any, direction: Any, expected: Any, weights: Any
    ) -> float | None:
        """An independent slope without rounding, where complex numbers give one."""
        if is_single(arguments):
            return None
        spaces = self.program.spaces(self.whole)
        return complex_step(self.whole, spaces, arguments, direction, expected, weights)

    def _by_evaluation(
        self, kernel: Any, found: Any, arguments: Any, single: bool
    ) -> None:
        """The graph that was lowered, evaluated by NumPy."""
        spec = kernel._last
        leaves = pytree.leaves((arguments, {}))
        results = evaluate(spec.graph, spec.inputs(leaves))
        outputs = [
            o.value if o.type is None else results[o.result]
            for o in spec.traced.outputs
        ]
        expected = pytree.unflatten(spec.traced.tree, outputs)
        same("lowering", expected, found, single=single, scaled=True)

    def second_order(self, seed: int) -> None:
        """The gradient of a weighted sum, along a direction and differentiated."""
        arguments = self.arguments(seed, self.program.size)
        if is_single(arguments):
            return
        rng = np.random.default_rng([seed, 11])
        expected = plain(self.whole, arguments)
        weights = direction_like(expected, rng)
        direction = direction_like(tuple(arguments), rng)
        places = tuple(k for k, d in enumerate(direction) if d is not None)
        total = weighted(self.whole, weights)
        gradient = grad(total, argnums=places)

        def along(*args: Any) -> Any:
            """The gradient along the direction: a function to differentiate again."""
            bars = gradient(*args)
            terms = [
                np.sum(b * direction[k]) for b, k in zip(bars, places, strict=True)
            ]
            return sum(terms[1:], terms[0])

        curved = traced(
            lambda: jvp(along, tuple(arguments), direction)[1], "second order"
        )
        again = traced(lambda: grad(along, argnums=places)(*arguments), "second order")
        found, scale = inner([direction[k] for k in places], again)
        scale = max(scale, 1.0)
        if not abs(curved - found) <= 1e-7 * scale:
            raise Disagreement("second orders", f"{curved!r} and {found!r}")
        slope = difference(along, arguments, direction, 1.0)
        if slope is not None and not abs(slope - found) <= 1e-3 * scale:
            raise Disagreement("second differences", f"{slope!r}, not {found!r}")


def weighted(whole: Callable[..., Any], weights: Any) -> Callable[..., Any]:
    """The sum of all results, each element with its own weight."""
    factors = all_leaves(weights)

    def total(*args: Any) -> Any:
        result = 0.0
        outputs = all_leaves(whole(*args))
        for factor, out in zip(factors, outputs, strict=True):
            if factor is not None:
                result = result + np.sum(factor * out)
        return result

    return total


# --- running and comparing -----------------------------------------------------------


def plain(function: Callable[..., Any], arguments: Any) -> Any:
    """What Python gives on copies of the arguments: a result, or an exception."""
    try:
        with np.errstate(invalid="raise", divide="raise", over="raise"):
            return copied(function(*copied(arguments)))
    except TimeoutError:
        raise Unsuitable("slow") from None
    except FloatingPointError:
        raise Unsuitable("infinite or no numbers") from None
    except Exception as error:
        return error


def traced(call: Callable[[], Any], what: str) -> Any:
    """A call that may be refused, but must not fail."""
    try:
        return call()
    except TracegradError as error:
        if "please report" in str(error) or not error.where:
            raise Disagreement(f"crash of {what}", str(error)) from error
        raise Unsuitable(f"refused: {error.what}") from None
    except TapeWarning as warning:
        raise Unsuitable(f"refused: {str(warning).splitlines()[1]}") from None
    except TimeoutError:
        raise Disagreement("timeout", what) from None
    except Disagreement:
        raise
    except Exception as error:
        raise Disagreement(
            f"crash of {what}", f"{type(error).__name__}: {error}"
        ) from error


def moderate(nest: Any) -> bool:
    """Whether all numbers are finite, and none is large."""
    return all(
        np.all(np.abs(np.asarray(x, dtype=float)) < 1e5) for x in pytree.leaves(nest)
    )


def difference(
    function: Callable[..., Any], arguments: Any, direction: Any, weights: Any
) -> float | None:
    """The slope by central differences; None where the function isn't smooth."""

    def at(step: float) -> float:
        moved = [
            x if d is None else x + step * d
            for x, d in zip(copied(arguments), direction, strict=True)
        ]
        result = plain(
            function,
            [
                float(x) if np.ndim(x) == 0 and d is not None else x
                for x, d in zip(moved, direction, strict=True)
            ],
        )
        if isinstance(result, Exception):
            return np.nan
        return inner(weights, result)[0]

    h = 2e-6
    coarse = (at(2 * h) - at(-2 * h)) / (4 * h)
    fine = (at(h) - at(-h)) / (2 * h)
    if not abs(coarse - fine) <= 1e-4 * max(1.0, abs(fine)):
        return None
    return fine


__all__ = ["Disagreement", "Program", "Unsuitable", "check", "load", "replace"]
