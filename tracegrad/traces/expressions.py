"""Evaluate the expressions of a traced function.

Each kind of expression has one function here, found in ``_EVALUATE`` by its node. What
a value does (an operator, a call, an index) happens on behalf of the line it stands on.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import reduce
from types import FunctionType
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

from tracegrad.primitives import comparisons as cmp
from tracegrad.traces import stores
from tracegrad.traces.branches import choose
from tracegrad.traces.checks import check_divisor
from tracegrad.traces.comprehended import result_of, taken_whole
from tracegrad.traces.conditions import condition, opposite
from tracegrad.traces.escapes import complex_refused
from tracegrad.traces.finder import nested_code
from tracegrad.traces.iteration import steps_of
from tracegrad.traces.names import assigned
from tracegrad.traces.objects import (
    get_attribute,
    get_item,
    set_attribute,
    set_item,
    unpack,
)
from tracegrad.traces.protocols import compare, own_method, unary
from tracegrad.traces.scope import Frame, truth
from tracegrad.traces.sequences import items, static_key
from tracegrad.traces.slots import is_number
from tracegrad.traces.spelling import binary, formatted, spelled
from tracegrad.traces.stale import MISSING
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.words import Words, plain, refused, worded

_T = TypeVar("_T")


def evaluate(node: ast.expr, frame: Frame) -> Any:
    """The value of an expression: a tracer, or an ordinary object."""
    handler = _EVALUATE.get(type(node))
    if handler is None:
        frame.at(node.lineno)
        raise frame.refused(
            f"{type(node).__name__.lower()} expressions can't be traced.",
            "Compute it outside the traced function.",
        )
    return handler(node, frame)


# --- names, attributes, items ------------------------------------------------------


def _constant(node: ast.Constant, frame: Frame) -> Any:
    return node.value


def _name(node: ast.Name, frame: Frame) -> Any:
    frame.at(node.lineno)
    return frame.load(frame.mangled(node.id))


def _attribute(node: ast.Attribute, frame: Frame) -> Any:
    value = evaluate(node.value, frame)
    frame.at(node.end_lineno or node.lineno)
    return get_attribute(value, frame.mangled(node.attr), frame.machine)


def _subscript(node: ast.Subscript, frame: Frame) -> Any:
    value = evaluate(node.value, frame)
    index = evaluate(node.slice, frame)
    frame.at(node.lineno)
    return fresh(get_item(value, index, frame), node, frame)


def _slice(node: ast.Slice, frame: Frame) -> slice:
    bounds = (node.lower, node.upper, node.step)
    return slice(*(None if b is None else evaluate(b, frame) for b in bounds))


# --- operators ---------------------------------------------------------------------


def _binary(node: ast.BinOp, frame: Frame) -> Any:
    left, right = evaluate(node.left, frame), evaluate(node.right, frame)
    frame.at(node.lineno)
    check_divisor(frame.machine.memory, type(node.op), left, right)
    try:
        result = binary(frame.machine, type(node.op), left, right)
    except TypeError:
        _refuse_complex((left, right), frame)
        raise
    return fresh(result, node, frame)


def _refuse_complex(operands: tuple[Any, ...], frame: Frame) -> None:
    """Say of numbers that a graph can't hold that they are the matter."""
    if any(isinstance(x, Tracer) for x in operands) and any(map(is_complex, operands)):
        raise complex_refused(frame.machine.builder.location)


def is_complex(x: Any) -> bool:
    """Whether it is a complex number, or an array of such."""
    return isinstance(x, complex) or getattr(x, "dtype", None) in ("c8", "c16")


def _unary(node: ast.UnaryOp, frame: Frame) -> Any:
    value = evaluate(node.operand, frame)
    frame.at(node.lineno)
    if isinstance(node.op, ast.Not):
        test = condition(frame, value, "'not'")
        return opposite(test) if isinstance(test, Tracer) else not test
    return fresh(unary(frame.machine, type(node.op), value), node, frame)


def _compare(node: ast.Compare, frame: Frame) -> Any:
    """A comparison; a chain is the conjunction of its links."""
    return _chain(node, 0, evaluate(node.left, frame), frame)


