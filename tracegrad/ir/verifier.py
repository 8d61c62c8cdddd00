"""The graph verifier: types, dominance and effects. Tests run it around every pass.

Python's scoping hides dominance errors: a value read in a region that does not see its
definition would print, and run, with whatever was left under that name.
"""

from __future__ import annotations

from tracegrad.ir.graph import Equation, Graph, Operand, Value
from tracegrad.ir.shapes import Dim
from tracegrad.ir.types import INTEGERS, ArrayType, RefType, scalar


class GraphError(AssertionError):
    """A pass left an invalid graph: a defect of tracegrad, not of the user's code."""


def verify(graph: Graph) -> Graph:
    """The graph itself, if it is valid.

    Raises:
        GraphError: naming the equation that is not.
    """
    _verify(graph, set(graph.params))
    return graph


def _verify(graph: Graph, known: set[Value]) -> None:
    known = known | set(graph.params)
    for param in graph.params:
        if param.graph is not graph or param.definition is not None:
            raise GraphError(f"{param} doesn't know that it is a parameter")
    for equation in graph.equations:
        for operand in equation.inputs:
            _seen(operand, known, equation)
        _typed(equation)
        _effects(equation)
        known -= _poisoned(equation)
        for region in equation.regions:
            if region.parent is not graph:
                raise GraphError(f"a region of {equation.primitive} has another parent")
            _verify(region, known)
        _define(equation, graph, known)
    for result in graph.results:
        _seen(result, known, None)


def _define(equation: Equation, graph: Graph, known: set[Value]) -> None:
    for output in equation.outputs:
        if output in known:
            raise GraphError(f"{output} is defined twice, by {equation.primitive}")
        if output.definition is not equation or output.graph is not graph:
            raise GraphError(f"{output} does not know its definition")
        known.add(output)


def _poisoned(equation: Equation) -> set[Value]:
    """Refs that a loop carries: from then on they go by the loop's names."""
    if not equation.regions:
        return set()
    refs = (x for x in equation.inputs if isinstance(x.type, RefType))
    return {x for x in refs if isinstance(x, Value)}


def _seen(operand: Operand, known: set[Value], user: Equation | None) -> None:
    if isinstance(operand, Value) and operand not in known:
        where = user.primitive.name if user is not None else "a result"
        raise GraphError(f"{operand} is used by {where} before it is defined")


def _typed(equation: Equation) -> None:
    if equation.regions:
        _REGIONS[equation.primitive.name](equation)
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
    effect, inputs = equation.primitive.effect, equation.inputs
    if effect in ("write", "accumulate") and refs != [inputs[0]]:
        raise GraphError(f"{equation.primitive} needs a Ref first, and no other")
    if effect in ("pure", "check") and refs and not equation.regions:
        raise GraphError(f"{equation.primitive} can't take a Ref")
    if equation.primitive.name in ("load", "store", "accumulate"):
        _indexed(equation)


def _indexed(equation: Equation) -> None:
    """One integer and one size per axis; a value of the window's type."""
    sizes, steps = equation.params["sizes"], equation.params["steps"]
    base, *rest = equation.inputs
    if equation.primitive.name != "load":
        value = rest.pop(0)
        window = tuple(Dim.of(s) for s in sizes if s is not None)
        if value.type != ArrayType(base.type.dtype, window):
            raise GraphError(
                f"{equation.primitive} puts {value.type} into {base.type}{window}"
            )
    if not base.type.ndim == len(rest) == len(sizes) == len(steps):
        raise GraphError(f"{equation.primitive} needs an index for each axis")
    for index in rest:
        if index.type.ndim or index.type.dtype not in INTEGERS:
            raise GraphError(f"{equation.primitive} has an index of type {index.type}")


# --- regions -----------------------------------------------------------------------


def _for(equation: Equation) -> None:
    lo, hi, *initial = equation.inputs
    step, stops = equation.params["step"], equation.params["stops"]
    (body,) = equation.regions
    if lo.type != _INT or hi.type != _INT or not isinstance(step, int) or not step:
        raise GraphError("for_ needs integer bounds and an integer step that is not 0")
    if stops and body.results[0].type != _BOOL:
        raise GraphError("for_ that stops needs a flag as its first result")
    _carries(equation, initial, body, body.results[stops:])


def _while(equation: Equation) -> None:
    condition, body = equation.regions
    if [r.type for r in condition.results] != [_BOOL]:
        raise GraphError("the condition of while_ must give one boolean")
    if [p.type for p in condition.params] != [p.type for p in body.params]:
        raise GraphError("while_ needs the same parameters in both regions")
    for inner in condition.walk():
        if inner.primitive.effect in ("write", "accumulate"):
            raise GraphError("the condition of while_ must not write")
    _carries(equation, list(equation.inputs), body, body.results)


def _carries(
    loop: Equation, initial: list[Operand], body: Graph, results: list[Operand]
) -> None:
    expected = [x.type for x in initial]
    groups = ([p.type for p in body.params], [r.type for r in results])
    outputs = [o.type for o in loop.outputs]
    if groups[0] != [_INT, *expected] or outputs != [*expected, _INT]:
        raise GraphError(f"{loop.primitive} carries what it wasn't given")
    if groups[1] != expected:
        raise GraphError(f"{loop.primitive} carries {expected}, then {groups[1]}")
    own = [p for p in body.params if isinstance(p.type, RefType)]
    passed = [r for r in results if isinstance(r.type, RefType)]
    starts = [x for x in initial if isinstance(x.type, RefType)]
    if len(set(passed)) != len(passed) or set(passed) != set(own):
        raise GraphError(f"{loop.primitive} doesn't permute the Refs it carries")
    home = loop.outputs[-1].graph
    if len(set(starts)) != len(starts) or any(
        isinstance(x, Value) and x.graph is not home for x in starts
    ):
        raise GraphError(f"{loop.primitive} carries a Ref of another graph, or twice")


def _cond(equation: Equation) -> None:
    if [x.type for x in equation.inputs] != [_BOOL]:
        raise GraphError("cond needs one boolean")
    outputs = [o.type for o in equation.outputs]
    if any(isinstance(t, RefType) for t in outputs):
        raise GraphError("cond can't give a Ref")
    for region in equation.regions:
        if region.params or [r.type for r in region.results] != outputs:
            raise GraphError("the branches of cond must give what it gives")


_INT, _BOOL = scalar("int64"), scalar("bool")
_REGIONS = {"for_": _for, "while_": _while, "cond": _cond}
