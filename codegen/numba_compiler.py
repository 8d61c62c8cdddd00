"""The part of the compiler that speaks to Numba: signatures, its cache, its dispatcher.

Numba's on-disk format is used, its own bookkeeping is not: Numba tells functions apart
by file and line, forgets flags and callees, and can lose entries when two processes
write one index. Here each key has its own directory, and the key is the stamp.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import caching, compiler, types
from numba.core import config as numba_config
from numba.core.registry import cpu_target

from codegen.arena import plan
from codegen.cache import warn_once
from codegen.loop_ir import Array, Kernel, Var
from codegen.native_call import MachineCode
from codegen.remembering import remembering

# Numba's types are incomplete.
_CONFIG: Any = numba_config
_INDEX_FILE: Any = caching.IndexDataCacheFile
_COMPILED: Any = compiler.CompileResult
_ARRAY: Any = types.Array
_TUPLE: Any = types.BaseTuple


def signature(kernel: Kernel) -> tuple[Any, ...]:
    """The Numba types of a kernel's parameters.

    An input is declared read-only, which accepts writable arrays too.
    """
    result = [_parameter(parameter) for parameter in kernel.parameters]
    if plan(kernel):
        result.append(_ARRAY(types.float64, 1, "C"))
    return tuple(result)


def signature_text(kernel: Kernel) -> str:
    """A signature as text, for the key."""
    return ", ".join(str(parameter) for parameter in signature(kernel))


def target() -> list[str]:
    """The processor, and those of Numba's settings that change the machine code."""
    processor = cpu_target.target_context.codegen().magic_tuple()
    settings = (
        _CONFIG.OPT,
        _CONFIG.LOOP_VECTORIZE,
        _CONFIG.SLP_VECTORIZE,
        _CONFIG.BOUNDSCHECK,
        _CONFIG.DEBUGINFO_DEFAULT,
    )
    return [str(item) for item in (*processor, *settings)]


def versions() -> list[str]:
    """Everything between the source and the machine code."""
    packages = [numba.__version__, llvmlite.__version__, np.__version__]
    return [platform.python_implementation(), platform.python_version(), *packages]


def disabled() -> bool:
    """Whether the environment turns compilation off, to debug in plain Python."""
    return bool(_CONFIG.DISABLE_JIT)


def compile_function(
    function: Any,
    parameters: tuple[Any, ...],
    kept: KernelCache | None,
    boundscheck: bool,
) -> tuple[Any, bool]:
    """Compile a dispatcher for its one signature; whether that took no work."""
    if function.signatures:
        return function, True
    prepare(function, boundscheck, part=False)
    if kept is not None:
        function._cache = kept
    function.compile(parameters)
    # A call with other types would compile silently, for seconds; it raises instead.
    function.disable_compile()
    return function, bool(function.stats.cache_hits)


def prepare(function: Any, boundscheck: bool, *, part: bool) -> None:
    """Set how a dispatcher compiles: a kernel's, or that of a part it calls."""
    function.targetoptions["boundscheck"] = boundscheck
    function.targetoptions["no_cfunc_wrapper"] = True  # nobody calls that
    function.targetoptions["no_cpython_wrapper"] = part
    function._compiler.pipeline_class = _disjoint


def machine_code(function: Any) -> MachineCode:
    """Where a compiled dispatcher's code is, and how it is called."""
    (overload,) = function.overloads.values()
    returned, given = overload.signature.return_type, overload.signature.args
    convention = cpu_target.target_context.call_conv
    parameters = list(convention.get_function_type(returned, given).args)[2:]
    items = returned if isinstance(returned, _TUPLE) else [returned]
    return MachineCode(
        overload.library.get_pointer_to_function(overload.fndesc.llvm_func_name),
        tuple("ptr" if p.is_pointer else str(p) for p in parameters),
        tuple(str(item) for item in items if item != types.none),
    )


def _parameter(parameter: Array | Var) -> Any:
    scalar = numba.from_dtype(np.dtype(parameter.dtype))
    if isinstance(parameter, Var):
        return scalar
    layout = "C" if parameter.contiguous else "A"
    readonly = parameter.role == "input"
    return _ARRAY(scalar, parameter.rank, layout, readonly=readonly)


def _disjoint(*args: Any) -> Any:
    """Numba's compiler, told that no two arrays of a kernel share memory.

    LLVM would test that before each loop that it vectorises, and where an outer loop
    runs backwards, as those of reverse sweeps do, its test always fails. Inputs may
    share memory: nothing writes it.
    """
    pipeline = remembering(*args)
    pipeline.state.flags.noalias = True
    return pipeline


class KernelCache:
    """What a dispatcher asks for compiled code: one function of one signature.

    Numba's own classes are not extended, only the format of their files is used.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.cache_path = str(path.parent)
        self._file = _INDEX_FILE(self.cache_path, path.stem, key)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """What was compiled before; an unreadable entry is a miss."""
        context.refresh()
        try:
            payload = self._file.load(str(signature))
            if payload is None:
                return None
            return _COMPILED._rebuild(context, *payload)
        except Exception as error:
            # A truncated pickle can raise anything.
            warn_once(f"a kept kernel is unreadable and compiled again: {error!r}")
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled, if the directory allows it."""
        if compiled.library.has_dynamic_globals:
            return
        try:
            # First an empty index: one that can't be read could not be added to.
            self._file.flush()
            self._file.save(str(signature), compiled._reduce())
        except OSError as error:
            warn_once(f"compiled kernels are not kept: {error}")
