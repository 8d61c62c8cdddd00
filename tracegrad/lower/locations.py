"""From the user's lines as the graph knows them to those that codegen prints.

A derivative goes back over its function's lines, and fused loops jump between them: a
line is named where a block first comes to it, and not again in that block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from codegen import loop_ir
from codegen.loop_ir import For, If, Stmt, While
from tracegrad.ir.graph import Equation
from tracegrad.ir.source import Location


def location_of(equation: Equation) -> loop_ir.Location | None:
    """The line that an equation came from."""
    return None if equation.location is None else _location(equation.location)


@lru_cache(maxsize=4096)
def _location(where: Location) -> loop_ir.Location:
    return loop_ir.Location(where.file, where.line, where.function, where.text)


def named_once(
    body: Sequence[Stmt], seen: frozenset[loop_ir.Location] = frozenset()
) -> tuple[Stmt, ...]:
    """Statements without the lines that were already named around or before them."""
    result = []
    for stmt in body:
        where = getattr(stmt, "location", None)
        if where in seen and not isinstance(stmt, loop_ir.Check):
            stmt = replace(stmt, location=None)  # type: ignore[arg-type]
        elif where is not None:
            seen = seen | {where}
        match stmt:
            case For() | While():
                stmt = replace(stmt, body=named_once(stmt.body, seen))
            case If():
                stmt = replace(
                    stmt,
                    then=named_once(stmt.then, seen),
                    otherwise=named_once(stmt.otherwise, seen),
                )
        result.append(stmt)
    return tuple(result)
