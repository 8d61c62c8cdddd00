"""What SciPy's solvers ask of a function: values and derivatives of a flat vector.

Taking the vector apart is part of what is traced, so a call is one kernel, whatever the
parameters are nested in. For ``scipy.integrate.solve_ivp`` nothing needs to be taken
apart: its ``jac`` is ``jacobian(f, argnums=1)``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.api import grad, hessian, hvp, jacobian, jit, value_and_grad
from tracegrad.arguments import Binder
from tracegrad.errors import ArgumentError
from tracegrad.traces.inputs import identifier
from tracegrad.traces.scope import current

Vector = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Objective:
    """One number as a function of a vector, for ``scipy.optimize.minimize``.

    Every function takes the vector and then what SciPy passes as ``args``.

    Attributes:
        x0: the starting point: the example's parameters in one float64 vector.
        restore: from a vector to parameters nested like the example.
        fun: the value.
        jac: the gradient, like the vector.
        fun_and_jac: both at once, for ``minimize(..., jac=True)``.
        hess: the Hessian, a square matrix.
        hessp: ``(x, v, *args)``, the Hessian times a vector.
    """

    x0: Vector
    restore: Callable[[Vector], Any]
    fun: Callable[..., float]
    jac: Callable[..., Vector]
    fun_and_jac: Callable[..., tuple[float, Vector]]
    hess: Callable[..., Vector]
    hessp: Callable[..., Vector]


@dataclass(frozen=True, slots=True)
class System:
    """Several numbers as a function of a vector: residuals, equations, constraints.

    For ``least_squares`` and ``root``, whose ``args`` come after the vector, and for
    ``NonlinearConstraint``.

    Attributes:
        x0: the starting point: the example's parameters in one float64 vector.
        restore: from a vector to parameters nested like the example.
        fun: the values, a vector.
        jac: their Jacobian, one row per value.
        hess: ``(x, v, *args)``, the Hessian of the values' sum weighted by ``v``.
    """

    x0: Vector
    restore: Callable[[Vector], Any]
    fun: Callable[..., Vector]
    jac: Callable[..., Vector]
    hess: Callable[..., Vector]


def scipy_objective(function: Callable[..., Any], parameters: Any) -> Objective:
    """A function and its derivatives as ``scipy.optimize.minimize`` takes them.

    Args:
        function: ``function(parameters, *args)`` returns a float scalar.
        parameters: an example, nested as you like, of floats: the starting point.

    Returns:
        The starting point and compiled functions of a float64 vector.

    Raises:
        ArgumentError: if a parameter is no float.

    >>> from scipy.optimize import minimize
    >>> def bowl(p, scale):
    ...     return scale * (np.sum((p["x"] - 1.0) ** 2) + p["y"] ** 2)
    >>> problem = scipy_objective(bowl, {"x": np.zeros(2), "y": 3.0})
    >>> found = minimize(problem.fun, problem.x0, (2.0,), "trust-exact",
    ...                  problem.jac, problem.hess)
    >>> problem.restore(found.x)
    {'x': array([1., 1.]), 'y': np.float64(0.0)}
    """
    flat = _Flat(function, parameters)
    return Objective(
        x0=flat.x0,
        restore=flat.restore,
        fun=jit(flat),
        jac=grad(flat),
        fun_and_jac=value_and_grad(flat),
        hess=hessian(flat),
        hessp=hvp(flat),
    )


def scipy_system(function: Callable[..., Any], parameters: Any) -> System:
    """A function of several results as ``least_squares`` and ``root`` take it.

    Args:
        function: ``function(parameters, *args)`` returns a vector of floats.
        parameters: an example, nested as you like, of floats: the starting point.

    Returns:
        The starting point and compiled functions of a float64 vector.

    Raises:
        ArgumentError: if a parameter is no float.

    >>> from scipy.optimize import root
    >>> def circle_and_line(p):
    ...     x, y = p
    ...     return np.stack([x * x + y * y - 2.0, x - y])
    >>> problem = scipy_system(circle_and_line, (2.0, 0.5))
    >>> problem.restore(root(problem.fun, problem.x0, jac=problem.jac).x)
    (np.float64(1.0), np.float64(1.0))
    """
    flat = _Flat(function, parameters)

    return System(
        x0=flat.x0,
        restore=flat.restore,
        fun=jit(flat),
        jac=jacobian(flat),
        hess=hessian(_Weighted(flat)),
    )


class _Flat:
    """A function of nested parameters, as a function of a vector."""

    def __init__(self, function: Callable[..., Any], parameters: Any) -> None:
        leaves, self._tree = pytree.flatten(parameters)
        for leaf in leaves:
            if np.asarray(leaf).dtype.kind != "f":
                kind = getattr(leaf, "dtype", type(leaf).__name__)
                raise ArgumentError(
                    f"a parameter is {leaf!r}: {kind}, not floating-point.",
                    todo="Write 2.0 for 2; what is no parameter is a further argument.",
                )
        self._function = function
        self._shapes = [np.shape(leaf) for leaf in leaves]
        self.__name__ = getattr(function, "__name__", "f")
        self.__signature__ = _signature(function)
        vectors = [np.ravel(np.asarray(leaf, float)) for leaf in leaves]
        self.x0: Vector = np.concatenate(vectors or [np.empty(0)])

    def __call__(self, x: Any, *args: Any) -> Any:
        """The function of what the vector holds, in the trace in progress."""
        machine = current()
        function = self._function
        if machine is None:
            return function(self.restore(x), *args)
        return machine.call(function, self.restore(x), *args)

    def restore(self, x: Any) -> Any:
        """The parameters that a vector holds."""
        leaves = []
        start = 0
        for shape in self._shapes:
            end = start + math.prod(shape)
            leaves.append(x[start:end].reshape(shape) if shape else x[start])
            start = end
        return pytree.unflatten(self._tree, leaves)


class _Weighted:
    """The sum of a vector's values, each with a weight."""

    def __init__(self, flat: _Flat) -> None:
        self._flat = flat
        self.__name__ = flat.__name__
        x, *rest = flat.__signature__.parameters.values()
        taken = {"v", x.name}
        weights = x.replace(name="v")
        others = [p.replace(name=identifier(p.name, taken)) for p in rest]
        self.__signature__ = flat.__signature__.replace(
            parameters=[x, weights, *others]
        )

    def __call__(self, x: Any, v: Any, *args: Any) -> Any:
        """The weighted sum, in the trace in progress."""
        return np.dot(v, self._flat(x, *args))


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """``(x, *rest)``: a vector, then the function's arguments after its first."""
    own = Binder(function).signature
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    vector = inspect.Parameter("x", kind)
    if own is None:
        rest = inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)
        return inspect.Signature([vector, rest])
    _, *others = own.parameters.values()
    renamed = [p.replace(name=identifier(p.name, {"x"})) for p in others]
    return inspect.Signature([vector, *renamed])
