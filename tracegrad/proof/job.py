"""What the proving process is told, and what it answers: plain data only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from tracegrad.proof import wire
from tracegrad.proof.inputs import Input, hidden_of, inputs_of, weights_of
from tracegrad.proof.program import Program, Subject

_numbers = itertools.count()


@dataclass(frozen=True)
class Code:
    """A program.

    Attributes:
        graph: see ``wire``.
        traced: which of its leaves are parameters of the graph.
        hidden: contents of its hidden inputs.
        outputs: for each output leaf (position among the results, None), or
            (None, its value).
    """

    graph: Any
    traced: tuple[bool, ...]
    hidden: tuple[Any, ...]
    outputs: tuple[tuple[int | None, Any], ...]


@dataclass(frozen=True)
class Job:
    """A gradient to prove.

    Attributes:
        number: its answers carry it.
        primal: the function.
        reverse: its gradient; it takes the weights as well, if there are any.
        inputs: the function's leaves.
        weights: names and shapes.
        results: positions of the outputs that carry derivatives.
        seeds: for each output of the function, whether it has a weight.
        chosen: positions of the leaves that are differentiated.
        bars: positions of their cotangents among the reverse program's outputs.
        seconds: for the whole job.
        each: seconds for one entry.
    """

    number: int
    primal: Code
    reverse: Code
    inputs: tuple[Input, ...]
    weights: tuple[tuple[str, tuple[int, ...]], ...]
    results: tuple[int, ...]
    seeds: tuple[bool, ...]
    chosen: tuple[int, ...]
    bars: tuple[int, ...]
    seconds: float
    each: float


@dataclass(frozen=True)
class Entry:
    """What was found out about one partial derivative."""

    name: str
    verdict: str
    why: str
    cases: int = 1
    boundary: tuple[str, ...] = ()
    point: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Started:
    """The expressions are made; so many entries follow.

    path: conditions that the given point decided, which the proof assumes.
    """

    entries: int
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The expressions couldn't be made."""

    why: str


Message = Entry | Started | Failed


def job_of(subject: Subject, domain: Any, sizes: Any, seconds: float) -> Job:
    """The proof of a subject at some sizes."""
    seeded = set() if subject.scalar else set(subject.results)
    positions = subject.bars(list(range(len(subject.reverse.outputs))))
    return Job(
        next(_numbers),
        _code(subject.primal, sizes),
        _code(subject.reverse, sizes),
        tuple(inputs_of(subject, domain, sizes)),
        tuple(weights_of(subject, sizes)),
        tuple(subject.results),
        tuple(k in seeded for k in range(len(subject.primal.outputs))),
        subject.chosen,
        tuple(positions),
        seconds,
        max(2.0, 0.25 * seconds),
    )


def _code(program: Program, sizes: Any) -> Code:
    return Code(
        wire.dump(program.graph),
        tuple(leaf.traced for leaf in program.traced.leaves),
        tuple(hidden_of(program, sizes)),
        tuple(
            (None, o.value) if o.type is None else (o.result, None)
            for o in program.outputs
        ),
    )
