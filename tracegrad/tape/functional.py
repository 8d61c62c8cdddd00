"""``autograd.functional``: derivatives of functions of tensors.

>>> from tracegrad.tape.creation import tensor
>>> jacobian(lambda x: x**2, tensor([1.0, 2.0]))
tensor([[2., 0.],
        [0., 4.]])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracegrad.tape.backward import grad, sequence
from tracegrad.tape.creation import ones, zeros, zeros_like
from tracegrad.tape.modes import enable_grad
from tracegrad.tape.shaping import stack
from tracegrad.tape.tensor import Tensor

Function = Callable[..., Any]


def _fresh(inputs: Any, create_graph: bool) -> tuple[Any, ...]:
    """The inputs as leaves, or connected to the caller's if that is wanted."""
    return tuple(
        x.view(x.shape)
        if create_graph and x.requires_grad
        else x.detach().requires_grad_()
        for x in sequence(inputs)
    )


def _called(func: Function, inputs: Any, create_graph: bool) -> tuple[Any, Any, bool]:
    points = _fresh(inputs, create_graph)
    returned = func(*points)
    several = isinstance(returned, (tuple, list))
    outputs = tuple(returned) if several else (returned,)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise TypeError(f"the function must return tensors, not {type(y).__name__}")
    return points, outputs, isinstance(returned, Tensor)


def _pulled(
    outputs: Sequence[Any],
    inputs: Sequence[Any],
    weights: Sequence[Any],
    create: bool,
    strict: bool,
) -> tuple[Any, ...]:
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if not pairs:
        if strict:
            raise RuntimeError("an output is independent of all inputs (strict mode)")
        return tuple(map(zeros_like, inputs))
    found = grad(
        [y for y, _ in pairs],
        inputs,
        [w for _, w in pairs],
        retain_graph=True,
        create_graph=create,
        allow_unused=True,
    )
    if strict and any(bar is None for bar in found):
        raise RuntimeError("an output is independent of an input (strict mode)")
    return tuple(
        zeros_like(x) if bar is None else bar
        for x, bar in zip(inputs, found, strict=True)
    )


def _out(results: Sequence[Any], like: Any, create: bool) -> Any:
    done = tuple(x if create else x.detach() for x in results)
    return done[0] if isinstance(like, Tensor) else done


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
) -> Any:
    """The Jacobian, of shape output.shape + input.shape.

    Args:
        func: from tensors to a tensor or several.
        inputs: a tensor or several.
        create_graph: whether the result can be differentiated.
        strict: whether an output that doesn't depend on an input is an error.
        vectorize: without effect.

    Returns:
        A tensor; nested in tuples, outputs first, for several outputs or inputs.
    """
    with enable_grad():
        points, outputs, single = _called(func, inputs, create_graph)
        found = [_rows(y, points, create_graph, strict, inputs) for y in outputs]
    return found[0] if single else tuple(found)


def _rows(y: Any, points: Any, create: bool, strict: bool, inputs: Any) -> Any:
    columns: list[list[Any]] = [[] for _ in points]
    for number in range(y.numel()):
        seed = zeros(y.numel(), dtype=y.dtype)
        seed[number] = 1.0
        weights = [seed.reshape(y.dims)]
        bars = _pulled([y], points, weights, create, strict)
        for column, bar in zip(columns, bars, strict=True):
            column.append(bar)
    results = [
        stack(column).reshape((*y.dims, *x.dims))
        if column
        else zeros((*y.dims, *x.dims), dtype=x.dtype)
        for column, x in zip(columns, points, strict=True)
    ]
    return _out(results, inputs, create)


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
) -> Any:
    """The second derivatives of a function of one number.

    Args:
        func: from tensors to a tensor of one element.
        inputs: a tensor or several.
        create_graph: see ``jacobian``.
        strict: see ``jacobian``.
        vectorize: without effect.
    """

    def gradient(*points: Any) -> Any:
        value = func(*points)
        _check_scalar(value)
        found = _pulled([value], points, [ones(value.dims)], True, strict)
        return found[0] if isinstance(inputs, Tensor) else found

    return jacobian(gradient, inputs, create_graph, False)


def _check_scalar(value: Any) -> None:
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise RuntimeError("the function must return a tensor of a single element")


def vjp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs, and a cotangent of them times the Jacobian."""
    with enable_grad():
        points, outputs, single = _called(func, inputs, create_graph)
        weights = _directions(v, outputs, "v")
        found = _pulled(outputs, points, weights, create_graph, strict)
    like = outputs[0] if single else outputs
    return _out(outputs, like, create_graph), _out(found, inputs, create_graph)


def _directions(v: Any, like: Sequence[Any], name: str) -> list[Any]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"the vector {name} can only be None for a single one-element tensor"
            )
        return [ones(like[0].dims, dtype=like[0].dtype)]
    given = list(sequence(v))
    for k, (a, b) in enumerate(zip(given, like, strict=True)):
        if a.dims != b.dims:
            raise RuntimeError(
                f"{name} has an invalid size at index {k}: {list(a.dims)}, not "
                f"{list(b.dims)}"
            )
    return given


def jvp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs, and the Jacobian times a tangent, by two backward passes."""
    with enable_grad():
        points, outputs, single = _called(func, inputs, create_graph)
        tangents = _directions(v, points, "v")
        dummies = [zeros(y.dims, dtype=y.dtype, requires_grad=True) for y in outputs]
        pulled = _pulled(outputs, points, dummies, True, strict)
        found = _pulled(pulled, dummies, tangents, create_graph, False)
    like = outputs[0] if single else outputs
    return _out(outputs, like, create_graph), _out(found, like, create_graph)


def vhp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value, and a vector times the Hessian."""
    with enable_grad():
        points, outputs, _ = _called(func, inputs, create_graph)
        (value,) = outputs
        _check_scalar(value)
        weights = [ones(value.dims, dtype=value.dtype)]
        first = _pulled([value], points, weights, True, strict)
        found = _pulled(first, points, _directions(v, points, "v"), create_graph, False)
    return _out([value], value, create_graph), _out(found, inputs, create_graph)


# The Hessian is symmetric: its product with a vector is the same from both sides.
hvp = vhp
