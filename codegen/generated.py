"""The package of printed modules: a name under which they can be imported.

Numba finds a kernel's module by name when it loads a cached function that calls the
kernel. In the process that built the kernel the module is loaded already; in another
one it is imported from the cache directory.
"""

from codegen.cache import kernels_directory

__path__ = [str(kernels_directory() or "")]
