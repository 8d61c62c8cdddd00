"""Functions as SymPy expressions: the traced graph, evaluated on symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from tracegrad import derivatives, pytree
from tracegrad.arguments import Binder, Selection
from tracegrad.errors import ArgumentError
from tracegrad.proof.from_sympy import Values
from tracegrad.proof.zero import derivative
from tracegrad.traces.exact import evaluate_exactly
from tracegrad.traces.inputs import describe
from tracegrad.traces.source import Traced, trace
from tracegrad.traces.symbols import Symbols, constant, readable
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms.custom_call import expand_custom_calls

Function = Callable[..., Any]


class Symbolic:
    """A function as expressions.

    Attributes:
        arguments: the symbols, in the nest of the arguments; what has no derivative is
            the value given.
        expression: the result, with its choices as ``Where``.
        value: the result, in the nest that the function returns.

    Arrays are SymPy arrays. Notebooks show the value as LaTeX.
    """

    def __init__(self, args: Any, value: Any) -> None:
        self.arguments = args
        self.expression = value

    @property
    def _variables(self) -> list[Any]:
        """The leaves of the arguments that are symbols, or arrays of them."""
        leaves = pytree.leaves(self.arguments)
        return [x for x in leaves if _is_variable(x)]

    @property
    def value(self) -> Any:
        """The result."""
        return _readable(self.expression)

    @property
    def gradient(self) -> Any:
        """The derivative by each argument; a tuple if there are several."""
        found = tuple(jacobian(self.expression, x) for x in self._variables)
        return found[0] if len(found) == 1 else found

    @property
    def jacobian(self) -> Any:
        """The same as ``gradient``: result.shape + argument.shape for each argument."""
        return self.gradient

    @property
    def hessian(self) -> Any:
        """The second derivatives by the elements of all arguments, as a matrix."""
        if isinstance(self.expression, (np.ndarray, tuple, list, dict)):
            raise ArgumentError("a Hessian is that of a function of one number.")
        flat = [s for x in self._variables for s in np.ravel(np.asarray(x, object))]
        rows = [
            [derivative(derivative(self.expression, a), b) for b in flat] for a in flat
        ]
        return sympy.Matrix([[readable(e) for e in row] for row in rows])

    def __repr__(self) -> str:
        return str(self.value)

    def _repr_latex_(self) -> str:
        value = self.value
        shown = sympy.Array(value) if isinstance(value, np.ndarray) else value
        return f"$\\displaystyle {sympy.latex(shown)}$"


def symbolic(function: Function, *args: Any) -> Symbolic:
    """A function as SymPy expressions, at the sizes of the arguments.

    Args:
        function: of the arguments.
        args: examples; floats and arrays of floats become symbols, called as the
            function calls them (``x``, ``x_0``, ``x_0_1``), other arguments stay.

    Returns:
        Its ``.value``, ``.gradient`` and ``.hessian`` as expressions.

    Raises:
        TracegradError: if the function can't be traced, or a loop in it depends on
            data, at the user's line.

    >>> f = symbolic(lambda x, k: k * np.sum(x**2), np.array([1.0, 2.0]), 3.0)
    >>> f.value, f.gradient[1]
    (k*(x_0**2 + x_1**2), x_0**2 + x_1**2)
    """
    binder = Binder(function)
    bound, kwargs = binder.bind(args, {})
    leaves, tree = pytree.flatten((bound, kwargs))
    names = binder.names(tree)
    described = [describe(x, name) for x, name in zip(leaves, names, strict=True)]
    traced = trace(derivatives.itself(function), described, tree)
    made = [_leaf(x, name) for x, name in zip(leaves, names, strict=True)]
    pairs = zip(described, made, strict=True)
    arguments = [x for leaf, x in pairs if leaf.traced] + _data(traced)
    graph = expand_custom_calls(traced.graph, traced.assumptions)
    results = evaluate_exactly(graph, arguments, Symbols())
    outputs = [o.value if o.type is None else results[o.result] for o in traced.outputs]
    value = pytree.unflatten(traced.tree, outputs)
    own, _ = pytree.unflatten(tree, made)
    return Symbolic(own, value)


def _leaf(x: Any, name: str) -> Any:
    """Symbols for an array or number of floats; anything else as it is."""
    array = np.asarray(x)
    if array.dtype.kind != "f":
        if array.dtype.kind in "biu" and array.ndim:
            return array.astype(object)
        return x
    made = np.empty(array.shape, object)
    for index in np.ndindex(*array.shape):
        label = "_".join([name, *map(str, index)])
        made[index] = sympy.Symbol(label, real=True)
    return made if array.ndim else made[()]


def _data(traced: Traced) -> list[Any]:
    """The contents of hidden inputs, exactly."""
    found = []
    for capture in traced.captures:
        array = np.asarray(capture.read())
        exact = np.frompyfunc(constant, 1, 1)
        found.append(exact(array) if array.dtype.kind == "f" else array.astype(object))
    return found


def _is_variable(x: Any) -> bool:
    cells = np.ravel(np.asarray(x, object))
    return bool(cells.size) and isinstance(cells[0], sympy.Symbol)


def _readable(value: Any) -> Any:
    def shown(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return sympy.Array([readable(e) for e in x.ravel()], x.shape or (1,))
        return readable(x) if isinstance(x, sympy.Basic) else x

    return pytree.map_leaves(shown, value)


def jacobian(value: Any, variable: Any) -> Any:
    """The derivatives of a result by an argument, arrays or not."""
    if isinstance(value, (tuple, list, dict)):
        raise ArgumentError(
            "the derivative of a nest: differentiate its parts one by one."
        )
    outer, inner = np.asarray(value, object), np.asarray(variable, object)
    cells = [
        readable(derivative(sympy.sympify(y), x))
        for y in outer.ravel()
        for x in inner.ravel()
    ]
    shape = outer.shape + inner.shape
    return sympy.Array(cells, shape) if shape else cells[0]


# --- as a compiler -------------------------------------------------------------------


def value_and_gradient(function: Function, selection: Selection) -> Function:
    """``(*args) -> (value, gradient)``, differentiated by SymPy; runs inside a trace.

    The expressions are those of the arguments' sizes and integers, which are guarded.
    """
    binder = Binder(function)

    def both(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = binder.bind(args, kwargs)
        given, tree = pytree.flatten((args, kwargs))
        groups = selection.groups(binder, args, kwargs)
        examples, _ = pytree.unflatten(tree, [_example(x) for x in given])
        own = symbolic(function, *examples)
        if not isinstance(own.expression, sympy.Expr):
            raise ArgumentError(f"grad needs one number from {binder.title}.")
        symbols = pytree.leaves((own.arguments, {}))
        moving = [k for k, s in enumerate(symbols) if _is_variable(s)]
        values = Values([symbols[k] for k in moving], [given[k] for k in moving])
        bars = [
            [values.of(jacobian(own.expression, symbols[k])) for k in group]
            for group in groups
        ]
        trees = selection.structures(binder, args, kwargs)
        parts = [pytree.unflatten(t, b) for t, b in zip(trees, bars, strict=True)]
        return values.of(own.expression), selection.joined(parts)

    return both


def _example(x: Any) -> Any:
    """An argument of the sizes of a traced one."""
    if not isinstance(x, Tracer):
        return x
    if x.ndim:
        return np.ones([int(n) for n in x.shape], x.dtype)
    return 0.0 if x.type.differentiable else int(x)
