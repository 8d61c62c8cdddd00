"""Call anything as traced code does.

A Python function of the user's is interpreted; so are methods, partials, ``@njit``
functions and callable objects, through the function inside them. NumPy, SciPy and
``math`` are looked up in the table when an argument is traced, and run as they are
otherwise. Everything else runs natively, on tracers if need be.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from types import BuiltinMethodType, CellType, FunctionType, MethodType
from typing import Any

import numpy as np

from tracegrad.errors import ControlFlowError, TracegradError, TracingError
from tracegrad.ir.types import dtype_of
from tracegrad.numpy_api import python_math
from tracegrad.numpy_api.alternatives import ValueNeeded
from tracegrad.numpy_api.table import name_of
from tracegrad.traces import masked, methods, programs, spelling, updates
from tracegrad.traces.as_python import python_number
from tracegrad.traces.builtin_functions import ALWAYS, ON_TRACERS
from tracegrad.traces.escapes import explained
from tracegrad.traces.exits import VALUE, Signal
from tracegrad.traces.finder import FunctionSource, find
from tracegrad.traces.iteration import UNROLL_LIMIT, Steps
from tracegrad.traces.outside import Place, is_trusted, module_of
from tracegrad.traces.protocols import conversion, lookup
from tracegrad.traces.rewritten import rewriter
from tracegrad.traces.scope import Frame, Machine
from tracegrad.traces.stale import loaded
from tracegrad.traces.statements import execute
from tracegrad.traces.tracer import Tracer, convert, lift
from tracegrad.traces.unsized import first_unsized
from tracegrad.traces.watched import watched
from tracegrad.traces.words import worded

_LAZY = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_ARRAY_MUTATORS = frozenset({"sort", "fill", "put", "itemset", "resize", "partition"})
_MUTATORS = _ARRAY_MUTATORS | {
    *("append", "extend", "insert", "pop", "popitem", "remove", "clear", "reverse"),
    *("update", "setdefault", "add", "discard"),
}

# What an array happens to hold would become a constant of the graph, another each time.
_DEFINITE: dict[int, Callable[..., Any]] = {
    id(np.empty): np.zeros,
    id(np.empty_like): np.zeros_like,
}

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def call(machine: Machine, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """What a call in traced code gives."""
    inline = getattr(type(function), "__tracegrad_inline__", None)
    if inline is not None:  # one of our own transformations
        return inline(function, *args, **kwargs)
    _enter_root(machine, function)
    if isinstance(function, MethodType):
        return call(machine, function.__func__, (function.__self__, *args), kwargs)
    if isinstance(function, functools.partial):
        return _call_partial(machine, function, args, kwargs)
    inner = getattr(function, "py_func", None)  # Numba's dispatchers
    if inner is None and isinstance(function, functools._lru_cache_wrapper):
        inner = function.__wrapped__
    if inner is not None:
        return call(machine, inner, args, kwargs)
    rewrite = rewriter(function)
    if rewrite is not None and _concerns(machine, function, args, kwargs):
        return _call_program(machine, *rewrite(function, args, kwargs))
    if isinstance(function, FunctionType):
        return _call_function(machine, function, args, kwargs)
    if isinstance(function, type):
        return _construct(machine, function, args, kwargs)
    if isinstance(function, (BuiltinMethodType, np.ufunc)):
        return _native(machine, function, args, kwargs)
    method = lookup(type(function), "__call__")
    if isinstance(method, FunctionType) and not is_trusted(type(function)):
        return call(machine, method, (function, *args), kwargs)
    return _native(machine, function, args, kwargs)


def _enter_root(machine: Machine, function: Any) -> None:
    """The function that no line of the user's called is from outside, with its self."""
    if machine.builder.location is None:
        machine.outside.enter(function, type(function).__name__)
        if isinstance(function, MethodType):
            machine.outside.enter(function.__self__, "self")


