"""How a shipped function is called: its arguments and results as plain data.

A nest is plain data: the number of a leaf, None, ``{"tuple": [...]}``,
``{"list": [...]}``, ``{"dict": [[key, nest], ...]}``, or ``{"record": name, "fields":
[[field, nest], ...]}`` for named tuples and dataclasses. The leaves of arguments are
the kernel's inputs; the leaves of results are ``{"result": k}``, with ``"scalar"`` or
``"copy"`` to say how, or ``{"value": x}`` for what does not depend on the arguments.

>>> nest_of({"w": 0, "b": (1, None)})
{'dict': [['w', 0], ['b', {'tuple': [1, None]}]]}
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder
from tracegrad.compiled import Compiled
from tracegrad.errors import ArgumentError
from tracegrad.specialisation import Program

Nest: TypeAlias = Any
Functions: TypeAlias = Any
Signatures: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a shipped function.

    nest: of the kernel's inputs that it holds.
    default: its default, if that is a number.
    """

    name: str
    nest: Nest
    default: float | int | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """A function to ship.

    title: what it is called.
    doc: what it is, in prose.
    arguments: in order; hidden inputs come last, by name.
    inputs: names of the kernel's inputs that are arguments, in order.
    constants: the arrays of those that are not, by the kernel's names.
    results: the nest of what is returned.
    written: pairs of an input and the result that is copied back to it.
    exclusive: pairs of inputs that must not share memory.
    signature: the types of the arguments, as text.
    """

    title: str
    doc: str
    program: Program
    arguments: tuple[Argument, ...]
    inputs: tuple[str, ...]
    constants: dict[str, np.ndarray[Any, Any]]
    results: Nest
    written: tuple[tuple[int, int], ...]
    exclusive: tuple[tuple[int, int], ...]
    signature: str


def interface(function: Any, signature: Any, title: str | None = None) -> Interface:
    """The interface of a function for one kind of arguments.

    Args:
        function: ``grad(f)``, ``jit(f)`` and the like.
        signature: a text such as ``"float64[:], float64"``, or example arguments: a
            tuple of them, or a dict by name.
        title: what to call it; by default what tracegrad does.

    Raises:
        ArgumentError: if it is no such function.
        TracegradError: if it can't be traced.
    """
    if not isinstance(function, Compiled):
        raise ArgumentError(
            f"a {type(function).__name__} has no kernel of its own to ship.",
            todo="Give jit(f), grad(f), value_and_grad(f) or hvp(f).",
        )
    if isinstance(signature, Mapping):
        made, binder = function.program(**signature)
    else:
        examples = (signature,) if isinstance(signature, str) else tuple(signature)
        made, binder = function.program(*examples)
    names = [p.name for p in made.graph.params]
    traced = made.traced
    constants = {
        capture.leaf.name: capture.constant
        for capture in traced.captures
        if capture.place is None and capture.constant is not None
    }
    inputs = tuple(str(name) for name in names if str(name) not in constants)
    return Interface(
        title or made.name,
        function.__doc__ or "",
        made,
        tuple(_arguments(made, binder, inputs)),
        inputs,
        constants,
        _results(made),
        tuple((_input_of(made, w.leaf), w.result) for w in traced.written),
        traced.exclusive,
        ", ".join(f"{p.name}: {p.type}" for p in made.graph.params),
    )


def interfaces(functions: Functions, signatures: Signatures) -> dict[str, Interface]:
    """Each function's interface, by its name.

    Raises:
        ArgumentError: if there isn't a signature for each function.
    """
    if callable(functions):
        functions = [functions]
    pairs: list[tuple[str | None, Any]]
    if isinstance(functions, Mapping):
        pairs = list(functions.items())
    else:
        pairs = [(None, function) for function in functions]
    wanted = signatures if isinstance(signatures, list) else [signatures]
    if len(wanted) != len(pairs):
        raise ArgumentError(
            f"there are {len(pairs)} functions, and {len(wanted)} signatures.",
            todo="Give a list with one signature for each function.",
        )
    found: dict[str, Interface] = {}
    for (title, function), signature in zip(pairs, wanted, strict=True):
        made = interface(function, signature, title)
        if made.title in found:
            raise ArgumentError(
                f"two functions are called {made.title}.",
                todo="Give the functions by name: {name: function}.",
            )
        found[made.title] = made
    return found


