"""C function pointers to nopython Python: the part that speaks to Numba.

What enters is the source of a callback and the C types of its parameters; what leaves
is Numba's ``CFunc``, with the pointer's address and a ctypes object. An error inside
can't leave C, so it becomes a value that the caller gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numba
from numba import cfunc, types

# Numba's types are incomplete.
_NUMBA: Any = numba
_POINTER: Any = types.CPointer
_TYPES: dict[str, Any] = {
    "double": types.float64,
    "float": types.float32,
    "int64_t": types.int64,
    "int32_t": types.int32,
    "bool": types.boolean,
    "int": types.intc,
    "intptr_t": types.intp,
    "void *": types.voidptr,
}


def function_pointer(
    name: str,
    parameters: Mapping[str, str],
    lines: Sequence[str],
    scope: Mapping[str, Any],
    result: str,
    failed: str,
) -> Any:
    """Compile a callback.

    Args:
        name: of the function.
        parameters: their C types by name: ``double``, ``double *``, ``void *``, …
        lines: the body; ``carray`` makes an array of a pointer and a shape.
        scope: what its other names mean.
        result: the C type of what it returns.
        failed: what it returns where Python would raise, as an expression.
    """
    text = "\n".join(
        (
            f"def {name}({', '.join(parameters)}):",
            "    try:",
            *(f"        {line}" for line in lines),
            "    except Exception:",
            f"        return {failed}",
        )
    )
    namespace = {"carray": _NUMBA.carray, **scope}
    exec(compile(text, f"<pointer to {name}>", "exec"), namespace)
    signature = _TYPES[result](*map(_type, parameters.values()))
    return cfunc(signature, error_model="numpy")(namespace[name])


def _type(text: str) -> Any:
    if text in _TYPES:
        return _TYPES[text]
    return _POINTER(_TYPES[text.removesuffix(" *")])
