"""What makes texts of values in traced code: f-strings, ``%``, ``str.format``, ``str``.

A text that a traced value has a part in is known by the stand-in in it: see ``words``.
The user's ``__str__``, ``__repr__`` and ``__format__`` are interpreted, like all else
they wrote.
"""

from __future__ import annotations

import ast
import logging
import re
import string
import warnings
from collections.abc import Callable, Mapping
from types import BuiltinMethodType, FunctionType
from typing import Any

import numpy as np

from tracegrad.traces import protocols
from tracegrad.traces.outside import is_trusted, module_of
from tracegrad.traces.protocols import lookup, own_method
from tracegrad.traces.scope import Machine
from tracegrad.traces.sequences import static_key
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.unsized import Unsized
from tracegrad.traces.words import Words, plain, refused, worded

Function = Callable[..., Any]


def spelled(machine: Machine, value: Any, conversion: str = "s") -> str:
    """``str(value)``; for the conversions "r" and "a", ``repr`` and ``ascii``."""
    if isinstance(value, Words) and conversion == "s":
        return value
    value = machine.outside.opened(machine.builder, static_key(value))
    name = "__str__" if conversion == "s" else "__repr__"
    if name == "__str__" and lookup(type(value), name) is object.__str__:
        name = "__repr__"
    method = _written(value, name)
    if method is not None:
        text = machine.call(method, value)
    else:
        text = str(value) if name == "__str__" else repr(value)
    return worded(ascii(text)[1:-1] if conversion == "a" else text)


def _written(value: Any, name: str) -> FunctionType | None:
    """A method that the user wrote; one of a dataclass's is generated."""
    method = own_method(value, name)
    generated = method and method.__globals__.get("__name__") == "dataclasses"
    return None if generated else method


def formatted(machine: Machine, value: Any, spec: str) -> str:
    """``format(value, spec)``."""
    if isinstance(spec, Words):
        raise refused()
    value = static_key(value)
    if isinstance(value, (Tracer, Unsized, Words)):
        return spelled(machine, value)
    method = _written(value, "__format__")
    if method is not None:
        value, spec = machine.call(method, value, spec), ""
    if not spec and lookup(type(value), "__format__") is object.__format__:
        return spelled(machine, value)
    return worded(format(value, spec))


# --- templates -----------------------------------------------------------------------


class _Template(string.Formatter):
    """``str.format`` with values as traced code sees them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def convert_field(self, value: Any, conversion: Any) -> Any:
        return spelled(self._machine, value, conversion) if conversion else value

    def format_field(self, value: Any, format_spec: str) -> str:
        return formatted(self._machine, value, worded(format_spec))


_PLAIN = (int, float, bool, str)
_CONVERSION = re.compile(
    r"%(?:\((.*?)\))?([-#0+ ]*(?:\*|\d*)(?:\.(?:\*|\d*))?)[hlL]?([diuoxXeEfFgGcrsa%])"
)


def binary(machine: Machine, kind: type[ast.operator], left: Any, right: Any) -> Any:
    """``left <op> right``, where ``%`` may make a text."""
    if kind is ast.Mod and isinstance(left, str):
        return _interpolated(machine, left, right)
    return protocols.binary(machine, kind, left, right)


def _interpolated(machine: Machine, template: str, values: Any) -> str:
    """``template % values``."""
    values = machine.outside.opened(machine.builder, values)
    given = values if isinstance(values, tuple) else (values,)
    if isinstance(template, Words):
        raise refused()
    if all(type(x) in _PLAIN for x in given):
        return str(template % values)
    rest = iter(given)

    def part(match: re.Match[str]) -> str:
        key, how, kind = match.groups()
        if kind == "%":
            return "%"
        how = re.sub(r"\*", lambda _: str(next(rest)), how)
        value = static_key(next(rest) if key is None else values[key])
        if kind in "rsa" or isinstance(value, (Tracer, Unsized)):
            value, kind = spelled(machine, value, kind if kind in "rsa" else "s"), "s"
        return plain(value) if isinstance(value, Words) else f"%{how}{kind}" % (value,)

    try:
        text = _CONVERSION.sub(part, template)
    except StopIteration:
        raise TypeError("not enough arguments for format string") from None
    if not isinstance(values, Mapping) and next(rest, rest) is not rest:
        raise TypeError("not all arguments converted during string formatting")
    return worded(text)


# --- calls ---------------------------------------------------------------------------


def _spelled_as(conversion: str) -> Function:
    def function(machine: Machine, *values: Any, **options: Any) -> str:
        if len(values) != 1 or options:
            return str(*values, **options)
        return spelled(machine, values[0], conversion)

    return function


def _of_array(native: Function) -> Function:
    """One of NumPy's functions that make a text of an array."""

    def function(machine: Machine, value: Any, *args: Any, **options: Any) -> Any:
        if isinstance(value, (Tracer, Unsized)):
            return spelled(machine, value)
        return native(value, *args, **options)

    return function


SPELLING: dict[Any, Function] = {
    str: _spelled_as("s"),
    repr: _spelled_as("r"),
    ascii: _spelled_as("a"),
    format: lambda machine, value, spec="": formatted(machine, value, spec),
    **{
        f: _of_array(f)
        for f in (
            *(np.array2string, np.array_str, np.array_repr),
            *(np.format_float_positional, np.format_float_scientific),
        )
    },
}
"""Functions that make a text of a value."""


def template_of(function: Any) -> Function | None:
    """What a text's method ``format`` or ``format_map`` does."""
    template = getattr(function, "__self__", None)
    if not isinstance(function, BuiltinMethodType) or not isinstance(template, str):
        return None
    if function.__name__ == "format":
        return lambda machine, *args, **kwargs: _Template(machine).vformat(
            template, args, kwargs
        )
    if function.__name__ == "format_map":
        return lambda machine, names: _Template(machine).vformat(template, (), names)
    return None


# --- functions that are given such texts --------------------------------------------


def first_words(value: Any) -> Words | None:
    """The text of a traced value among values, or in a container of them."""
    if isinstance(value, Words):
        return value
    if isinstance(value, dict):
        value = (*value, *value.values())
    if isinstance(value, (list, tuple)):
        return next((w for w in map(first_words, value) if w is not None), None)
    return None


def admitted(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The arguments for a native function, if it may be given such texts.

    Raises:
        ControlFlowError: if it might decide by them.
    """
    if first_words((args, kwargs)) is None or _only_keeps(function):
        return args, kwargs
    if function is warnings.warn or module_of(function) == logging.__name__:
        return tuple(plain(x) if isinstance(x, Words) else x for x in args), kwargs
    raise refused()


_KEEPING = frozenset(
    {list, tuple, dict, set, enumerate, zip, reversed, iter, next, map, filter, bool}
    | {print, isinstance, type, setattr, getattr, str.join, *SPELLING}
)


def _only_keeps(function: Any) -> bool:
    """Whether it does no more with a text than to keep it.

    A container may compare its items, and looks keys up by their hash: Words refuse it.
    """
    owner = getattr(function, "__self__", None)
    if isinstance(owner, (list, tuple, dict, set, BaseException)):
        return True
    if isinstance(owner, str):
        return function.__name__ in ("join", "format", "format_map")
    if isinstance(function, type) and not issubclass(function, str):
        own = not is_trusted(function) or issubclass(function, BaseException)
        if own or module_of(function) in ("collections", "types"):
            return True
    try:
        return function in _KEEPING
    except TypeError:  # an unhashable callable
        return False
