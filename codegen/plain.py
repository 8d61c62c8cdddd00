"""Run a printed kernel in plain Python: the oracle of the compiled one.

The same text, with the reference maths for the vector maths, and NumPy scalars for
Python's floats: those raise where NumPy and compiled code give inf or nan.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from codegen import plain_instructions as instructions
from codegen.errors import GuardFailed
from codegen.expressions import DENSE
from codegen.printer import Source
from codegen.reference_math import reference

PlainFunction = Callable[..., Any]


def plain_function(source: Source) -> PlainFunction:
    """The printed function as ordinary Python, silent where NumPy would warn."""
    tree = _TypedFloats().visit(ast.parse(source.text))
    ast.fix_missing_locations(tree)
    namespace: dict[str, Any] = {
        **{name: reference[name] for name in source.helpers if name in reference},
        "np": np,
        "float": np.float64,
        "int": instructions.truncated,
        "checked": instructions.checked,
        "assume": instructions.assume,
        "carve": instructions.carve,
        "grown": instructions.grown,
        **{routine: getattr(instructions, routine) for routine in DENSE.values()},
        "GuardFailed": GuardFailed,
    }
    exec(compile(tree, f"<{source.name}>", "exec"), namespace)
    function = namespace[source.name]

    def run(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*(_scalar(arg) for arg in args))

    return run


def _scalar(value: Any) -> Any:
    """A float argument as NumPy's scalar, whose division by zero is inf."""
    return np.float64(value) if type(value) is float else value


class _TypedFloats(ast.NodeTransformer):
    """Make every float literal a NumPy scalar."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """``2.0`` as ``np.float64(2.0)``."""
        if not isinstance(node.value, float):
            return node
        function = ast.Attribute(ast.Name("np", ast.Load()), "float64", ast.Load())
        return ast.Call(function, [node], [])
