"""C function pointers to compiled functions, in the forms that SciPy's C code calls.

Each is a few lines of nopython Python around the function, such as, for an integrand of
two variables::

    def pointer(n, xx):
        try:
            return function(xx[0], xx[1])
        except Exception:
            return nan

An error can't leave C code: the result is NaN then, and 0 for a filter, which SciPy
reports.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from tracegrad.errors import ArgumentError
from tracegrad.ir.types import NARROW
from tracegrad.signatures import parse

Form: TypeAlias = Literal[
    "integrand", "generic_filter", "generic_filter1d", "geometric_transform"
]
_CTYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "int64_t",
    "int32": "int32_t",
    "bool": "bool",
    **{name: f"{name}_t" for name in sorted(NARROW)},
}
_FILTERS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "generic_filter": (
        {"buffer": "double *", "size": "intptr_t", "out": "double *", "data": "void *"},
        (
            "out[0] = {call}",
            "return 1",
        ),
    ),
    "generic_filter1d": (
        {
            "line": "double *",
            "size": "intptr_t",
            "out": "double *",
            "out_size": "intptr_t",
            "data": "void *",
        },
        (
            "result = {call}",
            "if result.shape[0] != out_size:",
            "    return 0",
            "for k in range(out_size):",
            "    out[k] = result[k]",
            "return 1",
        ),
    ),
    "geometric_transform": (
        {
            "place": "intptr_t *",
            "out": "double *",
            "rank": "int",
            "out_size": "int",
            "data": "void *",
        },
        (
            "point = empty(rank)",
            "for k in range(rank):",
            "    point[k] = place[k]",
            "result = {call}",
            "if result.shape[0] != out_size:",
            "    return 0",
            "for k in range(out_size):",
            "    out[k] = result[k]",
            "return 1",
        ),
    ),
}
_FIRST = {
    "generic_filter": "carray(buffer, size)",
    "generic_filter1d": "carray(line, size)",
    "geometric_transform": "point",
}


def cfunc(function: Any, signature: str, *, result: Any = ()) -> Any:
    """A C function pointer to it.

    Args:
        function: the compiled function, whose method this is.
        signature: types of the arguments, such as ``"float64, float64[:]"``. An
            array becomes a pointer and its lengths: ``double *, intptr_t``.
        result: which part of the result is returned, a float: ``1`` of a pair,
            ``(1, 0)`` the first number of its second. All of it by default.

    Returns:
        Numba's function pointer, with ``.address`` and ``.ctypes``. It returns a
        double; NaN where a call from Python would raise.

    >>> from tracegrad import jit
    >>> f = jit(lambda x: x * x)
    >>> f.cfunc("float64").ctypes(3.0)
    9.0
    """
    from codegen import function_pointers

    parameters: dict[str, str] = {}
    arguments = []
    examples = parse(signature)
    _check_count(function, examples)
    for k, example in enumerate(examples):
        kind = _CTYPES[_dtype(example)]
        rank = np.ndim(example)
        if not rank:
            parameters[f"a{k}"] = kind
            arguments.append(f"a{k}")
            continue
        sizes = [f"a{k}_{axis}" for axis in range(rank)]
        parameters[f"a{k}"] = f"{kind} *"
        parameters.update(dict.fromkeys(sizes, "intptr_t"))
        arguments.append(f"carray(a{k}, ({', '.join(sizes)},))")
    lines = [f"return {_call(arguments, result)}"]
    return function_pointers.function_pointer(
        "pointer", parameters, lines, _scope(function), "double", "nan"
    )


def low_level_callable(
    function: Any,
    signature: str,
    *,
    user_data: Any = None,
    form: Form = "integrand",
    result: Any = (),
) -> Any:
    """A ``scipy.LowLevelCallable`` of it, which SciPy's C code calls.

    Args:
        function: the compiled function, whose method this is.
        signature: types of the arguments: numbers, or one ``float64[:]`` of them,
            and then what ``user_data`` holds.
        user_data: values of the last arguments: an array for the last one, or a
            number for each.
        form: "integrand" for ``scipy.integrate.quad`` and ``nquad``;
            "generic_filter", "generic_filter1d" and "geometric_transform" for the
            functions of ``scipy.ndimage`` with these names.
        result: see ``cfunc``.

    Raises:
        ArgumentError: if signature, data and form don't fit.

    >>> from scipy.integrate import quad
    >>> from tracegrad import grad
    >>> slope = grad(lambda x, k: x**k)
    >>> area = slope.low_level_callable("float64, float64", user_data=[3.0])
    >>> round(quad(area, 0.0, 2.0)[0], 9)
    8.0
    """
    from scipy import LowLevelCallable

    from codegen import function_pointers

    examples = parse(signature)
    data = None if user_data is None else np.ascontiguousarray(user_data, np.float64)
    own, given = _given(examples, data)
    if form == "integrand":
        parameters, lines = _integrand(own, given, result)
    else:
        parameters, lines = _filter(form, own, given, result)
    _check_count(function, examples)
    returned, failed = ("double", "nan") if form == "integrand" else ("int", "0")
    made = function_pointers.function_pointer(
        "pointer", parameters, lines, _scope(function), returned, failed
    )
    # The ctypes pointer keeps the array that it points to.
    address = None if data is None else data.ctypes.data_as(ctypes.c_void_p)
    _KEPT.append(made)
    return LowLevelCallable(made.ctypes, address)


def _check_count(function: Any, examples: Sequence[Any]) -> None:
    """Refuse a signature that has not one type for each argument."""
    try:
        inspect.signature(function).bind(*examples)
    except TypeError as error:
        name = getattr(function, "__name__", "the function")
        raise ArgumentError(
            f"{len(examples)} types are not those of the arguments of {name}: {error}.",
            todo="Give one for each, those that user_data holds included.",
        ) from None


# Machine code that C may call as long as the process lives.
_KEPT: list[Any] = []


def _integrand(
    own: Sequence[Any], given: Sequence[str], result: Any
) -> tuple[dict[str, str], list[str]]:
    """The parameters and body of an integrand."""
    wrong = [x for x in own if _dtype(x) != "float64" or np.ndim(x) > 1]
    vector = len(own) == 1 and np.ndim(own[0]) == 1
    if wrong or not own or (not vector and any(np.ndim(x) for x in own)):
        raise ArgumentError(
            "an integrand takes float64 numbers, or one float64[:] of them.",
            todo='Give a signature such as "float64, float64".',
        )
    last = {"data": "void *"} if given else {}
    if len(own) == 1 and not vector:
        return {"x": "double", **last}, [f"return {_call(['x', *given], result)}"]
    parameters = {"n": "int", "xx": "double *", **last}
    if vector:
        call = _call(["carray(xx, n)", *given], result)
        return parameters, [f"return {call}"]
    call = _call([*(f"xx[{k}]" for k in range(len(own))), *given], result)
    # More numbers than SciPy gives would be read from beyond them.
    return parameters, [f"if n != {len(own)}:", "    return nan", f"return {call}"]


def _filter(
    form: str, own: Sequence[Any], given: Sequence[str], result: Any
) -> tuple[dict[str, str], list[str]]:
    """The parameters and body of a callback of ``scipy.ndimage``."""
    if form not in _FILTERS:
        raise ArgumentError(
            f"form={form!r} is none of {', '.join(('integrand', *_FILTERS))}."
        )
    if len(own) != 1 or np.ndim(own[0]) != 1 or _dtype(own[0]) != "float64":
        raise ArgumentError(
            f"a {form} takes one float64[:], and then what user_data holds.",
            todo='Give the signature "float64[:]".',
        )
    parameters, template = _FILTERS[form]
    call = _call([_FIRST[form], *given], result)
    return parameters, [line.format(call=call) for line in template]


def _given(
    examples: Sequence[Any], data: np.ndarray[Any, Any] | None
) -> tuple[Sequence[Any], list[str]]:
    """The arguments that are the callback's own, and those that user_data holds.

    Its last array, all of it; or as many numbers as there are.
    """
    if data is None:
        return examples, []
    array = f"carray(data, {data.shape!r}, float64)"
    if len(examples) > 1 and np.ndim(examples[-1]):
        if np.ndim(examples[-1]) != data.ndim or _dtype(examples[-1]) != "float64":
            raise ArgumentError(
                f"user_data has {data.ndim} axes, unlike the last argument."
            )
        return examples[:-1], [array]
    count = data.size
    if data.ndim != 1 or not 0 < count < len(examples):
        raise ArgumentError(
            f"user_data of shape {data.shape} is neither the last array nor the last "
            "numbers of the signature."
        )
    return examples[:-count], [f"{array}[{k}]" for k in range(count)]


def _call(arguments: Sequence[str], result: Any) -> str:
    """The call, and which part of what it returns."""
    path = result if isinstance(result, tuple) else (result,)
    if not all(isinstance(key, int) for key in path):
        raise ArgumentError(
            "result= is the place of a part of the result: 1, or (1, 0)."
        )
    return f"function({', '.join(arguments)})" + "".join(f"[{key}]" for key in path)


def _scope(function: Any) -> dict[str, Any]:
    names = {"nan": np.nan, "empty": np.empty, "float64": np.float64}
    return {"function": function, **names}


def _dtype(example: Any) -> str:
    return str(np.asarray(example).dtype)
