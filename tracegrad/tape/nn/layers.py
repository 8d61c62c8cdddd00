"""Layers and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tracegrad.tape import functions as fn
from tracegrad.tape import shaping as sh
from tracegrad.tape.creation import empty
from tracegrad.tape.nn import functional as F
from tracegrad.tape.nn import init
from tracegrad.tape.nn.module import Module, Parameter


class Linear(Module):
    """``x @ weight.T + bias``.

    Args:
        in_features: the size of the last axis of what comes in.
        out_features: and of what goes out.
        bias: whether something is added.
        dtype: of the parameters.

    Both start uniform between ±1/sqrt(in_features).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.bias = Parameter(empty(out_features, dtype=dtype)) if bias else None
        bound = in_features**-0.5 if in_features else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Any) -> Any:
        """The linear map."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Its sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Sequential(Module):
    """Modules one after another."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for number, module in enumerate(modules):
            self.add_module(str(number), module)

    def forward(self, input: Any) -> Any:
        """The last one's output."""
        for module in self.children():
            input = module(input)
        return input

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


class _Activation(Module):
    """A function without parameters."""

    _function: Callable[..., Any]

    def forward(self, input: Any) -> Any:
        """The function, elementwise."""
        return type(self)._function(input)


class ReLU(_Activation):
    """The positive part."""

    _function = fn.relu


class Tanh(_Activation):
    """The hyperbolic tangent."""

    _function = fn.tanh


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    _function = fn.sigmoid


class GELU(_Activation):
    """The Gaussian error linear unit."""

    _function = F.gelu


class Softplus(_Activation):
    """log(1 + exp(x))."""

    _function = F.softplus


class Identity(_Activation):
    """What comes in."""

    _function = staticmethod(lambda x: x)


class LeakyReLU(Module):
    """The positive part, and a little of the negative one."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        """The function, elementwise."""
        return F.leaky_relu(input, self.negative_slope)


class Softmax(Module):
    """Exponentials that sum to one along an axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """The shares."""
        return fn.softmax(input, self.dim)


class LogSoftmax(Softmax):
    """The logarithm of softmax."""

    def forward(self, input: Any) -> Any:
        """The logarithms of the shares."""
        return fn.log_softmax(input, self.dim)


class Flatten(Module):
    """All axes but the first as one."""

    def forward(self, input: Any) -> Any:
        """The matrix."""
        return sh.flatten(input, 1)


class _Loss(Module):
    """A number that says how far an input is from a target."""

    _function: Callable[..., Any]

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return type(self)._function(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """The mean of squared differences."""

    _function = F.mse_loss


class L1Loss(_Loss):
    """The mean of absolute differences."""

    _function = F.l1_loss


class CrossEntropyLoss(_Loss):
    """The negative logarithm of the share of the right class."""

    _function = F.cross_entropy
