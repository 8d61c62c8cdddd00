"""The graph verifier: types, dominance and effects. Tests run it around every pass.

Python's scoping hides dominance errors: a value read in a region that does not see its
definition would print, and run, with whatever was left under that name.
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.ir.types import RefType


class GraphError(AssertionError):
    """A pass left an invalid graph: a defect of tracegrad, not of the user's code."""


def verify(graph: Graph) -> Graph:
    """The graph itself, if it is valid.

    Raises:
        GraphError: naming the equation that is not.
    """
    _verify(graph, set())
    return graph


def _verify(graph: Graph, outside: set[Value]) -> None:
    known = outside | set(graph.params)
    for equation in graph.equations:
        for operand in equation.inputs:
            _seen(operand, known, equation)
        _typed(equation)
        _effects(equation)
        for region in equation.regions:
            _verify(region, known)
        for output in equation.outputs:
            if output in known:
                raise GraphError(f"{output} is defined twice, by {equation.primitive}")
            if output.definition is not equation:
                raise GraphError(f"{output} does not know its definition")
            known.add(output)
    for result in graph.results:
        _seen(result, known, None)


def _seen(operand: Operand, known: set[Value], user: Equation | None) -> None:
    if isinstance(operand, Value) and operand not in known:
        where = user.primitive.name if user is not None else "a result"
        raise GraphError(f"{operand} is used by {where} before it is defined")


def _typed(equation: Equation) -> None:
    if equation.regions:
        return
    types = (x.type for x in equation.inputs)
    inferred = equation.primitive.infer(*types, **equation.params)
    expected = inferred if isinstance(inferred, tuple) else (inferred,)
    actual = tuple(o.type for o in equation.outputs)
    if expected != actual:
        names = ", ".join(map(str, expected))
        found = ", ".join(map(str, actual))
        raise GraphError(f"{equation.primitive} gives {names}, not {found}")


def _effects(equation: Equation) -> None:
    refs = [x for x in equation.inputs if isinstance(x.type, RefType)]
    if equation.primitive.effect in ("read", "write", "accumulate"):
        if not refs or refs[0] is not equation.inputs[0]:
            raise GraphError(f"{equation.primitive} needs a Ref first")
    elif refs and not equation.regions:
        raise GraphError(f"{equation.primitive} can't take a Ref")
