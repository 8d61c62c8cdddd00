"""What codegen raises: a malformed kernel, and a broken assumption at run time."""

from __future__ import annotations


class IRError(Exception):
    """A kernel breaks a rule of the loop language; the message shows where."""


class GuardFailed(Exception):
    """An assumption of this specialisation does not hold for these arguments.

    It carries nothing: the caller only needs to know that it must trace again. A kernel
    may have written to its outputs by then; its inputs are as they were.
    """
