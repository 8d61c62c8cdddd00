"""Record a function of arrays as a graph, lower it, and run the kernel in Python."""

import numpy as np

from codegen.plain import plain_function
from codegen.printer import print_python
from codegen.verifier import verify
from tracegrad.ir.graph import Builder, Graph, Literal
from tracegrad.ir.shapes import Assumptions, Dim, assuming
from tracegrad.ir.types import ArrayType
from tracegrad.lower.lower import ScalarOutput, lower
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.evaluate import sizes_of
from tracegrad.traces.tracer import Tracer


def record(function, arguments, *, exact=True, name="f", fixed=()):
    """The graph of ``function(**arguments)``, and what its trace assumed.

    Every size is a symbol of its own, or that of the guards of a first trace; a size
    of one is a number, as the tracer of programs has it.
    """
    known = {}
    for _ in range(2):
        assumptions, graph = Assumptions(known=known), Graph(name)
        builder = Builder(graph, assumptions, simplify, exact=exact)
        tracers = []
        for key, value in arguments.items():
            value = np.asarray(value)
            dims = []
            for axis, size in enumerate(value.shape):
                symbol = f"{key}.shape[{axis}]"
                assumptions.hints[symbol] = size
                if size == 1 or key in fixed:
                    dims.append(Dim.constant(size))
                else:
                    dims.append(Dim.symbol(symbol).substitute(known))
            if value.ndim == 0 and value.dtype == np.int64:
                assumptions.hints[key] = int(value)
                assumptions.signed.add(key)
            kind = ArrayType(value.dtype.name, tuple(dims))
            tracers.append(Tracer(builder, graph.add_param(kind, key)))
        with assuming(assumptions):
            outputs = function(*tracers)
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        graph.results = [_operand(output) for output in outputs]
        known = assumptions.solve()
        if not known:
            break
    return graph, assumptions


def _operand(output):
    if isinstance(output, Tracer):
        return output.operand
    value = np.asarray(output)
    return Literal(value.item(), value.dtype.name)


def call(lowered, graph, arguments, function):
    """Call a kernel as the wrapper does; the results in order."""
    values = list(arguments.values())
    sizes = sizes_of(graph, values)
    arrays = [
        np.empty([d.evaluate(sizes) for d in o.shape], o.dtype)
        for o in lowered.outputs
        if not isinstance(o, ScalarOutput)
    ]
    returned = function(*values, *arrays)
    scalars = returned if isinstance(returned, tuple) else (returned,)
    rest = iter(arrays)
    return [
        np.asarray(scalars[o.position]) if isinstance(o, ScalarOutput) else next(rest)
        for o in lowered.outputs
    ]


def in_python(kernel):
    """A kernel as a Python function that brings its own workspace."""
    from codegen.arena import workspace_size
    from codegen.loop_ir import Const
    from codegen.jit import _plain_entry

    verify(kernel)
    return _plain_entry(kernel, print_python(kernel))


def source(lowered):
    """The printed kernel."""
    return print_python(lowered.kernel).text


def run(function, arguments, *, exact=True, fixed=()):
    """The results of the lowered function, run as plain Python."""
    graph, assumptions = record(function, arguments, exact=exact, fixed=fixed)
    lowered = lower(graph, assumptions, "f")
    return call(lowered, graph, arguments, in_python(lowered.kernel))
