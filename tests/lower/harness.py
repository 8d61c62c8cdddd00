"""Record a function of arrays as a graph, lower it, and run the kernel in Python."""

import numpy as np

from codegen.arena import workspace_size
from codegen.jit import Options, build
from codegen.loop_ir import Const
from codegen.plain import plain_function
from codegen.printer import print_python
from codegen.verifier import verify
from tracegrad.ir.graph import Builder, Graph, Literal
from tracegrad.ir.shapes import Assumptions, Dim, assuming
from tracegrad.ir.types import ArrayType
from tracegrad.lower.lower import ScalarOutput, lower
from tracegrad.primitives.identities import filled
from tracegrad.primitives.rearrange import simplify
from tracegrad.traces.evaluate import sizes_of
from tracegrad.traces.tracer import Tracer
from tracegrad.transforms.vjp import vjp


def record(function, arguments, *, exact=True, name="f", fixed=()):
    """The graph of ``function(*arguments.values())``, and what its trace assumed.

    Every size is a symbol of its own, or what the guards of a first trace say it is;
    sizes of one, and those of ``fixed`` arguments, are numbers.
    """
    known = {}
    for _ in range(2):
        assumptions, graph = Assumptions(known=known), Graph(name)
        builder = Builder(graph, assumptions, simplify, exact=exact)
        tracers = [
            Tracer(builder, _param(graph, assumptions, key, np.asarray(value), fixed))
            for key, value in arguments.items()
        ]
        with assuming(assumptions):
            outputs = function(*tracers)
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        graph.results = [_operand(output) for output in outputs]
        known = assumptions.solve()
        if not known:
            break
    return graph, assumptions


def _param(graph, assumptions, key, value, fixed):
    dims = []
    for axis, size in enumerate(value.shape):
        symbol = f"{key}.shape[{axis}]"
        assumptions.hints[symbol] = size
        if size == 1 or key in fixed:
            dims.append(Dim.constant(size))
        else:
            dims.append(Dim.symbol(symbol).substitute(assumptions.known))
    if value.ndim == 0 and value.dtype == np.int64:
        assumptions.hints[key] = int(value)
        assumptions.signed.add(key)
    return graph.add_param(ArrayType(value.dtype.name, tuple(dims)), key)


def _operand(output):
    if isinstance(output, Tracer):
        return output.operand
    value = np.asarray(output)
    return Literal(value.item(), value.dtype.name)


def gradient(graph, assumptions, argnums):
    """The graph of a graph's results and the gradient of their sum."""
    new = Graph(f"{graph.name}_grad")
    builder = Builder(new, assumptions, simplify)
    params = [new.add_param(p.type, p.name) for p in graph.params]
    seeds = [
        filled(builder, 1.0, r.type) if r.type.differentiable else None
        for r in graph.results
    ]
    with assuming(assumptions):
        results, bars = vjp(builder, graph, params, argnums, seeds)
    for position, bar in zip(argnums, bars, strict=True):
        if bar is not None and getattr(bar, "name", "") is None:
            bar.name = f"{graph.params[position].name}_bar"
    new.results = [*results, *(bar for bar in bars if bar is not None)]
    return new


def call(lowered, graph, arguments, function):
    """Call a kernel as the wrapper does; the results in order."""
    values = [v.item() if np.ndim(v) == 0 else v for v in arguments.values()]
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
    """A kernel as a Python function, its workspace included."""
    verify(kernel)
    function = plain_function(print_python(kernel))
    if workspace_size(kernel) == Const(0, "int64"):
        return function
    return lambda *args: function(*args, np.empty(1 << 18))


def compiled(kernel):
    """A kernel compiled, kept nowhere."""
    return build(kernel, options=Options(keep=False)).entry


def source(lowered):
    """The printed kernel."""
    return print_python(lowered.kernel).text


def run(function, arguments, *, exact=True, fixed=(), on=in_python):
    """The results of the lowered function, by default run as plain Python."""
    graph, assumptions = record(function, arguments, exact=exact, fixed=fixed)
    lowered = lower(graph, assumptions, "f")
    return call(lowered, graph, arguments, on(lowered.kernel))
