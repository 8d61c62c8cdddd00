"""``freeze``: a run on the tape, with its control flow as it was, compiled.

The operations that the run recorded are emitted into a trace, and from there on go the
way of any function: they are differentiated, lowered and compiled.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.arguments import Binder
from tracegrad.compiled import Compiled
from tracegrad.derivatives import is_float, machine_in_progress, pullback
from tracegrad.eager_rules import on_tape
from tracegrad.errors import ArgumentError, DTypeError, ShapeError
from tracegrad.ir.primitive import Primitive
from tracegrad.ir.shapes import concrete_size, shape_of
from tracegrad.ir.source import Location, beginning
from tracegrad.ir.types import ArrayType, dtype_of
from tracegrad.numpy_api.indexing import getitem
from tracegrad.numpy_api.shapes import broadcast_to
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import structural
from tracegrad.primitives.identities import filled
from tracegrad.primitives.reductions import reduce_all
from tracegrad.primitives.structural import dims
from tracegrad.tape.inplace import fill, follow, place, table_steps
from tracegrad.tape.node import Shape
from tracegrad.tape.parts import part, whole
from tracegrad.tape.record import Step
from tracegrad.tape.run import Call, Decision, Run, Slot, recorded
from tracegrad.tape.value import Value, made
from tracegrad.traces.checks import emit_check
from tracegrad.traces.scope import Machine
from tracegrad.traces.stores import copied, set_item
from tracegrad.traces.tracer import Tracer, lift
from tracegrad.traces.views import View, snapshot
from tracegrad.transforms import rules


def freeze(function: Callable[..., Any], *examples: Any) -> Compiled:
    """A function that runs on the tape, compiled as one run of it went.

    The function is called once. Loops and branches are those of that run: where Python
    saw a truth or a whole number that depends on the arguments (``if x.sum() > 0``,
    ``range(n)``, an index), the kernel checks that it comes out the same, and raises
    RuntimeError if not. Whatever else the run used (closed-over tensors and arrays,
    numbers) is a constant; what it did besides computing its result (printing, writing
    to other objects) is not part of it. In the run, everything that depends on the
    arguments says that it requires gradients.

    Args:
        function: of tensors of ``tracegrad.tape``, or of NumPy arrays.
        examples: its arguments, nested as you like: tensors, or arrays.

    Returns:
        A function of the same arguments, in the shapes and dtypes of the examples. It
        takes and returns arrays, and can be given to ``grad``, ``jacobian`` and the
        others. Given tensors it returns tensors, whose gradients are compiled as well.

    Raises:
        ArgumentError: for examples that are no tensors or arrays, a result that doesn't
            depend on them, or a function that writes to them.
        TracingError: at the line, for what the record could not hold: floats that leave
            the tape (``item()``, ``numpy()``), a Function with its own backward,
            random numbers, ``backward()``, tensors from outside that require gradients.

    >>> import tracegrad.tape as torch
    >>> def f(x):
    ...     while x.norm() < 10:
    ...         x = x * 2
    ...     return x.sum()
    >>> fast = freeze(f, torch.tensor([1.0, 2.0]))
    >>> import numpy as np
    >>> fast(np.array([1.2, 2.0]))
    25.6
    >>> from tracegrad import grad
    >>> grad(fast)(np.array([1.2, 2.0]))
    array([8., 8.])
    """
    run = recorded(function, examples)
    tree = pytree.structure(examples)

    def frozen(*args: Any) -> Any:
        return _emitted(run, tree, args, beginning(function))

    _dress(frozen, function, len(examples))
    return _compiled(frozen)


def _dress(frozen: Any, function: Callable[..., Any], count: int) -> None:
    """Name, documentation and signature: that of the function, for the examples."""
    functools.update_wrapper(frozen, function, updated=())
    binder = Binder(function)
    frozen.__name__ = binder.title
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = map(binder.argument_name, range(count))
    parameters = [inspect.Parameter(name, kind) for name in names]
    frozen.__signature__ = inspect.Signature(parameters)


def _compiled(emit: Callable[..., Any]) -> Compiled:
    """What emits into a trace, compiled; on the tape it is one node."""

    @functools.cache
    def pull() -> Compiled:
        return _compiled(pullback(compiled))

    compiled = Compiled(
        emit,
        emit,
        "_frozen",
        mode="compiled",
        eager=lambda *args: _on_tape(compiled, pull, args),
    )
    return compiled


# --- into a trace ------------------------------------------------------------------


def _emitted(
    run: Run, tree: pytree.Tree, args: tuple[Any, ...], where: Location | None
) -> Any:
    """What the run computed, on the arguments of a trace in progress."""
    machine = machine_in_progress()
    leaves = pytree.matched(tree, args)
    if leaves is None:
        raise ArgumentError(
            f"arguments were {tree} when the function was frozen, and are now "
            f"{pytree.structure(args)}.",
            where,
        )
    known: dict[Slot, Any] = {}
    for slot, expected, leaf in zip(run.inputs, run.shapes, leaves, strict=True):
        known[slot] = _checked(machine, leaf, expected, where)
    last = _last_uses(run)
    for number, step in enumerate(run.steps):
        with machine.builder.at(step.where):
            if isinstance(step, Decision):
                _check(machine, step, snapshot(known[step.slot]))
            elif _is_assignment(step):
                base = step.operands[0]
                alone = isinstance(base, Slot) and last[base] == number
                _assign(machine, step, known, alone)
            else:
                _call(step, known)
    results = [snapshot(known[x]) if isinstance(x, Slot) else x for x in run.outputs]
    return pytree.unflatten(run.tree, results)


def _checked(
    machine: Machine, leaf: Any, expected: Shape, where: Location | None
) -> Tracer:
    """An argument as a tracer of the recorded shape and dtype."""
    x = snapshot(leaf)
    tracer = Tracer(machine.builder, lift(machine.builder, x))
    shape = tuple(map(concrete_size, tracer.dims))
    if shape != expected.shape:
        raise ShapeError(
            f"the function was frozen for shape {list(expected.shape)}, not "
            f"{list(shape)}.",
            where,
            "Freeze it again with arguments of this shape.",
        )
    if tracer.dtype != expected.dtype:
        raise DTypeError(
            f"the function was frozen for {expected.dtype}, not {tracer.dtype}.",
            where,
            "Convert the argument, or freeze the function again.",
        )
    return tracer


def _last_uses(run: Run) -> dict[Slot, int]:
    """The number of the last step that uses each value; results are used for ever."""
    last: dict[Slot, int] = {}
    for number, step in enumerate(run.steps):
        used = step.operands if isinstance(step, Call) else (step.slot,)
        last |= {x: number for x in used if isinstance(x, Slot)}
    return last | {x: len(run.steps) for x in run.outputs if isinstance(x, Slot)}


def _call(step: Call, known: dict[Slot, Any]) -> None:
    operands = [snapshot(_read(x, known)) for x in step.operands]
    emit = _OWN.get(step.primitive, step.primitive)
    found = emit(*operands, **step.params)
    results = found if isinstance(found, tuple) else (found,)
    known.update(zip(step.outputs, results, strict=True))


def _read(x: Any, known: dict[Slot, Any]) -> Any:
    return known[x] if isinstance(x, Slot) else x


def _check(machine: Machine, step: Decision, x: Any) -> None:
    if x.ndim:
        same = reduce_all(cmp.equal(x, step.value), axes=tuple(range(x.ndim)))
    elif x.dtype == bool:
        same = x if step.value else cmp.logical_not(x)
    else:
        same = cmp.equal(x, step.value[()])
    emit_check(
        machine.memory,
        same,
        RuntimeError,
        f"the run that was frozen went another way: {step.where} saw "
        f"{step.value.tolist()}. Freeze the function with such arguments.",
    )


# --- writes, as values -------------------------------------------------------------


def _is_assignment(step: Call) -> bool:
    """Whether a step is ``x[index] = value`` with a basic index."""
    if step.primitive is not place:
        return False
    steps = step.params["steps"]
    return len(steps) == 1 and steps[0][0] is part


def _assign(machine: Machine, step: Call, known: dict[Slot, Any], alone: bool) -> None:
    """Write to an array: to a copy, unless nobody else uses it.

    alone: whether this is the last use of the array's old contents.
    """
    base, value = (_read(x, known) for x in step.operands)
    (((_, _, params),), memory) = step.params["steps"], machine.memory
    own = alone and isinstance(base, View) and base.mutable and base.whole
    target = base if own else copied(memory, snapshot(base))
    set_item(memory, target, params["index"], snapshot(value))
    known[step.outputs[0]] = target


def _filled(x: Tracer, *, value: Any) -> Any:
    return Tracer(x.builder, filled(x.builder, value, x.type))


def _placed(base: Any, value: Any, *, steps: Sequence[Step], winners: Any) -> Any:
    """An array with a part replaced.

    The transposes of the steps that lead to the part put the new values into place.
    """
    builder = next(x.builder for x in (base, value) if isinstance(x, Tracer))
    steps, parts = _steps(tuple(map(concrete_size, dims(base))), base.dtype, steps)
    dtype = dtype_of(base.dtype)
    new = Tracer(builder, lift(builder, value, dtype))
    extra = new.ndim - parts[-1].ndim
    if extra > 0:  # axes of length one, which NumPy's assignment ignores
        new = structural.reshape(new, shape=new.dims[extra:])
    new = broadcast_to(new, parts[-1].shape)
    if winners is not None:
        new = cmp.select(winners, new, 0.0)
    ones = filled(builder, 1.0, ArrayType(dtype, shape_of(parts[-1].shape)))
    written = _back(Tracer(builder, ones), steps, parts) != 0.0
    return cmp.select(written, _back(new, steps, parts), base)


def _steps(
    shape: tuple[int, ...], dtype: Any, steps: Sequence[Step]
) -> tuple[Sequence[Step], list[Any]]:
    """Steps to a part of an array, and the arrays on the way."""
    parts = [np.zeros(shape, dtype)]
    steps = table_steps(parts[0], steps)
    for step in steps:
        parts.append(np.asarray(follow(parts[-1], [step])))
    return steps, parts


def _back(x: Any, steps: Sequence[Step], parts: Sequence[Any]) -> Any:
    for (primitive, others, params), base in zip(
        reversed(steps), reversed(parts[:-1]), strict=True
    ):
        if primitive is not cmp.stop_gradient:
            live = (True, *(False for _ in others))
            x = rules.pull(primitive, params, [base, *others], [None], [x], live)[0]
    return x


def _in_zeros(x: Tracer, *, index: Any, shape: tuple[int, ...]) -> Any:
    return _back(x, *_steps(shape, x.dtype, [(part, (), {"index": index})]))


_OWN: dict[Primitive, Callable[..., Any]] = {
    fill: _filled,
    place: _placed,
    part: lambda x, *, index: getitem(x, index),
    whole: _in_zeros,
}


# --- on the tape -------------------------------------------------------------------


def _on_tape(
    compiled: Compiled, pull: Callable[[], Compiled], args: tuple[Any, ...]
) -> Any:
    """The kernel on tensors, as one node."""
    like = next(x for x in pytree.leaves(args) if isinstance(x, Value))._result

    def function(*own: Any) -> Any:
        found = compiled(*pytree.map_leaves(_array, own))
        return pytree.map_leaves(lambda x: made(like, np.asarray(x)[()], None), found)

    def rule(own: tuple[Any, ...], kwargs: Any, bars: Any) -> list[Any]:
        found = iter(pytree.leaves(pull()(own, bars)[1]))
        return [next(found) if is_float(x) else None for x in pytree.leaves(own)]

    return on_tape(str(vars(compiled)["__name__"]), function, rule, args, {})


def _array(x: Any) -> Any:
    return x._array if isinstance(x, Value) else x
