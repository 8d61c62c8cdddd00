"""The process that proves: SymPy may take for ever, and a process can be ended.

    python -m tracegrad.proof.worker

reads jobs from standard input and writes what it finds out to standard output, both
pickled; only ``client`` starts it. One entry that takes too long is interrupted and
left undecided; the next one is tried.
"""

from __future__ import annotations

import _thread
import itertools
import pickle
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import Any, BinaryIO

import numpy as np
import sympy
from sympy.core.cache import clear_cache

from tracegrad.errors import TracegradError
from tracegrad.proof import wire
from tracegrad.proof.job import Code, Entry, Failed, Job, Message, Started
from tracegrad.proof.zero import MAX_NODES, Comparison, Range, compare, derivative
from tracegrad.traces.algebra import Undecided
from tracegrad.traces.exact import evaluate_exactly
from tracegrad.traces.symbols import Symbols, constant

sys.setrecursionlimit(20_000)
_WEIGHTS = Range(-2.0, 2.0)


def prove(job: Job) -> Iterator[Message]:
    """What can be found out about each entry of a gradient."""
    deadline = monotonic() + job.seconds
    variables = _Variables(job)
    try:
        with limited(job.seconds):
            expressions = _expressions(job, variables, deadline)
    except (TracegradError, RecursionError, ArithmeticError) as error:
        yield Failed(str(error).replace("\n", " "))
        return
    except KeyboardInterrupt:
        yield Failed("the expressions took too long to make")
        return
    except Exception as error:  # what the program raises at the given point
        yield Failed(f"{type(error).__name__}: {error}".replace("\n", " "))
        return
    total, bars, path = expressions
    pairs = [
        (symbol, bar)
        for position, bar in zip(job.chosen, bars, strict=True)
        for symbol, bar in zip(
            np.ravel(variables.leaves[position]), np.ravel(bar), strict=True
        )
    ]
    yield Started(len(pairs), tuple(map(str, path)))
    for symbol, bar in pairs:
        yield _entry(symbol, total, bar, variables, job.each)


def _entry(
    symbol: Any, total: Any, bar: Any, variables: _Variables, seconds: float
) -> Entry:
    name = str(symbol)
    try:
        with limited(seconds):
            found = _compared(symbol, total, bar, variables)
    except KeyboardInterrupt:
        clear_cache()  # an interrupted query may have left "unknown" behind
        return Entry(name, "undecided", f"more than {seconds:.0f} s")
    except RecursionError:
        return Entry(name, "undecided", "the expression is nested too deeply")
    return Entry(
        name,
        found.verdict,
        found.why,
        found.cases,
        tuple(map(str, found.boundary)),
        tuple(found.point.items()),
    )


def _compared(symbol: Any, total: Any, bar: Any, variables: _Variables) -> Comparison:
    """For all real values; where that is not proved, for positive ones."""
    bar = sympy.sympify(bar)
    found = compare(derivative(total, symbol), bar, variables.domain)
    if found.verdict in ("proved", "differs"):
        return found
    positive = variables.positive
    if not positive:
        return found
    domain = {positive.get(s, s): r for s, r in variables.domain.items()}
    exact = derivative(total.xreplace(positive), positive.get(symbol, symbol))
    again = compare(exact, bar.xreplace(positive), domain)
    if again.verdict != "proved":
        return found
    names = ", ".join(sorted(map(str, positive)))
    return replace(again, why=f"{again.why}, for positive {names}")


class _Variables:
    """The symbols of a job.

    Attributes:
        leaves: for each leaf of the arguments, its symbols or its value.
        weights: symbols.
        domain: of every symbol.
        witness: where the given arguments are.
    """

    def __init__(self, job: Job) -> None:
        self.domain: dict[Any, Range] = {}
        self.witness: dict[Any, Any] = {}
        self.leaves = [self._leaf(x) for x in job.inputs]
        self.weights = []
        for name, shape in job.weights:
            made = symbols(name, shape)
            self.domain |= dict.fromkeys(np.ravel(made), _WEIGHTS)
            self.weights.append(made)

    @property
    def positive(self) -> dict[Any, Any]:
        """Symbols whose given values are positive, as symbols that always are."""
        return {
            s: sympy.Symbol(s.name, real=True, positive=True)
            for s, value in self.witness.items()
            if value > 0 and not s.is_positive
        }

    def _leaf(self, x: Any) -> Any:
        if not x.floating:
            return exact(x.value)
        made = symbols(
            x.name, np.shape(x.value), positive=x.strict and bool(np.all(x.low >= 0.0))
        )
        cells = zip(*(np.ravel(a) for a in (made, x.low, x.high, x.value)), strict=True)
        for symbol, low, high, value in cells:
            self.domain[symbol] = Range(float(low), float(high), x.strict)
            self.witness[symbol] = sympy.Float(float(value), 30)
        return made


def symbols(name: str, shape: Sequence[int], *, positive: bool = False) -> Any:
    """Real symbols ``x[0, 1]``, in an array of a shape."""
    made = np.empty(tuple(shape), object)
    for index in np.ndindex(*shape):
        label = f"{name}[{', '.join(map(str, index))}]" if index else name
        made[index] = sympy.Symbol(label, real=True, positive=positive or None)
    return made if shape else made[()]


def exact(value: Any) -> Any:
    """Data of a program: floats as what they mean, the rest as it is."""
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return np.frompyfunc(constant, 1, 1)(array)
    return (
        array.astype(object) if array.ndim else getattr(value, "item", lambda: value)()
    )


def _expressions(
    job: Job, variables: _Variables, deadline: float
) -> tuple[Any, list[Any], Sequence[Any]]:
    """What is differentiated, its gradient by the program, and what was assumed."""
    try:
        return _evaluated(job, variables, Symbols(None, deadline, MAX_NODES))
    except Undecided:
        # A loop or an index depends on data: the way that the given point takes.
        return _evaluated(
            job, variables, Symbols(variables.witness, deadline, MAX_NODES)
        )


def _evaluated(
    job: Job, variables: _Variables, algebra: Symbols
) -> tuple[Any, list[Any], Sequence[Any]]:
    outputs = _run(job.primal, variables.leaves, algebra)
    if not variables.weights:
        total = outputs[job.results[0]]
    else:
        pairs = zip(job.results, variables.weights, strict=True)
        total = sum((np.sum(outputs[k] * w) for k, w in pairs), sympy.S.Zero)
    leaves = list(variables.leaves)
    if variables.weights:
        given = iter(variables.weights)
        leaves += [next(given) if seeded else 0 for seeded in job.seeds]
    found = _run(job.reverse, leaves, algebra)
    return sympy.sympify(total), [found[k] for k in job.bars], tuple(algebra.path)


def _run(code: Code, leaves: Sequence[Any], algebra: Symbols) -> list[Any]:
    pairs = zip(code.traced, leaves, strict=True)
    arguments = [leaf for traced, leaf in pairs if traced]
    arguments += [exact(value) for value in code.hidden]
    results = evaluate_exactly(wire.load(code.graph), arguments, algebra)
    return [exact(v) if k is None else results[k] for k, v in code.outputs]


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, by KeyboardInterrupt in this, the main thread."""
    timer = threading.Timer(seconds, _thread.interrupt_main)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer jobs until there are no more; None ends each answer."""
    while True:
        try:
            job = pickle.load(incoming)
        except EOFError:
            return
        for message in itertools.chain(prove(job), [None]):
            pickle.dump((job.number, message), outgoing)
            outgoing.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
