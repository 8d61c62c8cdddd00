"""Whether a gradient is right along a path, by one run of each program modulo a prime.

Forward derivatives of the function along a random direction, formal ones by the rules
of algebra and SymPy's derivatives of transcendental functions, are compared with the
reverse-mode program's gradient times that direction. This serves programs of any
length, where the expressions that SymPy would have to simplify can't be written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tracegrad.errors import TracegradError
from tracegrad.proof.inputs import Input, hidden_of, weights_of
from tracegrad.proof.program import Program, Subject
from tracegrad.traces.residues import PRIME, Residue, Residues

_SMALL_ERROR = 2.0**-64


@dataclass(frozen=True)
class Identity:
    """The result of one test.

    Attributes:
        verdict: "proved" with an error of at most ``error``; "agreed" if that has no
            useful bound; "undecided" if they differ modulo the prime: perhaps only by
            identities of transcendental functions.
        error: a bound for the probability that different functions pass.
        decisions: how many comparisons the point decided.
        why: what stood in the way.
    """

    verdict: Literal["proved", "agreed", "undecided"]
    error: float = 1.0
    decisions: int = 0
    why: str = ""


def identity(
    subject: Subject, point: Sequence[Input], seed: int, deadline: float
) -> Identity:
    """Test a gradient along the path of a point.

    Args:
        subject: what is verified.
        point: its arguments.
        seed: of the random residues.
        deadline: when to give up.
    """
    algebra = Residues(seed, deadline)
    moving = [
        _elements(algebra, x, moves=k in subject.chosen) for k, x in enumerate(point)
    ]
    still = [_elements(algebra, x, moves=False) for x in point]
    weights = [
        _variables(algebra, name, np.ones(shape), moves=False)
        for name, shape in weights_of(subject, None)
    ]
    try:
        primal = subject.primal
        outputs = primal.evaluate(moving, _hidden(algebra, primal), algebra)
        reverse = subject.reverse
        given = subject.arguments(still, weights)
        bars = subject.bars(reverse.evaluate(given, _hidden(algebra, reverse), algebra))
    except (TracegradError, ZeroDivisionError, ArithmeticError, TypeError) as error:
        return Identity("undecided", why=str(error).partition("\n")[0])
    total, degree = 0, 0.0
    seeds = weights or [algebra.number(1)]
    for k, weight in zip(subject.results, seeds, strict=True):
        for y, w in zip(np.ravel(outputs[k]), np.ravel(weight), strict=True):
            total += _as_residue(algebra, y).dot * w.value
    for k, bar in zip(subject.chosen, bars, strict=True):
        cells = zip(np.ravel(moving[k]), np.ravel(bar), strict=True)
        for x, entry in cells:
            found = _as_residue(algebra, entry)
            total -= found.value * x.dot
            degree = max(degree, found.top + found.bottom)
    if total % PRIME:
        return Identity(
            "undecided", decisions=algebra.decisions, why="different modulo a prime"
        )
    tops = [_degree(outputs[k]) for k in subject.results]
    chance = 4.0 * (degree + 2.0 * max(tops, default=0.0)) * len(bars) / PRIME
    proved = chance < _SMALL_ERROR
    return Identity("proved" if proved else "agreed", chance, algebra.decisions)


def _degree(output: Any) -> float:
    cells = [x for x in np.ravel(output) if isinstance(x, Residue)]
    return max((x.top + x.bottom for x in cells), default=0.0)


def _as_residue(algebra: Residues, x: Any) -> Residue:
    return x if isinstance(x, Residue) else algebra.number(int(x))


def _elements(algebra: Residues, x: Input, *, moves: bool) -> Any:
    if x.floating:
        return _variables(algebra, x.name, x.value, moves=moves)
    value = np.asarray(x.value)
    if value.dtype.kind not in "biu":
        return x.value
    return value.astype(object) if value.ndim else value.item()


def _variables(algebra: Residues, name: str, values: Any, *, moves: bool) -> Any:
    array = np.asarray(values)
    made = np.empty(array.shape, object)
    for index in np.ndindex(*array.shape):
        made[index] = algebra.variable(
            f"{name}{index}", float(array[index]), moves=moves
        )
    return made if array.ndim else made[()]


def _hidden(algebra: Residues, program: Program) -> list[Any]:
    found = []
    for value in hidden_of(program, None):
        array = np.asarray(value)
        if array.dtype.kind == "f":
            found.append(np.frompyfunc(algebra.literal, 1, 1)(array))
        else:
            found.append(array.astype(object))
    return found
