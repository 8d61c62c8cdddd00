"""Scratch arrays join the workspace if a kernel has one anyway, or many of them.

Numba takes 50 to 90 ms to compile the first ``np.empty`` of each rank, and 10 ms for
each of them; a slice of the workspace takes 6. One or two read better as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.loop_ir import Allocate, Expr, Grow, Stmt, walk
from codegen.rewrite import Rewrite
from tracegrad.lower.state import at_entry

MANY = 3


def share_workspace(
    body: Sequence[Stmt], results: Sequence[Expr]
) -> tuple[tuple[Stmt, ...], tuple[Expr, ...]]:
    """A kernel's statements and results, its scratch in the workspace if that can be.

    Not arrays that are allocated again and again, grow, or have sizes that only the
    program finds out.
    """
    stmts = tuple(walk(tuple(body)))
    allocated = [stmt.array for stmt in stmts if isinstance(stmt, Allocate)]
    roles = [array.role for array in allocated]
    if "workspace" not in roles and len(roles) < MANY:
        return tuple(body), tuple(results)
    grows = {stmt.array.name for stmt in stmts if isinstance(stmt, Grow)}
    moved = {
        stmt.array.name: replace(stmt.array, role="workspace")
        for stmt in body
        if isinstance(stmt, Allocate)
        and stmt.array.role == "local"
        and stmt.array.name not in grows
        and at_entry(stmt.array.shape)
    }
    rewrite = Rewrite(arrays=moved)
    return rewrite.block(body), tuple(map(rewrite.expr, results))
