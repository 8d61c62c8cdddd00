"""``gradcheck`` and ``gradgradcheck``: gradients against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegrad.tape.backward import grad, sequence
from tracegrad.tape.creation import rand, tensor
from tracegrad.tape.modes import enable_grad, no_grad
from tracegrad.tape.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient differs from the difference quotients."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare the Jacobian by backward passes with that by central differences.

    Args:
        func: from tensors to a tensor or several.
        inputs: a tensor or several, of which those in float64 that require gradients
            are varied.
        eps: the step.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: whether a difference raises, rather than return False.

    Raises:
        GradcheckError: for the first entry that differs, with both Jacobians.
        ValueError: if no input requires gradients, or one is float32.

    >>> gradcheck(lambda x: x**3, tensor([1.0, 2.0], requires_grad=True))
    True
    """
    points = sequence(inputs)
    varied = [
        k for k, x in enumerate(points) if isinstance(x, Tensor) and x.requires_grad
    ]
    if not varied:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none "
            "of them have requires_grad=True."
        )
    for k in varied:
        if points[k].dtype != np.float64:
            raise ValueError(
                f"input {k} is {points[k].dtype}: differences need float64 to be exact."
            )
    outputs = [y for y in sequence(func(*points)) if isinstance(y, Tensor)]
    for j, output in enumerate(outputs):
        if output.dtype.kind != "f":
            continue
        exact = _jacobian(output, [points[k] for k in varied])
        for place, k in enumerate(varied):
            measured = _differences(func, points, k, j, eps)
            if not np.allclose(exact[place], measured, rtol, atol):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"Jacobian mismatch for output {j} with respect to input {k},\n"
                    f"numerical:\n{measured}\nanalytical:\n{exact[place]}"
                )
    return True


def _jacobian(output: Any, inputs: Sequence[Any]) -> list[Any]:
    """Rows by backward passes: one per element of the output."""
    rows: list[list[Any]] = [[] for _ in inputs]
    for number in range(output.numel()):
        seed = np.zeros(output.dims, output.dtype)
        seed.reshape(-1)[number] = 1.0
        if output.requires_grad:
            found = grad(
                output, inputs, tensor(seed), retain_graph=True, materialize_grads=True
            )
        else:
            found = tuple(tensor(np.zeros(x.dims)) for x in inputs)
        for row, bar in zip(rows, found, strict=True):
            row.append(bar.detach().numpy().reshape(-1))
    return [
        np.array(row).reshape(output.numel(), x.numel())
        for row, x in zip(rows, inputs, strict=True)
    ]


def _differences(
    func: Callable[..., Any], points: Sequence[Any], k: int, j: int, eps: float
) -> Any:
    """Columns by central differences in the elements of input k."""
    columns = []
    start = np.array(points[k].detach().numpy())
    for number in range(start.size):
        sides = []
        for step in (eps, -eps):
            moved = start.copy()
            moved.reshape(-1)[number] += step
            given = [*points[:k], tensor(moved), *points[k + 1 :]]
            with no_grad():
                outs = [y for y in sequence(func(*given)) if isinstance(y, Tensor)]
            sides.append(np.array(outs[j].detach().numpy()).reshape(-1))
        columns.append((sides[0] - sides[1]) / (2.0 * eps))
    size = columns[0].size if columns else 0
    return np.array(columns).reshape(start.size, size).T


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """``gradcheck`` of the gradient: second derivatives against differences.

    Args:
        func: see ``gradcheck``.
        inputs: see ``gradcheck``.
        grad_outputs: cotangents of the outputs; random by default.
        eps: see ``gradcheck``.
        atol: see ``gradcheck``.
        rtol: see ``gradcheck``.
        raise_exception: see ``gradcheck``.

    Raises:
        GradcheckError: see ``gradcheck``.
    """
    points = sequence(inputs)
    outputs = sequence(func(*points))
    if grad_outputs is None:
        weights = [rand(y.dims, dtype=y.dtype, requires_grad=True) for y in outputs]
    else:
        weights = list(sequence(grad_outputs))
    count = len(points)

    def gradient(*args: Any) -> tuple[Any, ...]:
        own, cotangents = args[:count], args[count:]
        # Where a difference is taken, the moved input has no gradient of its own yet.
        own = tuple(
            x.detach().requires_grad_()
            if isinstance(p, Tensor) and p.requires_grad and not x.requires_grad
            else x
            for x, p in zip(own, points, strict=True)
        )
        with enable_grad():
            outs = sequence(func(*own))
            varied = [x for x in own if isinstance(x, Tensor) and x.requires_grad]
            return grad(
                outs, varied, cotangents, create_graph=True, materialize_grads=True
            )

    return gradcheck(
        gradient,
        (*points, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
    )