def _chain(node: ast.Compare, k: int, left: Any, frame: Frame) -> Any:
    right = evaluate(node.comparators[k], frame)
    frame.at(node.lineno)
    link = _related(node.ops[k], left, right, frame)
    if k + 1 == len(node.ops):
        return fresh(link, node, frame)
    test = condition(frame, link, "a chained comparison")
    if not isinstance(test, Tracer):
        return _chain(node, k + 1, right, frame) if test else link
    rest = assigned(node.comparators[k + 1 :])
    return choose(
        frame, test, lambda: _chain(node, k + 1, right, frame), lambda: False, rest
    )


def _related(kind: ast.cmpop, left: Any, right: Any, frame: Frame) -> Any:
    if isinstance(kind, (ast.In, ast.NotIn)):
        machine = frame.machine
        found = _member(left, machine.outside.opened(machine.builder, right), frame)
        if isinstance(found, Tracer):
            return found if isinstance(kind, ast.In) else opposite(found)
        return found if isinstance(kind, ast.In) else not found
    return compare(frame.machine, _by_value(kind, left, right, frame), left, right)


def _by_value(kind: ast.cmpop, left: Any, right: Any, frame: Frame) -> type[ast.cmpop]:
    """How values are compared: a truth of Python's own is True or False by its value.

    One of NumPy's is neither, and a number that is a truth on another path may be.
    """
    traced = [x for x in (left, right) if isinstance(x, Tracer)]
    truths = type(left) is bool or type(right) is bool
    if not traced or not truths or not isinstance(kind, (ast.Is, ast.IsNot)):
        return type(kind)
    if not all(x.weak and x.type.dtype == "bool" for x in traced):
        raise frame.refused(
            "whether a traced value is the object True or False isn't known.",
            "Compare with == or !=, or test the value: if done, if not done.",
        )
    return ast.Eq if isinstance(kind, ast.Is) else ast.NotEq


def _member(value: Any, container: Any, frame: Frame) -> Any:
    """Whether a value is in a container; decided at run time if it must be."""
    method = own_method(container, "__contains__")
    if method is not None:
        return condition(frame, frame.machine.call(method, container, value), "'in'")
    value = static_key(value)
    if isinstance(value, Words) and isinstance(container, str):
        raise refused()
    parts = list(container) if isinstance(container, _CONTAINERS) else []
    if not isinstance(value, Tracer) and not any(isinstance(p, Tracer) for p in parts):
        return value in container
    if not isinstance(container, _CONTAINERS) or not all(
        map(is_number, [value, *parts])
    ):
        raise frame.refused(
            "'in' with a traced value is not supported here.",
            "Compare numbers with ==, or use np.any(x == value).",
        )
    return reduce(cmp.logical_or, [value == part for part in parts], False)


_CONTAINERS = (list, tuple, set, frozenset, dict)


def _boolean(node: ast.BoolOp, frame: Frame) -> Any:
    return _from(node, 0, frame)


def _from(node: ast.BoolOp, k: int, frame: Frame) -> Any:
    """``and`` or ``or`` from an operand on; the next ones only if it doesn't decide."""
    operand = node.values[k]
    value = evaluate(operand, frame)
    frame.at(operand.lineno)
    if k + 1 == len(node.values):
        return value
    either = isinstance(node.op, ast.Or)
    test = condition(frame, value, "'or'" if either else "'and'")
    if not isinstance(test, Tracer):
        return value if test is either else _from(node, k + 1, frame)
    decided = either if test is value else value
    names = assigned(node.values[k + 1 :])
    sides = (lambda: decided, lambda: _from(node, k + 1, frame))
    then, otherwise = sides if either else sides[::-1]
    return choose(frame, test, then, otherwise, names)


def _conditional(node: ast.IfExp, frame: Frame) -> Any:
    value = evaluate(node.test, frame)
    frame.at(node.lineno)
    test = condition(frame, value, "a conditional expression")
    if not isinstance(test, Tracer):
        return evaluate(node.body if test else node.orelse, frame)
    arms = (node.body, node.orelse)
    then, otherwise = ((lambda a=arm: evaluate(a, frame)) for arm in arms)
    return choose(frame, test, then, otherwise, assigned(arms))


def _walrus(node: ast.NamedExpr, frame: Frame) -> Any:
    value = evaluate(node.value, frame)
    frame.home().store(frame.mangled(node.target.id), value)
    return value


# --- displays ----------------------------------------------------------------------


def _elements(nodes: list[ast.expr], frame: Frame) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from items(frame.machine, evaluate(node.value, frame))
        else:
            yield evaluate(node, frame)


