"""The table from NumPy's functions to implementations, and what to say of the rest.

Arguments are matched by NumPy's own signature: a positional argument of ``np.sum`` that
this implementation lacks has NumPy's name for it, and is refused by that name unless it
has its default.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracegrad.errors import TracingError
from tracegrad.numpy_api import (
    calculus,
    creation,
    decompositions,
    einsum,
    elementwise,
    grids,
    indexing,
    linalg,
    python_math,
    rearranging,
    reductions,
    searching,
    shapes,
    special,
    statistics,
)
from tracegrad.numpy_api.alternatives import instead
from tracegrad.numpy_api.arguments import axes_of, rank_of
from tracegrad.numpy_api.shapes import with_new_axes

Implementation = Callable[..., Any]

_MODULES = (
    elementwise,
    reductions,
    shapes,
    rearranging,
    indexing,
    calculus,
    linalg,
    decompositions,
    searching,
    statistics,
    einsum,
    creation,
    grids,
)


def adapted(function: Any, implementation: Implementation) -> Implementation:
    """An implementation that takes its arguments by a function's own signature."""
    own = inspect.signature(implementation).parameters
    if any(p.kind is p.VAR_POSITIONAL for p in own.values()):
        return _checked(function, implementation, own)
    accepted = [n for n, p in own.items() if p.kind <= p.POSITIONAL_OR_KEYWORD]
    order, defaults = _signature(function, accepted)

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > len(order):
            raise TypeError(
                f"{name_of(function)} takes {len(order)} arguments, not {len(args)}"
            )
        leading = args[: len(accepted)]
        rest = dict(zip(order[len(leading) :], args[len(leading) :], strict=False))
        kwargs = _supported(function, {**rest, **kwargs}, own, defaults)
        return implementation(*leading, **kwargs)

    call.__name__ = getattr(implementation, "__name__", "call")
    return call


def _checked(
    function: Any, implementation: Implementation, own: Mapping[str, inspect.Parameter]
) -> Implementation:
    _, defaults = _signature(function, [])

    def call(*args: Any, **kwargs: Any) -> Any:
        return implementation(*args, **_supported(function, kwargs, own, defaults))

    call.__name__ = getattr(implementation, "__name__", "call")
    return call


