"""Functions for nopython code whose bodies are written for the types of each call.

What enters is a function that writes, for the types of a call, the source of a wrapper;
what leaves is a Numba dispatcher that compiles and inlines it, for use as a global, a
closed-over value or an argument. Numba's own types stop here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import overload

from codegen.nopython import ArgumentType, ArrayOf, Items, Known, NumberOf, Wrapper

# Numba's types are incomplete.
_TYPES: Any = types
_NUMBA: Any = numba


def dispatcher(
    name: str,
    parameters: Sequence[tuple[str, Any]],
    write: Callable[[list[ArgumentType]], Wrapper],
) -> Any:
    """A function for nopython code whose body is written for each call's types.

    Args:
        name: of the function.
        parameters: their names, and the defaults of those that have one in a tuple.
        write: the wrapper for the types of the arguments, in order. What it raises is
            shown as Numba's typing error, with the message.
    """
    names = [parameter for parameter, _ in parameters]
    scope: dict[str, Any] = {}
    header = ", ".join(
        f"{parameter}=default_{parameter}" if default else parameter
        for parameter, default in parameters
    )
    for parameter, default in parameters:
        if default:
            scope[f"default_{parameter}"] = default[0]

    def body_for(*numba_types: Any) -> Any:
        try:
            wrapper = write([_described(type_) for type_ in numba_types])
        except Exception as error:
            raise TypingError(str(error)) from error
        inner = {**wrapper.scope, "result_type": _numba_type(wrapper.result)}
        inner["objmode"] = numba.objmode
        lines = [f"def body({', '.join(names)}):", *wrapper.lines]
        return _define("body", lines, inner)

    call = ", ".join(names)
    stub = _define("stub", [f"def stub({call}):", "    pass"], {})
    scope["body_for"] = body_for
    typer = ["def typer(" + call + "):", f"    return body_for({call})"]
    overload(stub, strict=False, prefer_literal=True)(_define("typer", typer, scope))
    scope["stub"] = stub
    entry = [f"def {name}({header}):", f"    return stub({call})"]
    return numba.njit(nogil=True)(_define(name, entry, scope))


def numba_type_of(function: Any) -> Any:
    """The type under which Numba knows a dispatcher."""
    return _TYPES.Dispatcher(function)


def _define(name: str, lines: Sequence[str], scope: dict[str, Any]) -> Any:
    text = "\n".join(lines)
    exec(compile(text, f"<nopython {name}>", "exec"), scope)
    return scope[name]


# --- types -------------------------------------------------------------------------


def _described(type_: Any) -> ArgumentType:
    match type_:
        case _TYPES.Omitted():
            return Known(type_.value)
        case _TYPES.IntegerLiteral():
            return NumberOf(str(_TYPES.unliteral(type_)))
        case _TYPES.Literal():
            return Known(type_.literal_value)
        case _TYPES.NoneType():
            return Known(None)
        case _TYPES.Array():
            return ArrayOf(str(type_.dtype), type_.ndim, type_.layout == "C")
        case _TYPES.BaseNamedTuple():
            return Items(lambda x: type_.instance_class(*x), _all_described(type_))
        case _TYPES.BaseTuple():
            return Items(tuple, _all_described(type_))
        case _TYPES.Boolean():
            raise TypeError(
                "a bool argument chooses how the function is compiled: in nopython "
                "code pass True or False itself, or leave it to its default."
            )
        case _TYPES.Integer() | _TYPES.Float():
            return NumberOf(str(type_))
        case _:
            raise TypeError(
                f"an argument of Numba type {type_} can't be passed to a tracegrad "
                "function in nopython code: pass arrays, numbers and tuples of them."
            )


def _all_described(type_: Any) -> tuple[ArgumentType, ...]:
    return tuple(_described(item) for item in type_)


def _numba_type(described: ArgumentType) -> Any:
    match described:
        case ArrayOf(dtype, rank):
            return _TYPES.Array(numba.from_dtype(np.dtype(dtype)), rank, "C")
        case NumberOf(dtype):
            return numba.from_dtype(np.dtype(dtype))
        case Known(value):
            return _NUMBA.typeof(value)
        case Items(_, items):
            return _TYPES.Tuple([_numba_type(item) for item in items])