def _tuple(node: ast.Tuple, frame: Frame) -> tuple[Any, ...]:
    return tuple(_elements(node.elts, frame))


def _list(node: ast.List, frame: Frame) -> list[Any]:
    return born(list(_elements(node.elts, frame)), frame)


def _set(node: ast.Set, frame: Frame) -> set[Any]:
    return born(set(_elements(node.elts, frame)), frame)


def _dict(node: ast.Dict, frame: Frame) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    machine = frame.machine
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            spread = evaluate(value, frame)
            result.update(machine.outside.opened(machine.builder, spread))
        else:
            result[static_key(evaluate(key, frame))] = evaluate(value, frame)
    return born(result, frame)


def _joined(node: ast.JoinedStr, frame: Frame) -> str:
    parts = [evaluate(part, frame) for part in node.values]
    return worded("".join(map(plain, parts)))


def _formatted(node: ast.FormattedValue, frame: Frame) -> str:
    value = evaluate(node.value, frame)
    spec = evaluate(node.format_spec, frame) if node.format_spec else ""
    frame.at(node.lineno)
    if node.conversion > 0:
        value = spelled(frame.machine, value, chr(node.conversion))
    return formatted(frame.machine, value, spec)


# --- comprehensions ----------------------------------------------------------------

_Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def _runs(node: _Comprehension, frame: Frame, first: Any = MISSING) -> Iterator[Frame]:
    """The comprehension's scope, once for each combination of its targets.

    first: what the first target runs over, if it has been evaluated already.
    """
    inner = frame.inner()
    if first is MISSING:
        first = evaluate(node.generators[0].iter, frame)

    def loop(depth: int, iterable: Any) -> Iterator[Frame]:
        generator = node.generators[depth]
        if generator.is_async:
            raise frame.refused(
                "async comprehensions can't be traced.", "Use an ordinary one."
            )
        for item in items(frame.machine, iterable):
            bind(generator.target, item, inner)
            conditions = (evaluate(test, inner) for test in generator.ifs)
            if not all(truth(inner, c, "a comprehension's 'if'") for c in conditions):
                continue
            if depth + 1 == len(node.generators):
                yield inner
            else:
                rest = evaluate(node.generators[depth + 1].iter, inner)
                yield from loop(depth + 1, rest)

    return loop(0, first)


def _list_comprehension(
    node: ast.ListComp, frame: Frame, first: Any = MISSING
) -> list[Any]:
    return born([evaluate(node.elt, at) for at in _runs(node, frame, first)], frame)


def _set_comprehension(node: ast.SetComp, frame: Frame) -> set[Any]:
    return born({evaluate(node.elt, inner) for inner in _runs(node, frame)}, frame)


def _generator(
    node: ast.GeneratorExp, frame: Frame, first: Any = MISSING
) -> Iterator[Any]:
    return born((evaluate(node.elt, at) for at in _runs(node, frame, first)), frame)


def _dict_comprehension(node: ast.DictComp, frame: Frame) -> dict[Any, Any]:
    found = {
        static_key(evaluate(node.key, inner)): evaluate(node.value, inner)
        for inner in _runs(node, frame)
    }
    return born(found, frame)


def _of_comprehension(
    function: Any, node: ast.ListComp | ast.GeneratorExp, frame: Frame
) -> Any:
    """A function of arrays of what a comprehension gives."""
    generator = node.generators[0]
    iterable = evaluate(generator.iter, frame)
    steps = steps_of(frame.machine.memory, iterable)
    if steps is not None:
        inner = frame.inner()

        def item(position: Any) -> Any:
            bind(generator.target, steps.at(position), inner)
            return evaluate(node.elt, inner)

        result = result_of(function, frame, item, steps.length)
        if result is not MISSING:
            return result
    given = (
        _list_comprehension(node, frame, iterable)
        if isinstance(node, ast.ListComp)
        else _generator(node, frame, iterable)
    )
    frame.at(node.lineno)
    return frame.machine.call(function, given)


# --- calls and functions -----------------------------------------------------------


