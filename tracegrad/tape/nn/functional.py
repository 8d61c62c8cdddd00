"""``torch.nn.functional``: layers as functions.

>>> from tracegrad.tape.creation import tensor
>>> mse_loss(tensor([1.0, 3.0]), tensor([1.0, 1.0]))
tensor(2.)
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tracegrad.numpy_api.indexing import take_along_axis
from tracegrad.primitives import comparisons as cmp
from tracegrad.primitives import elementwise as ew
from tracegrad.primitives import special
from tracegrad.tape.functions import (
    log_softmax,
    logsigmoid,
    matmul,
    mean,
    named,
    relu,
    sigmoid,
    softmax,
    sum_,
    tanh,
)
from tracegrad.tape.value import Value


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias``."""
    product = matmul(input, weight.t())
    return product if bias is None else named("Addmm", product + bias)


def gelu(input: Any) -> Any:
    """The input times the normal probability of less."""
    return named("Gelu", input * (0.5 * (special.erf(input * math.sqrt(0.5)) + 1.0)))


def softplus(input: Any) -> Any:
    """log(1 + exp(input)), without overflow."""
    return named("Softplus", ew.logaddexp(input, 0.0))


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """The positive part, and a little of the negative one."""
    return named("LeakyRelu", cmp.select(input > 0, input, input * negative_slope))


def elu(input: Any, alpha: float = 1.0) -> Any:
    """The positive part, and alpha (exp(x) - 1) below zero."""
    return named("Elu", cmp.select(input > 0, input, alpha * ew.expm1(input)))


def _reduced(losses: Any, reduction: str, title: str) -> Any:
    if reduction == "mean":
        return named(title, mean(losses))
    if reduction == "sum":
        return named(title, sum_(losses))
    if reduction == "none":
        return named(title, losses)
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _warn_of_broadcast(input: Any, target: Any) -> None:
    if isinstance(target, Value) and np.shape(target._array) != np.shape(input._array):
        warnings.warn(
            f"Using a target size ({list(target._array.shape)}) that is different to "
            f"the input size ({list(input._array.shape)}): they are broadcast, which "
            "is rarely meant.",
            UserWarning,
            stacklevel=4,
        )


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of squared differences."""
    _warn_of_broadcast(input, target)
    return _reduced(ew.raise_to(input - target, 2), reduction, "MseLoss")


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of absolute differences."""
    _warn_of_broadcast(input, target)
    return _reduced(ew.absolute(input - target), reduction, "L1Loss")


def nll_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of minus the entries of the right classes."""
    classes = np.asarray(target._array)[..., None]
    return _reduced(-take_along_axis(input, classes, -1), reduction, "NllLoss")


def cross_entropy(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The negative logarithm of the share of the right class."""
    return nll_loss(log_softmax(input, -1), target, reduction)


def binary_cross_entropy(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The negative logarithm of the probability of what happened."""
    losses = -(target * ew.log(input) + (1.0 - target) * ew.log(1.0 - input))
    return _reduced(losses, reduction, "BinaryCrossEntropy")


__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "elu",
    "gelu",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "mse_loss",
    "nll_loss",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]
