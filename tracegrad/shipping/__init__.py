"""Kernels to ship: as a Python file, as C, compiled.

What enters is what ``grad`` and its like return; what leaves needs nothing of ours, or
only ``tracegrad.native``, which loads compiled libraries without the compiler.
"""

from tracegrad.shipping.c_library import Exported, export_c
from tracegrad.shipping.python_file import export_python

__all__ = ["Exported", "export_c", "export_python"]