def _signature(function: Any, fallback: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Positional names in order, and defaults."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # older NumPy functions written in C have none
        return fallback, {}
    order = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
    return max(order, fallback, key=len), {p.name: p.default for p in parameters}


def _supported(
    function: Any,
    kwargs: Mapping[str, Any],
    own: Mapping[str, inspect.Parameter],
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """The keywords an implementation takes; others must have their defaults."""
    anything = any(p.kind is p.VAR_KEYWORD for p in own.values())
    kept = {}
    for key, value in kwargs.items():
        if value is np._NoValue:
            continue
        if key in own or (anything and value is not None):
            kept[key] = value
        elif value is not None and not _is_default(value, defaults.get(key)):
            raise TracingError(
                f"{name_of(function)} with {key}= is not supported.",
                todo=f"Leave out {key}=, or compute what it does with other functions.",
            )
    return kept


def _is_default(value: Any, default: Any) -> bool:
    simple = isinstance(value, (bool, int, str))
    return value is default or (
        simple and type(value) is type(default) and value == default
    )


FUNCTIONS: dict[Any, Implementation] = {
    function: adapted(function, implementation)
    for module in _MODULES
    for function, implementation in module.NUMPY.items()
}
"""Implementations of NumPy's functions and ufuncs, and of math's."""
FUNCTIONS |= {f: adapted(f, g) for f, g in python_math.MATH.items()}


def _method(name: str, implementation: Implementation) -> Implementation:
    function = getattr(np, name, None)
    return implementation if function is None else adapted(function, implementation)


def _needs_value(name: str) -> Implementation:
    def refused(x: Any, *args: Any, **kwargs: Any) -> Any:
        raise TracingError(
            f"the array method {name} needs the values of a traced array.",
            todo="Keep it as an array expression, or compute it outside.",
        )

    return refused


METHODS: dict[str, Implementation] = {
    name: _method(name, implementation)
    for module in _MODULES
    for name, implementation in module.METHODS.items()
    if name not in ("reshape", "transpose")
} | {
    "reshape": shapes.METHODS["reshape"],
    "transpose": shapes.METHODS["transpose"],
    **{
        name: _needs_value(name)
        for name in ("item", "tolist", "tobytes", "tofile", "dump", "dumps", "view")
    },
}
"""Implementations of array methods, which take the array first."""


# --- looking up --------------------------------------------------------------------


def find(function: Any) -> Implementation | None:
    """The implementation of a function, if there is one."""
    try:
        found = FUNCTIONS.get(function)
    except TypeError:  # not hashable
        return None
    if found is None and "scipy.special" in sys.modules and _may_be_scipy(function):
        if not _SCIPY:
            _SCIPY.update(
                {f: adapted(f, g) for f, g in special.scipy_functions().items()}
            )
        found = _SCIPY.get(function)
    return found


_SCIPY: dict[Any, Implementation] = {}


def _may_be_scipy(function: Any) -> bool:
    module = getattr(function, "__module__", None) or ""
    return isinstance(function, np.ufunc) or module.startswith("scipy")


def lookup(function: Any) -> Implementation:
    """The implementation of a function.

    Raises:
        TracingError: if it has none, with what to use instead.
    """
    found = find(function)
    if found is not None:
        return found
    raise TracingError(
        f"{name_of(function)} has no tracegrad rule.", todo=_advice(function)
    )


def name_of(function: Any) -> str:
    """A function's name as users write it."""
    module = getattr(function, "__module__", None) or ""
    if isinstance(function, np.ufunc) and not module:
        module = "numpy" if hasattr(np, function.__name__) else "scipy.special"
    name = getattr(function, "__name__", repr(function))
    return f"{module}.{name}".removeprefix("builtins.") if module else name


def _advice(function: Any) -> str:
    name = name_of(function)
    found = instead(name) or _twin(name)
    rule = "ive the function around it a custom_vjp."
    return f"{found} Or g{rule}" if found else f"G{rule}"


def _twin(name: str) -> str | None:
    """What NumPy has by the same name as ``scipy.linalg``."""
    if not name.startswith(("scipy.linalg.", "scipy.special.", "numpy.linalg.")):
        return None
    known = {name_of(f).rsplit(".", 1)[-1]: name_of(f) for f in FUNCTIONS}
    twin = known.get(name.rsplit(".", 1)[-1])
    return f"Use {twin}." if twin else None


# --- ufunc methods -----------------------------------------------------------------

_REDUCE: dict[Any, Implementation] = {
    np.add: reductions.sum_,
    np.multiply: reductions.prod,
    np.maximum: reductions.max_,
    np.minimum: reductions.min_,
    np.logical_and: reductions.all_,
    np.logical_or: reductions.any_,
    np.logaddexp: special.logsumexp,
}
_ACCUMULATE: dict[Any, Implementation] = {
    np.add: reductions.cumsum,
    np.multiply: reductions.cumprod,
}


def ufunc_method(
    ufunc: Any, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """``np.add.reduce(x)`` and its like, or a ufunc called with keywords."""
    given = {
        key: value
        for key, value in kwargs.items()
        if value is not np._NoValue and (value is not None or key == "axis")
    }
    match method:
        case "__call__":
            return lookup(ufunc)(*inputs, **given)
        case "outer" if len(inputs) == 2 and not given:
            first, second = map(creation.asarray, inputs)
            trailing = axes_of(None, rank_of(first) + rank_of(second))
            left = with_new_axes(first, trailing[rank_of(first) :])
            return lookup(ufunc)(left, second)
        case "reduce" if ufunc in _REDUCE:
            options = _only(ufunc, method, given, ("axis", "keepdims"))
            return _REDUCE[ufunc](inputs[0], **options)
        case "accumulate" if ufunc in _ACCUMULATE:
            options = _only(ufunc, method, given, ("axis",))
            return _ACCUMULATE[ufunc](inputs[0], **options)
    raise TracingError(
        f"{name_of(ufunc)}.{method} has no tracegrad rule.",
        todo="Known methods: reduce of add, multiply, maximum, minimum, logical_and, "
        "logical_or; accumulate of add, multiply; outer.",
    )


def _only(
    ufunc: Any, method: str, given: dict[str, Any], names: Sequence[str]
) -> dict[str, Any]:
    for key in given:
        if key not in names:
            raise TracingError(
                f"{name_of(ufunc)}.{method} with {key}= is not supported.",
                todo=f"Leave out {key}=.",
            )
    return {"axis": 0, **given}
