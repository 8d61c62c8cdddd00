"""Compile kernels: print, write, import, compile; or load what was compiled before.

What enters is a verified ``Kernel``; what leaves is a ``Compiled``: the source, the
file it was loaded from, and its callables. A kernel's key is a hash of its code,
comments aside, and of everything else that its machine code depends on.
"""

from __future__ import annotations

import ast
import linecache
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np

from codegen import cache, layout
from codegen.arena import WORKSPACE, workspace_size
from codegen.expressions import assign, call, expression, name
from codegen.loop_ir import Const, Kernel
from codegen.native_call import MachineCode
from codegen.plain import plain_function
from codegen.printer import Source, bound_sizes, print_python
from codegen.verifier import verify
from codegen.workspace import allocate, give, take

_LOCK = threading.RLock()


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    keep: load from and save to the cache directory.
    boundscheck: test every index, to find a wrong proof; slower.
    """

    keep: bool = True
    boundscheck: bool = False


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel.

    function: Numba's dispatcher, for use inside other compiled functions. It takes the
        arena as its last argument if the kernel has one: at least ``workspace_size``
        words, which nothing checks.
    entry: call this from Python; it brings the arena itself. Arguments of another
        dtype, rank or layout raise TypeError.
    """

    kernel: Kernel
    source: Source
    path: Path | None
    key: str
    function: Any
    entry: Callable[..., Any]
    compile_seconds: float
    cache_hit: bool

    @property
    def machine_code(self) -> MachineCode | None:
        """Where its code is, to call it directly; None if it isn't compiled."""
        from codegen import numba_compiler

        if not hasattr(self.function, "overloads"):  # Numba is disabled
            return None
        return numba_compiler.machine_code(self.function)

    @cached_property
    def python(self) -> Callable[..., Any]:
        """The same source in plain Python with reference maths, arena included."""
        return _plain_entry(self.kernel, self.source)

    @cached_property
    def workspace_size(self) -> Callable[..., int]:
        """How many float64 words of arena a call with given arguments needs."""
        return _size_function(self.kernel)


def build(kernel: Kernel, *, options: Options | None = None) -> Compiled:
    """Compile a kernel for its dtypes and layouts, or load it from the cache."""
    # Numba takes 0.2 s to import; who only prints or uses a tape never pays for it.
    from codegen import numba_compiler

    options = options or Options()
    verify(kernel)
    source = print_python(kernel)
    key = cache.key_of(
        {
            "code": source.code,
            "signature": numba_compiler.signature_text(kernel),
            "boundscheck": options.boundscheck,
            "arrays": "disjoint",
            "target": numba_compiler.target(),
            "helpers": _helper_hash(),
            "versions": numba_compiler.versions(),
        }
    )
    start = perf_counter()
    if numba_compiler.disabled():
        path, function, hit = None, plain_function(source), False
    else:
        with _LOCK:
            keep = options.keep
            path = cache.write_module(key, source.name, source.module) if keep else None
            module = _module(key, source, path)
            for part in source.parts:
                numba_compiler.prepare(
                    getattr(module, part), options.boundscheck, part=True
                )
            function, hit = numba_compiler.compile_function(
                getattr(module, source.name),
                numba_compiler.signature(kernel),
                None if path is None else numba_compiler.KernelCache(path, key),
                options.boundscheck,
            )
    seconds = perf_counter() - start
    entry = _entry(kernel, function)
    return Compiled(kernel, source, path, key, function, entry, seconds, hit)


def _module(key: str, source: Source, path: Path | None) -> ModuleType:
    """The printed module, run once per process and found by Numba under its name."""
    module_name = f"codegen.generated.{key}.{source.name}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    file = str(path) if path else f"<kernel {source.name} {key}>"
    if path is None:
        text = source.module.splitlines(keepends=True)
        linecache.cache[file] = (len(source.module), None, text, file)
    module = ModuleType(module_name)
    module.__file__ = file
    sys.modules[module_name] = module
    try:
        exec(compile(source.module, file, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


@lru_cache
def _helper_hash() -> str:
    """What kernels inline, as one hash."""
    root = Path(__file__).parent
    files = [root / f"{name}.py" for name in ("allocation", "support", "dense")]
    files += root.glob("vector_math/**/*.py")
    return cache.key_of({file.name: file.read_text("utf-8") for file in files})


def _entry(kernel: Kernel, function: Any) -> Callable[..., Any]:
    """The function itself, or one that brings the arena."""
    size = workspace_size(kernel)
    if size == Const(0, "int64"):
        return function  # type: ignore[no-any-return]
    arguments = [name(parameter.name) for parameter in kernel.parameters]
    arena = name(WORKSPACE)
    body = [
        *bound_sizes(kernel, [size]),
        assign(arena, call("take", expression(size))),
        ast.Try(
            body=[ast.Return(call("kernel", *arguments, arena))],
            handlers=[],
            orelse=[],
            finalbody=[ast.Expr(call("give", arena))],
        ),
    ]
    scope = {"kernel": function, "take": take, "give": give}
    return _define(kernel, "entry", body, scope)


def _size_function(kernel: Kernel) -> Callable[..., int]:
    """A function of the kernel's arguments that gives the words of its arena."""
    size = workspace_size(kernel)
    body = [*bound_sizes(kernel, [size]), ast.Return(expression(size))]
    return _define(kernel, "workspace_size", body, {})


def _plain_entry(kernel: Kernel, source: Source) -> Callable[..., Any]:
    """The plain-Python function; its arena is poisoned, so that nobody reads it."""
    function = plain_function(source)
    size = _size_function(kernel)
    if workspace_size(kernel) == Const(0, "int64"):
        return function

    def run(*args: Any) -> Any:
        arena = allocate(size(*args))
        arena.fill(np.nan)
        return function(*args, arena)

    return run


def _define(
    kernel: Kernel, title: str, body: list[ast.stmt], scope: dict[str, Any]
) -> Callable[..., Any]:
    """A Python function of a kernel's parameters."""
    pad = " " * layout.INDENT
    names = ", ".join(parameter.name for parameter in kernel.parameters)
    lines = [pad + line for stmt in body for line in ast.unparse(stmt).splitlines()]
    text = "\n".join((f"def {title}({names}):", *lines))
    exec(compile(text, f"<{title} of {kernel.name}>", "exec"), scope)
    return scope[title]  # type: ignore[no-any-return]