def _arguments(made: Program, binder: Binder, inputs: Sequence[str]) -> list[Argument]:
    """The arguments that hold traced leaves, then the hidden inputs."""
    leaves = made.traced.leaves
    marks = [inputs.index(leaf.name) if leaf.traced else _Static() for leaf in leaves]
    args, kwargs = pytree.unflatten(made.arguments, marks)
    named = [(binder.argument_name(k), nest) for k, nest in enumerate(args)]
    named += list(kwargs.items())
    found = [
        Argument(name, nest_of(nest), _default(binder, name))
        for name, nest in named
        if not isinstance(nest, _Static)
    ]
    hidden = [c.leaf.name for c in made.traced.captures if c.place is not None]
    return found + [Argument(name, inputs.index(name)) for name in hidden]


class _Static:
    """Where an argument holds what the kernel doesn't take."""


def _default(binder: Binder, name: str) -> float | int | None:
    parameters = binder.signature.parameters if binder.signature else {}
    default = parameters[name].default if name in parameters else None
    plain = type(default) in (int, float)
    return default if plain else None


def _input_of(made: Program, leaf: int) -> int:
    """The number of the input that a leaf is."""
    return sum(other.traced for other in made.traced.leaves[:leaf])


def _results(made: Program) -> Nest:
    """The nest of results, told what each leaf is."""
    leaves = []
    for output in made.traced.outputs:
        if output.type is None:
            value = output.value
            if not isinstance(value, (bool, int, float, str, type(None))):
                raise ArgumentError(
                    f"it returns a {type(value).__name__}, which can't be shipped.",
                    todo="Return arrays and numbers.",
                )
            leaves.append(_Leaf({"value": value}))
        else:
            how = "copy" if output.repeated else "" if output.python else "scalar"
            leaf: dict[str, Any] = {"result": output.result}
            leaves.append(_Leaf(leaf | ({"how": how} if how else {})))
    return nest_of(pytree.unflatten(made.traced.tree, leaves))


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf of a nest that says more than its number."""

    data: dict[str, Any]


def nest_of(value: Any) -> Nest:
    """A nest of Python objects as plain data.

    Raises:
        ArgumentError: for a container that plain data can't tell.
    """
    if value is None or type(value) is int:
        return value
    if isinstance(value, _Leaf):
        return value.data
    if isinstance(value, _Static):
        return None
    if type(value) is tuple:
        return {"tuple": [nest_of(item) for item in value]}
    if type(value) is list:
        return {"list": [nest_of(item) for item in value]}
    if isinstance(value, dict) and all(isinstance(k, (str, int)) for k in value):
        return {"dict": [[key, nest_of(item)] for key, item in value.items()]}
    fields = getattr(value, "_fields", None)
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
    if fields is None:
        raise ArgumentError(
            f"arguments or results that are a {type(value).__name__} can't be shipped.",
            todo="Use tuples, lists and dicts with names as keys.",
        )
    parts = [[name, nest_of(getattr(value, name))] for name in fields]
    return {"record": type(value).__name__, "fields": parts}


def map_results(nest: Nest, leaf: Callable[[dict[str, Any]], Any]) -> Nest:
    """The same nest with something else for each leaf."""
    if nest is None:
        return None
    if "result" in nest or "value" in nest:
        return leaf(nest)
    if "dict" in nest:
        return {"dict": [[key, map_results(item, leaf)] for key, item in nest["dict"]]}
    if "record" in nest:
        fields = [[key, map_results(item, leaf)] for key, item in nest["fields"]]
        return {"record": nest["record"], "fields": fields}
    ((kind, items),) = nest.items()
    return {kind: [map_results(item, leaf) for item in items]}


def call_text(shipped: Interface) -> str:
    """``f(x, k)``, for documentation."""
    return f"{shipped.title}({', '.join(a.name for a in shipped.arguments)})"


def first_line(shipped: Interface) -> str:
    """The first line of the user's documentation."""
    return inspect.cleandoc(shipped.doc).partition("\n")[0]
