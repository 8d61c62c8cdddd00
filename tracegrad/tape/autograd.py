"""``torch.autograd``: everything about gradients that isn't a tensor's method."""

from tracegrad.tape import functional
from tracegrad.tape.backward import backward, grad
from tracegrad.tape.checking import GradcheckError, gradcheck, gradgradcheck
from tracegrad.tape.creation import as_tensor
from tracegrad.tape.function import Function, once_differentiable
from tracegrad.tape.modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from tracegrad.tape.tensor import Tensor


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """A tensor of the same data: what PyTorch's old tutorials call a variable."""
    variable: Tensor = as_tensor(data).detach()
    variable.requires_grad = requires_grad
    return variable


__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
]