def _call_partial(
    machine: Machine, function: functools.partial[Any], args: Args, kwargs: Kwargs
) -> Any:
    outside = machine.outside
    if outside.owns(function):
        label = outside.label(function)
        outside.enter(function.args, label)
        outside.enter(function.keywords, label)
    first = outside.opened(machine.builder, function.args)
    named = outside.opened(machine.builder, function.keywords)
    return call(machine, function.func, (*first, *args), {**named, **kwargs})


# --- programs of ours --------------------------------------------------------------


def _concerns(machine: Machine, function: Any, args: Args, kwargs: Kwargs) -> bool:
    """Whether a call touches anything traced; otherwise it runs as it is."""
    kernel = getattr(function, "pyfunc", None)
    return has_tracer((args, kwargs)) or machine.made(kernel)


def _call_program(machine: Machine, program: Any, args: Args, kwargs: Kwargs) -> Any:
    """Interpret a program on behalf of the line that calls it."""
    source = find(program.__code__)
    assert source is not None
    return _interpret(machine, program, source, args, kwargs, quiet=True)


# --- Python functions --------------------------------------------------------------


def _call_function(
    machine: Machine, function: FunctionType, args: Args, kwargs: Kwargs
) -> Any:
    if is_trusted(function):
        if function.__module__ == programs.__name__:
            return _call_program(machine, function, args, kwargs)
        return _native(machine, function, args, kwargs)
    code = function.__code__
    if code.co_flags & _LAZY:
        raise TracingError(
            f"{function.__name__} is a generator or a coroutine.",
            machine.builder.location,
            "Return a list instead.",
        )
    if not machine.made(function):
        machine.outside.guard(Place("attribute", function, "__code__"))
    source = find(code)
    if source is None:
        return _call_sourceless(machine, function, args, kwargs)
    return _interpret(machine, function, source, args, kwargs)


def _interpret(
    machine: Machine,
    function: FunctionType,
    source: FunctionSource,
    args: Args,
    kwargs: Kwargs,
    *,
    quiet: bool = False,
) -> Any:
    cells = dict(zip(source.code.co_freevars, function.__closure__ or (), strict=True))
    frame = Frame(machine, source, function.__globals__, cells, quiet=quiet)
    frame.values.update(_bound(machine, function, args, kwargs))
    caller = machine.builder.location
    try:
        signal = execute(source.body, frame)
        returned = _returned(frame, signal)
    except TracegradError as error:
        raise error.located(machine.builder.location) from None
    except Exception as error:
        instead = explained(error, machine.builder.location)
        if instead is not None and error is not machine.raised:
            raise instead from error
        machine.note(error)
        raise
    machine.builder.location = caller or machine.builder.location
    return returned


def _returned(frame: Frame, signal: Signal) -> Any:
    """What a call gives, by the way in which its body ended."""
    if signal is Signal.RETURN:
        return loaded(frame.machine.memory, "the returned value", frame.returned)
    if signal is Signal.MAYBE and frame.peek(VALUE) is not None:
        raise frame.refused(
            f"{frame.code.co_name} returns a value on one path and None on another.",
            "Return a value of the same kind at the end.",
        )
    return None


def _bound(
    machine: Machine, function: FunctionType, args: Args, kwargs: Kwargs
) -> dict[str, Any]:
    """A call's arguments by parameter name, with defaults, as Python binds them."""
    signature = _own_signature(function)
    bound = signature.bind(*args, **kwargs)
    missing = [n for n in signature.parameters if n not in bound.arguments]
    bound.apply_defaults()
    values = dict(bound.arguments)
    for name in missing:
        if isinstance(values[name], np.ndarray):
            place = Place("default", function, name)
            values[name] = machine.outside.read(
                machine.builder, place, values[name], name
            )
        elif signature.parameters[name].default is not inspect.Parameter.empty:
            machine.outside.enter(values[name], name)
    return values


def _own_signature(function: FunctionType) -> inspect.Signature:
    """The signature of a function's code, whatever it says it wraps."""
    bare = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    bare.__kwdefaults__ = function.__kwdefaults__
    return inspect.signature(bare)


