"""Kernels as C99: the same loop language, printed for a C compiler.

What enters are verified kernels; what leaves is a library's source, its header and its
description. Nothing here imports Numba. The rooms:

- ``identifiers``, ``scopes``, ``arrays``: names, where they live, where arrays lie;
- ``expressions``, ``statements``, ``printer``: a kernel as a C function;
- ``helpers``, ``vector_math``, ``library``: what such functions call;
- ``unit``: several of them as a library; ``compiler``: compiled.
"""

from codegen.c.arrays import NotExpressible
from codegen.c.compiler import CompilerError, compile_library, library_suffix
from codegen.c.unit import ABI, Unit, print_unit

__all__ = [
    "ABI",
    "CompilerError",
    "NotExpressible",
    "Unit",
    "compile_library",
    "library_suffix",
    "print_unit",
]
