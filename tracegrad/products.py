"""Products with the Jacobian: ``vjp``, ``jvp``, ``linearize`` and ``hvp``.

Their kernels are kept per function: calling ``vjp(f, x)`` again compiles nothing.

A function that writes to its arguments is differentiated as if it returned them. What
they hold at the end are results, which come after what it returns: one that is written
and not returned follows a result, or is the result of a function that returns None. So
``def step(u, out)`` counts as if it ended with ``return out``; its initial contents are
an argument like any other. The caller's arrays stay as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tracegrad import derivatives, eager, pytree
from tracegrad.arguments import Argnames, Argnums, Binder, PairBinder, Selection
from tracegrad.compiled import Compiled, Text
from tracegrad.derivatives import Function, machine_in_progress, record
from tracegrad.traces.scope import current

_kernels: WeakKeyDictionary[Any, dict[str, Compiled]] = WeakKeyDictionary()


def _kept(function: Function, kind: str, make: Callable[[], Compiled]) -> Compiled:
    """The kernel of a kind for a function, made once."""
    try:
        kernels = _kernels.setdefault(function, {})
    except TypeError:  # no weak references to it
        return make()
    if kind not in kernels:
        kernels[kind] = make()
    return kernels[kind]


class Linear:
    """A derivative at a point, for any number of tangents or cotangents.

    The point is its own: arrays that the caller changes later don't move it.

    Attributes:
        kernel: the compiled product; it takes ``(primals, direction)``.
    """

    def __init__(self, kernel: Compiled, primals: tuple[Any, ...], many: bool) -> None:
        self.kernel = kernel
        self._primals = pytree.map_leaves(_copied, primals)
        self._many = many

    def __call__(self, *directions: Any) -> Any:
        """The product with this direction."""
        given = directions if self._many else _single(directions)
        return self.kernel(self._primals, given)

    def __repr__(self) -> str:
        return f"<{self.kernel!r} at a point>"

    @property
    def source(self) -> Text:
        """The Python source of its kernel."""
        return self.kernel.source

    @property
    def graph(self) -> Text:
        """What its kernel computes."""
        return self.kernel.graph


def _copied(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _single(directions: tuple[Any, ...]) -> Any:
    if len(directions) != 1:
        raise TypeError(f"a pullback takes one cotangent, not {len(directions)}")
    return directions[0]


def vjp(function: Function, *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """A function's result, and its pullback at a point.

    Args:
        function: of the primals, nested as you like. One that writes to arguments is
            taken as if it returned them (after its own result, if it has one), and
            nothing is written to the primals.
        primals: the point; other than floats, they have no cotangents.

    Returns:
        The result, and a function from a cotangent (like the result; None in it stands
        for zero) to a tuple of the primals' cotangents. For an argument that is written
        that is the cotangent of its initial contents. The function may be called often,
        whatever became of the primals; its kernel is compiled once.

    Raises:
        ArgumentError: if an argument that is written shares memory with another.
        TracegradError: if the function can't be traced, or a cotangent doesn't fit.

    >>> import numpy as np
    >>> out, pull = vjp(lambda x: x**2, np.array([1.0, 2.0]))
    >>> pull(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)

    >>> def square(x, out):  # as if it ended with: return out
    ...     for i in range(1, len(x)):
    ...         out[i] = x[i] ** 2
    >>> out, pull = vjp(square, np.array([1.0, 2.0]), np.array([5.0, 5.0]))
    >>> out
    array([5., 4.])
    >>> pull(np.array([1.0, 10.0]))
    (array([ 0., 40.]), array([1., 0.]))
    """
    if current() is not None:
        return _vjp_inside(function, primals)
    value = _kept(function, "value", lambda: _value_kernel(function))
    out = value(*primals)
    kernel = _kept(function, "pull", lambda: pull_kernel(function))
    return out, Linear(kernel, primals, many=False)


def _value(function: Function) -> Function:
    """The function, if it can be differentiated."""
    binder = Binder(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        recorded = record(function, binder, *binder.bind(args, kwargs), None)
        builder = machine_in_progress().builder
        graph = recorded.region.graph
        return recorded.returned(builder.inline(graph, recorded.operands))

    return call


def _value_kernel(function: Function) -> Compiled:
    return Compiled(_value(function), function, "", eager=eager.value(function))


def pull_kernel(function: Function) -> Compiled:
    """``(primals, cotangent)`` to the primals' cotangents."""
    taped = eager.pullback(function)
    both = derivatives.pullback(function)

    def pull(primals: Any, cotangent: Any) -> Any:
        return both(primals, cotangent)[1]

    return Compiled(
        pull,
        function,
        "_vjp",
        binder=PairBinder(function, None),
        eager=lambda primals, cotangent: taped(primals, cotangent)[1],
    )


def _vjp_inside(
    function: Function, primals: tuple[Any, ...]
) -> tuple[Any, Callable[..., Any]]:
    """The same in the middle of a trace: the pullback emits into it."""
    binder = Binder(function)
    args, kwargs = binder.bind(primals, {})
    recorded = record(function, binder, args, kwargs, None)
    builder = machine_in_progress().builder
    out = recorded.returned(builder.inline(recorded.region.graph, recorded.operands))

    def pull(cotangent: Any) -> Any:
        return derivatives.pulled(recorded, primals, cotangent)[1]

    return out, pull


