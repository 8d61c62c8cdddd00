"""Kernels to ship: as a Python file, as C, behind a C pointer.

What enters is what ``grad`` and its like return; what leaves needs nothing of ours, or
only ``native``, which loads compiled libraries without the compiler.
"""

from tracegrad.shipping.c_library import Exported, export_c

__all__ = ["Exported", "export_c"]
