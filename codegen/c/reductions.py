"""Loops whose sums C may add in any order, as the compiled Python does.

C's own order is a chain that no vector instruction can follow. A pragma of OpenMP's
lifts it, but says more than that: no iteration may depend on another. So it is written
only where that is plain to see.

>>> from codegen.loop_ir import Load, dim, integer
>>> x = Array("x", "float64", (dim("n"),), role="input")
>>> i, s = Var("i", "int64"), Var("s", "float64")
>>> add = Accumulate(s, "add", Load(x, (i,), "float64"))
>>> any_order(For(i, integer(0), dim("n"), 1, (add,)), set(), set())
{'s': '+'}
"""

from __future__ import annotations

from codegen.loop_ir import (
    Accumulate,
    Array,
    Assign,
    Comment,
    Const,
    Expr,
    For,
    If,
    Load,
    Op,
    Stmt,
    Store,
    Var,
    expressions,
    nested,
    walk,
)

_SYMBOLS = {"add": "+", "subtract": "+", "multiply": "*"}
_FLOATS = ("float64", "float32")


def any_order(loop: For, own: set[str], shared: set[str]) -> dict[str, str]:
    """The names that an innermost loop sums (or multiplies) up, with their operators.

    Args:
        loop: the loop.
        own: names that live within an iteration.
        shared: arrays whose cells another name may mean, too.

    Returns:
        None of them unless the iterations depend on each other by nothing else.
    """
    sums: dict[str, str] = {}
    written: dict[str, tuple[Expr, ...]] = {}
    for stmt in walk(loop.body):
        if not _independent(stmt, loop.var, own, shared, sums, written):
            return {}
    for stmt in walk(loop.body):
        for expr in expressions(stmt):
            if not all(_apart(part, sums, written) for part in nested(expr)):
                return {}
    return sums


def _independent(
    stmt: Stmt,
    var: Var,
    own: set[str],
    shared: set[str],
    sums: dict[str, str],
    written: dict[str, tuple[Expr, ...]],
) -> bool:
    """Whether what a statement writes is its iteration's own, or a sum; noted so."""
    match stmt:
        case Comment() | If():
            return True
        case Assign(target=Var(name)) | Accumulate(target=Var(name)) if name in own:
            return True
        case Accumulate(Var(name, dtype), combine, _, reassociate=True):
            symbol = _SYMBOLS.get(combine)
            if symbol is None or dtype not in _FLOATS:
                return False
            return sums.setdefault(name, symbol) == symbol
        case Store(array, index, nonnegative=True, in_bounds=True):
            own_cell = any(_steps(item, var) for item in index)
            same = written.setdefault(array.name, index) == index
            return own_cell and same and array.name not in shared
        case _:
            return False


def _steps(index: Expr, var: Var) -> bool:
    """Whether an index is another in each iteration."""
    match index:
        case Var(name):
            return name == var.name
        case Op("add" | "subtract", (left, Const())):
            return _steps(left, var)
        case _:
            return False


def _apart(
    part: Expr, sums: dict[str, str], written: dict[str, tuple[Expr, ...]]
) -> bool:
    """Whether a part of an expression reads nothing that other iterations write."""
    match part:
        case Var(name):
            return name not in sums
        case Load(Array(name=name), index, in_bounds=in_bounds):
            return in_bounds and written.get(name, index) == index
        case _:
            return True
