"""The public transformations: functions of Python functions, composable in any order.

Each may be called, ``grad(f, argnums=1)``, or used as a decorator, ``@grad`` or
``@grad(argnums=1)``. What it returns compiles itself for the arguments it is called
with; ``.source``, ``.graph``, ``.stages()`` and ``.compile()`` are described in
``tracegrad.compiled.Compiled``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from tracegrad import derivatives, eager, mapping, pytree
from tracegrad.arguments import Argnames, Argnums, Selection
from tracegrad.compiled import Compiled, Mode
from tracegrad.errors import ArgumentError
from tracegrad.jacobians import Direction, jacobian_of
from tracegrad.parallel import Parallel, thread_count
from tracegrad.pickling import Recipe
from tracegrad.primitives import comparisons
from tracegrad.products import hvp_of
from tracegrad.tape.record import detached
from tracegrad.tape.value import Value
from tracegrad.traces.tracer import Tracer

Function = Callable[..., Any]
Via = Literal["graph", "sympy"]
_T = TypeVar("_T")


def _decorator(make: Callable[..., Any]) -> Callable[..., Any]:
    """Let a transformation be used as ``@make``, ``@make(...)``, ``make(f, ...)``."""

    @functools.wraps(make)
    def transformation(
        function: Function | None = None, *positional: Any, **options: Any
    ) -> Any:
        if function is None:
            return lambda f: transformation(f, *positional, **options)
        if not callable(function):
            raise ArgumentError(
                f"{make.__name__} takes a function, not a {type(function).__name__}."
            )
        made = make(function, *positional, **options)
        made.recipe = Recipe(transformation, function, positional, options)
        return made

    return transformation


@_decorator
def jit(function: Function, *, mode: Mode = "auto") -> Compiled:
    """The function itself, compiled.

    Args:
        function: of arrays and numbers, nested as you like; other arguments are static.
        mode: "compiled" compiles or raises; "tape" calls the function as it is;
            "auto" compiles, and does that with a warning where it can't be traced.

    Returns:
        A function with the same arguments and results; arrays it returns are new.

    Raises:
        TracegradError: when called, if the function can't be compiled; it names the
            line.

    >>> import numpy as np
    >>> @jit
    ... def norm(x):
    ...     return np.sqrt(np.sum(x * x))
    >>> norm(np.array([3.0, 4.0]))
    5.0
    """
    trace, taped = derivatives.itself(function), eager.itself(function)
    return Compiled(trace, function, "", mode=mode, eager=taped)


@_decorator
def grad(
    function: Function,
    argnums: Argnums = None,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    mode: Mode = "auto",
    via: Via = "graph",
) -> Compiled:
    """The gradient of a function that returns one number.

    Args:
        function: returns a float scalar; with ``has_aux``, a pair (scalar, anything).
        argnums: which arguments to differentiate: a position or several. The first, if
            neither this nor ``argnames`` is given.
        argnames: the same by name.
        has_aux: whether the gradient is returned as (gradient, anything).
        mode: "compiled" compiles or raises; "tape" runs the function as it is, on
            arrays that record what is done to them; "auto" compiles, and takes the tape
            with a warning where the function can't be traced.
        via: "sympy" differentiates the function as SymPy expressions, at the arguments'
            sizes: for short ones, and as a second opinion.

    Returns:
        A function of the same arguments whose result is like the differentiated
        argument: arrays of its shapes and dtypes, a float for a number or 0-d array
        (np.float32 for those of float32); a tuple for several arguments. It takes
        ``out=``: arrays to write the gradient to.

    Raises:
        ArgumentError: when called, if there is no such argument.
        DTypeError: when called, if the argument isn't floating-point.
        DifferentiationError: when called, if the result isn't one number.

    >>> import numpy as np
    >>> grad(lambda x, k: k * np.sum(x**2))(np.array([1.0, 2.0]), 3.0)
    array([ 6., 12.])
    """
    selection = Selection.of(argnums, argnames)
    trace = derivatives.gradient(function, selection, has_aux=has_aux)
    if via != "graph":
        both = _by_sympy(function, selection, has_aux, via)
        trace = _then(_second, both)
    out = _first if has_aux else _whole
    taped = eager.gradient(function, selection, has_aux=has_aux)
    return Compiled(trace, function, "_grad", out=out, mode=mode, eager=taped)


@_decorator
def value_and_grad(
    function: Function,
    argnums: Argnums = None,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    mode: Mode = "auto",
    via: Via = "graph",
) -> Compiled:
    """A function's value and gradient, computed together.

    Args:
        function: see ``grad``.
        argnums: see ``grad``.
        argnames: see ``grad``.
        has_aux: whether the value is a pair (value, anything).
        mode: see ``grad``.
        via: see ``grad``.

    Returns:
        A function of the same arguments whose result is (value, gradient), and
        ((value, anything), gradient) with ``has_aux``. ``out=`` is for the gradient.

    Raises:
        TracegradError: see ``grad``.

    >>> value_and_grad(lambda x: x**3)(2.0)
    (8.0, 12.0)
    """
    selection = Selection.of(argnums, argnames)
    trace = derivatives.value_and_grad(function, selection, has_aux=has_aux)
    if via != "graph":
        trace = _by_sympy(function, selection, has_aux, via)
    taped = eager.value_and_grad(function, selection, has_aux=has_aux)
    return Compiled(
        trace, function, "_value_and_grad", out=_second, mode=mode, eager=taped
    )


def _by_sympy(
    function: Function, selection: Selection, has_aux: bool, via: str
) -> Function:
    """Value and gradient, differentiated by SymPy.

    Raises:
        ArgumentError: for another ``via``, and for ``has_aux``.
    """
    if via != "sympy":
        raise ArgumentError(f'via={via!r}: it is "graph" or "sympy".')
    if has_aux:
        raise ArgumentError('has_aux=True doesn\'t go with via="sympy".')
    # SymPy takes half a second to import, and who doesn't ask for it never pays.
    from tracegrad.proof import expressions

    return expressions.value_and_gradient(function, selection)


def _then(pick: Function, function: Function) -> Function:
    return lambda *args, **kwargs: pick(function(*args, **kwargs))


def _whole(nest: Any) -> Any:
    return nest


def _first(nest: Any) -> Any:
    return nest[0]


def _second(nest: Any) -> Any:
    return nest[1]


@_decorator
def jacobian(
    function: Function,
    argnums: Argnums = None,
    *,
    argnames: Argnames = None,
    mode: Direction | Literal["tape"] = "auto",
) -> Compiled:
    """The Jacobian of a function of arrays.

    Args:
        function: returns floats or arrays of floats, nested as you like. One that
            writes to arguments is taken as if it returned them: see ``vjp``.
        argnums: see ``grad``.
        argnames: see ``grad``.
        mode: "forward" computes the columns, a few at a time, "reverse" row by row;
            "auto" goes by rows if there are more than twice as many columns; "tape":
            see ``grad``.

    Returns:
        A function of the same arguments. For an array result and an array argument it
        returns an array of shape result.shape + argument.shape and the result's dtype;
        for nests, such an array for each pair, in the nest of the result, inside it
        that of the argument. One kernel has the loop over columns or rows, and what
        they share outside of it. It takes ``out=``: arrays to write the result to.

    Raises:
        TracegradError: see ``grad``.

    >>> import numpy as np
    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    selection = Selection.of(argnums, argnames)
    trace = jacobian_of(function, selection, "auto" if mode == "tape" else mode)
    return Compiled(
        trace,
        function,
        "_jacobian",
        out=_whole,
        mode="tape" if mode == "tape" else "auto",
        eager=eager.jacobian_of(function, selection),
    )


