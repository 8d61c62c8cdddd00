"""What a command works on: a function found by name, and example arguments.

>>> arguments("x=[1, 2.5], k=3")
{'x': array([1. , 2.5]), 'k': 3}
>>> find("math:hypot")
<built-in function hypot>
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.api import grad, hessian, jacobian, jit, value_and_grad
from tracegrad.compiled import Compiled
from tracegrad.errors import ArgumentError
from tracegrad.signatures import parse

TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": grad,
    "value_and_grad": value_and_grad,
    "jacobian": jacobian,
    "hessian": hessian,
    "jit": jit,
}


def add_target(parser: argparse.ArgumentParser) -> None:
    """Options that say which function, and for what arguments."""
    parser.add_argument(
        "target", help="module:function, or path/to/file.py:function", metavar="target"
    )
    parser.add_argument(
        "signature",
        nargs="?",
        help='types of the arguments, as "float64[:], float64"',
    )
    parser.add_argument(
        "--at", help='arguments by name, as "x=[1.0, 2.0], k=3" (np is NumPy)'
    )


def add_transform(parser: argparse.ArgumentParser) -> None:
    """The option that says which derivative."""
    parser.add_argument(
        "--of",
        choices=TRANSFORMS,
        default="value_and_grad",
        help="what to derive from the function (default: %(default)s); a function "
        "that is a gradient already stays as it is",
    )
    parser.add_argument(
        "--argnames", help="what to differentiate by, as x,y (default: the first)"
    )


def find(text: str) -> Callable[..., Any]:
    """The function that ``module:function`` or ``file.py:function`` names.

    Raises:
        ArgumentError: if there is none.
    """
    where, separator, name = text.rpartition(":")
    if not separator or not name:
        raise ArgumentError(
            f"{text!r} names no function.", todo="Write it as module:function."
        )
    found: Any = _module(where)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ArgumentError(f"{where} has no {name}.")
        found = getattr(found, part)
    if not callable(found):
        raise ArgumentError(f"{text} is a {type(found).__name__}, not a function.")
    function: Callable[..., Any] = found
    return function


def _module(where: str) -> Any:
    if not where.endswith(".py"):
        if "" not in sys.path:  # as python -m has it
            sys.path.insert(0, "")
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise ArgumentError(f"there is no module {error.name}.") from None
    path = Path(where).resolve()
    if not path.is_file():
        raise ArgumentError(f"there is no file {where}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))  # as if the file were run
    spec.loader.exec_module(module)
    return module


def derived(options: argparse.Namespace) -> Any:
    """The function that a command line speaks of, transformed as it says."""
    function = find(options.target)
    if isinstance(function, Compiled):
        return function
    names = options.argnames.split(",") if options.argnames else None
    make = TRANSFORMS[options.of]
    if names is None or make is jit:
        return make(function)
    return make(function, argnames=names[0] if len(names) == 1 else names)


def examples(options: argparse.Namespace) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a command line gives: positional ones, and by name."""
    if options.at is not None:
        return (), arguments(options.at)
    if options.signature is not None:
        return parse(options.signature), {}
    raise ArgumentError(
        "this needs arguments, or their types.",
        todo='Add "float64[:], float64", or --at "x=[1.0, 2.0], k=3".',
    )


def arguments(text: str) -> dict[str, Any]:
    """Arguments by name, from Python text; lists of numbers become arrays.

    Raises:
        ArgumentError: if the text isn't ``name=value, …``.
    """
    try:
        given = eval(f"dict({text})", {"np": np})
    except (SyntaxError, NameError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(
            f"can't read the arguments {text!r}: {error}",
            todo='Write them as "x=[1.0, 2.0], k=3".',
        ) from None
    return {name: _array(value) for name, value in given.items()}


def _array(value: Any) -> Any:
    """A list of numbers as an array of floats; anything else as it is."""
    if not isinstance(value, list):
        return value
    leaves = pytree.leaves(value)
    if all(isinstance(x, (int, float)) for x in leaves):
        return np.array(value, dtype=float)
    return [_array(x) for x in value]