def _call_sourceless(
    machine: Machine, function: FunctionType, args: Args, kwargs: Kwargs
) -> Any:
    """Run a function natively on tracers; what it reads from outside, we read."""
    builder, outside = machine.builder, machine.outside
    namespace = dict(function.__globals__)
    for name in function.__code__.co_names:
        if name in namespace:
            place = Place("global", function.__globals__, name)
            namespace[name] = outside.read(builder, place, namespace[name], name)
    cells = []
    free = function.__code__.co_freevars
    for name, cell in zip(free, function.__closure__ or (), strict=True):
        if not machine.made(cell):
            place = Place("cell", cell)
            content = outside.read(builder, place, cell.cell_contents, name)
            cell = CellType(content)
        cells.append(cell)
    if "range" in function.__code__.co_names:
        namespace.setdefault(
            "range", functools.partial(_range, machine, function.__name__)
        )
    own = FunctionType(
        function.__code__,
        namespace,
        function.__name__,
        function.__defaults__,
        tuple(cells),
    )
    own.__kwdefaults__ = function.__kwdefaults__
    return worded(own(*args, **kwargs))


def _range(machine: Machine, name: str, *bounds: Any) -> range:
    """A range in a function that is run natively: its loop is unrolled."""
    found = range(*bounds)
    if len(found) > UNROLL_LIMIT and any(isinstance(x, Tracer) for x in bounds):
        raise ControlFlowError(
            f"the source of {name} can't be found, so its loop of {len(found)} steps "
            "would be unrolled.",
            machine.builder.location,
            "Define it in a file or a notebook.",
        )
    return found


# --- classes -----------------------------------------------------------------------


def _construct(machine: Machine, kind: type, args: Args, kwargs: Kwargs) -> Any:
    """A new object; a constructor of the user's is interpreted."""
    init = lookup(kind, "__init__")
    plain = type(kind) is type and lookup(kind, "__new__") is object.__new__
    if not plain or not isinstance(init, FunctionType) or is_trusted(kind):
        return _native(machine, kind, args, kwargs)
    instance: Any = object.__new__(kind)
    machine.memory.bear(instance)
    call(machine, init, (instance, *args), kwargs)
    return instance


# --- everything else ---------------------------------------------------------------


def _native(machine: Machine, function: Any, args: Args, kwargs: Kwargs) -> Any:
    """Built-ins, NumPy, and what else isn't interpreted."""
    owner = getattr(function, "__self__", None)
    try:
        args, kwargs = spelling.admitted(function, args, kwargs)
        given = (owner, *args, *kwargs.values())
        with watched(machine, function, zip(given, given, strict=True)):
            return worded(_applied(machine, function, args, kwargs))
    except ValueNeeded as error:
        raise error.by(name_of(function)) from None


def _applied(machine: Machine, function: Any, args: Args, kwargs: Kwargs) -> Any:
    method = conversion(function, args)
    if method is not None:
        return call(machine, method, args, kwargs)
    args, kwargs = methods.named_out(function, args, kwargs)
    handler = spelling.template_of(function) or _handler(_ALWAYS, function)
    unsized = first_unsized((args, kwargs))
    if handler is not None and (unsized is None or function in spelling.SPELLING):
        return handler(machine, *args, **kwargs)
    _refuse_random(machine, function)
    if _handler(_POSITIONS, function) and len(args) == 1 and has_tracer(args):
        return masked.positions(function, args)
    if unsized is not None and _handler(_SEQUENCES, function):
        return ON_TRACERS[function](machine, *args, **kwargs)
    if unsized is not None and not _is_own(function):
        return unsized.apply(function, args, kwargs)
    builder, outside = machine.builder, machine.outside
    owner = getattr(function, "__self__", None)
    if isinstance(function, BuiltinMethodType) and isinstance(
        owner, (list, dict, set, tuple, np.ndarray)
    ):
        return _method(machine, function, owner, args, kwargs)
    traced = has_tracer((args, kwargs))
    if not traced:
        methods.require_plain(machine.memory, function, args, kwargs)
    if not traced and not any(outside.owns(a) for a in (*args, *kwargs.values())):
        return _DEFINITE.get(id(function), function)(*args, **kwargs)
    handler = _handler(ON_TRACERS, function)
    if handler is not None:
        return handler(machine, *args, **kwargs)
    own = (*args, *kwargs.values())
    args = tuple(outside.opened(builder, a) for a in args)
    kwargs = {k: outside.opened(builder, v) for k, v in kwargs.items()}
    if has_tracer((args, kwargs)) and _in_table(function):
        return _numpy(machine, function, args, kwargs)
    copies = zip((*args, *kwargs.values()), own, strict=True)
    with watched(
        machine, function, (pair for pair in copies if pair[0] is not pair[1])
    ):
        return function(*args, **kwargs)