def jvp(
    function: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Any, Any]:
    """A function's result, and its derivative along a direction.

    Args:
        function: of the primals. One that writes to arguments is taken as if it
            returned them: see ``vjp``.
        primals: the point, a tuple of arguments.
        tangents: the direction, nested like the primals; None in it stands for zero.

    Returns:
        The result and its tangent.

    Raises:
        ArgumentError: if an argument that is written shares memory with another.
        TracegradError: if the function can't be traced, or a tangent doesn't fit.

    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    kernel = _kept(function, "push", lambda: _push_kernel(function))
    result: tuple[Any, Any] = kernel(tuple(primals), tuple(tangents))
    return result


def _push_kernel(function: Function) -> Compiled:
    return Compiled(
        derivatives.pushforward(function),
        function,
        "_jvp",
        binder=PairBinder(function, "dot"),
        eager=eager.pushforward(function),
    )


def linearize(function: Function, *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """A function's result, and its derivative at a point as a function of tangents.

    Args:
        function: of the primals.
        primals: the point.

    Returns:
        The result, and a function from tangents (one per primal) to the result's
        tangent. It may be called often; its kernel is compiled once.

    Raises:
        TracegradError: if the function can't be traced, or a tangent doesn't fit.

    >>> out, push = linearize(lambda x: x**3, 2.0)
    >>> out, push(1.0), push(0.5)
    (8.0, 12.0, 6.0)
    """
    if current() is not None:
        return _linearize_inside(function, primals)
    value = _kept(function, "value", lambda: _value_kernel(function))
    out = value(*primals)
    kernel = _kept(function, "tangent", lambda: _tangent_kernel(function))
    return out, Linear(kernel, primals, many=True)


def _tangent_kernel(function: Function) -> Compiled:
    taped = eager.pushforward(function)
    both = derivatives.pushforward(function)

    def push(primals: Any, tangents: Any) -> Any:
        return both(primals, tangents)[1]

    return Compiled(
        push,
        function,
        "_tangent",
        binder=PairBinder(function, "dot"),
        eager=lambda primals, tangents: taped(primals, tangents)[1],
    )


def _linearize_inside(
    function: Function, primals: tuple[Any, ...]
) -> tuple[Any, Callable[..., Any]]:
    out = machine_in_progress().call(function, *primals)
    both = derivatives.pushforward(function)
    return out, lambda *tangents: both(primals, tangents)[1]


def hvp_of(
    function: Function, argnums: Argnums, argnames: Argnames, mode: Any
) -> Compiled:
    """See ``tracegrad.api.hvp``."""
    selection = Selection.of(argnums, argnames)
    binder = Binder(function)
    return Compiled(
        _product(function, selection, binder, derivatives),
        function,
        "_hvp",
        binder=_hvp_binder(function, selection, binder),
        mode=mode,
        out=lambda nest: nest,
        eager=_product(function, selection, binder, eager),
    )


def _product(
    function: Function, selection: Selection, binder: Binder, rooms: Any
) -> Function:
    """``hvp`` by the derivatives of a module: those that trace, or the tape's."""
    gradient = rooms.gradient(function, selection, has_aux=False)

    def product(*args: Any, **kwargs: Any) -> Any:
        place = _last_selected(selection, binder, args) + 1
        direction, others = args[place], (*args[:place], *args[place + 1 :])
        others, kwargs = binder.bind(others, kwargs)
        keys = selection.keys(binder, others, kwargs)
        positions = [key for where, key in keys if where == 0]

        def along(*selected: Any) -> Any:
            inner = list(others)
            for position, value in zip(positions, selected, strict=True):
                inner[position] = value
            return gradient(*inner, **kwargs)

        primals = tuple(others[p] for p in positions)
        given = (direction,) if selection.single else tuple(direction)
        return rooms.pushforward(along)(primals, given)[1]

    return product


def _last_selected(selection: Selection, binder: Binder, args: Any) -> int:
    positions = [
        w if isinstance(w, int) else binder.position(w) for w in selection.which
    ]
    return max(
        (p % max(len(args) - 1, 1) for p in positions if p is not None), default=0
    )


def _hvp_binder(function: Function, selection: Selection, binder: Binder) -> Binder:
    """The function's signature with the direction after the selected arguments."""
    result = Binder(function)
    if binder.signature is None:
        return result
    parameters = list(binder.signature.parameters.values())
    place = _last_selected(selection, binder, [None] * (len(parameters) + 1)) + 1
    name = "v"
    while name in binder.signature.parameters:
        name += "_"
    before = parameters[:place]
    direction = inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty,
    )
    if any(p.default is not inspect.Parameter.empty for p in before):
        before = [p.replace(default=inspect.Parameter.empty) for p in before]
    parameters = [*before, direction, *parameters[place:]]
    result.signature = binder.signature.replace(parameters=parameters)
    return result


__all__ = ["Linear", "hvp_of", "jvp", "linearize", "vjp"]
