"""``backward`` and ``grad``: from outputs and their gradients to those of tensors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tracegrad.primitives.comparisons import convert
from tracegrad.tape.engine import sweep
from tracegrad.tape.modes import recorder, refuse_frozen
from tracegrad.tape.node import LEAF
from tracegrad.tape.record import detached, edge_of
from tracegrad.tape.shaping import stack
from tracegrad.tape.value import Value, made

Tensors = Any  # a tensor or a sequence of them

_UNTRACKED = "One of the differentiated Tensors does not require grad"


def sequence(tensors: Any) -> tuple[Any, ...]:
    """A tensor or several as a tuple."""
    return (tensors,) if isinstance(tensors, Value) else tuple(tensors)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of tensors to ``.grad`` of the leaves they came from.

    Args:
        tensors: what to differentiate: one or several.
        grad_tensors: their cotangents, of the same shapes; None where they have one
            element.
        retain_graph: whether the graph can be used again; by default as
            ``create_graph``.
        create_graph: whether the gradients can be differentiated in turn.
        inputs: accumulate into these tensors alone.

    Raises:
        RuntimeError: if a tensor doesn't require gradients, a cotangent doesn't fit or
            is missing, the graph was freed, or a saved value was modified.

    >>> from tracegrad.tape.creation import tensor
    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    refuse_frozen("backward()", "Use autograd.grad, or grad(f) of the frozen function.")
    roots = _roots(sequence(tensors), grad_tensors, create_graph)
    if inputs is None:
        targets = None
    else:
        wanted = sequence(inputs)
        if not wanted:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
        for x in wanted:
            if edge_of(x) is None:
                raise RuntimeError(
                    "One of the differentiated Tensors does not require grad"
                )
        targets = {edge_of(x): x for x in wanted}
    if create_graph:
        warnings.warn(
            "backward() with create_graph=True makes a reference cycle between a "
            "parameter and its gradient. Use autograd.grad instead, or reset .grad to "
            "None afterwards.",
            UserWarning,
            stacklevel=3,
        )
    keep = create_graph if retain_graph is None else retain_graph
    found = sweep(roots, targets, keep=keep, create=create_graph)
    for edge, bar in found.items():
        tensor = edge if targets is None else targets[edge]
        if targets is not None or tensor._edge is LEAF:  # or it was detached meanwhile
            accumulate(tensor, bar)


def accumulate(x: Any, bar: Any) -> None:
    """Add to ``.grad``: in place, unless the sum is to be differentiated itself."""
    own = x._grad
    if isinstance(bar, Value):
        x._grad = bar if own is None else own + bar
    elif own is None:
        x._grad = made(x._result, bar, None)
    elif own._edge is not None:
        x._grad = own + made(x._result, bar, None)
    elif isinstance(own._array, np.ndarray):
        own._array += bar
        own._cell[0] += 1
    else:
        own._array = own._array + bar
        own._cell[0] += 1
    hooks = x._extra.get("after") if x._extra else None
    for hook in hooks or ():
        hook(x)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of outputs (their sum, if several) with respect to inputs.

    Args:
        outputs: what to differentiate.
        inputs: with respect to what: leaves or not.
        grad_outputs: cotangents of the outputs; None for one-element tensors.
        retain_graph: see ``backward``.
        create_graph: see ``backward``.
        only_inputs: True; kept for the signature's sake.
        allow_unused: whether an input that the outputs don't depend on is None, rather
            than an error.
        is_grads_batched: whether each of ``grad_outputs`` holds several cotangents
            along its first axis; so do the results then.
        materialize_grads: zeros in the place of None.

    Returns:
        A gradient per input.

    Raises:
        RuntimeError: see ``backward``; also for inputs that don't require gradients or
            are unused.
        ValueError: for ``materialize_grads`` with ``allow_unused=False``.

    >>> from tracegrad.tape.creation import tensor
    >>> x = tensor(3.0, requires_grad=True)
    >>> (first,) = grad(x**3, x, create_graph=True)
    >>> first, grad(first, x)
    (tensor(27., grad_fn=<MulBackward0>), (tensor(18.),))
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when "
            "materialize_grads=True, but got: allow_unused=False."
        )
    wanted = sequence(inputs)
    if not wanted:
        raise ValueError("grad requires non-empty inputs.")
    outs = sequence(outputs)
    if is_grads_batched:
        return _batched(outs, wanted, grad_outputs, create_graph, materialize_grads)
    allowed = materialize_grads if allow_unused is None else allow_unused
    absent = _Absent(allowed, materialize_grads)
    return _gradients(outs, wanted, grad_outputs, retain_graph, create_graph, absent)


class _Absent(NamedTuple):
    """What becomes of inputs that the outputs don't depend on.

    Attributes:
        allowed: whether there may be any.
        zeros: whether they get zeros, rather than None.
    """

    allowed: bool
    zeros: bool


def _gradients(
    outputs: tuple[Any, ...],
    inputs: tuple[Any, ...],
    grad_outputs: Any,
    retain_graph: bool | None,
    create_graph: bool,
    absent: _Absent,
) -> tuple[Any, ...]:
    frozen = recorder() is not None  # then the backward pass is recorded in any case
    create = create_graph or frozen
    roots = _roots(outputs, grad_outputs, create)
    edges = [edge_of(x) for x in inputs]
    if None in edges:
        raise RuntimeError(_UNTRACKED)
    keep = create if retain_graph is None else retain_graph
    found = sweep(roots, edges, keep=keep, create=create)
    results = tuple(_results(inputs, edges, found, absent))
    if frozen and not create_graph:
        return tuple(x if x is None else detached(x) for x in results)
    return results


def _results(
    wanted: tuple[Any, ...],
    edges: list[Any],
    found: dict[Any, Any],
    absent: _Absent,
) -> Iterator[Any]:
    """A gradient per input, of which none shares memory with another."""
    for k, (x, edge) in enumerate(zip(wanted, edges, strict=True)):
        bar = found.get(edge)
        if bar is None and not absent.allowed:
            raise RuntimeError(
                f"The differentiated Tensor at index {k} appears to not have been used "
                "in the graph. Set allow_unused=True if this is the desired behavior."
            )
        if bar is None:
            bar = np.zeros_like(x._array) if absent.zeros else None
        plain = bar is None or isinstance(bar, Value)
        yield bar if plain else made(x._result, bar, None)


def _batched(
    outputs: tuple[Any, ...],
    inputs: tuple[Any, ...],
    grad_outputs: Any,
    create: bool,
    materialize: bool,
) -> tuple[Any, ...]:
    """One backward pass per cotangent, stacked."""
    given = sequence(grad_outputs)
    size = next(g.shape[0] for g in given if g is not None)
    rows = [
        grad(
            outputs,
            inputs,
            [None if g is None else g[k] for g in given],
            retain_graph=True,
            create_graph=create,
            allow_unused=True,
            materialize_grads=materialize,
        )
        for k in range(size)
    ]
    return tuple(
        None if column[0] is None else stack(column)
        for column in zip(*rows, strict=True)
    )


# --- where to start ----------------------------------------------------------------


def _roots(
    outputs: tuple[Any, ...], cotangents: Any, create: bool
) -> list[tuple[Any, Any]]:
    if cotangents is None:
        cotangents = (None,) * len(outputs)
    elif isinstance(cotangents, Value):
        cotangents = (cotangents,)
    if not isinstance(cotangents, (tuple, list)):
        raise TypeError(
            f"gradients must be tensors or None, not {type(cotangents).__name__}"
        )
    if len(cotangents) != len(outputs):
        raise RuntimeError(
            f"got {len(outputs)} tensors and {len(cotangents)} gradients"
        )
    bars = [
        _cotangent(x, given, k)
        for k, (x, given) in enumerate(zip(outputs, cotangents, strict=True))
    ]
    roots = []
    for k, (x, bar) in enumerate(zip(outputs, bars, strict=True)):
        edge = edge_of(x)
        if edge is None:
            raise RuntimeError(
                f"element {k} of tensors does not require grad and does not have a "
                "grad_fn"
            )
        roots.append((edge, bar if create else bar._array))
    return roots


def _cotangent(output: Any, given: Any, k: int) -> Any:
    """The cotangent of an output as a tensor of its shape and dtype."""
    shape, dtype = output._array.shape, output._array.dtype
    if given is None:
        if edge_of(output) is not None and output._array.size != 1:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs: pass a "
                f"gradient of shape {list(shape)}, or sum the output first"
            )
        return made(output._result, np.ones(shape, dtype)[()], None)
    if not isinstance(given, Value):
        raise TypeError(
            f"gradients must be tensors or None, not {type(given).__name__}"
        )
    if given._array.shape != shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{k}] has a shape of "
            f"{list(given._array.shape)} and output[{k}] has a shape of {list(shape)}."
        )
    return given if given._array.dtype == dtype else convert(given, dtype=str(dtype))


def is_leaf(x: Value) -> bool:
    """Whether a tensor was made by the user, not by recorded operations."""
    return x._edge is LEAF or edge_of(x) is None