@_decorator
def hessian(
    function: Function,
    argnums: Argnums = None,
    *,
    argnames: Argnames = None,
    mode: Mode = "auto",
) -> Compiled:
    """The second derivatives of a function that returns one number.

    Args:
        function: see ``grad``.
        argnums: see ``grad``.
        argnames: see ``grad``.
        mode: see ``grad``.

    Returns:
        A function of the same arguments: the Jacobian of the gradient, of shape
        argument.shape + argument.shape, by columns: forward over reverse. It takes
        ``out=``.

    Raises:
        TracegradError: see ``grad``.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    selection = Selection.of(argnums, argnames)
    gradient = grad(function, argnums=argnums, argnames=argnames, mode=mode)
    trace = jacobian_of(gradient, selection, "forward")
    taped = eager.jacobian_of(gradient, selection)
    return Compiled(trace, function, "_hessian", out=_whole, mode=mode, eager=taped)


@_decorator
def hvp(
    function: Function,
    argnums: Argnums = None,
    *,
    argnames: Argnames = None,
    mode: Mode = "auto",
) -> Compiled:
    """The Hessian times a vector, without the Hessian.

    Args:
        function: see ``grad``.
        argnums: see ``grad``.
        argnames: see ``grad``.
        mode: see ``grad``.

    Returns:
        A function of the same arguments and, right after the differentiated one, the
        vector: ``hvp(f)(x, v, *rest)``, as ``scipy.optimize`` calls ``hessp``. Several
        differentiated arguments take a tuple of vectors after the last of them.

    Raises:
        TracegradError: see ``grad``.

    >>> import numpy as np
    >>> hvp(lambda x, k: k * np.sum(x**3))(np.array([1.0, 2.0]), np.ones(2), 2.0)
    array([12., 24.])
    """
    return hvp_of(function, argnums, argnames, mode)


@_decorator
def vmap(
    function: Function,
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    parallel: bool | int = False,
    mode: Mode = "auto",
) -> Compiled | Parallel:
    """A function of one item as a function of a batch of them, compiled as a loop.

    Args:
        function: of arrays and numbers, nested as you like.
        in_axes: the axis along which arguments hold the batch: an integer for all; or
            a tuple with an entry for each positional argument: an integer, None for
            what is the same in every call, or a nest of those like the argument (or
            the upper levels of its nest). Arguments given by keyword are mapped along
            axis 0. With one integer for all, an argument that has a default may be a
            number, and then isn't mapped.
        out_axes: where the batch goes in the results: an integer, or a nest of them
            like what is returned.
        parallel: share the batch out among threads: as many as given, or one for each
            core if True. Threads cost some 50 µs a call, so an item should take long
            or a batch be large. Nothing else is compiled, and each item is computed as
            without. In traced code and in other compiled functions it has no effect.
        mode: see ``grad``.

    Returns:
        A function of the same arguments with one more axis, whose results have one
        more, too. What it computes is ``for k in range(n)`` around the function; one
        kernel serves every n. Like any function it can be differentiated, mapped again
        and called in traced code, and ``function`` may be a gradient itself. It takes
        ``out=``: arrays to write the results to.

    Raises:
        ArgumentError: when called, if ``in_axes`` or ``out_axes`` don't fit; for less
            than one thread.
        ShapeError: when called, if there is no such axis, or if sizes differ.

    >>> import numpy as np
    >>> vmap(lambda x, k: k * np.sum(x), in_axes=(0, None))(np.ones((2, 3)), 2.0)
    array([6., 6.])
    >>> vmap(grad(lambda x: x**3))(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    trace = mapping.mapped(function, in_axes, out_axes)
    binder = mapping.BatchBinder(function, in_axes)
    made = Compiled(trace, function, "_vmap", binder=binder, out=_whole, mode=mode)
    if parallel is False:
        return made
    return Parallel(made, binder, out_axes, thread_count(parallel))


def stop_gradient(value: _T) -> _T:
    """The value itself, with a derivative of zero.

    Args:
        value: arrays and numbers, nested as you like.

    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    3.0
    """

    def stopped(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return detached(leaf)
        if not isinstance(leaf, Tracer):
            return leaf
        inner = comparisons.stop_gradient(leaf)
        return Tracer(inner.builder, inner.operand, leaf.weak)

    result: _T = pytree.map_leaves(stopped, value)
    return result
