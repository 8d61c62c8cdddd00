"""Whether each turn of a loop waits for the one before it, so that none vectorises.

What a variable is at the end of a turn may depend on what others were at its start.
One that is handed on and used a turn later (``b = a; a = x[i]``) keeps nobody waiting.
One that is made of itself (``a = 0.5 * a + x[i]``) does, unless it is a sum whose terms
may be added in any order.

>>> from codegen.loop_ir import Const, Op, Var, integer, load, Array
>>> x, i = Array("x", "float64", (integer(9),)), Var("i", "int64")
>>> a, b = Var("a", "float64"), Var("b", "float64")
>>> def loop(*body):
...     return For(i, integer(0), integer(9), 1, body)
>>> half = Op("multiply", (Const(0.5, "float64"), a), "float64")
>>> serial(loop(Assign(b, half), Assign(a, load(x, i))))
False
>>> serial(loop(Assign(b, half), Assign(a, Op("add", (b, load(x, i)), "float64"))))
True
>>> serial(loop(Accumulate(a, "add", load(x, i))))
False
"""

from __future__ import annotations

from codegen.loop_ir import Accumulate, Assign, For, If, Stmt, expressions, variables


def serial(loop: For) -> bool:
    """Whether a loop without loops in it has such a variable."""
    last: dict[str, set[str]] = {}
    _turn(loop.body, set(), last)
    return any(name in _origins(name, last) for name in last)


def _turn(body: tuple[Stmt, ...], under: set[str], last: dict[str, set[str]]) -> None:
    """Note what variables are made of, as they were when the turn began.

    under: what decides whether the statements run at all.
    """
    for stmt in body:
        found = set(under)
        for name in variables(expressions(stmt)):
            found |= last.get(name, {name})
        match stmt:
            case Assign(target=target):
                if under:
                    found |= last.get(target.name, {target.name})
                last[target.name] = found
            case Accumulate(target=target):
                before = last.get(target.name, {target.name})
                if not stmt.reassociate or found & before:
                    found |= before
                last[target.name] = found
            case If():
                _turn(stmt.then, found, last)
                _turn(stmt.otherwise, found, last)
            case _:
                pass


def _origins(name: str, last: dict[str, set[str]]) -> set[str]:
    """All that a variable is made of in the end, some turns ago."""
    found: set[str] = set()
    todo = list(last[name])
    while todo:
        origin = todo.pop()
        if origin not in found:
            found.add(origin)
            todo += last.get(origin, ())
    return found
