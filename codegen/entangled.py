"""Loops whose arrays LLVM can't tell apart, as a loop around them exchanges them.

After ``a, b = b, a`` in a loop, each name may mean either array, as far as LLVM knows.
Where an inner loop writes ``a`` and reads it elsewhere, and uses ``b`` too, LLVM tests
the three ranges against one another before it runs what it vectorised. The two of ``a``
overlap, so the test always fails. The arguments of a function are known to be apart: as
a function of its own, the reverse loop of a stencil with two buffers takes a third of
the time.

>>> from codegen.loop_ir import Array, Load, Var, integer
>>> a, b = (Array(name, "float64", (integer(9),)) for name in "ab")
>>> i = Var("i", "int64")
>>> shift = Store(a, (i,), Load(b, (i,), "float64"), combine="add")
>>> inner = For(i, integer(0), integer(9), 1, (shift,))
>>> body = (inner, Swap((a, b), (b, a)))
>>> around = For(Var("k", "int64"), integer(0), integer(4), 1, body)
>>> sorted(exchanged(around)), entangled(inner, exchanged(around))
(['a', 'b'], True)
>>> entangled(inner, frozenset("b"))
False
"""

from __future__ import annotations

from collections.abc import Iterator

from codegen.loop_ir import (
    For,
    Load,
    Stmt,
    Store,
    Swap,
    While,
    blocks,
    expressions,
    nested,
    walk,
)


def exchanged(loop: Stmt) -> frozenset[str]:
    """The names of the arrays that a loop exchanges at its own end."""
    if not isinstance(loop, For | While):
        return frozenset()
    swaps = (stmt for stmt in _turn(loop.body) if isinstance(stmt, Swap))
    return frozenset(array.name for swap in swaps for array in swap.targets)


def _turn(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """The statements of one turn of a loop: not those of the loops inside."""
    for stmt in body:
        yield stmt
        if not isinstance(stmt, For | While):
            for block in blocks(stmt):
                yield from _turn(block)


def entangled(stmt: Stmt, names: frozenset[str]) -> bool:
    """Whether a loop reads and writes one of the arrays named, and uses another."""
    if not names or not isinstance(stmt, For | While):
        return False
    read: set[str] = set()
    written: set[str] = set()
    for inner in walk(stmt.body):
        read |= {
            part.array.name
            for expr in expressions(inner)
            for part in nested(expr)
            if isinstance(part, Load)
        }
        if isinstance(inner, Store):
            written.add(inner.array.name)
            if inner.combine is not None:
                read.add(inner.array.name)
    used = (read | written) & names
    return len(used) > 1 and not used.isdisjoint(read & written)
