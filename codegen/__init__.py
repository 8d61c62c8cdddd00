"""A small compiler for a typed loop language, through readable Python and Numba.

What enters is a ``loop_ir.Kernel``: loops, assignments and stores in which every dtype,
bound and proof is stated. What leaves is Python source that a person can read, and the
function that Numba makes of it, kept on disk for the next process. It knows nothing of
derivatives. The rooms, in the order of the way through:

- ``loop_ir``: the language, and nothing else;
- ``verifier``, ``typing_rules``: refuse a malformed kernel;
- ``printer`` (``statements``, ``expressions``, ``layout``, ``library``, ``arena``,
  ``assumptions``): a kernel as Python source;
- ``plain``, ``reference_math``: the same source without Numba, as an oracle;
- ``jit``, ``numba_compiler``, ``cache``, ``workspace``: compile, keep and call it;
- ``nopython``, ``numba_functions``: call it from functions that Numba compiles;
- ``native_entry`` (``native_call``, ``native_text``, ``native_lines``, ``cpython``): a
  call from Python that costs 20 ns, where the interpreter is a known one;
- ``function_pointers``: behind C function pointers;
- ``vector_math``, ``support``: what printed kernels call;
- ``standalone``, ``plain_instructions``: the same, to go with an exported file;
- ``c``: kernels as C99.

Only ``numba_compiler``, ``numba_functions``, ``function_pointers`` and what printed
kernels call import Numba, and only when a kernel is compiled.
"""

from codegen.cache import CacheWarning
from codegen.errors import GuardFailed, IRError
from codegen.jit import Compiled, Options, build
from codegen.printer import Source, print_python
from codegen.verifier import verify

__all__ = [
    "CacheWarning",
    "Compiled",
    "GuardFailed",
    "IRError",
    "Options",
    "Source",
    "build",
    "print_python",
    "verify",
]
