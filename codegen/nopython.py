"""What is needed to call a kernel from a function that Numba compiles.

The types of a call in terms that know nothing of Numba, and a kernel's guards and arena
as source. ``numba_functions`` makes a function for nopython code of that.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from codegen.arena import workspace_size
from codegen.expressions import expression
from codegen.jit import Compiled
from codegen.loop_ir import Check, Const, Expr, walk
from codegen.printer import bound_sizes


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array argument."""

    dtype: str
    rank: int
    contiguous: bool


@dataclass(frozen=True, slots=True)
class NumberOf:
    """A number that is known when the code runs."""

    dtype: str


@dataclass(frozen=True, slots=True)
class Known:
    """A value that is known when the code is compiled: a default, None, a constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Items:
    """A tuple or named tuple of arguments; ``kind`` makes one from a list."""

    kind: Callable[[list[Any]], Any]
    items: tuple[ArgumentType, ...]


ArgumentType: TypeAlias = ArrayOf | NumberOf | Known | Items


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A function's source, without its first line, and what its names mean.

    result: the type of what it returns, in the same terms: numbers, arrays, tuples.
    """

    lines: Sequence[str]
    scope: dict[str, Any]
    result: ArgumentType


# --- kernels -----------------------------------------------------------------------


def guarded(compiled: Compiled) -> tuple[list[str], str]:
    """Lines that bind the sizes of a kernel's guards, and the test that they hold."""
    kernel = compiled.kernel
    guards = [
        stmt.cond
        for stmt in walk(kernel.body)
        if isinstance(stmt, Check) and stmt.kind == "guard"
    ]
    lines = _bound(compiled, guards)
    return lines, " and ".join(f"({ast.unparse(expression(g))})" for g in guards)


def arena(compiled: Compiled) -> tuple[list[str], str | None]:
    """Lines that bind the sizes of a kernel's arena, and its words if it takes one."""
    size = workspace_size(compiled.kernel)
    if size == Const(0, "int64"):
        return [], None
    return _bound(compiled, [size]), ast.unparse(expression(size))


def _bound(compiled: Compiled, exprs: Sequence[Expr]) -> list[str]:
    return list(_unparsed(bound_sizes(compiled.kernel, exprs)))


def _unparsed(stmts: Sequence[ast.stmt]) -> Iterator[str]:
    for stmt in stmts:
        yield from ast.unparse(stmt).splitlines()
