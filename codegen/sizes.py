"""Name the divisions of sizes that a kernel makes more than once.

Numba makes several blocks of each ``n // 2``, for signs and divisors that aren't met.
Where the shapes and bounds of hundreds of loops hold it, LLVM takes minutes over those
blocks; and ``n_by_2`` reads better.

>>> from codegen.loop_ir import Accumulate, For, dim, integer, number
>>> half = Op("floor_divide", (dim("n"), integer(2)), "int64")
>>> s, i, j = Var("s", "float64"), Var("i", "int64"), Var("j", "int64")
>>> add = Accumulate(s, "add", number(1.0))
>>> loops = For(i, integer(0), half, 1, (For(j, integer(0), half, 1, (add,)),))
>>> kernel, sizes = named_sizes(Kernel("f", (dim("n"), s), (loops,), (s,)))
>>> [size.name for size in sizes], kernel.body[0].hi.name
(['n_by_2'], 'n_by_2')
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from codegen.expressions import RESERVED
from codegen.loop_ir import (
    Array,
    Const,
    Expr,
    Kernel,
    Op,
    Var,
    expressions,
    nested,
    variables,
    walk,
)
from codegen.mentions import Mentions
from codegen.rewrite import Rewrite


def named_sizes(kernel: Kernel) -> tuple[Kernel, dict[Var, Expr]]:
    """A kernel whose repeated divisions are further parameters, and what those are.

    They divide what is known at entry by a positive literal, so they can't fail.
    """
    entry = {item.name for item in kernel.parameters if isinstance(item, Var)}
    arrays = [item for item in kernel.parameters if isinstance(item, Array)]
    entry.update(variables(size for array in arrays for size in array.shape))
    divisions = Counter(
        part
        for stmt in walk(kernel.body)
        for expr in expressions(stmt)
        for part in nested(expr)
        if _divides(part) and entry.issuperset(variables([part]))
    )
    repeated = [division for division, times in divisions.items() if times > 1]
    if not repeated:
        return kernel, {}
    taken = {*Mentions().statements(kernel.body).times, *entry, *RESERVED}
    taken.update(parameter.name for parameter in kernel.parameters)
    values: dict[Var, Expr] = {}
    known: dict[Expr, Var] = {}
    rewrite = Rewrite(parts=known)
    for division in sorted(repeated, key=_length):  # what stands in another comes first
        value = rewrite.expr(division)
        size = Var(_name(value, taken), "int64")
        taken.add(size.name)
        known[value] = size
        values[size] = value
    given = (
        rewrite.array(item) if isinstance(item, Array) else item
        for item in kernel.parameters
    )
    parameters = (*given, *values)
    body = rewrite.block(kernel.body)
    results = tuple(map(rewrite.expr, kernel.results))
    return replace(kernel, parameters=parameters, body=body, results=results), values


def _divides(expr: Expr) -> bool:
    match expr:
        case Op("floor_divide", (dividend, Const(divisor)), "int64"):
            return divisor > 0 and all(
                isinstance(part, Var | Const | Op) for part in nested(dividend)
            )
        case _:
            return False


def _length(expr: Expr) -> int:
    return sum(1 for _ in nested(expr))


def _name(division: Expr, taken: set[str]) -> str:
    """``n_by_2`` for ``n // 2``, ``size`` for what divides more than a name."""
    match division:
        case Op(_, (Var(name), Const(divisor))):
            base = f"{name}_by_{divisor}"
        case _:
            base = "size"
    title, number = base, 2
    while title in taken:
        title = f"{base}_{number}"
        number += 1
    return title
