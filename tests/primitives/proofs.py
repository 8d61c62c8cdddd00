"""Each rule of the table, proved by SymPy: forward and reverse, entry by entry.

What is compared is the graph that differentiation makes of one call, evaluated on
symbols, with SymPy's derivative of the call itself. Weights (reverse) and directions
(forward) are symbols too, so that nothing can cancel by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy

from tests.primitives.cases import Case, cases
from tests.tracing import pullback, pushforward, record
from tracegrad.ir.primitive import Library, Primitive
from tracegrad.proof.zero import STEPS, Comparison, Range, compare, derivative
from tracegrad.traces.exact import evaluate_exactly
from tracegrad.traces.symbols import Symbols, constant

_FREE = Range(-2.0, 2.0)


@dataclass(frozen=True)
class Entry:
    """One entry of one rule, compared."""

    mode: str
    title: str
    comparison: Comparison


@dataclass
class _Inputs:
    """The operands of a call as symbols, and where to draw them from."""

    arguments: list[Any]
    domain: dict[Any, Range]
    floats: list[int]


def _symbols(name: str, shape: tuple[int, ...], *, positive: bool | None = None) -> Any:
    made = np.empty(shape, object)
    for index in np.ndindex(*shape):
        label = "_".join([name, *map(str, index)])
        made[index] = sympy.Symbol(label, real=True, positive=positive)
    return made[()] if not shape else made


def _inputs(primitive: Primitive, case: Case, *, positive: bool) -> _Inputs:
    arguments, domain, floats = [], {}, []
    for k, x in enumerate(case.operands):
        if x.dtype.kind != "f":
            arguments.append(x.astype(object) if x.ndim else x.item())
            continue
        interval = primitive.domain[k] if primitive.domain else (-2.0, 2.0)
        if interval[0] == interval[1]:  # an order: an integer, no variable
            arguments.append(sympy.Integer(int(interval[0])))
            continue
        above = True if positive and interval[0] >= 0.0 else None
        made = _symbols(f"x{k}", x.shape, positive=above)
        arguments.append(made)
        floats.append(k)
        domain |= dict.fromkeys(np.ravel(made), Range(*interval))
    return _Inputs(arguments, domain, floats)


def proofs(
    primitive: Primitive, case: Case, *, positive: bool = False
) -> Iterator[Entry]:
    """Every entry of both rules of a primitive, for one call.

    positive: let operands with a positive domain be positive symbols, not just real.
    """
    inputs = _inputs(primitive, case, positive=positive)
    recorded = record(lambda *xs: primitive(*xs, **case.params), *case.operands)
    values = _evaluated(recorded, inputs.arguments, recorded.constants)
    floating = [
        np.asarray(v, object)
        for v, t in zip(values, recorded.types, strict=True)
        if t.differentiable
    ]
    weights = [_symbols(f"w{k}", v.shape) for k, v in enumerate(floating)]
    total = sum(
        (np.sum(v * w) for v, w in zip(floating, weights, strict=True)), sympy.S.Zero
    )
    domain = inputs.domain | dict.fromkeys(_flat(weights), _FREE)
    given = iter([np.ones(v.shape) for v in floating])
    ones = [next(given) if t.differentiable else 0.0 for t in recorded.types]
    reverse = pullback(recorded, ones)
    found = _evaluated(reverse, inputs.arguments, [*recorded.constants, *weights])
    own = [k for k in range(len(case.operands)) if case.operands[k].dtype.kind == "f"]
    for k, bar in zip(own, found, strict=True):
        if k in inputs.floats:
            pairs = zip(_flat([inputs.arguments[k]]), _flat([bar]), strict=True)
            for symbol, entry in pairs:
                exact = derivative(total, symbol)
                yield Entry("reverse", str(symbol), compare(exact, entry, domain))
    yield from _forward(recorded, case, inputs, floating, domain)


def _forward(
    recorded: Any, case: Case, inputs: _Inputs, floating: list[Any], domain: Any
) -> Iterator[Entry]:
    directions = []
    for k, x in enumerate(case.operands):
        if x.dtype.kind == "f":
            free = k in inputs.floats
            zero = np.full(x.shape, sympy.S.Zero, object)
            directions.append(_symbols(f"v{k}", x.shape) if free else zero[()])
    along = pushforward(recorded, [np.ones(np.shape(d)) for d in directions])
    dots = _evaluated(along, inputs.arguments, [*recorded.constants, *directions])
    names = [s for k in inputs.floats for s in _flat([inputs.arguments[k]])]
    slopes = [s for d in directions for s in _flat([d]) if s != 0]
    domain = domain | dict.fromkeys(slopes, _FREE)
    for position, (value, dot) in enumerate(zip(floating, dots, strict=True)):
        for entry, moved in zip(_flat([value]), _flat([dot]), strict=True):
            pairs = zip(names, slopes, strict=True)
            exact = sum((derivative(entry, s) * v for s, v in pairs), sympy.S.Zero)
            title = f"result {position}"
            yield Entry("forward", title, compare(exact, moved, domain))


def _flat(arrays: Any) -> list[Any]:
    return [x for a in arrays for x in np.ravel(np.asarray(a, object))]


def _evaluated(recorded: Any, arguments: list[Any], constants: list[Any]) -> list[Any]:
    """The graph's results on symbols; constants of the trace as what they mean."""
    given = [*arguments, *map(_exact, constants)]
    return evaluate_exactly(recorded.graph, given, Symbols())


def _exact(x: Any) -> Any:
    array = np.asarray(x)
    if array.dtype == object:
        return x
    if array.dtype.kind == "f":
        made = np.frompyfunc(constant, 1, 1)(array)
        return made
    return array.astype(object) if array.ndim else array.item()


def examples(primitive: Primitive) -> list[Case]:
    """The calls to prove: scalar ones if elementwise, else the smaller samples."""
    found = list(cases(primitive, 1))
    if not primitive.samples:
        return list({str(case.params): case for case in reversed(found)}.values())
    dense = isinstance(primitive.lower, Library) and primitive.name != "dot"
    largest = LARGEST_DENSE if dense else LARGEST
    return [c for c in found if 0 < sum(x.size for x in c.operands) <= largest]


LARGEST, LARGEST_DENSE = 9, 8


@dataclass(frozen=True)
class Summary:
    """What was found out about a primitive's rules.

    Attributes:
        entries: how many were compared.
        failed: those that weren't proved.
        steps: how the others were.
        positive: whether operands had to be positive.
    """

    entries: int
    failed: tuple[Entry, ...]
    steps: tuple[str, ...]
    positive: bool


@cache
def prove(primitive: Primitive) -> Summary:
    """All entries of both rules; for real operands, else for positive ones."""
    for positive in (False, True):
        entries = [
            entry
            for case in examples(primitive)
            for entry in proofs(primitive, case, positive=positive)
        ]
        failed = [e for e in entries if e.comparison.verdict != "proved"]
        if not failed:
            break
    steps = dict.fromkeys(e.comparison.why for e in entries)
    order = sorted(steps, key=[*STEPS].index) if not failed else ()
    return Summary(len(entries), tuple(failed), tuple(order), positive)
