"""``torch.optim``: SGD and Adam.

>>> from tracegrad.tape.creation import tensor
>>> w = tensor([1.0], requires_grad=True)
>>> optimiser = SGD([w], lr=0.1)
>>> (w**2).sum().backward()
>>> optimiser.step()
>>> w
tensor([0.8000], requires_grad=True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tracegrad.tape.modes import enable_grad, refuse_frozen
from tracegrad.tape.nn.module import clear
from tracegrad.tape.tensor import Tensor


class Optimizer:
    """The base of optimisers: groups of parameters, each with its options.

    Args:
        params: tensors, or dictionaries with ``"params"`` and options of their own.
        defaults: options of groups that state none.

    Raises:
        TypeError: if the parameters are a tensor, or contain something else.
        ValueError: if they are none, not leaves, or in several groups.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of "
                "Tensors or dicts, but got a Tensor"
            )
        self.defaults = defaults
        self.state: dict[Any, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take more parameters."""
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
            if id(p) in known:
                raise ValueError(
                    "some parameters appear in more than one parameter group"
                )
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                clear(p, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew, if given.

        Returns:
            What the closure returned.
        """
        refuse_frozen("a step of an optimiser", "Freeze the loss, not its training.")
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    state = self.state.setdefault(p, {})
                    self._update(p, p._grad._array, state, group)
        return loss

    def _update(
        self, p: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        raise NotImplementedError


def _check_not_negative(**options: float) -> None:
    for name, value in options.items():
        if value < 0.0:
            raise ValueError(f"Invalid {name} value: {value}")


def _moved(p: Any, step: Any) -> None:
    """Subtract a step from a parameter, in place."""
    array = p._memory()
    array -= step
    p._cell[0] += 1


class SGD(Optimizer):
    """Gradient descent, with momentum.

    Args:
        params: what to optimise.
        lr: the step length.
        momentum: how much of the last step stays. The first one is the gradient itself.
        dampening: how much of the gradient does not enter the momentum.
        weight_decay: adds the parameter times this to the gradient.
        nesterov: looks ahead along the momentum.
        maximize: goes uphill.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        _check_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0.0 or dampening != 0.0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, options)

    def _update(
        self, p: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        d = -gradient if group["maximize"] else gradient
        if group["weight_decay"]:
            d = d + group["weight_decay"] * p._array
        momentum = group["momentum"]
        if momentum:
            before = state.get("momentum_buffer")
            if before is None:
                buffer = np.array(d)
            else:
                buffer = momentum * before + (1.0 - group["dampening"]) * d
            state["momentum_buffer"] = buffer
            d = d + momentum * buffer if group["nesterov"] else buffer
        _moved(p, group["lr"] * d)


class Adam(Optimizer):
    """Steps scaled by running moments of the gradient (Kingma and Ba 2015).

    Args:
        params: what to optimise.
        lr: the step length.
        betas: how slowly the two moments change.
        eps: keeps divisors from zero.
        weight_decay: adds the parameter times this to the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        _check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"Invalid betas: {betas}")
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay},
        )

    def _update(
        self, p: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * p._array
        beta1, beta2 = group["betas"]
        if not state:
            state.update(step=0, exp_avg=0.0, exp_avg_sq=0.0)
        state["step"] += 1
        first = state["exp_avg"] = beta1 * state["exp_avg"] + (1 - beta1) * gradient
        second = state["exp_avg_sq"] = (
            beta2 * state["exp_avg_sq"] + (1 - beta2) * gradient * gradient
        )
        unbiased1 = first / (1 - beta1 ** state["step"])
        unbiased2 = second / (1 - beta2 ** state["step"])
        _moved(p, group["lr"] * unbiased1 / (np.sqrt(unbiased2) + group["eps"]))
