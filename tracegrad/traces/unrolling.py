"""Which loops over known numbers are unrolled, and which stay loops.

A few numbers are unrolled: their indices are constants, their arrays may differ in
shape. Many would be as many times the code, to be differentiated and compiled.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from tracegrad.traces.memory import Key, Restart
from tracegrad.traces.names import inner_steps, read
from tracegrad.traces.scope import Frame, touches_traced

SHORT = 8
"""How many numbers a range has at most that is unrolled."""

BRIEF = 2
"""The same with a loop of unknown length inside: what it does is long enough."""

NEST = 32
"""How often the innermost statements of a nest run at most that is unrolled."""

LARGE = 100
"""How many equations an unrolled loop has at most: one of arrays is a nest of loops in
the kernel, and is there again in the adjoint."""


def may_stay(iterable: Any) -> bool:
    """Whether a loop over something known could be staged all the same."""
    return isinstance(iterable, (range, np.ndarray))


def key_of(statement: ast.For | ast.While, frame: Frame) -> Key:
    """What demands that a loop is staged, in the next trace: see ``Restart``."""
    return ("staged", frame.code, id(statement))


def stays(iterable: Any, statement: ast.For, frame: Frame) -> bool:
    """Whether a loop over something known is to be staged."""
    if not may_stay(iterable):
        return False
    wanted = frame.machine.memory.is_demanded(key_of(statement, frame)) or _is_long(
        len(iterable), inner_steps(statement.body)
    )
    return wanted and touches_traced(frame, read(statement.body))


def _is_long(steps: int, inside: int | None) -> bool:
    """Whether a range has too many numbers to be unrolled.

    inside: how often the innermost of its statements run in each step, if it is known.
    """
    if inside is None:
        return steps > BRIEF
    return steps > SHORT or (inside > 1 and steps * inside > NEST)


def recorded(frame: Frame) -> int:
    """How many equations there are so far, those in regions apart."""
    return len(frame.machine.builder.graph.equations)


def has_begun(frame: Frame, before: int) -> bool:
    """Whether a region is part of the program since ``recorded`` was ``before``.

    Then it is too late to trace the same statements in another way.
    """
    equations = frame.machine.builder.graph.equations[before:]
    return any(equation.regions for equation in equations)


def check_growth(frame: Frame, key: Key, before: int, share: float) -> None:
    """Look at the equations of a loop's first steps, which are a share of all.

    before: ``recorded`` before the loop.

    Raises:
        Restart: if the whole loop would have too many, and it isn't known already.
    """
    if frame.machine.memory.is_demanded(key):
        return
    equations = frame.machine.builder.graph.equations[before:]
    regions = (region for equation in equations for region in equation.regions)
    count = len(equations) + sum(1 for region in regions for _ in region.walk())
    if count > LARGE * share:
        raise Restart(key)
