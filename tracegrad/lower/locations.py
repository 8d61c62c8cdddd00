"""From the user's lines as the graph knows them to those that codegen prints."""

from __future__ import annotations

from functools import lru_cache

from codegen import loop_ir
from tracegrad.ir.graph import Equation
from tracegrad.ir.source import Location


def location_of(equation: Equation) -> loop_ir.Location | None:
    """The line that an equation came from."""
    return None if equation.location is None else _location(equation.location)


@lru_cache(maxsize=4096)
def _location(where: Location) -> loop_ir.Location:
    return loop_ir.Location(where.file, where.line, where.function, where.text)