def _handler(
    table: dict[Any, Callable[..., Any]], function: Any
) -> Callable[..., Any] | None:
    try:
        return table.get(function)
    except TypeError:  # an unhashable callable
        return None


def _method(
    machine: Machine, method: Any, owner: Any, args: Args, kwargs: Kwargs
) -> Any:
    """A method of a built-in container."""
    builder, outside, name = machine.builder, machine.outside, method.__name__
    if isinstance(owner, np.ndarray):
        changes = name in _ARRAY_MUTATORS
        if not has_tracer((args, kwargs)):
            if changes:
                machine.memory.require_plain(owner)
            return method(*args, **kwargs)
        if changes:
            machine.memory.require_ref(owner)
        traced = Tracer(builder, builder.capture(owner))
        return getattr(traced, name)(*args, **kwargs)
    if name in _MUTATORS:
        outside.refuse_write(builder, owner, f".{name}()")
        machine.memory.refuse_change(owner, f".{name}()")
        if name == "sort":
            owner[:] = ALWAYS[sorted](machine, owner, *args, **kwargs)
            return None
        return method(*args, **kwargs)
    own = outside.opened(builder, owner)
    return (method if own is owner else getattr(own, name))(*args, **kwargs)


_ALWAYS = {**ALWAYS, **updates.FUNCTIONS}
_SEQUENCES = {f: ON_TRACERS[f] for f in (enumerate, zip, reversed, isinstance)}
_POSITIONS = dict.fromkeys(masked.POSITIONS, masked.positions)


def _is_own(function: Any) -> bool:
    return module_of(function).split(".")[0] == "tracegrad"


def _in_table(function: Any) -> bool:
    """Whether the NumPy table is to say what a function does with tracers."""
    if isinstance(function, np.ufunc) or function in vars(math).values():
        return True
    if methods.writer(function):  # np.add.at
        return True
    return module_of(function).split(".")[0] in {"numpy", "scipy"}


def _numpy(machine: Machine, function: Any, args: Args, kwargs: Kwargs) -> Any:
    if isinstance(function, type) and issubclass(function, np.generic):
        builder = machine.builder
        dtype = dtype_of(function)
        return Tracer(builder, convert(builder, lift(builder, args[0]), dtype))
    args = tuple(list(a) if isinstance(a, Steps) else a for a in args)
    of_numbers = _handler(python_math.NUMBERS, function) is not None
    if of_numbers:
        args = tuple(map(python_number, args))
    try:
        found = methods.call_numpy(machine.memory, function, args, kwargs)
    except TracegradError as error:
        raise error.located(machine.builder.location) from None
    return python_number(found) if of_numbers else found


def _refuse_random(machine: Machine, function: Any) -> None:
    owner = type(getattr(function, "__self__", None))
    modules = (module_of(function), module_of(owner))
    if any(m == "random" or m.startswith("numpy.random") for m in modules):
        raise TracingError(
            "random numbers would be drawn once, while tracing.",
            machine.builder.location,
            "Draw them outside, and pass them as an argument.",
        )


def has_tracer(value: Any) -> bool:
    """Whether something traced is in a value or a nest of containers."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(has_tracer, value))
    if isinstance(value, dict):
        return any(map(has_tracer, value.values()))
    if isinstance(value, slice):
        return has_tracer((value.start, value.stop, value.step))
    return isinstance(value, (Tracer, Steps))
