"""How kernels run while random programs are checked: as plain Python, and compiled.

Every kernel runs as the plain Python it is printed as. By C, it is compiled as well and
both have to agree: a hundred times as fast as Numba's front end, so thousands of
programs can be. By Numba it runs as a user's does.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from codegen import jit as backend
from codegen import numba_compiler
from codegen.c import NotExpressible, compile_library, library_suffix, print_unit
from codegen.c.compiler import ANY_ORDER
from codegen.errors import GuardFailed
from codegen.loop_ir import Array, Kernel
from codegen.workspace import allocate
from tests.fuzz.comparing import Disagreement, same
from tracegrad.errors import ArgumentError, TapeWarning
from tracegrad.native import Library
from tracegrad.specialisation import Specialisation

WAYS = ("python", "c", "numba")
# To compile fast, and by compilers without pragmas in macros, such as tcc.
_QUICKLY = ("-O1", *(f"-U{flag[2:]}" for flag in ANY_ORDER if flag.startswith("-D")))


@contextmanager
def running(by: str = "python", *, seconds: int = 60) -> Iterator[None]:
    """Kernels kept nowhere, memory poisoned; no endless loop.

    What a kernel forgets to write, or reads too early, is NaN.

    Args:
        by: one of ``WAYS``.
        seconds: of the processor's time.
    """
    allocated, build = Specialisation._allocated, backend.build

    def poisoned(self: Any, *args: Any) -> Any:
        arrays = allocated(self, *args)
        for array in arrays:
            array.fill(_poison(array.dtype))
        return arrays

    def arena(words: int) -> Any:
        found = allocate(words)
        found.fill(np.nan)
        return found

    def built(kernel: Kernel) -> backend.Compiled:
        made = build(kernel, options=backend.Options(keep=False))
        return made if by != "c" else replace(made, entry=_checked(made))

    with ExitStack() as stack:
        stack.enter_context(_without_collecting())
        stack.enter_context(patch.object(Specialisation, "_allocated", poisoned))
        stack.enter_context(patch.object(backend, "take", arena))
        stack.enter_context(patch.object(backend, "build", built))
        if by != "numba":
            stack.enter_context(patch.object(numba_compiler, "disabled", lambda: True))
        stack.enter_context(_limited(seconds))
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error", TapeWarning)
        yield


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Python's collector would go through all that Numba holds, again and again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _poison(dtype: np.dtype[Any]) -> Any:
    """What no kernel computes: not a number, or one far from those of programs."""
    if dtype.kind == "f":
        return np.nan
    if dtype.kind == "b":
        return True
    limits = np.iinfo(dtype)
    return limits.min // 2 or limits.max


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _checked(made: backend.Compiled) -> Callable[..., Any]:
    """A kernel that is called in C and in Python, with the same outcome."""
    try:
        native = _in_c(made.kernel)
    except NotExpressible:
        return made.entry
    count = sum(not _output(p) for p in made.kernel.parameters)

    def entry(*args: Any) -> Any:
        inputs, outputs = args[:count], args[count:]
        plain = [x.copy() for x in outputs]
        expected = _outcome(made.entry, *inputs, *plain)
        found = _outcome(native, inputs, outputs)
        if isinstance(expected, Exception) or isinstance(found, Exception):
            if type(expected) is not type(found):
                raise Disagreement("exception in C", f"{found!r}, not {expected!r}")
            raise expected
        single = any(getattr(x, "dtype", None) == np.float32 for x in args)
        same("C", [expected, plain], [found, outputs], single=single, scaled=True)
        return expected

    return entry


def _output(parameter: Any) -> bool:
    return isinstance(parameter, Array) and parameter.role == "output"


def _outcome(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except Exception as error:
        return error


def _in_c(kernel: Kernel) -> Callable[[Any, Any], Any]:
    """A kernel compiled by the C compiler: a function of its inputs and outputs."""
    unit = print_unit("fuzz", {"kernel": kernel})
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "fuzz.c"
        source.write_text(unit.source)
        source.with_suffix(".h").write_text(unit.header)
        target = source.with_suffix(library_suffix())
        file = compile_library(source, target, flags=_QUICKLY)
        library = Library(str(file), unit.description, ctypes.CDLL(str(file)))

    def call(inputs: Any, outputs: Any) -> Any:
        try:
            found = library.kernel(*inputs)
        except ArgumentError:  # sizes that it wasn't made for
            raise GuardFailed from None
        scalars = found[: len(found) - len(outputs)]
        for array, value in zip(outputs, found[len(scalars) :], strict=True):
            array[...] = value
        if not scalars:
            return None
        return scalars if len(scalars) > 1 else scalars[0]

    return call


__all__ = ["WAYS", "running"]
