"""From a Python body to a function that kernels call, in both precisions."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit, types

from codegen.remembering import remembering
from codegen.vector_math.instructions import instruction

Function = TypeVar("Function", bound=Callable[..., Any])


def _signature(result: Any, given: tuple[Any, ...]) -> Any:
    """float32 for float32 arguments alone; everything else is float64."""
    single = all(argument == types.float32 for argument in given)
    if single and result == types.float64:
        result = types.float32
    return result(*[types.float64] * len(given))


@cache
def _digest() -> str:
    """A hash of all sources of the vector maths, which becomes part of cache names.

    Numba compares a cached function with its own file only. But what is cached here
    contains code inlined from the other files, too.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def inlined(body: Callable[..., Any]) -> Any:
    """A body for Numba to compile into its callers, kept on disk if that can be.

    Flags are all explicit: a body compiled without them would take on those of
    whichever kernel happens to come first. Only kernels call it, so it has no entries
    for Python and C, each of which Numba would take 10 ms to compile.
    """
    flags: dict[str, Any] = {
        "error_model": "numpy",
        "fastmath": False,
        "boundscheck": False,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "pipeline_class": remembering,
    }
    body.__qualname__ = f"{body.__name__}_{_digest()}"
    try:
        return njit(forceinline=True, cache=True, **flags)(body)
    except RuntimeError:  # no directory to write to: compile in every process
        return njit(forceinline=True, **flags)(body)


def vector_function(body: Function) -> Function:
    """Make a float64 body a function of kernels, compiled when a kernel first uses it.

    A float32 call computes in float64 and rounds once.
    """

    @cache
    def compiled() -> Any:
        return inlined(body)

    def call(typing: Any, given: tuple[Any, ...]) -> Any:
        function = types.Dispatcher(compiled())
        wide = (types.float64,) * len(given)
        inner: Any = function.get_call_type(typing, wide, {})

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            result = context.get_function(function, inner)(builder, arguments)
            return context.cast(
                builder, result, inner.return_type, signature.return_type
            )

        return _signature(inner.return_type, given), generate

    def unary(typing: Any, x: Any) -> Any:
        return call(typing, (x,))

    def binary(typing: Any, x: Any, y: Any) -> Any:
        return call(typing, (x, y))

    def ternary(typing: Any, x: Any, y: Any, z: Any) -> Any:
        return call(typing, (x, y, z))

    shapes: tuple[Callable[..., Any], ...] = (unary, binary, ternary)
    typed = shapes[body.__code__.co_argcount - 1]
    typed.__name__ = body.__name__
    typed.__doc__ = body.__doc__
    return cast("Function", instruction(typed))


def coefficients(table: str) -> tuple[float, ...]:
    """The numbers of a table, which as a formatted tuple would take a line each."""
    return tuple(float(number) for number in table.split())
