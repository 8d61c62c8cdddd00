"""Jumps: statements after which the next one isn't what runs."""

from __future__ import annotations

from codegen.loop_ir import Break, Continue, For, Stmt, While, blocks


def leaves_loop(stmt: Stmt) -> bool:
    """Whether a statement may leave the loop around it, or go on with its next turn."""
    if isinstance(stmt, For | While):
        return False
    return isinstance(stmt, Break | Continue) or any(
        leaves_loop(inner) for block in blocks(stmt) for inner in block
    )
