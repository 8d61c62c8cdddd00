"""Run a printed kernel in plain Python: the oracle of the compiled one.

The same text, with the reference maths for the vector maths, and NumPy scalars for
Python's floats: those raise where NumPy and compiled code give inf or nan.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from codegen.errors import GuardFailed
from codegen.printer import Source
from codegen.reference_math import reference

PlainFunction = Callable[..., Any]
_LEAST = np.iinfo(np.int64).min


def plain_function(source: Source) -> PlainFunction:
    """The printed function as ordinary Python, silent where NumPy would warn."""
    tree = _TypedFloats().visit(ast.parse(source.text))
    ast.fix_missing_locations(tree)
    namespace: dict[str, Any] = {
        **{name: reference[name] for name in source.helpers if name in reference},
        "np": np,
        "float": np.float64,
        "int": _truncate,
        "checked": _checked,
        "assume": _assume,
        "carve": _carve,
        "grown": _grown,
        "GuardFailed": GuardFailed,
    }
    exec(compile(tree, f"<{source.name}>", "exec"), namespace)
    function = namespace[source.name]

    def run(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*(_scalar(arg) for arg in args))

    return run


def _checked(index: int, size: int) -> int:
    if index < -size or index >= size:
        raise IndexError("index out of bounds")
    return index


def _assume(condition: bool) -> None:
    """What compiled code takes for true is asserted here."""
    if not condition:
        raise AssertionError("an assumption of the printed kernel is false")


def _carve(arena: Any, start: int, shape: Any, dtype: Any) -> Any:
    """A slice of the arena as an array of another shape and dtype."""
    size = int(np.prod(shape))
    return arena[start:].view(dtype)[:size].reshape(shape)


def _grown(array: Any, size: int) -> Any:
    """A larger copy of an array."""
    larger = np.zeros((2 * size, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def _scalar(value: Any) -> Any:
    """A float argument as NumPy's scalar, whose division by zero is inf."""
    return np.float64(value) if type(value) is float else value


def _truncate(value: Any) -> int:
    """A float's integer part; where it has none, what the processor gives."""
    return int(value) if abs(value) < 2.0**63 else int(_LEAST)


class _TypedFloats(ast.NodeTransformer):
    """Make every float literal a NumPy scalar."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """``2.0`` as ``np.float64(2.0)``."""
        if not isinstance(node.value, float):
            return node
        function = ast.Attribute(ast.Name("np", ast.Load()), "float64", ast.Load())
        return ast.Call(function, [node], [])