def _call(node: ast.Call, frame: Frame) -> Any:
    function = evaluate(node.func, frame)
    comprehension = taken_whole(function, node)
    if comprehension is not None:
        return fresh(_of_comprehension(function, comprehension, frame), node, frame)
    args = list(_elements(node.args, frame))
    kwargs: dict[str, Any] = {}
    machine = frame.machine
    for keyword in node.keywords:
        value = evaluate(keyword.value, frame)
        if keyword.arg is None:
            kwargs.update(machine.outside.opened(machine.builder, value))
        else:
            kwargs[keyword.arg] = value
    frame.at(node.lineno)
    needs_frame = _FRAME_FUNCTIONS.get(id(function))
    if needs_frame is not None:
        return needs_frame(frame, *args)
    result = machine.call(function, *args, **kwargs)
    made = isinstance(result, Iterator) and not isinstance(function, FunctionType)
    if isinstance(function, type) or (made and not any(result is x for x in args)):
        born(result, frame)
    return fresh(result, node, frame, empty=id(function) in _EMPTY)


def _super(frame: Frame, *args: Any) -> Any:
    if args:
        return super(*args)
    home = frame.home()
    return super(home.load("__class__"), home.load(home.code.co_varnames[0]))


def _refuse_frame_function(frame: Frame, *args: Any) -> Any:
    raise frame.refused(
        "eval, exec, locals, vars and input can't be traced.",
        "Call it outside the traced function.",
    )


def born(thing: _T, frame: Frame) -> _T:
    """A new container or object, which may be changed where it was made."""
    frame.machine.memory.bear(thing)
    return thing


def fresh(value: Any, node: ast.expr, frame: Frame, *, empty: bool = False) -> Any:
    """What an expression gives; a new array as a Ref if it will be written."""
    if not isinstance(value, (Tracer, np.ndarray, tuple, list)):
        return value
    return stores.made(frame.machine.memory, value, (frame.code, id(node)), empty=empty)


_EMPTY = {id(np.empty), id(np.empty_like), id(np.ndarray)}
_FRAME_FUNCTIONS: dict[int, Callable[..., Any]] = {
    id(super): _super,
    id(globals): lambda frame: frame.namespace,
    **{id(f): _refuse_frame_function for f in (eval, exec, locals, vars, input)},
}


def make_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, frame: Frame
) -> FunctionType:
    """A nested function: a real one, with the trace's own cells in its closure."""
    code = nested_code(frame.code, node)
    if code is None:
        raise frame.refused(
            "a nested function's code was not found.", "Define it at module level."
        )
    arguments = node.args
    defaults = tuple(evaluate(d, frame) for d in arguments.defaults)
    cells = tuple(frame.cell(name) for name in code.co_freevars)
    function = FunctionType(
        code, frame.namespace, code.co_name, defaults or None, cells
    )
    function.__kwdefaults__ = {
        argument.arg: evaluate(default, frame)
        for argument, default in zip(
            arguments.kwonlyargs, arguments.kw_defaults, strict=True
        )
        if default is not None
    }
    return frame.machine.own(function)


def bind(target: ast.expr, value: Any, frame: Frame) -> None:
    """Assign to a name, or unpack into several."""
    match target:
        case ast.Name(id=name):
            frame.store(frame.mangled(name), value)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            starred = [isinstance(t, ast.Starred) for t in targets]
            parts = unpack(starred, value, frame.machine)
            for inner, item in zip(targets, parts, strict=True):
                bind(inner, item, frame)
        case ast.Starred(value=inner):
            bind(inner, value, frame)
        case ast.Attribute(value=owner, attr=name):
            home = evaluate(owner, frame)
            set_attribute(home, frame.mangled(name), value, frame.machine)
        case ast.Subscript(value=owner, slice=index):
            container = evaluate(owner, frame)
            set_item(container, evaluate(index, frame), value, frame)


_EVALUATE: dict[type[ast.expr], Callable[[Any, Frame], Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.BoolOp: _boolean,
    ast.IfExp: _conditional,
    ast.NamedExpr: _walrus,
    ast.Tuple: _tuple,
    ast.List: _list,
    ast.Set: _set,
    ast.Dict: _dict,
    ast.JoinedStr: _joined,
    ast.FormattedValue: _formatted,
    ast.ListComp: _list_comprehension,
    ast.SetComp: _set_comprehension,
    ast.GeneratorExp: _generator,
    ast.DictComp: _dict_comprehension,
    ast.Call: _call,
    ast.Lambda: lambda node, frame: make_function(cast("ast.Lambda", node), frame),
}
