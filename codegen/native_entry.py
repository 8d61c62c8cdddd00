"""A kernel's entry as machine code: what a call costs, and no more.

Numba's own entry takes arguments apart through Python's C interface, and a Python
wrapper around it checks types, allocates and builds the result: 100 to 600 ns together,
several times a small kernel. This entry is printed as LLVM text, does the same in 20 to
60 ns, and calls the kernel's machine code directly. It handles calls like one example,
whose every argument has the type it had there; whatever is different, and whatever the
kernel raises, is left to ``general``, which sees the call as it was made.

>>> from codegen.jit import Options, build
>>> from codegen.loop_ir import Kernel, Op, Var
>>> from codegen.native_call import Argument, Number, Returned
>>> x = Var("x", "float64")
>>> kernel = Kernel("square", (x,), (), (Op("multiply", (x, x), "float64"),))
>>> compiled = build(kernel, options=Options(keep=False))
>>> call = Call((Argument("x", Number("float64", float)),), (0,), (), Returned(0))
>>> square = native_entry(compiled, call, general=lambda x: f"something else: {x}")
>>> square(3.0), square(x=3.0), square(3)
(9.0, 9.0, 'something else: 3')
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codegen import cpython
from codegen.jit import Compiled
from codegen.native_call import Call, Unsupported
from codegen.native_text import Writer


def native_entry(
    compiled: Compiled, call: Call, general: Callable[..., Any]
) -> Callable[..., Any]:
    """A built-in function that calls a kernel's machine code.

    Args:
        compiled: the kernel.
        call: how its arguments come out of a call, and its results into the return.
        general: called instead, with the same arguments, whenever a call is not like
            that, or the kernel reports an error.

    Raises:
        Unsupported: if there can't be one; nothing has changed then.
    """
    if not cpython.supported():
        raise Unsupported("another interpreter")
    code = compiled.machine_code
    if code is None:
        raise Unsupported("not compiled")
    writer = Writer(compiled.kernel, call, code, general)
    text = writer.text()
    keep = (compiled.function, *writer.objects)
    return cpython.function(text, writer.table, keep)
