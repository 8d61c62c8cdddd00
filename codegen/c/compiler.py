"""Compile a printed C library with the C compiler that is there."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

STANDARD = ("-std=c99", "-Wall", "-Wextra", "-pedantic")
# None of these changes a result, but for the last: no product is fused into a sum.
VALUE_SAFE = ("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
# Sums that may be added in any order are, as they are in compiled Python.
ANY_ORDER = ("-DTRACEGRAD_SIMD", "-fopenmp-simd")
FLAGS = (*STANDARD, "-O3", *VALUE_SAFE, *ANY_ORDER)


class CompilerError(Exception):
    """There is no C compiler, or it refuses; the message is its own."""


def find_compiler(chosen: str | None = None) -> list[str]:
    """The command of a C compiler: as chosen, of the environment's CC, or found.

    Raises:
        CompilerError: if there is none.
    """
    for text in (chosen, os.environ.get("CC"), "cc", "gcc", "clang"):
        command = shlex.split(text) if text else []
        if command and shutil.which(command[0]):
            return command
        if text and text == chosen:
            raise CompilerError(f"there is no C compiler called {chosen}")
    raise CompilerError("there is no C compiler: install one, or set CC")


def library_suffix() -> str:
    """The end of a shared library's name here."""
    return {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


def compile_library(
    source: Path,
    output: Path,
    *,
    compiler: str | None = None,
    march: str | None = None,
    flags: Sequence[str] = (),
) -> Path:
    """Compile a C file to a shared library, and put it in its place whole.

    Args:
        source: the ``.c`` file, its header beside it.
        output: the library.
        compiler: the command; by default ``CC``, ``cc``, ``gcc`` or ``clang``.
        march: the processor to compile for, such as "x86-64-v3" or "native"; the
            compiler's own choice by default, which on x86-64 has no fused
            multiply-add.
        flags: further ones, which come last.

    Raises:
        CompilerError: with what the compiler printed.
    """
    command = [*find_compiler(compiler), *FLAGS, "-shared"]
    command += [] if sys.platform == "win32" else ["-fPIC"]
    command += [f"-march={march}"] if march else []
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-") as directory:
        made = Path(directory) / output.name
        command += [*flags, str(source), "-o", str(made), "-lm"]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise CompilerError(f"{shlex.join(command)}\n{run.stderr.strip()}")
        os.replace(made, output)
    return output
